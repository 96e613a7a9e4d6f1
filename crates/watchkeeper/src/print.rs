//! Answers as a person reads them. Data goes to standard output, everything else to standard error.

use std::io::Write;

use serde_json::Value;
use wk_types::{DurationMs, UtcMs};

/// Prints an error, its causes and what to do about it.
pub fn failure(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if let Some(hint) = hint(error) {
        eprintln!("hint: {hint}");
    }
}

/// What a person can do about an error, where it says.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| cause.downcast_ref::<wk_node::NodeError>()).map(wk_node::NodeError::hint)
}

/// Writes to standard output. Whoever reads it may stop early (`| head`): then there is nobody left to tell.
macro_rules! println {
    ($($argument:tt)*) => {{
        let _ = writeln!(std::io::stdout().lock(), $($argument)*);
    }};
}

/// Prints a text as it is.
pub fn text(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints JSON.
pub fn json(value: &Value) {
    println!("{value:#}");
}

/// Prints rows in columns as wide as their widest cell.
fn columns(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let line: String = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        println!("{}", line.trim_end());
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A JSON value as a table cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn time(value: &Value) -> String {
    value.as_i64().map_or_else(|| "-".to_owned(), |ms| UtcMs(ms).to_string())
}

/// Prints an answer of the Prometheus API.
pub fn promql(answer: &Value) {
    let data = &answer["data"];
    match data["resultType"].as_str() {
        Some("vector") => {
            for one in list(data, "result") {
                println!("{} {}", series(&one["metric"]), cell(&one["value"][1]));
            }
        }
        Some("matrix") => {
            for one in list(data, "result") {
                println!("{}", series(&one["metric"]));
                for pair in list(one, "values") {
                    let at = UtcMs::from_secs_f64(pair[0].as_f64().unwrap_or_default());
                    println!("  {at}  {}", cell(&pair[1]));
                }
            }
        }
        _ => println!("{}", cell(&data["result"][1])),
    }
}

fn series(metric: &Value) -> String {
    let pairs = metric.as_object().into_iter().flatten();
    wk_types::Labels::new(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))).to_string()
}

/// Prints an answer to SQL.
pub fn table(answer: &Value) {
    let head: Vec<String> = list(answer, "columns").iter().map(cell).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> =
        list(answer, "rows").iter().map(|row| row.as_array().into_iter().flatten().map(cell).collect()).collect();
    columns(&head, &rows);
    if answer["truncated"] == true {
        eprintln!("there are more rows; narrow the query or add LIMIT");
    }
}

/// Prints JSON in one line.
pub fn json_line(value: &Value) {
    println!("{value}");
}

/// Prints one log line.
pub fn log_line(row: &Value) {
    let [severity, asset, app, message] = ["severity", "asset", "app", "message"].map(|key| cell(&row[key]));
    println!("{} {severity:8} {asset} {app}: {message}", time(&row["time"]));
}

/// Prints a page of log lines.
pub fn log_page(answer: &Value) {
    list(answer, "rows").iter().for_each(log_line);
    if let Some(next) = answer["next"].as_str() {
        eprintln!("there are more lines; go on: --cursor {next}");
    }
}

