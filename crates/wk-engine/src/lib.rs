//! Pure detection, rules and correlation: one ordered input in, facts out.
