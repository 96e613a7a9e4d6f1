//! The node's own metrics: exposed at `/metrics`, and stored every 15 s like anybody else's.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wk_ingest::SourceStats;
use wk_types::{Body, DurationMs, Labels, NewRecord, Sample, Series, SeriesSamples};

use crate::clock::now;
use crate::node::Node;

/// How often the node's own metrics are stored.
const EVERY: Duration = Duration::from_secs(15);
/// The source's name.
pub const SOURCE: &str = "node";

/// Every metric the node exposes of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Metric {
    BuildInfo,
    UptimeSeconds,
    ResidentBytes,
    CpuSeconds,
    SourceReceived,
    SourceAccepted,
    SourceRejected,
    SourceLost,
    SourceBytes,
    IntakeBytes,
    IntakeFsyncs,
    IntakeRecords,
    IntakeRefused,
    IntakeFailed,
    IntakeQueued,
    IntakeFsyncErrors,
    IntakeDamaged,
    ReaderLag,
    MetricsSeries,
    MetricsStored,
    MetricsLate,
    MetricsRefused,
    MetricsBytes,
    LogsStored,
    LogsBytes,
    OutsideLogsSent,
    OutsideLogsRefused,
    OutsideLogsFailures,
    OutsideLogsSpill,
    EngineSeries,
    EngineSignals,
    EngineIncidents,
    EngineRefused,
    EngineSeconds,
    JournalEntries,
    MailQueued,
    MailDelivered,
    MailDead,
    PartsFailing,
}

impl Metric {
    /// Name, help and whether it is a counter.
    const fn describe(self) -> (&'static str, &'static str, bool) {
        match self {
            Self::BuildInfo => ("watchkeeper_node_build_info", "Version, as a label.", false),
            Self::UptimeSeconds => ("watchkeeper_node_uptime_seconds", "Time since the start.", false),
            Self::ResidentBytes => ("watchkeeper_node_resident_memory_bytes", "Resident memory of the node.", false),
            Self::CpuSeconds => ("watchkeeper_node_cpu_seconds_total", "Processor time of the node.", true),
            Self::SourceReceived => ("watchkeeper_source_received_items_total", "Items that came in.", true),
            Self::SourceAccepted => ("watchkeeper_source_accepted_items_total", "Items acknowledged.", true),
            Self::SourceRejected => ("watchkeeper_source_rejected_items_total", "Items refused, by reason.", true),
            Self::SourceLost => ("watchkeeper_source_lost_items_total", "Good items lost, by reason.", true),
            Self::SourceBytes => ("watchkeeper_source_received_bytes_total", "Bytes that came in.", true),
            Self::IntakeBytes => ("watchkeeper_intake_size_bytes", "Intake log on disk.", false),
            Self::IntakeFsyncs => ("watchkeeper_intake_fsyncs_total", "Forced writes of the intake log.", true),
            Self::IntakeRecords => ("watchkeeper_intake_records_total", "Records written.", true),
            Self::IntakeRefused => ("watchkeeper_intake_refused_records_total", "Records refused while busy.", true),
            Self::IntakeFailed => {
                ("watchkeeper_intake_failed_records_total", "Records that could not be written.", true)
            }
            Self::IntakeQueued => ("watchkeeper_intake_queued_records", "Records that wait for the disk.", false),
            Self::IntakeFsyncErrors => ("watchkeeper_intake_fsync_errors_total", "Forced writes that failed.", true),
            Self::IntakeDamaged => ("watchkeeper_intake_damaged_records_total", "Records lost to damage.", true),
            Self::ReaderLag => {
                ("watchkeeper_reader_lag_records", "Records that are not yet in a reader's own files.", false)
            }
            Self::MetricsSeries => ("watchkeeper_metrics_series", "Series held.", false),
            Self::MetricsStored => ("watchkeeper_metrics_stored_samples_total", "Samples stored.", true),
            Self::MetricsLate => ("watchkeeper_metrics_late_samples_total", "Samples stored out of order.", true),
            Self::MetricsRefused => ("watchkeeper_metrics_refused_samples_total", "Samples refused, by reason.", true),
            Self::MetricsBytes => ("watchkeeper_metrics_size_bytes", "Metric blocks on disk.", false),
            Self::LogsStored => ("watchkeeper_logs_stored_records_total", "Log records stored.", true),
            Self::LogsBytes => ("watchkeeper_logs_size_bytes", "Logs on disk.", false),
            Self::OutsideLogsSent => {
                ("watchkeeper_outside_logs_sent_records_total", "Log records that the store outside has taken.", true)
            }
            Self::OutsideLogsRefused => {
                ("watchkeeper_outside_logs_refused_records_total", "Log records that it refused for good.", true)
            }
            Self::OutsideLogsFailures => {
                ("watchkeeper_outside_logs_failures_total", "Attempts to send to it that failed.", true)
            }
            Self::OutsideLogsSpill => {
                ("watchkeeper_outside_logs_spill_bytes", "Logs that wait for it on disk beside the intake log.", false)
            }
            Self::EngineSeries => ("watchkeeper_engine_series", "Series that detectors follow.", false),
            Self::EngineSignals => ("watchkeeper_engine_open_signals", "Signals that hold.", false),
            Self::EngineIncidents => ("watchkeeper_engine_open_incidents", "Incidents not resolved.", false),
            Self::EngineRefused => ("watchkeeper_engine_refused_total", "What a bound kept out, by bound.", true),
            Self::EngineSeconds => ("watchkeeper_engine_step_seconds_total", "Time spent in the engine.", true),
            Self::JournalEntries => ("watchkeeper_journal_entries_total", "Entries of the journal.", true),
            Self::MailQueued => ("watchkeeper_mail_queued_messages", "Mails that wait.", false),
            Self::MailDelivered => ("watchkeeper_mail_delivered_messages_total", "Mails a relay has taken.", true),
            Self::MailDead => ("watchkeeper_mail_dead_messages", "Mails that cannot be delivered.", false),
            Self::PartsFailing => ("watchkeeper_node_failing_parts", "Parts of the node that fail now.", false),
        }
    }
}

