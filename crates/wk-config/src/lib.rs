//! The configuration file: its keys, defaults, checks and origins.
