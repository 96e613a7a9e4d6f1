use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{RecordingIntake, context, series_text};

/// Answers requests one after another, each with the next of the given answers and a closed connection.
async fn server(answers: Vec<Vec<u8>>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let mut answers = VecDeque::from(answers);
    let task = tokio::spawn(async move {
        let mut requests = Vec::new();
        while let Some(answer) = answers.pop_front() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            requests.push(String::from_utf8(request).unwrap());
            let _ = stream.write_all(&answer).await;
        }
        requests
    });
    (url, task)
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

fn text(body: &str) -> Vec<u8> {
    answer("Content-Type: text/plain; version=0.0.4\r\n", body)
}

struct Run {
    scraper: Scraper,
    context: SourceContext,
    intake: Arc<RecordingIntake>,
}

fn run(url: &str, change: impl FnOnce(&mut Target)) -> Run {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut target = Target::new(url, "node").unwrap();
    target.labels.insert("instance".to_owned(), "bridge-pc:9100".to_owned());
    change(&mut target);
    let (context, intake) = context("scrape");
    Run { scraper: Scraper::new(vec![target]).unwrap(), context, intake }
}

impl Run {
    async fn rounds(&self, count: usize) {
        let (target, shown) = &self.scraper.targets[0];
        let mut state = TargetState::new(target);
        for _ in 0..count {
            state.round(&self.scraper.client, &self.context, &CancellationToken::new(), shown).await;
        }
    }

    /// What each round stored, without the one value that differs from run to run.
    fn stored(&self) -> String {
        let rounds: Vec<String> = self
            .intake
            .records()
            .iter()
            .map(|record| {
                let wk_types::Body::Samples(series) = &record.body else { panic!("samples are expected") };
                let fixed: Vec<_> = series
                    .iter()
                    .filter(|one| one.series.labels.name() != "scrape_duration_seconds")
                    .cloned()
                    .collect();
                series_text(&fixed)
            })
            .collect();
        rounds.join("\n--\n")
    }
}