struct Row {
    metric: Metric,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

#[derive(Default)]
struct Rows(Vec<Row>);

impl Rows {
    fn add(&mut self, metric: Metric, value: f64) {
        self.0.push(Row { metric, labels: Vec::new(), value });
    }

    fn add_with(&mut self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.0.push(Row { metric, labels, value });
    }
}

fn collect(node: &Node) -> Vec<Row> {
    let mut rows = Rows::default();
    process(node, &mut rows);
    sources(node, &mut rows);
    intake(node, &mut rows);
    stores(node, &mut rows);
    effects(node, &mut rows);
    rows.0.sort_by_key(|row| row.metric);
    rows.0
}

fn process(node: &Node, rows: &mut Rows) {
    rows.add_with(Metric::BuildInfo, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    rows.add(Metric::UptimeSeconds, now().since(node.started).as_secs_f64());
    rows.add(Metric::PartsFailing, node.health.ailments().len() as f64);
    if let Some((resident, cpu)) = own_process() {
        rows.add(Metric::ResidentBytes, resident);
        rows.add(Metric::CpuSeconds, cpu);
    }
}

/// Resident bytes and processor seconds of this process.
fn own_process() -> Option<(f64, f64)> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some((pages * rustix::param::page_size() as f64, ticks / rustix::param::clock_ticks_per_second() as f64))
}

fn sources(node: &Node, rows: &mut Rows) {
    for (name, snapshot) in node.sources.snapshots() {
        let labels = [("source", name.as_str())];
        rows.add_with(Metric::SourceReceived, &labels, snapshot.received as f64);
        rows.add_with(Metric::SourceAccepted, &labels, snapshot.accepted as f64);
        rows.add_with(Metric::SourceBytes, &labels, snapshot.bytes as f64);
        for (reason, count) in &snapshot.rejected {
            rows.add_with(Metric::SourceRejected, &[labels[0], ("reason", reason)], count.count as f64);
        }
        for (reason, count) in &snapshot.lost {
            rows.add_with(Metric::SourceLost, &[labels[0], ("reason", reason)], count.count as f64);
        }
    }
}

fn intake(node: &Node, rows: &mut Rows) {
    let stats = node.intake.stats();
    rows.add(Metric::IntakeBytes, stats.bytes as f64);
    rows.add(Metric::IntakeFsyncs, stats.syncs as f64);
    rows.add(Metric::IntakeRecords, stats.written_records as f64);
    rows.add(Metric::IntakeRefused, stats.refused_records as f64);
    rows.add(Metric::IntakeFailed, stats.failed_records as f64);
    rows.add(Metric::IntakeQueued, stats.queued_records as f64);
    rows.add(Metric::IntakeFsyncErrors, stats.sync_errors as f64);
    rows.add(Metric::IntakeDamaged, stats.damaged_records as f64);
    for reader in &stats.readers {
        rows.add_with(Metric::ReaderLag, &[("reader", &reader.name)], reader.lag_records as f64);
    }
}

fn stores(node: &Node, rows: &mut Rows) {
    let (metrics, lake) = (node.metrics.stats(), node.lake.stats());
    let (counts, engine) = (node.stages.counts(), node.stages.engine());
    rows.add(Metric::MetricsSeries, metrics.series_indexed as f64);
    rows.add(Metric::MetricsBytes, metrics.bytes as f64);
    rows.add(Metric::MetricsStored, metrics.appended.stored as f64);
    rows.add(Metric::MetricsLate, metrics.appended.late as f64);
    let appended = metrics.appended;
    for (reason, count) in [
        ("future", appended.future),
        ("too_old", appended.too_old),
        ("duplicate", appended.duplicate),
        ("over_limit", appended.over_limit),
    ] {
        rows.add_with(Metric::MetricsRefused, &[("reason", reason)], count as f64);
    }
    rows.add(Metric::LogsStored, lake.appended as f64);
    rows.add(Metric::LogsBytes, lake.bytes as f64);
    if let Some(outside) = &node.outside_logs {
        let described = outside.describe();
        for (metric, key) in [
            (Metric::OutsideLogsSent, "sent_rows"),
            (Metric::OutsideLogsRefused, "refused_rows"),
            (Metric::OutsideLogsFailures, "failures"),
            (Metric::OutsideLogsSpill, "spill_bytes"),
        ] {
            rows.add(metric, described[key].as_f64().unwrap_or_default());
        }
    }
    rows.add(Metric::EngineSeries, engine.series as f64);
    rows.add(Metric::EngineSignals, engine.signals_open as f64);
    rows.add(Metric::EngineIncidents, engine.incidents_open as f64);
    for (bound, count) in [
        ("series", engine.series_refused),
        ("window", engine.window_refused),
        ("speakers", engine.speakers_refused),
        ("signals", engine.signals_refused),
        ("incidents", engine.incidents_refused),
    ] {
        rows.add_with(Metric::EngineRefused, &[("bound", bound)], count as f64);
    }
    rows.add(Metric::EngineSeconds, counts.step_seconds_total);
}

/// What stands in the state database; left out while that cannot be read, which the health of the node then tells.
fn effects(node: &Node, rows: &mut Rows) {
    rows.add(Metric::JournalEntries, *node.watch_journal().borrow() as f64);
    if let Ok(mail) = node.state.spool_counts() {
        rows.add(Metric::MailQueued, mail.queued as f64);
        rows.add(Metric::MailDelivered, mail.delivered as f64);
        rows.add(Metric::MailDead, mail.dead as f64);
    }
}

/// The metrics in the Prometheus text format 0.0.4.
#[must_use]
pub fn text(node: &Node) -> String {
    let mut text = String::new();
    let mut previous = None;
    for row in collect(node) {
        let (name, help, counter) = row.metric.describe();
        if previous != Some(row.metric) {
            let kind = if counter { "counter" } else { "gauge" };
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            previous = Some(row.metric);
        }
        let labels = Labels::new(row.labels.into_iter().chain([("__name__", name.to_owned())]));
        let _ = writeln!(text, "{labels} {}", row.value);
    }
    text
}

/// Stores the node's own metrics until `stop`.
pub async fn run(node: Arc<Node>, stats: Arc<SourceStats>, stop: CancellationToken) {
    let mut beat = tokio::time::interval(EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        let at = now();
        let gather = Arc::clone(&node);
        let Ok(rows) = tokio::task::spawn_blocking(move || collect(&gather)).await else { return };
        let series: Vec<SeriesSamples> = rows.into_iter().map(|row| series_of(&node, row, at)).collect();
        let count = series.len() as u64;
        stats.received(count, 0, at);
        match node.append(NewRecord { received: at, source: SOURCE.into(), body: Body::Samples(series.into()) }).await {
            Ok(_) => stats.accepted(count),
            Err(error) => stats.lost(&error.to_string(), count),
        }
    }
}

fn series_of(node: &Node, row: Row, at: wk_types::UtcMs) -> SeriesSamples {
    let (name, _, _) = row.metric.describe();
    let own =
        [("__name__", name.to_owned()), ("job", "watchkeeper".to_owned()), ("instance", node.own_asset.to_string())];
    let labels = Labels::new(own.into_iter().chain(row.labels));
    SeriesSamples {
        series: Arc::new(Series::new(labels, node.own_asset.clone())),
        samples: vec![Sample::new(at, row.value)],
    }
}

/// How long a periodic source may be quiet before it counts as silent.
pub const SILENT_AFTER: DurationMs = DurationMs::from_mins(5);
