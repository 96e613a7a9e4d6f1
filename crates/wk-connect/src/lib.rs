//! Outside systems that can take over a job where one machine is outgrown: one module and one cargo feature each.
//!
//! Nothing here runs by itself: the node hands over what is to be sent or asked, and keeps what was not taken.

#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(feature = "metrics")]
mod endpoint;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod remote_write;

#[cfg(feature = "metrics")]
pub use endpoint::{ConnectError, Credentials, Endpoint, EndpointSettings, chain};
