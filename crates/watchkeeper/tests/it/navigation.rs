//! Navigation and devices: real gpsd fed by gpsfake, a real mosquitto, sentences over UDP, and the sea mode by hand.

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Ended, Node, free_port, peer, until};

const SOON: Duration = Duration::from_secs(40);

/// The values of a query, as texts.
fn values(node: &Node, query: &str) -> Vec<String> {
    let answer = node.cli_json(&["query", "promql", query]);
    let rows = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().map(|row| row["value"][1].as_str().unwrap().to_owned()).collect()
}

fn value(node: &Node, query: &str) -> f64 {
    let found = until(SOON, query, || values(node, query).first().cloned());
    found.parse().unwrap()
}

fn sealed(body: &str) -> String {
    let sum = body.bytes().fold(0_u8, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02X}\r\n")
}

/// gpsfake with the daemon it starts; told to stop it ends that too, and after its log it ends by itself.
struct Fake(Child);

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_gpsd_is_read() {
    let name = "a_real_gpsd_is_read";
    let (Some(_), Some(mut fake)) = (peer(name, "usr/sbin/gpsd"), peer(name, "usr/bin/gpsfake")) else { return };
    let port = free_port();
    let node = Node::start(&format!("[[gpsd]]\nname = \"gps\"\naddress = \"127.0.0.1:{port}\"\nresolution_s = 1\n"));
    let mut log = String::new();
    for second in 0..300 {
        let time = format!("12{:02}{:02}.00", second / 60, second % 60);
        let place = format!("5430.{:04},N,01008.5000,E", 1_000 + second);
        let _ = write!(log, "{}", sealed(&format!("GPRMC,{time},A,{place},12.4,045.0,010626,,,A")));
        let _ = write!(log, "{}", sealed(&format!("GPGGA,{time},{place},1,09,0.9,10.0,M,46.9,M,,")));
    }
    let file = node.dir().join("voyage.nmea");
    std::fs::write(&file, log).unwrap();
    let root = std::env::var_os("WATCHKEEPER_PEERS").map(PathBuf::from).unwrap_or_default();
    let fake = fake
        .env("PYTHONPATH", root.join("usr/lib/python3/dist-packages"))
        .env("GPSD_HOME", root.join("usr/sbin"))
        .args(["-1", "-n", "-q", "-c", "0.05", "-P", &port.to_string()])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _fake = Fake(fake.unwrap());
    let latitude = value(&node, "vessel_position_latitude_degrees{job=\"gpsd\"}");
    assert!((54.501..54.51).contains(&latitude), "{latitude}");
    let speed = value(&node, "vessel_speed_over_ground_knots");
    assert!((speed - 12.4).abs() < 0.01, "{speed}");
    assert!((value(&node, "vessel_course_over_ground_degrees") - 45.0).abs() < 0.1);
    // The log is of another day than the node's clock, and that is told.
    assert!(value(&node, "abs(vessel_gnss_time_offset_seconds)") > 3_600.0);
    until(SOON, "the source is up", || values(&node, "up{job=\"gpsd\"}").contains(&"1".to_owned()).then_some(()));
}