#[tokio::test]
async fn samples_get_the_target_s_labels_and_asset() {
    let (url, requests) =
        server(vec![text("# TYPE load gauge\nload 1.5\nx{job=\"a\",instance=\"b\",k=\"v\"} 2\n")]).await;
    let run = run(&url, |target| drop(target.labels.insert("deck".to_owned(), "7".to_owned())));
    run.rounds(1).await;
    insta::assert_snapshot!(run.stored(), @r#"
    load{deck="7", instance="bridge-pc:9100", job="node"} 1.5@0
    scrape_samples_scraped{deck="7", instance="bridge-pc:9100", job="node"} 2@0
    up{deck="7", instance="bridge-pc:9100", job="node"} 1@0
    x{deck="7", exported_instance="b", exported_job="a", instance="bridge-pc:9100", job="node", k="v"} 2@0
    "#);
    assert!(run.intake.series().iter().all(|one| one.series.asset.as_str() == "bridge-pc"));
    let request = requests.await.unwrap().remove(0).to_ascii_lowercase();
    assert!(request.contains("accept: text/plain;version=0.0.4"), "{request}");
    assert!(request.contains("x-prometheus-scrape-timeout-seconds: 10"), "{request}");
    assert_eq!(run.scraper.metadata().next().unwrap().1["load"].kind, "gauge");
    let (_, health) = run.scraper.health().next().unwrap();
    assert_eq!((health.error, health.samples), (None, 2));
}

#[tokio::test]
async fn honored_labels_stay() {
    let (url, _) = server(vec![text("x{job=\"a\"} 2\n")]).await;
    let run = run(&url, |target| target.honor_labels = true);
    run.rounds(1).await;
    assert!(run.stored().contains(r#"x{instance="bridge-pc:9100", job="a"} 2@0"#));
}

#[tokio::test]
async fn series_that_go_and_targets_that_fail_get_stale_markers() {
    let failure = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let (url, _) = server(vec![text("a 1\nb 1\nc 1 1780315100000\n"), text("a 2\n"), failure, text("a 3\n")]).await;
    let run = run(&url, |_| {});
    run.rounds(4).await;
    insta::assert_snapshot!(run.stored(), @r#"
    a{instance="bridge-pc:9100", job="node"} 1@0
    b{instance="bridge-pc:9100", job="node"} 1@0
    c{instance="bridge-pc:9100", job="node"} 1@-100000
    scrape_samples_scraped{instance="bridge-pc:9100", job="node"} 3@0
    up{instance="bridge-pc:9100", job="node"} 1@0
    --
    a{instance="bridge-pc:9100", job="node"} 2@0
    b{instance="bridge-pc:9100", job="node"} stale@0
    scrape_samples_scraped{instance="bridge-pc:9100", job="node"} 1@0
    up{instance="bridge-pc:9100", job="node"} 1@0
    --
    a{instance="bridge-pc:9100", job="node"} stale@0
    scrape_samples_scraped{instance="bridge-pc:9100", job="node"} 0@0
    up{instance="bridge-pc:9100", job="node"} 0@0
    --
    a{instance="bridge-pc:9100", job="node"} 3@0
    scrape_samples_scraped{instance="bridge-pc:9100", job="node"} 1@0
    up{instance="bridge-pc:9100", job="node"} 1@0
    "#);
}

#[tokio::test]
async fn damaged_lines_and_repeated_series_are_rejected_alone() {
    let (url, _) = server(vec![text("a 1\na 2\nb{ 1\nc x\nd{e=\"1\",e=\"2\"} 1\n")]).await;
    let run = run(&url, |_| {});
    run.rounds(1).await;
    let stats = run.context.stats.snapshot();
    let rejected: Vec<(&str, u64)> = stats.rejected.iter().map(|(reason, one)| (reason.as_str(), one.count)).collect();
    let expected =
        [("bad series", 1), ("bad value", 1), ("duplicate label", 1), ("series comes twice in one scrape", 1)];
    assert_eq!(rejected, expected);
    assert!(run.stored().contains("a{instance=\"bridge-pc:9100\", job=\"node\"} 1@0"));
}

async fn error_of(answers: Vec<Vec<u8>>, change: impl FnOnce(&mut Target)) -> String {
    let (url, _server) = server(answers).await;
    let run = run(&url, change);
    run.rounds(1).await;
    assert!(run.stored().contains("up{instance=\"bridge-pc:9100\", job=\"node\"} 0@0"));
    assert_eq!(run.context.stats.snapshot().flagged["scrape failed"].count, 1);
    run.scraper.health().next().unwrap().1.error.unwrap()
}

#[tokio::test]
async fn a_scrape_that_fails_says_why() {
    let open_metrics = answer("Content-Type: application/openmetrics-text\r\n", "a 1\n");
    assert_eq!(error_of(vec![open_metrics], |_| {}).await, "the answer ends without # EOF");
    let many = error_of(vec![text("a 1\nb 1\n")], |target| target.samples_max = 1).await;
    assert_eq!(many, "the answer has more than 1 samples");
    let large = error_of(vec![text(&"#".repeat(BODY_BYTES_MAX + 1))], |_| {}).await;
    assert_eq!(large, "the answer is larger than 16777216 bytes");
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\na 1\n".to_vec();
    assert!(error_of(vec![short], |_| {}).await.contains("error"));
    let silent = error_of(vec![vec![]], |target| target.timeout = Duration::from_millis(200)).await;
    assert!(!silent.is_empty());
}

#[tokio::test]
async fn a_refused_connection_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    drop(listener);
    let run = run(&url, |_| {});
    run.rounds(1).await;
    let error = run.scraper.health().next().unwrap().1.error.unwrap();
    assert!(error.to_lowercase().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_large_scrape_becomes_records_that_the_log_takes() {
    use crate::records::RECORD_BYTES_AIM;
    let long = "v".repeat(4_000);
    let body: String = (0..2_000).map(|at| format!("m{at}{{path=\"{long}\"}} 1\n")).collect();
    let (url, _) = server(vec![text(&body)]).await;
    let run = run(&url, |_| {});
    run.intake.fail_next([crate::Refused::TooLarge { bytes: 17 << 20 }]);
    run.rounds(1).await;
    let records = run.intake.records();
    assert_eq!((run.intake.offered(), records.len()), (3, 2));
    assert!(records.iter().all(|record| record.body.items() * long.len() <= RECORD_BYTES_AIM));
    let stats = run.context.stats.snapshot();
    assert_eq!((stats.accepted + stats.rejected[crate::delivery::TOO_LARGE].count, stats.lost.len()), (2_003, 0));
}

#[tokio::test]
async fn a_busy_log_costs_the_round_but_not_the_stale_markers() {
    let (url, _) = server(vec![text("a 1\n"), text("a 2\n"), text("\n")]).await;
    let run = run(&url, |target| target.interval = Duration::from_millis(30));
    let (target, shown) = &run.scraper.targets[0];
    let mut state = TargetState::new(target);
    for busy in [false, true, false] {
        run.intake.set_busy(busy);
        state.round(&run.scraper.client, &run.context, &CancellationToken::new(), shown).await;
    }
    assert!(run.stored().contains("a{instance=\"bridge-pc:9100\", job=\"node\"} stale@0"));
    assert_eq!(run.context.stats.snapshot().lost["intake busy"].count, 4);
}

#[tokio::test]
async fn the_scraper_runs_by_itself_until_cancelled() {
    let (url, _) = server(vec![text("a 1\n"), text("a 2\n")]).await;
    let run = run(&url, |target| target.interval = Duration::from_millis(20));
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run.scraper.clone().run(run.context.clone(), cancel.clone()));
    run.intake.until(|intake| intake.records().len() >= 2).await;
    cancel.cancel();
    task.await.unwrap();
    assert!(run.scraper.health().next().unwrap().1.scraped.is_some());
}

#[test]
fn targets_are_spread_over_their_interval() {
    let offset = |port: u16| Target::new(&format!("http://10.0.0.1:{port}/metrics"), "node").unwrap().offset();
    let offsets: std::collections::BTreeSet<Duration> = (9_000..9_100).map(offset).collect();
    assert!(offsets.len() > 90 && offsets.iter().all(|offset| *offset < Duration::from_secs(15)));
    assert_eq!(offset(9_100), offset(9_100));
}

#[test]
fn only_http_addresses_are_targets() {
    for url in ["", "ship:9100", "ftp://ship/", "http://"] {
        assert!(Target::new(url, "x").is_err(), "{url}");
    }
    assert_eq!(Target::new("http://ship/metrics", "x").unwrap().instance(), "ship:80");
    assert_eq!(Target::new("https://[fd00::1]:9100/", "x").unwrap().instance(), "[fd00::1]:9100");
}

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| Rule::new(&toml::from_str(text).unwrap()).unwrap()).collect()
}

#[test]
fn rules_change_where_a_target_is_and_what_it_is_called() {
    let target = Target::new("http://switch:9100/metrics?module=a", "node").unwrap();
    let texts = [
        "source_labels = [\"__address__\"]\ntarget_label = \"instance\"",
        "target_label = \"__address__\"\nreplacement = \"127.0.0.1:9116\"",
        "target_label = \"__metrics_path__\"\nreplacement = \"/probe\"",
        "source_labels = [\"instance\"]\ntarget_label = \"__param_target\"",
        "target_label = \"__tmp\"\nreplacement = \"gone\"",
    ];
    let moved = target.clone().relabeled(&rules(&texts)).unwrap().unwrap();
    assert_eq!(moved.url.as_str(), "http://127.0.0.1:9116/probe?module=a&target=switch%3A9100");
    assert_eq!((moved.instance(), moved.job, moved.labels.len()), ("switch:9100".to_owned(), "node".to_owned(), 1));
    let dropped = rules(&["source_labels = [\"job\"]\nregex = \"node\"\naction = \"drop\""]);
    assert!(target.clone().relabeled(&dropped).unwrap().is_none());
    assert_eq!(target.clone().relabeled(&[]).unwrap().unwrap().url, target.url);
    assert!(target.relabeled(&rules(&["target_label = \"__scheme__\"\nreplacement = \"ftp\""])).is_err());
}

#[tokio::test]
async fn rules_drop_and_rename_samples() {
    let (url, server) = server(vec![text("kept{a=\"1\"} 1\nnoise 2\n")]).await;
    let metric_rules = rules(&[
        "source_labels = [\"__name__\"]\nregex = \"noise\"\naction = \"drop\"",
        "source_labels = [\"__name__\"]\ntarget_label = \"__name__\"\nreplacement = \"ship_$1\"",
    ]);
    let run = run(&url, |target| target.metric_rules = metric_rules);
    run.rounds(1).await;
    server.await.unwrap();
    let stored = run.stored();
    assert!(stored.contains("ship_kept{a=\"1\"") && !stored.contains("noise"), "{stored}");
}

#[tokio::test]
async fn a_scrape_says_who_it_is_and_may_pass_over_times() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "deck 7\n").unwrap();
    let (url, server) = server(vec![text("a 1 1780315100000\n"), text("a 1\n")]).await;
    let basic = Authorization::Basic { user: "watch".to_owned(), password_file: file.clone() };
    let first = run(&url, |target| (target.authorization, target.honor_timestamps) = (basic, false));
    first.rounds(1).await;
    run(&url, |target| target.authorization = Authorization::Bearer { token_file: file.clone() }).rounds(1).await;
    let heads = server.await.unwrap().join("").to_lowercase();
    // watch:deck 7 in base 64.
    assert!(heads.contains("authorization: basic d2f0y2g6zgvjaya3"), "{heads}");
    assert!(heads.contains("authorization: bearer deck 7"), "{heads}");
    let is_now = |line: &str| line.starts_with("a{") && line.ends_with(" 1@0");
    assert!(first.stored().lines().any(is_now), "{}", first.stored());
    std::fs::remove_file(&file).unwrap();
    let gone = run(&url, |target| target.authorization = Authorization::Bearer { token_file: file.clone() });
    gone.rounds(1).await;
    assert!(gone.context.stats.snapshot().flagged["scrape failed"].example.contains("could not read"));
}
