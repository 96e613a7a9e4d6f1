//! What each verb does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::{
    Cli, Common, ConfigVerb, IncidentArgs, IncidentVerb, JournalVerb, MailVerb, MigrateVerb, PromqlArgs, QueryVerb,
    RulesVerb, TokenVerb, Verb,
};
use crate::client::{Client, default_data};
use crate::{logs, offline, print, ship};

/// Carries out the command line.
///
/// # Errors
/// Whatever the verb could not do, with a hint where there is one.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let Cli { verb, common } = cli;
    let data = common.data.clone().unwrap_or_else(default_data);
    match verb {
        Verb::Ship(args) => ship::run(&args, data),
        Verb::Replay { file } => offline::replay(&file, common.json),
        Verb::Rules(RulesVerb::Check { files }) => offline::check_rules(&files, common.json),
        Verb::Rules(RulesVerb::Defaults) => {
            print::text(wk_engine::DEFAULT_RULES);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Config(ConfigVerb::Check { file }) => offline::check_config(&file),
        Verb::Config(ConfigVerb::Show { config, effective }) => {
            offline::show_config(config.as_deref(), effective, common.json)
        }
        Verb::Migrate(MigrateVerb::Logs { config }) => {
            runtime()?.block_on(offline::migrate_logs(config, data, common.json))
        }
        Verb::Journal(JournalVerb::Verify { head }) => offline::verify_journal(&data, head.as_deref(), common.json),
        Verb::Record { out, for_span } => runtime()?.block_on(record(&data, &out, for_span.unwrap_or(0), common.json)),
        Verb::Query(QueryVerb::Logs(args)) => runtime()?.block_on(logs::run(&args, &data, common.json)),
        Verb::Doctor { config } => runtime()?.block_on(doctor(data, config, common.json)),
        other => runtime()?.block_on(ask_node(other, &common, data)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

async fn doctor(data: PathBuf, config: Option<PathBuf>, json: bool) -> Result<ExitCode> {
    let mut findings = offline::examine(&data, config.as_deref());
    match Client::open(&data).await {
        Ok(client) if client.is_running() => {
            let answer = client.get("/api/v1/doctor").await?;
            findings.extend(answer["findings"].as_array().cloned().unwrap_or_default());
        }
        Ok(_) => findings.push(json!({
            "grade": "error", "what": format!("no node runs on {}", data.display()),
            "mend": format!("watchkeeper ship --data {}", data.display()),
        })),
        Err(error) => {
            findings.push(json!({"grade": "error", "what": format!("{error:#}"), "mend": print::hint(&error).unwrap_or_else(|| "watchkeeper ship".to_owned())}));
        }
    }
    let bad = findings.iter().any(|finding| finding["grade"] == "error");
    if json {
        print::json(&json!({ "findings": findings }));
    } else {
        print::findings(&findings);
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The verbs that are one call to the node.
async fn ask_node(verb: Verb, common: &Common, data: PathBuf) -> Result<ExitCode> {
    let changes = matches!(
        verb,
        Verb::Token(TokenVerb::Create { .. } | TokenVerb::Revoke { .. })
            | Verb::SetupToken
            | Verb::ConfirmClock
            | Verb::Incidents(IncidentArgs {
                verb: Some(
                    IncidentVerb::Acknowledge { .. } | IncidentVerb::Resolve { .. } | IncidentVerb::Comment { .. }
                ),
                ..
            })
    );
    let client = if changes { Client::running(&data).await? } else { Client::open(&data).await? };
    let (answer, show): (Value, fn(&Value)) = match verb {
        Verb::Query(QueryVerb::Promql(args)) => (promql(&client, &args).await?, print::promql),
        Verb::Query(QueryVerb::Sql { query }) => {
            (client.post("/api/v1/sql", &json!({ "query": query })).await?, print::table)
        }
        Verb::Ask { question } => {
            let answer = client.post("/api/v1/ask", &json!({"question": question.join(" ")})).await?;
            let code = if answer["status"] == "answered" { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            if common.json {
                print::json(&answer);
            } else {
                print::answer(&answer);
            }
            return Ok(code);
        }
        Verb::Status => (client.get("/api/v1/status").await?, print::status),
        Verb::Pipeline => (client.get("/api/v1/pipeline").await?, print::pipeline),
        Verb::Trace { id } => (client.get(&format!("/api/v1/trace/{}", escape(&id))).await?, print::trace),
        Verb::Incidents(args) => incidents(&client, args).await?,
        Verb::Journal(JournalVerb::Head) => (client.get("/api/v1/journal/head").await?, print::json),
        Verb::Journal(JournalVerb::List { kind, limit }) => {
            let kind = kind.map(|kind| format!("&kind={}", escape(&kind))).unwrap_or_default();
            (client.get(&format!("/api/v1/journal?limit={limit}{kind}")).await?, print::journal)
        }
        Verb::Mail(MailVerb::List { state }) => {
            let state = state.map(|state| format!("?state={}", escape(&state))).unwrap_or_default();
            (client.get(&format!("/api/v1/mails{state}")).await?, print::mails)
        }
        Verb::Token(verb) => token(&client, verb).await?,
        Verb::ConfirmClock => (client.post("/api/v1/clock/confirm", &Value::Null).await?, print::json),
        Verb::SetupToken => (client.post("/api/v1/setup-token", &Value::Null).await?, print::setup_token),
        Verb::Ship(_)
        | Verb::Query(QueryVerb::Logs(_))
        | Verb::Replay { .. }
        | Verb::Rules(_)
        | Verb::Config(_)
        | Verb::Record { .. }
        | Verb::Migrate(_)
        | Verb::Doctor { .. }
        | Verb::Journal(JournalVerb::Verify { .. }) => unreachable!("handled before"),
    };
    if common.json {
        print::json(&answer);
    } else {
        show(&answer);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a recording: what there is, and what comes within `seconds`.
async fn record(data: &Path, out: &Path, seconds: u64, as_json: bool) -> Result<ExitCode> {
    let client = Client::open(data).await?;
    let bytes = client.download(&format!("/api/v1/recording?seconds={seconds}"), out).await?;
    if as_json {
        print::json(&json!({"file": out, "bytes": bytes}));
    }
    eprintln!("{}: {bytes} bytes; go through it again: watchkeeper replay {0}", out.display());
    Ok(ExitCode::SUCCESS)
}

async fn promql(client: &Client, args: &PromqlArgs) -> Result<Value> {
    let query = escape(&args.query);
    let path = match (&args.start, &args.end) {
        (Some(start), Some(end)) => format!(
            "/api/v1/query_range?query={query}&start={}&end={}&step={}",
            escape(start),
            escape(end),
            escape(&args.step)
        ),
        _ => {
            let time = args.time.as_ref().map(|time| format!("&time={}", escape(time))).unwrap_or_default();
            format!("/api/v1/query?query={query}{time}")
        }
    };
    client.get(&path).await
}

async fn incidents(client: &Client, args: IncidentArgs) -> Result<(Value, fn(&Value))> {
    let path = |id: &str| format!("/api/v1/incidents/{}", escape(id));
    Ok(match args.verb {
        None => {
            let list = format!("/api/v1/incidents?state={}&limit={}", escape(&args.state.join(",")), args.limit);
            (client.get(&list).await?, print::incidents)
        }
        Some(IncidentVerb::Show { id }) => (client.get(&path(&id)).await?, print::incident),
        Some(IncidentVerb::Acknowledge { id }) => {
            (client.post(&format!("{}/acknowledge", path(&id)), &Value::Null).await?, print::accepted)
        }
        Some(IncidentVerb::Resolve { id }) => {
            (client.post(&format!("{}/resolve", path(&id)), &Value::Null).await?, print::accepted)
        }
        Some(IncidentVerb::Comment { id, text }) => {
            (client.post(&format!("{}/comment", path(&id)), &json!({ "text": text })).await?, print::accepted)
        }
    })
}

async fn token(client: &Client, verb: TokenVerb) -> Result<(Value, fn(&Value))> {
    Ok(match verb {
        TokenVerb::Create { role, label } => {
            (client.post("/api/v1/tokens", &json!({"role": role, "label": label})).await?, print::token)
        }
        TokenVerb::List => (client.get("/api/v1/tokens").await?, print::tokens),
        TokenVerb::Revoke { id } => {
            (client.call(reqwest::Method::DELETE, &format!("/api/v1/tokens/{}", escape(&id)), None).await?, |_| {})
        }
    })
}

fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
