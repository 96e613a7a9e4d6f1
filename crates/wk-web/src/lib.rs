//! The built console, embedded.
