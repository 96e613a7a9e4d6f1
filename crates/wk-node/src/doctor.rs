//! What is wrong with a running node, and the command that mends it.

use serde::Serialize;
use wk_engine::RuleState;
use wk_store::state::{MessageFilter, MessageState};

use crate::clock::now;
use crate::folder::setup_token_path;
use crate::gauges::free_bytes;
use crate::http::Problem;
use crate::node::Node;
use crate::outside_logs::OutsideLogs;

/// Share of the disk below which the node warns.
const DISK_FREE_MIN: f64 = 0.05;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Something is lost or stands still.
    Error,
    /// Something will go wrong.
    Warning,
    /// Worth knowing.
    Notice,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub mend: String,
}

impl Finding {
    /// Makes a finding.
    pub fn new(grade: Grade, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { grade, what: what.into(), mend: mend.into() }
    }
}

/// Examines a running node; worst findings first.
///
/// # Errors
/// A state database that cannot be read.
pub fn examine(node: &Node) -> Result<Vec<Finding>, Problem> {
    let mut findings = Vec::new();
    parts(node, &mut findings);
    disk(node, &mut findings);
    sources(node, &mut findings)?;
    mail(node, &mut findings)?;
    if node.state.accounts()?.is_empty() {
        let file = setup_token_path(node.folder.root());
        findings.push(Finding::new(
            Grade::Notice,
            "nobody has an account yet",
            format!(
                "open the console and use the token in {}; if it has expired: watchkeeper setup-token",
                file.display()
            ),
        ));
    }
    findings.sort_by_key(|finding| finding.grade);
    Ok(findings)
}

fn parts(node: &Node, findings: &mut Vec<Finding>) {
    for ailment in node.health.ailments() {
        findings.push(Finding::new(
            Grade::Error,
            format!("{} has been failing for {}: {}", ailment.part, now().since(ailment.since), ailment.what),
            "nothing acknowledged is lost, it tries again by itself; free the disk or mend what the text names: df -h",
        ));
    }
    let intake = node.intake.stats();
    if intake.damaged_records > 0 {
        findings.push(Finding::new(
            Grade::Error,
            format!("{} records of the intake log were damaged and are lost", intake.damaged_records),
            "check the disk (dmesg, smartctl -a); which records: watchkeeper journal list --kind intake_damaged",
        ));
    }
    let (blocks, files) = (node.metrics.stats(), node.lake.stats());
    if blocks.blocks_damaged + blocks.chunks_damaged > 0 {
        findings.push(Finding::new(
            Grade::Error,
            format!("{} metric blocks are damaged; they were set aside", blocks.blocks_damaged + blocks.chunks_damaged),
            "check the disk: dmesg | tail, smartctl -a; the files end in .damaged",
        ));
    }
    for problem in &files.problems {
        findings.push(Finding::new(
            Grade::Error,
            format!("the log file {} cannot be used: {}", problem.name, problem.what),
            "check the disk: dmesg | tail, smartctl -a",
        ));
    }
    if blocks.retention_held || files.is_age_paused {
        findings.push(Finding::new(
            Grade::Warning,
            "the clock has jumped, so nothing is deleted by age",
            "check the time (date -u); where it is right: watchkeeper confirm-clock",
        ));
    }
    let outside = node.outside_logs.as_ref().map(OutsideLogs::describe).unwrap_or_default();
    if outside["refused_rows"].as_u64().is_some_and(|rows| rows > 0) {
        findings.push(Finding::new(
            Grade::Error,
            format!("{} log lines were refused by the store outside for good", outside["refused_rows"]),
            "what it says and which lines: watchkeeper journal list --kind logs_refused",
        ));
    }
    for rule in node.stages.rules() {
        let RuleState::Failing { reason } = &rule.state else { continue };
        findings.push(Finding::new(
            Grade::Error,
            format!("the rule {} in {} cannot be evaluated: {reason}", rule.alert, rule.file),
            "mend the rule, check it with: watchkeeper rules check FILE, then restart",
        ));
    }
}

fn disk(node: &Node, findings: &mut Vec<Finding>) {
    let root = node.folder.root();
    if let Some((free, total)) = free_bytes(root)
        && (free as f64) < DISK_FREE_MIN * total as f64
    {
        findings.push(Finding::new(
            Grade::Warning,
            format!("the disk under {} has {} MB left, less than 5 %", root.display(), free >> 20),
            format!(
                "make room (du -xh --max-depth=2 {} | sort -h), or lower storage.* in the configuration",
                root.display()
            ),
        ));
    }
}

fn sources(node: &Node, findings: &mut Vec<Finding>) -> Result<(), Problem> {
    for name in node.sources.silent(now()) {
        findings.push(Finding::new(
            Grade::Warning,
            format!("the source {name} used to speak and has been silent"),
            "check the sender and the way to this machine; watchkeeper pipeline shows when it last spoke",
        ));
    }
    for (name, reason, count) in node.sources.losses() {
        findings.push(Finding::new(
            Grade::Warning,
            format!("the source {name} lost {count} items: {reason}"),
            "send over TCP or HTTP, which wait instead of losing; or give the disk more speed",
        ));
    }
    for unknown in node.state.unknown_senders()? {
        findings.push(Finding::new(
            Grade::Notice,
            format!(
                "{} sends over {} and nobody knows who that is ({} times): {}",
                unknown.sender, unknown.source, unknown.count, unknown.reason
            ),
            format!("declare it in the configuration: [[asset]] id = \"NAME\", hostname = [\"{}\"]", unknown.sender),
        ));
    }
    Ok(())
}

fn mail(node: &Node, findings: &mut Vec<Finding>) -> Result<(), Problem> {
    if node.config.mail.is_none() {
        findings.push(Finding::new(
            Grade::Notice,
            "nobody is told by mail",
            "add to the configuration: [mail] from = \"…\", to = [\"…\"], smtp = \"smtp://relay:25\"",
        ));
    }
    let counts = node.state.spool_counts()?;
    if counts.dead > 0 {
        findings.push(Finding::new(
            Grade::Error,
            format!("{} mails cannot be delivered", counts.dead),
            "watchkeeper mail list --state dead shows them and why",
        ));
    }
    let queued = MessageFilter { state: Some(MessageState::Queued), ..MessageFilter::default() };
    let waiting = node.state.messages(&queued)?;
    if let Some(error) = waiting.iter().find_map(|message| message.error.as_deref()) {
        findings.push(Finding::new(
            Grade::Warning,
            format!("{} mails wait, the relay does not take them: {error}", counts.queued),
            "they are kept and tried again; check mail.smtp in the configuration and that the relay runs",
        ));
    }
    Ok(())
}
