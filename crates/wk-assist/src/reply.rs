//! From what is asked to the answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, DurationMs, Incident, Labels, UtcMs};

use crate::question::{Asked, Name};
use crate::vocabulary::Topic;
use crate::{Answer, QUESTIONS, Ship, Status};

/// Every machine heard of within a day.
const HOSTS_QUERY: &str = "group by (instance) (last_over_time(up[1d]))";
/// File systems that are no disks. A tmpfs counts as one while [`FULL_TMPFS`] picks it.
const NO_DISKS: &str = "tmpfs|devtmpfs|ramfs|squashfs|iso9660";
/// A tmpfs that somebody fills, which the ones that the system keeps for itself are not.
const FULL_TMPFS: &str = "fstype=\"tmpfs\",mountpoint!~\"/(run|dev)(/.*)?\"";
/// From which percentage on a tmpfs is among the disks.
const FULL_TMPFS_PERCENT: u32 = 50;
/// From which percentage on a disk is named although another one is fuller.
const NEARLY_FULL_PERCENT: f64 = 90.0;
/// What is open, as the SQL surface would be asked.
const OPEN_QUERY: &str =
    "SELECT id, state, severity, title, opened, assets FROM incidents WHERE state <> 'resolved' ORDER BY opened";
/// Things named in a sentence before it becomes a list.
const NAMED_MAX: usize = 3;

/// A machine as it is called, and every value of the label `instance` it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    instances: Vec<String>,
}

/// Why there is no answer: the reply to give instead.
type Reply<T> = Result<T, Box<Answer>>;

/// Answers a question that is understood.
pub(crate) fn answer(asked: &Asked, ship: &dyn Ship) -> Answer {
    let answered = resolve(asked, ship).and_then(|host| match asked.topic {
        Topic::Disks => disks(asked, host.as_ref(), ship),
        Topic::Cpu => cpu(host.as_ref(), ship),
        Topic::Open => open(host.as_ref(), ship),
        Topic::Changes => changes(asked.span, host.as_ref(), ship),
        Topic::Silent => silent(host.as_ref(), ship),
    });
    answered.unwrap_or_else(|reply| *reply)
}

/// Says what can be asked.
pub(crate) fn refuse() -> Answer {
    let text = format!("I cannot answer that yet. I can answer: {}", QUESTIONS.join(" "));
    Answer { status: Status::Refused, text, data: json!({ "can": QUESTIONS }), query: None, evidence: Vec::new() }
}

/// Says what is missing.
pub(crate) fn clarify(text: String, options: &[String]) -> Answer {
    Answer { status: Status::Clarify, text, data: json!({ "options": options }), query: None, evidence: Vec::new() }
}

fn unreadable(query: &str, reason: &str) -> Box<Answer> {
    let text = format!("I could not read that just now: {reason}.");
    let data = json!({ "can": QUESTIONS });
    Box::new(Answer { status: Status::Refused, text, data, query: Some(query.to_owned()), evidence: Vec::new() })
}

fn answered(text: String, data: Vec<Value>, query: String, evidence: Vec<String>) -> Answer {
    Answer { status: Status::Answered, text, data: Value::Array(data), query: Some(query), evidence }
}

/// Finds the machine that a question names.
fn resolve(asked: &Asked, ship: &dyn Ship) -> Reply<Option<Host>> {
    let Some(Name { word, certain }) = &asked.name else { return Ok(None) };
    let hosts = hosts(asked.topic, ship)?;
    let found: Vec<&Host> = hosts.iter().filter(|host| is_called(host, word)).collect();
    let names = |hosts: &[&Host]| hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>();
    match found[..] {
        [host] => Ok(Some(host.clone())),
        [] if !certain => Err(Box::new(refuse())),
        [] => {
            let known = names(&hosts.iter().collect::<Vec<_>>());
            let list = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            Err(Box::new(clarify(format!("I know no machine called {word}. I know: {list}."), &known)))
        }
        _ => {
            let options = names(&found);
            Err(Box::new(clarify(format!("Which one do you mean: {}?", options.join(", ")), &options)))
        }
    }
}

