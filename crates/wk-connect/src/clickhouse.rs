//! Logs in ClickHouse: the node sends what it takes in and asks there what it is asked.
//!
//! One table for all ships, made and checked when the store is first reached. What is sent carries a token of its
//! content, so that a batch that is sent again after a lost answer is stored once.

mod batch;
mod condition;
mod error;
mod http;
mod ledger;
mod migrate;
mod outbox;
mod regular;
mod row_binary;
mod rows;
mod schema;
mod source;
mod statement;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use wk_types::{DurationMs, Seq, VesselId};

use self::http::Http;
pub use batch::Line;
pub use error::ClickHouseError;
pub use ledger::{end_outside, is_outside};
pub use migrate::{MigrateError, Migrated, Migration};
pub use outbox::{LogOutbox, OutboxError, OutboxOptions, OutboxStats, Refused, SharedStats, Told};
pub use schema::{SCHEMA, VERSION_MIN};

/// How long the questions about the schema may take.
const SCHEMA_MAX: Duration = Duration::from_secs(30);

/// Where ClickHouse is and how it is used.
#[derive(Debug, Clone)]
pub struct ClickHouseOptions {
    /// Its HTTP interface, such as `https://clickhouse.example:8443`.
    pub url: String,
    /// The database in which the tables are.
    pub database: String,
    /// The user; the store's default one where it is missing.
    pub user: Option<String>,
    /// The file that holds the user's password.
    pub password_file: Option<PathBuf>,
    /// File in PEM with the authority that signed the store's certificate, beside those of the system.
    pub authority_file: Option<PathBuf>,
    /// Days after which the store deletes rows; never where it is missing.
    pub ttl_days: Option<u32>,
    /// Whose logs these are; only they are written and asked for.
    pub vessel: VesselId,
}

/// A ClickHouse server that keeps logs. Cheap to clone; all clones are one.
///
/// Its methods block and must not be called from asynchronous code.
#[derive(Debug, Clone)]
pub struct ClickHouse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    options: ClickHouseOptions,
    runtime: Handle,
    is_prepared: AtomicBool,
    /// Everything up to this record has been sent.
    sent: AtomicU64,
}

impl ClickHouse {
    /// Makes the client; nothing is sent yet.
    ///
    /// # Errors
    /// A password or authority file that cannot be read.
    pub fn new(options: ClickHouseOptions, runtime: Handle) -> Result<Self, ClickHouseError> {
        let http = Http::new(&options)?;
        Ok(Self(Arc::new(Inner {
            http,
            options,
            runtime,
            is_prepared: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        })))
    }

    /// The store's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.options.url
    }

    /// The database in which the tables are.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.0.options.database
    }

    /// Reaches the store and makes or checks its tables, once.
    ///
    /// # Errors
    /// A store that cannot be reached, is too old, or whose tables are newer or others than ours.
    pub fn prepare(&self) -> Result<(), ClickHouseError> {
        if self.0.is_prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        let limited = async { tokio::time::timeout(SCHEMA_MAX, schema::prepare(&self.0)).await };
        let prepared = self.0.runtime.block_on(limited);
        prepared.map_err(|_| self.timed_out())??;
        self.0.is_prepared.store(true, Ordering::Release);
        tracing::info!(url = self.url(), database = self.database(), "logs go to ClickHouse");
        Ok(())
    }

    fn timed_out(&self) -> ClickHouseError {
        let limit = DurationMs::from_secs(SCHEMA_MAX.as_secs() as i64);
        ClickHouseError::TimeLimit { url: self.url().to_owned(), limit }
    }

    /// Notes that everything up to a record has been sent.
    fn note_sent(&self, seq: Seq) {
        self.0.sent.store(seq.0, Ordering::Release);
    }

    fn sent(&self) -> Seq {
        Seq(self.0.sent.load(Ordering::Acquire))
    }
}
