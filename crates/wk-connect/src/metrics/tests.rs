//! Against a server that answers as it is told, and keeps what it was sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wk_types::{AssetId, DurationMs, Labels, Sample, Series, SeriesSamples, UtcMs};

use super::*;

/// One request as it came.
#[derive(Debug, Clone, Default)]
struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Judge = dyn Fn(&Request) -> Option<(u16, &'static str, String)> + Send + Sync;

/// A server on a free port of loopback. What `judge` answers `None` to goes well.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start(judge: impl Fn(&Request) -> Option<(u16, &'static str, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (judge, kept): (Arc<Judge>, _) = (Arc::new(judge), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (judge, kept) = (Arc::clone(&judge), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream.unwrap(), &*judge, &kept));
            }
        });
        Self { url, seen }
    }

    fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, judge: &Judge, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request = Request::default();
        if reader.read_line(&mut request.line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).unwrap();
        let (status, headers, body) = judge(&request).unwrap_or((204, "", String::new()));
        seen.lock().unwrap().push(request);
        let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let _ = write!(stream, "HTTP/1.1 {status} x\r\n{length}{headers}\r\n{body}");
    }
}

fn settings(kind: Kind, url: &str) -> MetricSettings {
    MetricSettings {
        kind,
        url: url.to_owned(),
        query_url: None,
        tenant: Some("ship-7".to_owned()),
        credentials: None,
        authority_file: None,
    }
}

fn store(settings: &MetricSettings) -> OutsideStore {
    let _ = rustls::crypto::ring::default_provider().install_default();
    OutsideStore::new(settings).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// `count` series named `m0`, `m1`… with samples at these times.
fn series(count: usize, times: &[i64]) -> Vec<SeriesSamples> {
    let one = |number: usize| SeriesSamples {
        series: Arc::new(Series::new(Labels::metric(&format!("m{number}"), &[("job", "x")]), AssetId::unknown())),
        samples: times.iter().map(|time| Sample::new(UtcMs(*time), number as f64)).collect(),
    };
    (0..count).map(one).collect()
}

fn plain(request: &Request) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(&request.body).unwrap()
}

fn holds(request: &Request, text: &str) -> bool {
    plain(request).windows(text.len()).any(|window| window == text.as_bytes())
}

const NOW: UtcMs = UtcMs(1_700_000_000_000);