/// Every machine known by its metrics, and every asset that the topic itself speaks of.
fn hosts(topic: Topic, ship: &dyn Ship) -> Reply<Vec<Host>> {
    let rows = ship.promql(HOSTS_QUERY).map_err(|reason| unreadable(HOSTS_QUERY, &reason))?;
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for instance in rows.iter().filter_map(|(labels, _)| labels.get("instance")) {
        names.entry(without_port(instance).to_owned()).or_default().push(instance.to_owned());
    }
    let assets: Vec<AssetId> = match topic {
        Topic::Open => ship.open_incidents().unwrap_or_default().into_iter().flat_map(|one| one.assets).collect(),
        Topic::Silent => ship.silent_sources().unwrap_or_default().into_iter().filter_map(|one| one.asset).collect(),
        Topic::Disks | Topic::Cpu | Topic::Changes => Vec::new(),
    };
    for asset in assets {
        names.entry(without_port(asset.as_str()).to_owned()).or_default();
    }
    Ok(names.into_iter().map(|(name, instances)| Host { name, instances }).collect())
}

fn without_port(instance: &str) -> &str {
    match instance.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => instance,
    }
}

/// Whether a word is the machine's name, one of its instances, or its name without the domain.
fn is_called(host: &Host, word: &str) -> bool {
    let short = host.name.split('.').next().filter(|short| short.bytes().any(|byte| byte.is_ascii_alphabetic()));
    std::iter::once(host.name.as_str())
        .chain(short)
        .chain(host.instances.iter().map(String::as_str))
        .any(|name| name.eq_ignore_ascii_case(word))
}

fn touches(host: Option<&Host>, assets: &[AssetId]) -> bool {
    host.is_none_or(|host| assets.iter().any(|asset| is_called(host, without_port(asset.as_str()))))
}

/// The matcher that keeps one machine's series, with a leading comma.
fn of_host(host: Option<&Host>) -> String {
    let Some(host) = host else { return String::new() };
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    match &host.instances[..] {
        [one] => format!(",instance={}", quoted(one)),
        many => {
            let pattern: Vec<String> = many.iter().map(|instance| regex::escape(instance)).collect();
            format!(",instance=~{}", quoted(&pattern.join("|")))
        }
    }
}

fn on_host(host: Option<&Host>) -> String {
    host.map_or_else(String::new, |host| format!(" on {}", host.name))
}

/// One measured thing.
struct Figure {
    labels: Labels,
    host: String,
    place: String,
    percent: f64,
    evidence: String,
}

fn figures(query: &str, ship: &dyn Ship) -> Reply<Vec<Figure>> {
    let rows = ship.promql(query).map_err(|reason| unreadable(query, &reason))?;
    let mut figures: Vec<Figure> = rows
        .iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(labels, value)| Figure {
            labels: labels.clone(),
            host: without_port(labels.get("instance").unwrap_or("this machine")).to_owned(),
            place: labels.get("mountpoint").unwrap_or("").to_owned(),
            percent: value.clamp(0.0, 100.0),
            evidence: format!("{labels} = {value:.1} %"),
        })
        .collect();
    figures.sort_by(|a, b| b.percent.total_cmp(&a.percent).then_with(|| (&a.host, &a.place).cmp(&(&b.host, &b.place))));
    Ok(figures)
}

