//! Between sources and conclusions: the way into the intake log, identity, the readers and their counters.

pub mod bridge;
pub mod identity;
pub mod readers;
pub mod stages;
pub mod transfer;
