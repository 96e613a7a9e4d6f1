//! Interop: `psql` and a driver of PostgreSQL (tokio-postgres: extended protocol, binary values) ask a node, and what
//! speaks no PostgreSQL at all is let go.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::types::Type;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::harness::{Ended, Node, Read, free_port, until};

/// Counts for ever.
const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";

/// A node's address for PostgreSQL clients, and a token to ask it with.
pub struct Postgres {
    pub port: u16,
    pub token: String,
}

/// The lines that make a node serve PostgreSQL clients, and where.
pub fn configured() -> (String, u16) {
    let port = free_port();
    (format!("[postgres]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\n"), port)
}

impl Postgres {
    fn start() -> (Node, Self) {
        let (lines, port) = configured();
        let node = Node::start(&lines);
        let lines: Vec<String> = (0..3)
            .map(|at| json!({"message": format!("line {at}"), "severity": "info", "app": "vsat", "host": "localhost", "time": "2026-11-24T02:14:00Z"}).to_string())
            .collect();
        assert_eq!(node.send_logs(&lines.join("\n")).0, 200);
        let token = node.token("viewer");
        (node, Self { port, token })
    }

    fn psql(&self, more: &[&str]) -> Command {
        let mut command = Command::new("psql");
        let port = self.port.to_string();
        command.args(["-X", "-A", "-h", "127.0.0.1", "-U", "eto", "-d", "watchkeeper", "-p", &port]).args(more);
        command.env("PGPASSWORD", &self.token).env("PGCONNECT_TIMEOUT", "10").env("PGSSLMODE", "disable");
        command
    }