fn disks(asked: &Asked, host: Option<&Host>, ship: &dyn Ship) -> Reply<Answer> {
    let of_host = of_host(host);
    let disks = format!(
        "{} or {} > {FULL_TMPFS_PERCENT}",
        fullness(&format!("fstype!~\"{NO_DISKS}\"{of_host}")),
        fullness(&format!("{FULL_TMPFS}{of_host}"))
    );
    let (query, rows) = match &asked.path {
        None => figures(&disks, ship).map(|rows| (disks, rows))?,
        // A file system that is named is meant, whatever its type.
        Some(path) => {
            let query = fullness(of_host.trim_start_matches(','));
            let mut rows = figures(&query, ship)?;
            rows.retain(|row| row.place.eq_ignore_ascii_case(path));
            if rows.is_empty() {
                no_such_disk(path, host, &figures(&disks, ship)?)?;
            }
            (query, rows)
        }
    };
    let available = format!("node_filesystem_avail_bytes{{{}}}", of_host.trim_start_matches(','));
    let free = ship.promql(&available).map_err(|reason| unreadable(&available, &reason))?;
    let free_of = |row: &Figure| free.iter().find(|(labels, _)| is_of(labels, row)).map(|(_, bytes)| *bytes);
    let said = |row: &Figure| {
        let free = free_of(row).map_or_else(String::new, |bytes| format!(" ({} free)", size(bytes)));
        format!("{} on {} is {:.1} % full{free}", row.place, row.host, row.percent)
    };
    let text = match &rows[..] {
        [] => format!("No disk reports how full it is{}.", on_host(host)),
        [only] => format!("The disk {}.", said(only)),
        [others @ .., last] => {
            let nearly_full = others.iter().filter(|row| row.percent >= NEARLY_FULL_PERCENT).count();
            format!(
                "The fullest of {} disks{}: {}; the emptiest, {} on {}, is {:.1} % full.",
                rows.len(),
                on_host(host),
                listed(&others[..nearly_full.max(1)], said),
                last.place,
                last.host,
                last.percent
            )
        }
    };
    let data = rows.iter().map(|row| {
        json!({ "host": row.host, "mountpoint": row.place, "used_percent": tenths(row.percent), "free_bytes": free_of(row) })
    });
    let data = data.collect();
    Ok(answered(text, data, query, rows.into_iter().map(|row| row.evidence).collect()))
}

/// The query for how full file systems are, in percent.
fn fullness(matchers: &str) -> String {
    format!("100 * (1 - node_filesystem_avail_bytes{{{matchers}}} / node_filesystem_size_bytes{{{matchers}}})")
}

/// Sends back a mount point that is not there; where no disk is known at all, there is nothing to choose from.
fn no_such_disk(path: &str, host: Option<&Host>, known: &[Figure]) -> Reply<()> {
    let known: Vec<String> = known.iter().map(|row| row.place.clone()).collect();
    if known.is_empty() {
        return Ok(());
    }
    let text = format!("I know no disk mounted at {path}{}. I know: {}.", on_host(host), known.join(", "));
    Err(Box::new(clarify(text, &known)))
}

/// Whether a series is the one that a figure was made of; only its name may differ.
fn is_of(labels: &Labels, row: &Figure) -> bool {
    labels.filtered(|name| name != METRIC_NAME) == row.labels
}

fn cpu(host: Option<&Host>, ship: &dyn Ship) -> Reply<Answer> {
    let query =
        format!("100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{{mode=\"idle\"{}}}[5m])))", of_host(host));
    let rows = figures(&query, ship)?;
    let text = match &rows[..] {
        [] => format!("No machine reports how busy its cpu is{}.", on_host(host)),
        [only] => format!("The cpu of {} is {:.1} % busy over the last 5 minutes.", only.host, only.percent),
        [first, .., last] => format!(
            "The busiest of {} machines over the last 5 minutes is {} with its cpu {:.1} % busy; the idlest is {} with \
             {:.1} %.",
            rows.len(),
            first.host,
            first.percent,
            last.host,
            last.percent
        ),
    };
    let data = rows.iter().map(|row| json!({ "host": row.host, "busy_percent": tenths(row.percent) })).collect();
    Ok(answered(text, data, query, rows.into_iter().map(|row| row.evidence).collect()))
}

