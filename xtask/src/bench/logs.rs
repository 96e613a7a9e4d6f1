//! Logs: ours against ClickHouse's engine, both given the same lines.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use wk_sim::SyslogWorkload;
use wk_sim::syslog::{LINES_PER_SECOND, NEEDLE};
use wk_types::{Severity, UtcMs};

use super::clickhouse::ClickHouse;
use super::process::load_average;
use super::queries::Timed;
use super::store::{Kind, Store};
use super::table::{Table, mib};

/// Syslog connections at once.
const CONNECTIONS: usize = 2;
/// How long all lines may take to be taken in.
const TAKEN_MAX: Duration = Duration::from_secs(900);
/// The rank of the host whose lines are looked at, by how much it says.
const HOST_RANK: usize = 40;
const SEED: u64 = 20_261_124;

/// How to compare logs.
#[derive(Args)]
pub struct Options {
    /// How many lines
    #[arg(long, default_value_t = 5_000_000)]
    lines: u64,
    /// How often each query is asked
    #[arg(long, default_value_t = 30)]
    runs: usize,
}

/// Lines in files, made before anything is measured.
struct Lines {
    /// Syslog, a file for each connection.
    syslog: Vec<PathBuf>,
    tsv: PathBuf,
    tsv_bytes: u64,
    last: UtcMs,
    /// All hosts, as lines of our configuration: senders nobody has named are kept under "unknown".
    assets: String,
    /// A host of middling rank.
    host: String,
}

/// One query in both dialects.
struct Query {
    name: &'static str,
    ours: String,
    theirs: String,
    /// Whether rows come in an order that is the same in both.
    ordered: bool,
}

/// What both sides showed, once fed.
struct Fed {
    ours_queryable: f64,
    ours_freeable: f64,
    theirs: f64,
    theirs_merged: f64,
}

/// Runs the comparison.
pub fn run(options: &Options) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    println!("load average before: {}", load_average());
    let lines = make(options.lines, scratch.path())?;
    println!("{} lines, {:.1} bytes each as TSV", options.lines, lines.tsv_bytes as f64 / options.lines as f64);
    let mut store = Store::start_with(Kind::Watchkeeper, &scratch.path().join("watchkeeper"), &lines.assets)?;
    let mut engine = ClickHouse::start(&scratch.path().join("clickhouse"))?;
    let fed = feed(&store, &mut engine, &lines, options.lines)?;
    let queries = queries(&lines);
    for query in &queries {
        verify(&store, &mut engine, query).with_context(|| query.name)?;
    }
    let mut timed = Vec::new();
    for query in &queries {
        timed.push(time(&store, &mut engine, query, options.runs)?);
    }
    let usage = store.usage()?;
    let peak = engine.query("SELECT 1")?.peak;
    let parts = "SELECT sum(bytes_on_disk), sum(secondary_indices_compressed_bytes) FROM system.parts \
                 WHERE active AND database = 'bench' AND table = 'logs'";
    let parts = engine.query(parts)?.rows;
    let (bytes, index) = parts.trim().split_once('\t').context("no sizes")?;
    let (bytes, index): (u64, u64) = (bytes.parse()?, index.parse()?);
    let ours = our_bytes(&mut store)?;

    let count = options.lines as f64;
    let mut table = Table::with_columns("figure", &[column(&store), format!("ClickHouse ({})", engine.version)]);
    let rate = |seconds: f64| format!("{:.0}", count / seconds / 1e3);
    table.row("k lines per CPU-second, until queryable / insert of TSV", &[fed.ours_queryable, fed.theirs], |one| {
        rate(*one)
    });
    table.row("k lines per CPU-second, until freeable / merged", &[fed.ours_freeable, fed.theirs_merged], |one| {
        rate(*one)
    });
    table.row("bytes a line on disk", &[ours, bytes], |one| format!("{:.2}", *one as f64 / count));
    table.row("of it filter of the text", &[0, index], |one| {
        if *one == 0 { "in the files".to_owned() } else { format!("{:.2}", *one as f64 / count) }
    });
    table.row("peak RSS, MiB", &[usage.resident_peak, peak], |one| mib(*one));
    for (query, timed) in queries.iter().zip(&timed) {
        table.row(&format!("{}: ms p50 / p95 (CPU ms)", query.name), timed, Timed::shown);
    }
    table.print();
    println!("ours is asked over HTTP, ClickHouse within its own process; load average after: {}", load_average());
    Ok(())
}

fn column(store: &Store) -> String {
    format!("{} {}", store.kind.name(), store.version)
}