    /// What psql prints for a command, without headers.
    fn asked(&self, command: &str) -> String {
        let output = self.psql(&["-t", "-v", "VERBOSITY=verbose", "-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What psql says of a command that is refused.
    fn refused(&self, command: &str) -> String {
        let output = self.psql(&["-t", "-v", "VERBOSITY=verbose", "-c", command]).output().unwrap();
        assert!(!output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
        said(&output)
    }

    /// A driver's session.
    pub fn connect(&self) -> Driver {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address =
            format!("host=127.0.0.1 port={} user=grafana dbname=watchkeeper password={}", self.port, self.token);
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Driver { runtime, client }
    }
}

/// A session of a driver.
pub struct Driver {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Driver {
    /// The rows that the simple protocol answers, as texts.
    pub fn simple(&self, query: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        let messages = self.runtime.block_on(self.client.simple_query(query))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The rows that the extended protocol answers, as binary values.
    pub fn prepared(
        &self,
        query: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        self.runtime.block_on(self.client.query(query, values))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", tokio_postgres::error::SqlState::code)
}

#[test]
fn psql_asks_what_the_http_interface_answers() {
    let (_node, postgres) = Postgres::start();
    assert_eq!(
        postgres.asked("SELECT time, app, message, severity FROM logs ORDER BY message LIMIT 1"),
        "2026-11-24 02:14:00.000+00|vsat|line 0|info"
    );
    assert_eq!(postgres.asked("SELECT app, count(*) FROM logs WHERE app = 'vsat' GROUP BY app"), "vsat|3");
    assert_eq!(postgres.asked("SELECT 1.5, NULL, 'a|b'"), "1.5||a|b");
    assert_eq!(postgres.asked("BEGIN; SELECT count(*) FROM incidents; COMMIT"), "BEGIN\n0\nCOMMIT");
    assert_eq!(postgres.asked("SET extra_float_digits = 3"), "SET");
    assert_eq!(postgres.asked("SHOW server_encoding"), "UTF8");
    assert_eq!(postgres.asked("SELECT current_schema(), current_user"), "public|eto");
    assert!(postgres.asked("SELECT version()").contains("Watchkeeper"));
    assert_eq!(postgres.asked("-- ping"), "");
}

#[test]
fn psql_lists_and_describes_tables() {
    let (_node, postgres) = Postgres::start();
    let tables = postgres.asked("\\d");
    for table in ["assets", "incidents", "logs", "metrics_1h", "metrics_5m", "signals"] {
        assert!(tables.contains(&format!("public|{table}|view|watchkeeper")), "{tables}");
    }
    let logs = postgres.asked("\\d logs");
    assert!(logs.contains("time|timestamp with time zone") && logs.contains("message|text"), "{logs}");
    let metrics = postgres.asked("\\d metrics_5m");
    assert!(metrics.contains("avg|double precision") && metrics.contains("count|bigint"), "{metrics}");
    assert!(postgres.asked("\\dt metric*").contains("metrics_5m"));
    assert!(!postgres.asked("\\di").contains("logs"), "there are no indexes");
    let missing = postgres.psql(&["-c", "\\d nothing"]).output().unwrap();
    assert!(said(&missing).contains("Did not find any relation named \"nothing\""), "{}", said(&missing));
    assert!(postgres.refused("\\du").contains("0A000"));
}

#[test]
fn what_is_wrong_has_its_sqlstate() {
    let (_node, postgres) = Postgres::start();
    for (command, code) in [
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT absent FROM logs", "42703"),
        ("SELECT absent(1)", "42883"),
        ("SELECT", "42601"),
        ("DELETE FROM logs", "42501"),
        ("DROP TABLE logs", "42501"),
        ("ATTACH 'a' AS b", "42501"),
        ("SHOW shared_buffers", "42704"),
        ("SELECT * FROM pg_catalog.pg_roles", "0A000"),
        ("COPY logs TO STDOUT", "42601"),
    ] {
        let said = postgres.refused(command);
        assert!(said.contains(&format!("ERROR:  {code}:")), "{command}: {said}");
    }
    let script = "BEGIN; SELECT absent; ";
    let driver = postgres.connect();
    assert_eq!(code(&driver.simple(script).unwrap_err()), "42703");
    assert_eq!(code(&driver.simple("SELECT 1").unwrap_err()), "25P02");
    driver.simple("ROLLBACK").unwrap();
    assert_eq!(driver.simple("SELECT 1").unwrap(), [[Some("1".to_owned())]]);
}

#[test]
fn nobody_asks_without_a_token_that_may_read() {
    let (node, mut postgres) = Postgres::start();
    let good = postgres.token.clone();
    postgres.token = "wk_wrong".to_owned();
    assert!(postgres.refused("SELECT 1").contains("watchkeeper token create"));
    postgres.token = node.token("ingest");
    assert!(postgres.refused("SELECT 1").contains("needs the role viewer"));
    postgres.token = good;
    let made = node.cli_json(&["token", "create", "--role", "viewer"]);
    let other = Postgres { port: postgres.port, token: made["secret"].as_str().unwrap().to_owned() };
    let driver = other.connect();
    driver.simple("SELECT 1").unwrap();
    let revoked = node.cli(&["token", "revoke", made["id"].as_str().unwrap()]);
    assert!(revoked.status.success(), "{}", said(&revoked));
    assert_eq!(code(&driver.simple("SELECT 1").unwrap_err()), "28P01", "a revoked token ends at the next statement");
    assert_eq!(postgres.asked("SELECT 1"), "1");
    let counts = node.cli_json(&["pipeline"])["sql_clients"].clone();
    assert!(counts["refused"].as_u64() >= Some(2) && counts["statements"].as_u64() >= Some(3), "{counts}");
}

#[test]
fn a_driver_prepares_statements_with_parameters_and_reads_binary_values() {
    let (_node, postgres) = Postgres::start();
    let driver = postgres.connect();
    let rows =
        driver.prepared("SELECT count(*) AS lines, 1.5 AS half, app, min(time) FROM logs GROUP BY app", &[]).unwrap();
    let types: Vec<&Type> = rows[0].columns().iter().map(tokio_postgres::Column::type_).collect();
    assert_eq!(types, [&Type::INT8, &Type::FLOAT8, &Type::TEXT, &Type::TEXT]);
    assert_eq!((rows[0].get::<_, i64>(0), rows[0].get::<_, f64>(1), rows[0].get::<_, &str>(2)), (3, 1.5, "vsat"));
    let query = "SELECT message, time FROM logs WHERE app = $1 AND message > $2 ORDER BY message";
    let rows = driver.prepared(query, &[&"vsat", &"line 0"]).unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, &str>(0)).collect::<Vec<_>>(), ["line 1", "line 2"]);
    assert_eq!(rows[0].columns()[1].type_(), &Type::TIMESTAMPTZ);
    let time: std::time::SystemTime = rows[0].get(1);
    assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap(), Duration::from_secs(1_795_486_440));
    let statement =
        driver.runtime.block_on(driver.client.prepare_typed("SELECT $1 + 1 AS more", &[Type::INT8])).unwrap();
    let rows = driver.runtime.block_on(driver.client.query(&statement, &[&41_i64])).unwrap();
    assert_eq!(rows[0].get::<_, &str>(0), "42", "what is computed of parameters is text");
    assert_eq!(code(&driver.prepared("SELECT ?", &[&"a"]).unwrap_err()), "42601");
    let rows = driver.prepared("SELECT 2", &[]).unwrap();
    assert_eq!(rows[0].get::<_, i64>(0), 2, "the session goes on after an error");
}

#[test]
fn rows_come_a_part_at_a_time() {
    let (_node, postgres) = Postgres::start();
    let mut driver = postgres.connect();
    let seen: Vec<usize> = driver.runtime.block_on(async {
        let transaction = driver.client.transaction().await.unwrap();
        let portal = transaction.bind("SELECT message FROM logs ORDER BY message", &[]).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(transaction.query_portal(&portal, 2).await.unwrap().len());
        }
        transaction.commit().await.unwrap();
        seen
    });
    assert_eq!(seen, [2, 1, 0]);
}

#[test]
fn rows_beyond_the_limit_are_left_out_with_a_warning() {
    let (_node, postgres) = Postgres::start();
    let many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 10005) SELECT x FROM c";
    let output = postgres.psql(&["-t", "-c", many]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end().lines().count(), 10_000);
    assert!(said(&output).contains("WARNING:  the answer ends after 10000 rows"), "{}", said(&output));
}

#[test]
fn a_statement_is_stopped_after_its_time() {
    let (_node, postgres) = Postgres::start();
    let began = Instant::now();
    let said = postgres.refused(ENDLESS);
    assert!(said.contains("57014") && said.contains("stopped after 30"), "{said}");
    // A busy machine takes its time to tell, but it is not told before.
    assert!((25..90).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[test]
fn ctrl_c_in_psql_stops_the_statement() {
    let (node, postgres) = Postgres::start();
    let child = postgres.psql(&["-c", ENDLESS]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Ended(child);
    let read = Read { token: postgres.token, node };
    until(Duration::from_secs(25), "the statement runs", || {
        (read.get("/api/v1/pipeline")["sql_clients"]["statements"] == 1).then_some(())
    });
    let began = Instant::now();
    // psql asks the node to cancel as soon as it has sent the statement.
    let told = until(Duration::from_secs(10), "psql has ended", || {
        let sent = Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        child.0.try_wait().unwrap()?;
        let mut told = String::new();
        child.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        Some(told)
    });
    assert!(told.contains("the query was cancelled"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn tls_is_spoken_where_it_is_set_up() {
    let port = free_port();
    let node = Node::start(&format!("[postgres]\nenabled = true\nlisten = \"0.0.0.0:{port}\"\n"));
    let postgres = Postgres { port, token: node.token("viewer") };
    let authority = node.data().join("tls/authority.pem");
    let mut psql = postgres.psql(&["-t", "-c", "\\conninfo", "-c", "SELECT 7"]);
    let output = psql.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", authority).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("SSL connection") && text.trim_end().ends_with('7'), "{text} {}", said(&output));
    assert_eq!(postgres.asked("SELECT 8"), "8", "on loopback the clear will do");
}

#[test]
fn a_node_without_tls_says_so_to_who_wants_it() {
    let (_node, postgres) = Postgres::start();
    let output = postgres.psql(&["-c", "SELECT 1"]).env("PGSSLMODE", "require").output().unwrap();
    assert!(said(&output).contains("server does not support SSL"), "{}", said(&output));
}

/// Sends bytes, and answers what comes until the connection ends.
fn sent(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    // A connection that is reset has ended as well.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn bytes_that_are_no_startup_are_refused_and_harm_nobody() {
    let (node, postgres) = Postgres::start();
    let startup = |body: &[u8]| [&(body.len() as i32 + 4).to_be_bytes()[..], body].concat();
    let ssl = startup(&80_877_103_i32.to_be_bytes());
    let version3 = |rest: &[u8]| startup(&[&[0, 3, 0, 0][..], rest].concat());
    let hostile: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: ship\r\n\r\n".to_vec(),
        vec![0; 4],
        vec![0xff; 64],
        0x7fff_ffff_i32.to_be_bytes().to_vec(),
        vec![0, 0, 0, 8, 0, 0, 0, 0],
        version3(b"user"),
        version3(b"\0"),
        version3(b"database\0x\0\0"),
        startup(&[0, 2, 0, 0, b'u', 0]),
        [ssl.clone(), ssl.clone(), ssl.clone(), ssl].concat(),
        startup(&[&80_877_102_i32.to_be_bytes()[..], &[0; 3]].concat()),
        startup(&[&80_877_102_i32.to_be_bytes()[..], &[0; 400]].concat()),
        // A query in place of the password, and a password of a gigabyte.
        [version3(b"user\0a\0\0"), b"Q\0\0\0\x0dSELECT 1\0".to_vec()].concat(),
        [version3(b"user\0a\0\0"), vec![b'p', 0x3f, 0xff, 0xff, 0xff]].concat(),
        [version3(b"user\0a\0\0"), vec![b'p', 0, 0, 0, 0]].concat(),
        // TLS without asking for it.
        vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3],
    ];
    for bytes in &hostile {
        let answer = sent(postgres.port, bytes);
        assert!(!answer.windows(9).any(|part| part == b"R\0\0\0\x08\0\0\0\0"), "{bytes:?} is let in");
    }
    let refused = sent(postgres.port, &version3(b"user\0a\0\0"));
    assert_eq!(refused[0], b'R', "a proper startup is asked for its password");
    assert_eq!(postgres.asked("SELECT 1"), "1");
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn messages_that_are_none_end_a_session_with_a_reason() {
    let (node, postgres) = Postgres::start();
    let startup = b"\0\0\0\x10\0\x03\0\0user\0a\0\0".to_vec();
    let password = [
        b"p".to_vec(),
        (postgres.token.len() as i32 + 5).to_be_bytes().to_vec(),
        postgres.token.clone().into_bytes(),
        vec![0],
    ]
    .concat();
    let signed_in = [startup, password].concat();
    for (message, code) in [
        (vec![b'Q', 0, 0, 0, 5, b'x'], "08P01"),
        (vec![b'B', 0, 0, 0, 6, 0, 0], "08P01"),
        (vec![b'P', 0, 0, 0, 8, 0, 0, 0xff, 0xff], "08P01"),
        (vec![b'Q', 0x7f, 0xff, 0xff, 0xff], "54000"),
        (vec![b'~', 0, 0, 0, 4], "08P01"),
    ] {
        let answer = sent(postgres.port, &[&signed_in[..], &message].concat());
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.contains("FATAL") && text.contains(code), "{message:?}: {text}");
    }
    assert_eq!(postgres.asked("SELECT 1"), "1");
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn one_client_too_many_is_told_so() {
    let (_node, postgres) = Postgres::start();
    let drivers: Vec<Driver> = (0..32).map(|_| postgres.connect()).collect();
    assert!(postgres.refused("SELECT 1").contains("32 clients are connected"));
    drop(drivers);
    until(Duration::from_secs(10), "there is room again", || {
        postgres.psql(&["-c", "SELECT 1"]).output().unwrap().status.success().then_some(())
    });
}

#[test]
fn nothing_listens_unless_it_is_configured() {
    let node = Node::start("");
    assert_eq!(node.cli_json(&["pipeline"])["sql_clients"], serde_json::Value::Null);
}