fn open(host: Option<&Host>, ship: &dyn Ship) -> Reply<Answer> {
    let mut incidents = ship.open_incidents().map_err(|reason| unreadable(OPEN_QUERY, &reason))?;
    incidents.retain(|incident| touches(host, &incident.assets));
    incidents.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.opened.cmp(&b.opened)).then(a.number.cmp(&b.number)));
    let said = |incident: &Incident| {
        let age = ship.now().since(incident.opened);
        let assets: Vec<&str> = incident.assets.iter().map(AssetId::as_str).collect();
        let place = if assets.is_empty() { String::new() } else { format!(" on {}", assets.join(", ")) };
        format!(
            "#{} {} ({}{place}, {}, for {age})",
            incident.number,
            incident.title,
            incident.severity,
            incident.state.as_str()
        )
    };
    let text = match incidents.len() {
        0 => format!("No incident is open{}.", on_host(host)),
        1 => format!("One incident is open{}: {}.", on_host(host), said(&incidents[0])),
        count => format!("{count} incidents are open{}: {}.", on_host(host), listed(&incidents, said)),
    };
    let data = incidents.iter().map(|incident| {
        json!({
            "id": incident.id, "number": incident.number, "title": incident.title, "severity": incident.severity,
            "state": incident.state, "opened": incident.opened.to_string(), "assets": incident.assets,
        })
    });
    let evidence = incidents.iter().map(|incident| incident.id.to_string()).collect();
    Ok(answered(text, data.collect(), OPEN_QUERY.to_owned(), evidence))
}

fn changes(span: DurationMs, host: Option<&Host>, ship: &dyn Ship) -> Reply<Answer> {
    let now = ship.now();
    let query = format!("journal from {} to {now}{}", now - span, on_host(host));
    let mut changes = ship.changes_since(span).map_err(|reason| unreadable(&query, &reason))?;
    changes.retain(|change| touches(host, &change.assets));
    changes.sort_by_key(|change| std::cmp::Reverse(change.at));
    let ago = |at: UtcMs| format!("{} ago", now.since(at));
    let said = |change: &crate::Change| format!("{} ({})", change.text, ago(change.at));
    let text = match changes.len() {
        0 => format!("Nothing changed{} in the last {span}.", on_host(host)),
        1 => format!("One thing changed{} in the last {span}: {}.", on_host(host), said(&changes[0])),
        count => {
            format!(
                "{count} things changed{} in the last {span}, newest first: {}.",
                on_host(host),
                listed(&changes, said)
            )
        }
    };
    let data = changes
        .iter()
        .map(|change| json!({ "time": change.at.to_string(), "what": change.text, "assets": change.assets }));
    let data = data.collect();
    Ok(answered(text, data, query, changes.into_iter().map(|change| change.evidence).collect()))
}

fn silent(host: Option<&Host>, ship: &dyn Ship) -> Reply<Answer> {
    let now = ship.now();
    let query = format!("sources silent at {now}{}", on_host(host));
    let mut sources = ship.silent_sources().map_err(|reason| unreadable(&query, &reason))?;
    sources.retain(|source| touches(host, source.asset.as_slice()));
    sources.sort_by(|a, b| (a.last_heard, &a.name).cmp(&(b.last_heard, &b.name)));
    let said = |source: &crate::SilentSource| {
        let place = source.asset.as_ref().map_or_else(String::new, |asset| format!(" on {asset}"));
        match source.last_heard {
            Some(at) => format!("{}{place}, last heard {} ago", source.name, now.since(at)),
            None => format!("{}{place}, never heard", source.name),
        }
    };
    let text = match sources.len() {
        0 => format!("No source is silent{}.", on_host(host)),
        1 => format!("One source is silent{}: {}.", on_host(host), said(&sources[0])),
        count => format!("{count} sources are silent{}: {}.", on_host(host), listed(&sources, said)),
    };
    let data = sources.iter().map(|source| {
        json!({ "source": source.name, "asset": source.asset, "last_heard": source.last_heard.map(|at| at.to_string()) })
    });
    let evidence = sources.iter().map(said).collect();
    Ok(answered(text, data.collect(), query, evidence))
}

/// The first few in words, and how many there are beyond them.
fn listed<T>(items: &[T], said: impl Fn(&T) -> String) -> String {
    let mut named: Vec<String> = items.iter().take(NAMED_MAX).map(said).collect();
    if items.len() > NAMED_MAX {
        named.push(format!("and {} more", items.len() - NAMED_MAX));
    }
    named.join("; ")
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Bytes as a person says them, in decimal units.
fn size(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes.max(0.0), 0);
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
