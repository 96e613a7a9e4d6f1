//! Logs in ClickHouse.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::runtime::Handle;
use wk_config::{Config, LogStorage, OutsideLogsConfig};
use wk_connect::clickhouse::{
    ClickHouse, ClickHouseOptions, LogOutbox, Migration, OutboxOptions, Refused, SharedStats, Told, end_outside,
};
use wk_lake::LogSource;
use wk_store::intake::IntakeLog;
use wk_store::io::{Io, SystemIo};
use wk_store::state::{NewEvent, State};
use wk_types::{UtcMs, VesselId};

use super::{Stores, resolve};
use crate::clock::now;
use crate::error::NodeError;
use crate::folder::DataFolder;
use crate::http::chain;
use crate::ship::{Purpose, open_lake, store_error};

/// The folder of the spill in the data folder.
const SPILL_DIR: &str = "logs-spill";

/// The store of logs outside.
pub struct OutsideLogs {
    store: ClickHouse,
    stats: SharedStats,
    has_spill: bool,
    /// Until the reader takes it.
    outbox: Mutex<Option<LogOutbox>>,
}

impl OutsideLogs {
    /// Where questions are asked.
    pub fn source(&self) -> Arc<dyn LogSource> {
        Arc::new(self.store.clone())
    }

    /// What sends to it, once.
    pub fn take_outbox(&self) -> Option<LogOutbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the pipeline page shows.
    pub fn describe(&self) -> Value {
        let mut described = json!(self.stats.read());
        described["kind"] = "clickhouse".into();
        described["url"] = self.store.url().into();
        described["database"] = self.store.database().into();
        described["has_spill"] = self.has_spill.into();
        described
    }
}

fn refuse(error: &dyn std::error::Error) -> NodeError {
    NodeError::OutsideLogs { what: chain(error) }
}

fn connect(outside: &OutsideLogsConfig, vessel: VesselId) -> Result<ClickHouse, NodeError> {
    let options = ClickHouseOptions {
        url: outside.url.clone(),
        database: outside.database.clone(),
        user: outside.user.clone(),
        password_file: outside.password_file.clone(),
        authority_file: outside.authority_file.clone(),
        ttl_days: outside.ttl_days,
        vessel,
    };
    ClickHouse::new(options, Handle::current()).map_err(|error| refuse(&error))
}

/// Opens what sends logs outside, where the configuration says so; the store itself may be away. Where the node keeps
/// its logs itself again, it goes on behind what went outside.
///
/// # Errors
/// Files that cannot be read.
pub fn open(
    config: &Config,
    data: &Path,
    stores: &Stores<'_>,
    purpose: Purpose,
) -> Result<Option<OutsideLogs>, NodeError> {
    let io: Arc<dyn Io> = Arc::new(SystemIo);
    let storage = &config.storage;
    let (LogStorage::ClickHouse, Some(outside)) = (storage.logs, &storage.outside_logs) else {
        if purpose == Purpose::Run
            && let Some(sent) = end_outside(&io, data).map_err(store_error("ledger of logs"))?
        {
            stores.lake.append(sent, UtcMs::default(), &[]).map_err(store_error("log store"))?;
        }
        return Ok(None);
    };
    let store = connect(outside, stores.state.vessel())?;
    let spill = outside.spill.then(|| (data.join(SPILL_DIR), storage.logs_bytes_max));
    let options = OutboxOptions {
        is_pressed: is_pressed(stores.intake.clone(), storage.intake_bytes_max),
        spill,
        told: tell_refused(stores.state.clone()),
        start: stores.lake.cursor(),
    };
    let outbox = LogOutbox::open(io, data, store.clone(), options).map_err(|error| refuse(&error))?;
    let stats = outbox.stats();
    Ok(Some(OutsideLogs { store, stats, has_spill: outside.spill, outbox: Mutex::new(Some(outbox)) }))
}

/// Tells whether more than half of the intake log's bound is taken.
fn is_pressed(intake: IntakeLog, bytes_max: u64) -> Box<dyn Fn() -> bool + Send> {
    Box::new(move || intake.stats().bytes > bytes_max / 2)
}

/// Rows that the store refuses for good are lost: told once, in the journal and to the operator.
fn tell_refused(state: State) -> Told {
    Box::new(move |refused| {
        let Refused { records: (first, last), rows, what } = refused;
        tracing::error!(%first, %last, rows, what, "ClickHouse refuses log lines for good");
        let key = format!("logs_refused/{}/{}", first.0, last.0);
        let body = json!({"first": first, "last": last, "rows": rows, "what": what});
        let event = NewEvent { kind: "logs_refused", key: &key, by: None, body: &body };
        state.record_event(&event, now())?;
        Ok(())
    })
}

/// Tells whether the logs of a data folder go to a store outside.
///
/// # Errors
/// A ledger that cannot be read.
pub fn is_outside(data: &Path) -> Result<bool, NodeError> {
    wk_connect::clickhouse::is_outside(&SystemIo, data).map_err(store_error("ledger of logs"))
}

/// Moves the logs that the node of a data folder has kept itself to the configured store; `tell` hears of the progress.
/// The node must be down. It blocks, and must be called within a runtime, but not from asynchronous code.
///
/// # Errors
/// A configuration without a store outside, a folder that is in use, and whatever stops the migration; another run goes
/// on from there.
pub fn migrate_logs(
    mut config: Config,
    base: &Path,
    data: &Path,
    tell: &mut dyn FnMut(&Value),
) -> Result<Value, NodeError> {
    resolve(&mut config, base);
    let Some(outside) = &config.storage.outside_logs else {
        let what = "the configuration names no store to move logs to; write storage.logs = \"clickhouse\" and \
                    [storage.outside_logs]";
        return Err(NodeError::OutsideLogs { what: what.to_owned() });
    };
    let folder = DataFolder::open(data)?;
    let state = State::open(folder.root(), now()).map_err(store_error("state database"))?;
    let lake = open_lake(&config, &folder, state.vessel())?;
    let store = connect(outside, state.vessel())?;
    let mut migration =
        Migration::open(Arc::new(SystemIo), folder.root(), lake, store).map_err(|error| refuse(&error))?;
    let done = migration.run(&mut |progress| tell(&json!(progress)));
    done.map(|done| json!(done)).map_err(|error| refuse(&error))
}