/// Makes the lines; the last one is said about now.
fn make(count: u64, folder: &Path) -> Result<Lines> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
    let span = (count as f64 / LINES_PER_SECOND * 1_100.0) as i64;
    let mut workload = SyslogWorkload::new(SEED, UtcMs(now - span));
    let paths: Vec<PathBuf> = (0..CONNECTIONS).map(|lane| folder.join(format!("syslog-{lane}"))).collect();
    let mut syslog = paths.iter().map(|path| Ok(BufWriter::new(File::create(path)?))).collect::<Result<Vec<_>>>()?;
    let path = folder.join("lines.tsv");
    let mut tsv = BufWriter::new(File::create(&path)?);
    let assets = workload.hosts().map(|host| format!("[[asset]]\nid = \"{host}\"\n")).collect();
    let host = workload.hosts().nth(HOST_RANK).context("there are fewer hosts")?.to_owned();
    let (mut text, mut tsv_bytes, mut last) = (String::new(), 0, UtcMs(0));
    for number in 0..count {
        let line = workload.next_line();
        text.clear();
        line.write_rfc5424(&mut text);
        syslog[number as usize % CONNECTIONS].write_all(text.as_bytes())?;
        text.clear();
        line.write_tsv(&mut text);
        tsv.write_all(text.as_bytes())?;
        tsv_bytes += text.len() as u64;
        last = line.time;
    }
    syslog.iter_mut().try_for_each(BufWriter::flush)?;
    tsv.flush()?;
    Ok(Lines { syslog: paths, tsv: path, tsv_bytes, last, assets, host })
}

fn feed(store: &Store, engine: &mut ClickHouse, lines: &Lines, count: u64) -> Result<Fed> {
    let before = store.usage()?.cpu_seconds;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let senders: Vec<_> = lines.syslog.iter().map(|path| scope.spawn(|| send(path, &store.syslog))).collect();
        for sender in senders {
            sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        anyhow::Ok(())
    })?;
    while accepted(store)? < count {
        ensure!(began.elapsed() < TAKEN_MAX, "only {} of {count} lines were taken", accepted(store)?);
        std::thread::sleep(Duration::from_millis(500));
    }
    store.wait_queryable()?;
    let ours_queryable = store.usage()?.cpu_seconds - before;
    println!("watchkeeper: {ours_queryable:.1} s CPU, {:.1} s wall until queryable", began.elapsed().as_secs_f64());

    engine.query("CREATE DATABASE bench ENGINE = Atomic")?;
    engine.query(
        "CREATE TABLE bench.logs (ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(3)), host LowCardinality(String), \
         app LowCardinality(String), severity UInt8, message String CODEC(ZSTD(3)), \
         INDEX message_ngram message TYPE ngrambf_v1(4, 16384, 2, 0) GRANULARITY 1) \
         ENGINE = MergeTree ORDER BY (toStartOfHour(ts), app, host, ts)",
    )?;
    let insert = format!(
        "INSERT INTO bench.logs SELECT fromUnixTimestamp64Milli(ts, 'UTC'), host, app, severity, message \
         FROM file('{}', TSVRaw, 'ts Int64, host String, app String, severity UInt8, message String')",
        lines.tsv.display()
    );
    let inserted = engine.query(&insert)?;
    println!("ClickHouse: {:.1} s CPU, {:.1} s wall", inserted.cpu_ms / 1e3, inserted.wall_ms / 1e3);
    let merged = engine.query("OPTIMIZE TABLE bench.logs FINAL")?;
    store.wait_freeable()?;
    Ok(Fed {
        ours_queryable,
        ours_freeable: store.usage()?.cpu_seconds - before,
        theirs: inserted.cpu_ms / 1e3,
        theirs_merged: (inserted.cpu_ms + merged.cpu_ms) / 1e3,
    })
}

fn send(path: &Path, address: &str) -> Result<()> {
    let (mut file, mut stream) = (File::open(path)?, TcpStream::connect(address)?);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read])?;
    }
}

/// How many lines syslog has acknowledged, that is: how many are on disk.
fn accepted(store: &Store) -> Result<u64> {
    let pipeline = store.pipeline()?;
    let sources = pipeline["sources"].as_array().context("no sources")?;
    let of = |source: &Value| source["accepted"].as_u64().unwrap_or(0);
    Ok(sources.iter().filter(|one| one["name"].as_str().is_some_and(|name| name.contains("syslog"))).map(of).sum())
}

