//! Sources: one module each, everything that takes telemetry in.
