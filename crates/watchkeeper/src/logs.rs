//! The verb `query logs`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use form_urlencoded::Serializer;
use serde_json::Value;

use crate::args::{LogsArgs, LogsFilter};
use crate::client::Client;
use crate::print;

/// Asks for log lines, or what they are counted to.
///
/// # Errors
/// A condition that cannot be read, a node that cannot be reached, or its refusal.
pub async fn run(args: &LogsArgs, data: &Path, as_json: bool) -> Result<ExitCode> {
    let (kind, show): (&str, fn(&Value)) = match args {
        LogsArgs { follow: true, .. } => return follow(args, data, as_json).await,
        LogsArgs { histogram: Some(_), .. } => ("histogram", print::log_histogram),
        LogsArgs { top, .. } if !top.is_empty() => ("top", print::log_values),
        _ => ("query", print::log_page),
    };
    let answer = Client::open(data).await?.get(&path(kind, args)?).await?;
    if as_json {
        print::json(&answer);
    } else {
        show(&answer);
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(args: &LogsArgs, data: &Path, as_json: bool) -> Result<ExitCode> {
    let show = if as_json { print::json_line } else { print::log_line };
    let client = Client::running(data).await?;
    client
        .follow(&path("tail", args)?, |event| {
            if let Ok(row) = serde_json::from_str(event) {
                show(&row);
            }
        })
        .await?;
    Ok(ExitCode::SUCCESS)
}

/// The address that asks what the arguments say.
fn path(kind: &str, args: &LogsArgs) -> Result<String> {
    let mut query = Serializer::new(String::new());
    ask(&mut query, &args.filter)?;
    let single = [
        ("since", &args.since),
        ("start", &args.start),
        ("end", &args.end),
        ("cursor", &args.cursor),
        ("step", &args.histogram),
    ];
    query.extend_pairs(single.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    query.extend_pairs(args.top.iter().map(|value| ("field", value)));
    if let Some(limit) = args.limit {
        query.append_pair("limit", &limit.to_string());
    }
    if args.oldest {
        query.append_pair("order", "oldest");
    }
    Ok(format!("/api/v1/logs/{kind}?{}", query.finish()))
}

/// Adds which lines are wanted to an address.
///
/// # Errors
/// A condition that cannot be read.
pub fn ask(query: &mut Serializer<'_, String>, filter: &LogsFilter) -> Result<()> {
    let single = [("text", &filter.text), ("regex", &filter.regex), ("severity_min", &filter.severity)];
    query.extend_pairs(single.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    for (name, values) in [("asset", &filter.asset), ("app", &filter.app)] {
        query.extend_pairs(values.iter().map(|value| (name, value)));
    }
    for condition in &filter.conditions {
        let (name, value) = condition
            .split_once('=')
            .with_context(|| format!("{condition:?} is no condition; write app=dhcpd, app!=dhcpd or app~=^dhcp"))?;
        query.append_pair(name, value);
    }
    Ok(())
}