fn queries(lines: &Lines) -> Vec<Query> {
    let since = UtcMs(lines.last.0 - 600_000);
    let query = |name, ordered, ours: String, theirs: String| Query { name, ours, theirs, ordered };
    let host = &lines.host;
    vec![
        query(
            "count by app and severity",
            false,
            "SELECT app, severity, count(*) FROM logs GROUP BY app, severity".to_owned(),
            "SELECT app, severity, count() FROM bench.logs GROUP BY app, severity".to_owned(),
        ),
        query(
            "needle by substring",
            false,
            format!("SELECT time, asset, app, message FROM logs WHERE message LIKE '%{NEEDLE}%'"),
            format!("SELECT ts, host, app, message FROM bench.logs WHERE message LIKE '%{NEEDLE}%'"),
        ),
        query(
            "errors of the last 10 min",
            false,
            format!(
                "SELECT time, asset, app, message FROM logs WHERE time >= '{since}' AND severity IN ('major', 'critical')"
            ),
            format!(
                "SELECT ts, host, app, message FROM bench.logs \
                 WHERE ts >= fromUnixTimestamp64Milli({}, 'UTC') AND severity <= 3",
                since.0
            ),
        ),
        query(
            "lines a minute",
            false,
            "SELECT substr(time, 1, 16), count(*) FROM logs GROUP BY 1".to_owned(),
            "SELECT substring(toString(toStartOfMinute(ts)), 1, 16), count() FROM bench.logs GROUP BY 1".to_owned(),
        ),
        query(
            "last 100 of a host",
            true,
            format!("SELECT time, asset, app, message FROM logs WHERE asset = '{host}' ORDER BY time DESC LIMIT 100"),
            format!("SELECT ts, host, app, message FROM bench.logs WHERE host = '{host}' ORDER BY ts DESC LIMIT 100"),
        ),
    ]
}

fn ask(store: &Store, query: &Query) -> Result<Value> {
    Store::json(store.post("/api/v1/sql").json(&json!({ "query": query.ours })))
}

/// Fails where the two answers differ.
fn verify(store: &Store, engine: &mut ClickHouse, query: &Query) -> Result<()> {
    let answer = ask(store, query)?;
    ensure!(answer["truncated"] == false, "our answer is cut short");
    let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    let rows = answer["rows"].as_array().context("no rows")?;
    let ours: Vec<Vec<String>> =
        rows.iter().map(|row| row.as_array().into_iter().flatten().map(text).collect()).collect();
    let theirs = engine.query(&query.theirs)?.rows;
    let theirs: Vec<Vec<String>> = theirs.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    let (ours, theirs) = (comparable(ours, query)?, comparable(theirs, query)?);
    ensure!(!ours.is_empty(), "nothing was found");
    ensure!(ours.len() == theirs.len(), "{} rows, ClickHouse has {}", ours.len(), theirs.len());
    let different = ours.iter().zip(&theirs).find(|(one, other)| one != other);
    ensure!(different.is_none(), "another row than ClickHouse's: {different:?}");
    println!("{}: {} rows, the same on both sides", query.name, ours.len());
    Ok(())
}

/// Rows in an order of their own, with our four severities in place of syslog's eight.
fn comparable(mut rows: Vec<Vec<String>>, query: &Query) -> Result<Vec<Vec<String>>> {
    if query.theirs.contains("GROUP BY app, severity") {
        let mut sums = std::collections::BTreeMap::new();
        for row in &rows {
            let [app, severity, count] = &row[..] else { anyhow::bail!("not three columns: {row:?}") };
            let severity =
                severity.parse().map_or_else(|_| severity.clone(), |code| Severity::from_syslog(code).to_string());
            *sums.entry((app.clone(), severity)).or_insert(0) += count.parse::<u64>()?;
        }
        return Ok(sums.into_iter().map(|((app, severity), sum)| vec![app, severity, sum.to_string()]).collect());
    }
    // Lines of one millisecond stand in no order.
    if query.ordered {
        rows.iter_mut().for_each(|row| row.truncate(1));
    } else {
        rows.sort();
    }
    Ok(rows)
}

fn time(store: &Store, engine: &mut ClickHouse, query: &Query, runs: usize) -> Result<[Timed; 2]> {
    let [mut ours, mut theirs] = [Timed::default(), Timed::default()];
    for run in 0..runs {
        for turn in 0..2 {
            if (run + turn) % 2 == 0 {
                let before = store.usage()?.cpu_seconds;
                let began = Instant::now();
                ask(store, query)?;
                let wall = began.elapsed().as_secs_f64();
                ours.push(wall * 1e3, (store.usage()?.cpu_seconds - before) * 1e3);
            } else {
                let answered = engine.query(&query.theirs)?;
                theirs.push(answered.wall_ms, answered.cpu_ms);
            }
        }
    }
    Ok([ours, theirs])
}

/// The bytes of our log files, after a clean stop.
fn our_bytes(store: &mut Store) -> Result<u64> {
    let data = store.data();
    store.stop()?;
    super::process::folder_bytes(&data.join("logs"))
}
