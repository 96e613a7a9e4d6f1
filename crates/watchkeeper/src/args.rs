//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Stands the IT watch on ships whose link to shore comes and goes.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// How and where.
    #[command(flatten)]
    pub common: Common,
}

/// What every verb takes.
#[derive(Args, Clone)]
pub struct Common {
    /// Data folder of the node
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    /// Run the ship node: take in, store, detect, tell, answer
    Ship(ShipArgs),
    /// Ask the stored data: PromQL, log search or SQL
    #[command(subcommand)]
    Query(QueryVerb),
    /// Ask in plain words, such as "how full are the disks"
    Ask {
        /// The question
        #[arg(required = true, num_args = 1..)]
        question: Vec<String>,
    },
    /// The ship at a glance
    Status,
    /// List incidents, or work on one
    Incidents(IncidentArgs),
    /// Follow one event through every stage, with times
    Trace {
        /// A record (r123), a signal (sig-…) or an incident (inc-…)
        id: String,
    },
    /// Show what each stage received, stored, refused and lost
    Pipeline,
    /// Show what is wrong and the command that mends it
    Doctor {
        /// Configuration file to check as well
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Read and check the journal
    #[command(subcommand)]
    Journal(JournalVerb),
    /// Mails and what became of them
    #[command(subcommand)]
    Mail(MailVerb),
    /// Make, list and revoke tokens
    #[command(subcommand)]
    Token(TokenVerb),
    /// Make a new one-time set-up token while no account exists
    SetupToken,
    /// Confirm that the clock is right, after a jump held back deletion by age
    ConfirmClock,
    /// Check alerting rule files
    #[command(subcommand)]
    Rules(RulesVerb),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Move what the node has kept itself to the store outside that has taken over
    #[command(subcommand)]
    Migrate(MigrateVerb),
    /// Write the engine's input and its conclusions into one file
    Record {
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Go on for so long, such as 30m or 8h; without it, what there is
        #[arg(long = "for", value_name = "SPAN", value_parser = read_span)]
        for_span: Option<u64>,
    },
    /// Go through a recording again and print the incidents; fails where they differ from the recorded ones
    Replay {
        /// The recording
        file: PathBuf,
    },
}

/// How to run the ship node.
#[derive(Args)]
pub struct ShipArgs {
    /// Configuration file; without one, this machine is watched with the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of console and API [default: 127.0.0.1:8484]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Serve an address other than loopback without TLS
    #[arg(long)]
    pub insecure_http: bool,
}

/// How to ask the stored data.
#[derive(Subcommand)]
pub enum QueryVerb {
    /// PromQL, at one instant or over a range
    Promql(PromqlArgs),
    /// Log lines: search, count over time, list frequent values, follow
    Logs(Box<LogsArgs>),
    /// SQL (SQLite's dialect) over logs, incidents, signals and assets
    Sql {
        /// The query
        query: String,
    },
}

/// A PromQL query.
#[derive(Args)]
pub struct PromqlArgs {
    /// The query
    pub query: String,
    /// Instant, in seconds since 1970 or RFC 3339 [default: now]
    #[arg(long, conflicts_with_all = ["start", "end", "step"])]
    pub time: Option<String>,
    /// First instant of a range
    #[arg(long, requires = "end")]
    pub start: Option<String>,
    /// Last instant of a range
    #[arg(long, requires = "start")]
    pub end: Option<String>,
    /// Step of a range
    #[arg(long, requires = "start", default_value = "60s")]
    pub step: String,
}

/// Which log lines, and how to show them.
#[derive(Args)]
pub struct LogsArgs {
    /// Text that the messages hold, in any case
    pub text: Option<String>,
    /// Regular expression that the messages match
    #[arg(long, value_name = "PATTERN")]
    pub regex: Option<String>,
    /// Of this asset; may be given several times
    #[arg(long)]
    pub asset: Vec<String>,
    /// Of this program; may be given several times
    #[arg(long)]
    pub app: Vec<String>,
    /// As bad as this, or worse
    #[arg(long, value_parser = ["info", "minor", "major", "critical"])]
    pub severity: Option<String>,
    /// Further condition: field=value, field!=value, field~=pattern or field!~=pattern
    #[arg(long = "where", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// How far back from now, such as 30m
    #[arg(long, value_name = "SPAN", conflicts_with = "start")]
    pub since: Option<String>,
    /// Earliest time, in seconds since 1970 or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Latest time
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,
    /// At most so many lines or values
    #[arg(long)]
    pub limit: Option<usize>,
    /// Oldest first instead of newest first
    #[arg(long)]
    pub oldest: bool,
    /// Go on from here, as the answer before said
    #[arg(long, value_name = "PLACE")]
    pub cursor: Option<String>,
    /// Count per step of time, such as 5m, instead of listing
    #[arg(long, value_name = "STEP", conflicts_with_all = ["limit", "oldest", "cursor"])]
    pub histogram: Option<String>,
    /// List the most frequent values of this field instead; several for combinations
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["histogram", "oldest", "cursor"])]
    pub top: Vec<String>,
    /// Go on with the lines that come in
    #[arg(long, short, conflicts_with_all = ["histogram", "top", "oldest", "cursor"])]
    pub follow: bool,
}