/// Prints how many log lines there are of each severity per step.
pub fn log_histogram(answer: &Value) {
    let severities: Vec<String> = list(answer, "severities").iter().map(cell).collect();
    let head: Vec<&str> = std::iter::once("from").chain(severities.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = list(answer, "bins")
        .iter()
        .map(|bin| std::iter::once(time(&bin["start"])).chain(list(bin, "counts").iter().map(cell)).collect())
        .collect();
    columns(&head, &rows);
}

/// Prints the most frequent values.
pub fn log_values(answer: &Value) {
    let fields: Vec<String> = list(answer, "fields").iter().map(cell).collect();
    let head: Vec<&str> = std::iter::once("lines").chain(fields.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = list(answer, "top")
        .iter()
        .map(|one| std::iter::once(cell(&one["count"])).chain(list(one, "values").iter().map(cell)).collect())
        .collect();
    columns(&head, &rows);
}

/// Prints the answer to a question.
pub fn answer(answer: &Value) {
    println!("{}", cell(&answer["text"]));
    if let Some(query) = answer["query"].as_str() {
        println!("\nfrom: {query}");
    }
}

/// Prints what doctor found.
pub fn findings(findings: &[Value]) {
    if findings.is_empty() {
        println!("nothing is wrong");
    }
    for finding in findings {
        println!("{:8} {}", cell(&finding["grade"]), cell(&finding["what"]));
        println!("         -> {}", cell(&finding["mend"]));
    }
}

/// Prints the ship at a glance.
pub fn status(status: &Value) {
    let open = &status["open"];
    println!("{} ({})", cell(&status["vessel"]["name"]), cell(&status["vessel"]["id"]));
    println!("state     {}", cell(&status["state"]));
    println!("open      {} critical, {} major, {} minor", open["critical"], open["major"], open["minor"]);
    println!("sources   {} of {} silent", status["sources"]["silent"], status["sources"]["total"]);
    println!("mail      {} waiting, {} undeliverable", status["mail"]["queued"], status["mail"]["dead"]);
    let percent =
        |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
    println!("cpu       {}", percent(&status["host"]["cpu_ratio"]));
    println!("memory    {}", percent(&status["host"]["memory_ratio"]));
    for disk in list(&status["host"], "disks") {
        println!("disk      {} {}", cell(&disk["mountpoint"]), percent(&disk["used_ratio"]));
    }
}

/// Prints a list of incidents.
pub fn incidents(answer: &Value) {
    let rows: Vec<Vec<String>> = list(answer, "incidents")
        .iter()
        .map(|one| {
            vec![
                cell(&one["id"]),
                cell(&one["state"]),
                cell(&one["severity"]),
                time(&one["opened"]),
                cell(&one["title"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        println!("no incidents");
    } else {
        columns(&["id", "state", "severity", "opened", "title"], &rows);
    }
}

/// Prints one incident.
pub fn incident(answer: &Value) {
    let incident = &answer["incident"];
    println!("{}", cell(&incident["title"]));
    println!("{}  {}  {}", cell(&incident["id"]), cell(&incident["state"]), cell(&incident["severity"]));
    println!("\nsignals");
    for signal in list(answer, "signals") {
        println!("  {}  {}", time(&signal["started"]), cell(&signal["title"]));
        println!("    {}", cell(&signal["evidence"]["detail"]));
    }
    println!("\ntimeline");
    for entry in list(answer, "timeline") {
        println!("  {}  {}", time(&entry["recorded"]), cell(&entry["text"]));
    }
    for message in list(answer, "messages") {
        println!(
            "\nmail to {}: {} ({} attempts)",
            cell(&message["recipient"]),
            cell(&message["state"]),
            message["attempts"]
        );
    }
}

/// Prints that the node has taken a command.
pub fn accepted(answer: &Value) {
    println!("accepted as {}", cell(&answer["command"]));
}

/// Prints the stages of a trace.
pub fn trace(answer: &Value) {
    let rows: Vec<Vec<String>> = list(answer, "stages")
        .iter()
        .map(|one| {
            let after = one["after_ms"].as_i64().map_or_else(|| "-".to_owned(), |ms| DurationMs(ms).to_string());
            vec![cell(&one["stage"]), time(&one["at"]), after, cell(&one["what"])]
        })
        .collect();
    columns(&["stage", "at", "after", "what"], &rows);
}

/// Prints the pipeline.
pub fn pipeline(answer: &Value) {
    let count =
        |value: &Value| -> u64 { value.as_array().into_iter().flatten().filter_map(|one| one["count"].as_u64()).sum() };
    let rows: Vec<Vec<String>> = list(answer, "sources")
        .iter()
        .map(|one| {
            vec![
                cell(&one["name"]),
                cell(&one["received"]),
                cell(&one["accepted"]),
                count(&one["rejected"]).to_string(),
                count(&one["lost"]).to_string(),
                cell(&one["bytes"]),
                time(&one["last_received"]),
            ]
        })
        .collect();
    columns(&["source", "received", "accepted", "rejected", "lost", "bytes", "last"], &rows);
    for part in ["intake", "metrics", "logs", "outside_logs", "engine", "journal", "notify"] {
        if answer[part].is_null() {
            continue;
        }
        println!("\n{part}");
        let is_shown = |value: &Value| value.is_number() || value.is_string();
        for (key, value) in answer[part].as_object().into_iter().flatten().filter(|(_, value)| is_shown(value)) {
            println!("  {key:22} {}", cell(value));
        }
        for reader in list(&answer[part], "readers") {
            println!("  {:22} {} records behind", cell(&reader["name"]), reader["lag_records"]);
        }
    }
    for unknown in list(answer, "unknown_senders") {
        println!(
            "\nunknown: {} over {} ({} times): {}",
            cell(&unknown["sender"]),
            cell(&unknown["source"]),
            unknown["count"],
            cell(&unknown["reason"])
        );
    }
}

/// Prints journal entries.
pub fn journal(answer: &Value) {
    let rows: Vec<Vec<String>> = list(answer, "entries")
        .iter()
        .map(|one| vec![cell(&one["entry"]), time(&one["recorded"]), cell(&one["kind"]), cell(&one["text"])])
        .collect();
    columns(&["entry", "recorded", "kind", "text"], &rows);
}

/// Prints mails.
pub fn mails(answer: &Value) {
    let rows: Vec<Vec<String>> = list(answer, "messages")
        .iter()
        .map(|one| {
            vec![
                time(&one["queued"]),
                cell(&one["state"]),
                cell(&one["attempts"]),
                cell(&one["recipient"]),
                cell(&one["subject"]),
                cell(&one["last_error"]),
            ]
        })
        .collect();
    columns(&["queued", "state", "attempts", "recipient", "subject", "last error"], &rows);
}

/// Prints a new token's secret.
pub fn token(answer: &Value) {
    eprintln!("token {} with the role {}; it is shown this once", cell(&answer["id"]), cell(&answer["role"]));
    println!("{}", cell(&answer["secret"]));
}

/// Prints tokens.
pub fn tokens(answer: &Value) {
    let rows: Vec<Vec<String>> = list(answer, "tokens")
        .iter()
        .map(|one| {
            vec![
                cell(&one["id"]),
                cell(&one["role"]),
                cell(&one["label"]),
                time(&one["created"]),
                time(&one["used"]),
                time(&one["revoked"]),
            ]
        })
        .collect();
    columns(&["id", "role", "label", "created", "last used", "revoked"], &rows);
}

/// Prints where the new set-up token stands.
pub fn setup_token(answer: &Value) {
    eprintln!("valid for one hour, once; also in {}", cell(&answer["file"]));
    println!("{}", cell(&answer["token"]));
}

/// Prints configuration values with their origins.
pub fn values(values: &[wk_config::Value]) {
    let rows: Vec<Vec<String>> = values
        .iter()
        .map(|one| {
            let origin = match one.origin {
                wk_config::Origin::Default => "default",
                wk_config::Origin::File => "file",
            };
            vec![one.key.clone(), one.value.to_string(), origin.to_owned()]
        })
        .collect();
    columns(&["key", "value", "origin"], &rows);
}

/// Prints what verifying the journal gave.
pub fn verified(report: &Value) {
    println!("vessel    {}", cell(&report["vessel"]));
    println!("entries   {}, of which {} are signed for", report["entries"], report["sealed"]);
    println!("head      {}", cell(&report["hash"]));
    for finding in list(report, "findings") {
        println!("finding   {}", cell(&finding["text"]));
    }
    println!("{}", if report["findings_total"] == 0 { "the journal holds" } else { "the journal does NOT hold" });
}