fn mosquitto(test: &str, port: u16, dir: &std::path::Path) -> Option<Ended> {
    let config = dir.join("mosquitto.conf");
    // The peers are unpacked, so that there is no user "mosquitto" to become.
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    std::fs::write(
        &config,
        format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser {user}\n"),
    )
    .unwrap();
    let mut broker = peer(test, "usr/sbin/mosquitto")?;
    let log = std::fs::File::create(dir.join("mosquitto.log")).unwrap();
    let broker = Ended(broker.arg("-c").arg(config).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    until(SOON, "the broker listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    Some(broker)
}

fn publish(test: &str, port: u16, topic: &str, message: &str) {
    let mut client = peer(test, "usr/bin/mosquitto_pub").unwrap();
    let status =
        client.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic, "-m", message]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_real_broker_is_read_and_keeps_what_is_published_while_the_node_is_away() {
    let name = "a_real_broker_is_read";
    let port = free_port();
    let mut node = Node::prepare(&format!(
        "[[mqtt]]\nname = \"broker\"\nurl = \"mqtt://127.0.0.1:{port}\"\n\
         [[mqtt.topic]]\nfilter = \"engine/+/temperature\"\nmetric = \"engine_temperature_celsius\"\nlabels = {{ engine = \"{{1}}\" }}\nvalue = \"/value\"\n\
         [[mqtt.topic]]\nfilter = \"alarms/#\"\napp = \"alarms\"\nmessage = \"/text\"\nseverity = \"/level\"\n"
    ));
    let Some(_broker) = mosquitto(name, port, node.dir()) else { return };
    node.launch();
    node.wait_ready();
    until(SOON, "a message arrives", || {
        publish(name, port, "engine/main/temperature", r#"{"value": 81.5}"#);
        values(&node, "engine_temperature_celsius{engine=\"main\"}").first().cloned()
    });
    publish(name, port, "alarms/engine", r#"{"text": "oil pressure low", "level": "major"}"#);
    publish(name, port, "engine/main/temperature", "hot");
    let alarms = "SELECT count(*) FROM logs WHERE app = 'alarms' AND severity = 'major'";
    until(SOON, "the alarm is stored", || (node.count(alarms) == 1).then_some(()));
    until(SOON, "the bad message is counted", || (node.rejected("mqtt-broker") >= 1).then_some(()));
    node.terminate();
    publish(name, port, "alarms/bilge", r#"{"text": "bilge high", "level": "major"}"#);
    publish(name, port, "engine/aux/temperature", r#"{"value": 40}"#);
    node.launch();
    node.wait_ready();
    until(SOON, "what was published meanwhile is stored", || (node.count(alarms) == 2).then_some(()));
    assert_eq!(value(&node, "engine_temperature_celsius{engine=\"aux\"}"), 40.0);
}

#[test]
fn sentences_over_udp_are_read_and_the_sea_mode_is_set_by_hand() {
    let port = free_port();
    let node = Node::start(&format!("[[nmea]]\nname = \"bridge\"\nudp = [\"127.0.0.1:{port}\"]\nresolution_s = 1\n"));
    let talker = UdpSocket::bind("127.0.0.1:0").unwrap();
    talker.set_nonblocking(true).unwrap();
    until(SOON, "the heading is stored", || {
        talker.send_to(sealed("HEHDT,062.0,T").as_bytes(), ("127.0.0.1", port)).unwrap();
        values(&node, "vessel_heading_true_degrees{instance=\"bridge\"}").first().cloned()
    });
    assert!(talker.recv(&mut [0; 64]).is_err(), "nothing is sent to the talker");
    let state = node.cli_json(&["sea-mode"]);
    assert_eq!((&state["mode"], &state["by_hand"]), (&"unknown".into(), &false.into()));
    assert!(!node.cli(&["sea-mode", "sideways"]).status.success());
    node.cli_json(&["sea-mode", "at_sea", "--for", "4h"]);
    let state = until(SOON, "the mode is in force", || {
        let state = node.cli_json(&["status"])["sea_mode"].clone();
        (state["mode"] == "at_sea").then_some(state)
    });
    assert!(state["by_hand"] == true && state["until"].is_i64() && state["derived"] == "unknown", "{state}");
    let entries = node.cli_json(&["journal", "list", "--kind", "sea_mode_changed"]).to_string();
    assert!(entries.contains("set by hand"), "{entries}");
    until(SOON, "the series says so", || {
        let found = values(&node, "vessel_sea_mode{mode=\"at_sea\"} == 1");
        (!found.is_empty()).then_some(())
    });
    node.cli_json(&["sea-mode", "auto"]);
    until(SOON, "the mode is given back", || (node.cli_json(&["sea-mode"])["by_hand"] == false).then_some(()));
}