/// Which incidents, and what to do with one.
#[derive(Args)]
pub struct IncidentArgs {
    /// States to list, joined with commas
    #[arg(long, value_delimiter = ',', default_value = "open,acknowledged,resolved", value_parser = ["open", "acknowledged", "resolved"])]
    pub state: Vec<String>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
    /// What to do with one
    #[command(subcommand)]
    pub verb: Option<IncidentVerb>,
}

/// What to do with an incident.
#[derive(Subcommand)]
pub enum IncidentVerb {
    /// Show one with its signals and timeline
    Show {
        /// The incident
        id: String,
    },
    /// Take one
    Acknowledge {
        /// The incident
        id: String,
    },
    /// Close one by hand
    Resolve {
        /// The incident
        id: String,
    },
    /// Add a remark to one
    Comment {
        /// The incident
        id: String,
        /// The remark
        text: String,
    },
}

/// What to do with the journal.
#[derive(Subcommand)]
pub enum JournalVerb {
    /// Check that nothing was edited, reordered, deleted, cut or rewritten
    Verify {
        /// A head exported earlier, which the journal must contain
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// Print the signed head, to keep elsewhere as a witness
    Head,
    /// List entries
    List {
        /// Only those of this kind, such as incident_opened
        #[arg(long)]
        kind: Option<String>,
        /// The last so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

/// What to move.
#[derive(Subcommand)]
pub enum MigrateVerb {
    /// Logs, to ClickHouse; the node must be down; it can be repeated and goes on where it stopped
    Logs {
        /// Configuration file of the node
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// What to do with mails.
#[derive(Subcommand)]
pub enum MailVerb {
    /// List mails
    List {
        /// Only those in this state
        #[arg(long, value_parser = ["queued", "delivered", "dead", "superseded"])]
        state: Option<String>,
    },
}

/// What to do with tokens.
#[derive(Subcommand)]
pub enum TokenVerb {
    /// Make a token and print it, this once
    Create {
        /// What its bearer may do
        #[arg(long, value_parser = ["ingest", "viewer", "operator", "approver", "admin"])]
        role: String,
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List tokens, without their secrets
    List,
    /// Revoke a token
    Revoke {
        /// The token's id
        id: String,
    },
}

/// What to do with rules.
#[derive(Subcommand)]
pub enum RulesVerb {
    /// Check files in the Prometheus rule file format
    Check {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the shipped rules
    Defaults,
}

/// What to do with the configuration.
#[derive(Subcommand)]
pub enum ConfigVerb {
    /// Check a file
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print every value in force and where it comes from
    Show {
        /// The file; the defaults where it is missing
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// With values that are not written in the file
        #[arg(long)]
        effective: bool,
    },
}

/// Reads a span of time into whole seconds.
fn read_span(text: &str) -> Result<u64, String> {
    wk_promql::parse_duration(text)
        .and_then(|span| u64::try_from(span.0 / 1_000).ok())
        .ok_or_else(|| format!("{text:?} is no span of time; write 30m or 8h"))
}
