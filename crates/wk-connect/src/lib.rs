//! Outside systems that take over a job of the node where one machine is outgrown: one module and one feature each.

#[cfg(feature = "clickhouse")]
pub mod clickhouse;