#[test]
fn contract_mimir_is_written_and_asked_under_its_own_paths_with_the_tenant() {
    let server = Server::start(|request| {
        request.line.contains("query").then(|| (200, "", r#"{"status":"success","data":1}"#.to_owned()))
    });
    let store = store(&settings(Kind::Mimir, &format!("{}/", server.url)));
    let sent = wait(store.send(&series(2, &[1, 2]), Limits::Requests(0), NOW)).unwrap();
    assert_eq!((sent.samples, sent.requests, sent.refused.len()), (4, 1, 0));
    let question =
        Question { path: &["query"], form: "query=up".to_owned(), is_form: true, time_max: Duration::from_secs(5) };
    assert_eq!(wait(store.ask(&question)).unwrap().status, 200);
    let values = ["label", "a/b", "values"];
    let question = Question { path: &values, form: "start=1".to_owned(), is_form: false, ..question };
    assert!(wait(store.ask(&question)).is_err(), "an answer that is no JSON is none");
    let seen = server.requests();
    let lines: Vec<&str> = seen.iter().map(|request| request.line.trim_end()).collect();
    assert_eq!(
        lines,
        [
            "POST /api/v1/push HTTP/1.1",
            "POST /prometheus/api/v1/query HTTP/1.1",
            "GET /prometheus/api/v1/label/a%2Fb/values?start=1 HTTP/1.1"
        ]
    );
    assert!(seen.iter().all(|request| request.header("x-scope-orgid") == Some("ship-7")));
    let write = &seen[0];
    assert_eq!(write.header("content-encoding"), Some("snappy"));
    assert_eq!(write.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(write.header("x-prometheus-remote-write-version"), Some("0.1.0"));
    assert!(write.header("user-agent").is_some_and(|agent| agent.starts_with("watchkeeper/")));
    assert_eq!(seen[1].body, b"query=up");
}

#[test]
fn contract_victoriametrics_and_prometheus_have_no_prefix_and_an_address_may_have_a_path() {
    for kind in [Kind::VictoriaMetrics, Kind::Prometheus] {
        let server = Server::start(|_| Some((200, "", "{}".to_owned())));
        let store = store(&MetricSettings {
            query_url: Some(format!("{}/select/0/prometheus", server.url)),
            ..settings(kind, &format!("{}/insert/0/prometheus", server.url))
        });
        wait(store.send(&series(1, &[1]), Limits::Requests(0), NOW)).unwrap();
        let question =
            Question { path: &["labels"], form: String::new(), is_form: false, time_max: Duration::from_secs(5) };
        wait(store.ask(&question)).unwrap();
        let lines: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
        assert!(lines[0].starts_with("POST /insert/0/prometheus/api/v1/write "), "{lines:?}");
        assert!(lines[1].starts_with("GET /select/0/prometheus/api/v1/labels "), "{lines:?}");
    }
}

#[test]
fn secrets_are_read_from_their_files_for_each_request() {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("secret");
    std::fs::write(&file, "first\n").unwrap();
    let server = Server::start(|_| None);
    let bearer = store(&MetricSettings {
        credentials: Some(Credentials::Bearer { token_file: file.clone() }),
        ..settings(Kind::Prometheus, &server.url)
    });
    let basic = store(&MetricSettings {
        credentials: Some(Credentials::Basic { user: "u".to_owned(), password_file: file.clone() }),
        ..settings(Kind::Prometheus, &server.url)
    });
    wait(bearer.send(&series(1, &[1]), Limits::Exact, NOW)).unwrap();
    std::fs::write(&file, "second\n").unwrap();
    wait(bearer.send(&series(1, &[1]), Limits::Exact, NOW)).unwrap();
    wait(basic.send(&series(1, &[1]), Limits::Exact, NOW)).unwrap();
    let seen = server.requests();
    let sent: Vec<Option<&str>> = seen.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(sent, [Some("Bearer first"), Some("Bearer second"), Some("Basic dTpzZWNvbmQ=")]);
    std::fs::remove_file(&file).unwrap();
    let unsent = wait(bearer.send(&series(1, &[1]), Limits::Exact, NOW)).unwrap_err();
    assert!(unsent.error.is_retryable() && unsent.error.to_string().contains("secret"), "{unsent}");
}

#[test]
fn what_a_store_will_not_have_is_found_and_the_rest_goes_through() {
    let server = Server::start(|request| holds(request, "m5").then(|| (400, "", "out of order sample".to_owned())));
    let store = store(&settings(Kind::Prometheus, &server.url));
    let sent = wait(store.send(&series(9, &[10, 20]), Limits::Requests(100), NOW)).unwrap();
    assert_eq!(sent.samples, 16);
    let [refused] = &sent.refused[..] else { panic!("{sent:?}") };
    assert_eq!((refused.reason, refused.samples), ("out of order", 2));
    assert_eq!((refused.first, refused.last), (UtcMs(10), UtcMs(20)));
    assert!(refused.example.contains("m5") && refused.said == "out of order sample");
    let taken: Vec<Request> = server.requests().into_iter().filter(|request| !holds(request, "m5")).collect();
    for number in (0..9).filter(|number| *number != 5) {
        let times = taken.iter().filter(|request| holds(request, &format!("m{number}"))).count();
        assert_eq!(times, 1, "m{number} once");
    }
}

#[test]
fn a_bound_on_requests_refuses_neighbours_and_counts_them() {
    let server = Server::start(|request| holds(request, "m5").then(|| (400, "", "over the limit".to_owned())));
    let store = store(&settings(Kind::Prometheus, &server.url));
    let sent = wait(store.send(&series(8, &[1]), Limits::Requests(2), NOW)).unwrap();
    assert_eq!((sent.samples, sent.requests), (4, 3));
    assert_eq!((sent.refused[0].reason, sent.refused[0].samples), ("over limit", 4));
}

#[test]
fn mimir_has_kept_what_it_could_and_is_not_asked_twice() {
    let server = Server::start(|_| Some((400, "", "err-mimir-sample-out-of-order".to_owned())));
    let store = store(&settings(Kind::Mimir, &server.url));
    let sent = wait(store.send(&series(8, &[1]), Limits::Exact, NOW)).unwrap();
    assert_eq!((sent.requests, sent.refused[0].samples, sent.refused[0].reason), (1, 8, "out of order"));
}

#[test]
fn what_may_go_through_later_is_told_with_the_wait_that_is_asked_for() {
    let check = |status: u16, headers: &'static str, after: Option<u64>, is_uncertain: bool| {
        let server = Server::start(move |_| Some((status, headers, "busy".to_owned())));
        let store = store(&settings(Kind::VictoriaMetrics, &server.url));
        let unsent = wait(store.send(&series(1, &[1]), Limits::Exact, NOW)).unwrap_err();
        let WriteError::Later { after: asked, uncertain, what, is_away: false } = unsent.error else {
            panic!("{status}")
        };
        assert_eq!((asked, uncertain), (after.map(Duration::from_secs), is_uncertain), "{status}: {what}");
        assert!(what.contains(&status.to_string()), "{what}");
    };
    check(503, "", None, true);
    check(429, "Retry-After: 7\r\n", Some(7), true);
    check(500, "Retry-After: Tue, 14 Nov 2023 22:14:20 GMT\r\n", Some(60), true);
    check(401, "", None, false);
    check(404, "", None, false);
    check(302, "Location: http://192.0.2.1/\r\n", None, false);
}

#[test]
fn a_store_that_is_away_has_taken_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = store(&settings(Kind::VictoriaMetrics, &format!("http://{free}")));
    let unsent = wait(store.send(&series(1, &[1]), Limits::Exact, NOW)).unwrap_err();
    assert!(
        matches!(unsent.error, WriteError::Later { uncertain: false, after: None, is_away: true, .. }),
        "{unsent:?}"
    );
    let question = Question { path: &["query"], form: String::new(), is_form: true, time_max: Duration::from_secs(5) };
    let error = wait(store.ask(&question)).unwrap_err().to_string();
    assert!(error.contains(&free.to_string()) && error.contains("watchkeeper doctor"), "{error}");
}

#[test]
fn answers_are_handed_on_only_where_they_are_answers() {
    let check = |status: u16, body: &'static str, expected: &str| {
        let server = Server::start(move |_| Some((status, "", body.to_owned())));
        let store = store(&settings(Kind::Prometheus, &server.url));
        let question =
            Question { path: &["query"], form: String::new(), is_form: true, time_max: Duration::from_secs(5) };
        let told = match wait(store.ask(&question)) {
            Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(expected), "{status} {body}: {told}");
    };
    check(200, "{}", "200 {}");
    check(400, r#"{"status":"error"}"#, "400 {");
    check(400, "<html>", "check [storage.outside_metrics]");
    check(200, "<html>", "check [storage.outside_metrics]");
    check(401, "{}", "answered 401; check");
    check(503, "overloaded", "overloaded");
}

#[test]
fn addresses_that_cannot_be_are_refused_and_repeat_no_secret() {
    let refused = |url: &str| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        OutsideStore::new(&settings(Kind::Mimir, url)).unwrap_err().to_string()
    };
    for wrong in ["store:9009", "ftp://store", "http://", "http://store/?tenant=a"] {
        assert!(refused(wrong).contains("is no address"), "{wrong}");
    }
    let told = refused("http://me:hunter2@store");
    assert!(told.contains("keys of their own") && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_batch_brings_samples_in_order_each_time_once_and_leaves_out_the_future() {
    let mut batch = Batch::default();
    let minute = DurationMs::from_mins(1);
    let mut twice = series(1, &[30, 10]);
    twice[0].samples.push(Sample::new(UtcMs(10), 99.0));
    batch.add(&twice, UtcMs(0), minute);
    batch.add(&series(2, &[20, 60_001]), UtcMs(0), minute);
    assert_eq!((batch.samples(), batch.future()), (5, 2));
    let all = batch.into_series();
    let times = |name: &str| {
        let found = all.iter().find(|one| one.series.labels.name() == name).unwrap();
        found.samples.iter().map(|sample| (sample.time.0, sample.value)).collect::<Vec<_>>()
    };
    assert_eq!(times("m0"), [(10, 0.0), (20, 0.0), (30, 0.0)]);
    assert_eq!(times("m1"), [(20, 1.0)]);
}

#[test]
fn stale_markers_go_out_bit_for_bit() {
    let server = Server::start(|_| None);
    let store = store(&settings(Kind::Prometheus, &server.url));
    let mut marked = series(1, &[]);
    marked[0].samples.push(Sample::new(UtcMs(5), f64::from_bits(wk_types::series::STALE_NAN_BITS)));
    wait(store.send(&marked, Limits::Exact, NOW)).unwrap();
    let sent = plain(&server.requests()[0]);
    let marker = wk_types::series::STALE_NAN_BITS.to_le_bytes();
    assert!(sent.windows(8).any(|window| window == marker));
}
