//! Real SNMP agents, trap senders and flow exporters on loopback: net-snmp and softflowd.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Ended, Node, Read, free_port, peer, until};

const WITHIN: Duration = Duration::from_secs(30);

/// A program of net-snmp that reads no configuration and no MIB but what it is given.
fn net_snmp(test: &str, path: &str, folder: &Path) -> Option<Command> {
    let mut command = peer(test, path)?;
    command.env("MIBS", "").env("SNMPCONFPATH", folder).env("SNMP_PERSISTENT_DIR", folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Some(command)
}

/// Starts an agent with a community and a user whose messages are encrypted.
fn snmpd(test: &str, folder: &Path, port: u16) -> Option<Ended> {
    let mut command = net_snmp(test, "usr/sbin/snmpd", folder)?;
    let file = folder.join("agent.conf");
    let config = "rocommunity public 127.0.0.1\nsysName deck-5\nsysLocation \"Deck 5, frame 40\"\nsysServices 72\n\
                  createUser watch SHA-256 \"authentication\" AES \"encryption\"\nrouser watch priv\n";
    std::fs::write(&file, config).unwrap();
    let child = command
        .args(["-f", "-Lf"])
        .arg(folder.join("agent.log"))
        .args(["-C", "-c"])
        .arg(&file)
        .arg(format!("udp:127.0.0.1:{port}"))
        .spawn()
        .unwrap();
    Some(Ended(child))
}

fn write_secrets(folder: &Path) {
    for (name, text) in [("community", "public"), ("authentication", "authentication"), ("privacy", "encryption")] {
        std::fs::write(folder.join(name), format!("{text}\n")).unwrap();
    }
}

/// Credentials whose secrets stand in `folder`.
fn credentials(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[[snmp.credential]]\nname = \"plain\"\nversion = \"v2c\"\ncommunity_file = \"{folder}/community\"\n\
         [[snmp.credential]]\nname = \"old\"\nversion = \"v1\"\ncommunity_file = \"{folder}/community\"\n\
         [[snmp.credential]]\nname = \"secret\"\nversion = \"v3\"\nuser = \"watch\"\nauthentication = \"sha256\"\n\
         authentication_password_file = \"{folder}/authentication\"\nprivacy = \"aes\"\n\
         privacy_password_file = \"{folder}/privacy\"\n"
    )
}

/// The value of a query's only series, if it has one.
fn value(read: &Read, query: &str) -> Option<f64> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = read.get(&format!("/api/v1/query?query={encoded}"));
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn a_real_agent_is_polled_by_every_version() {
    let name = "a_real_agent_is_polled_by_every_version";
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let Some(_agent) = snmpd(name, folder.path(), port) else { return };
    write_secrets(folder.path());
    for credential in ["old", "plain", "secret"] {
        let device = format!(
            "[snmp]\ninterval_s = 1\n{}[[snmp.device]]\naddress = \"127.0.0.1\"\nport = {port}\ncredential = \"{credential}\"\nasset = \"deck-5\"\n",
            credentials(folder.path())
        );
        let read = Read::new(Node::start(&device));
        let query = |query: &str| until(WITHIN, &format!("{credential}: {query}"), || value(&read, query));
        assert_eq!(query("snmp_poll_complete"), 1.0, "{credential}");
        assert_eq!(query("snmp_system_info{sysName=\"deck-5\", sysLocation=\"Deck 5, frame 40\"}"), 1.0);
        assert_eq!(query("ifOperStatus{ifDescr=\"lo\"}"), 1.0);
        assert!(query("ifHCInOctets_total{ifDescr=\"lo\"}") > 0.0);
        assert!(query("hrStorageSize{hrStorageDescr=\"Physical memory\"}") > 0.0);
        assert!(query("rate(snmpInPkts_total[10s]) > 0") > 0.0);
    }
}

#[test]
fn a_real_agent_that_ends_is_down() {
    let name = "a_real_agent_that_ends_is_down";
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let Some(agent) = snmpd(name, folder.path(), port) else { return };
    write_secrets(folder.path());
    let device = format!(
        "[snmp]\ninterval_s = 1\ntimeout_ms = 300\nretries = 0\n{}[[snmp.device]]\naddress = \"127.0.0.1\"\nport = {port}\ncredential = \"plain\"\n",
        credentials(folder.path())
    );
    let read = Read::new(Node::start(&device));
    until(WITHIN, "the agent is up", || value(&read, "up{job=\"snmp\"} == 1"));
    drop(agent);
    until(WITHIN, "the agent is down", || value(&read, "up{job=\"snmp\"} == 0"));
    let gone = until(WITHIN, "its series end", || value(&read, "absent(ifOperStatus)"));
    assert_eq!(gone, 1.0);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, a notification after the other")]
fn real_traps_and_informs_become_log_messages() {
    let name = "real_traps_and_informs_become_log_messages";
    let folder = tempfile::tempdir().unwrap();
    if net_snmp(name, "usr/bin/snmptrap", folder.path()).is_none() {
        return;
    }
    write_secrets(folder.path());
    let port = free_port();
    let traps = format!(
        "{}[snmp.traps]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\ncredentials = [\"plain\", \"secret\"]\n",
        credentials(folder.path())
    );
    let node = Node::start(&traps);
    let to = format!("127.0.0.1:{port}");
    let send = |program: &str, arguments: &[&str]| {
        let mut command = net_snmp(name, "usr/bin/snmptrap", folder.path()).unwrap();
        if program == "inform" {
            command.args(["-Ci", "-r", "3", "-t", "5"]);
        }
        command.args(arguments).status().unwrap().success()
    };
    let secret = [
        "-v",
        "3",
        "-u",
        "watch",
        "-l",
        "authPriv",
        "-a",
        "SHA-256",
        "-A",
        "authentication",
        "-x",
        "AES",
        "-X",
        "encryption",
    ];
    let link_down = [
        to.as_str(),
        "",
        "1.3.6.1.6.3.1.1.5.3",
        "1.3.6.1.2.1.2.2.1.1.3",
        "i",
        "3",
        "1.3.6.1.2.1.2.2.1.2.3",
        "s",
        "ge-0/0/3",
    ];
    let v1 = ["-v", "1", "-c", "public", to.as_str(), "1.3.6.1.4.1.318", "10.0.0.7", "6", "5", "42"];
    assert!(send("trap", &v1));
    assert!(send("trap", &[&["-v", "2c", "-c", "public"][..], &link_down].concat()));
    assert!(send("inform", &[&["-v", "2c", "-c", "public"][..], &link_down].concat()));
    assert!(send("trap", &[&secret[..], &["-e", "0x8000000001020304"], &link_down].concat()));
    assert!(send("inform", &[&secret[..], &link_down].concat()));
    assert!(!send("inform", &[&["-v", "2c", "-c", "wrong"][..], &["-r", "0", "-t", "1"], &link_down].concat()));
    let wrong = secret.map(|word| if word == "authentication" { "something else" } else { word });
    assert!(!send("inform", &[&wrong[..], &["-r", "0", "-t", "1"], &link_down].concat()));

    let rows = until(WITHIN, "five notifications", || {
        let rows = node.sql("select message, severity from logs where app = 'snmptrap' order by message");
        (rows.len() == 5).then_some(rows)
    });
    let texts: Vec<(&str, &str)> =
        rows.iter().map(|row| (row[0].as_str().unwrap(), row[1].as_str().unwrap())).collect();
    assert_eq!(texts[..4], [("linkDown ifIndex=3 ifDescr=ge-0/0/3", "minor"); 4]);
    assert_eq!(texts[4], ("upsOnBattery", "critical"));
    let source = node.source("snmp-traps");
    let rejected: Vec<&str> =
        source["rejected"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert!(
        rejected.contains(&"community is not configured") && rejected.contains(&"authentication failed"),
        "{source}"
    );
    assert_eq!(source["lost"], Value::Array(Vec::new()));
}

/// A capture file with packets of a TCP and a UDP conversation: bytes on IP level and packets.
fn capture(path: &Path) -> (u64, u64) {
    let mut file: Vec<u8> = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    let (mut bytes, mut packets) = (0, 0);
    for number in 0..60_u32 {
        let (protocol, ports, length) =
            if number % 3 == 0 { (17, [53_u16, 40_000], 200_u16) } else { (6, [443, 50_000], 1_000) };
        let mut packet = vec![0_u8; 12];
        packet.extend([0x08, 0x00, 0x45, 0]);
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        ports.iter().for_each(|port| packet.extend(port.to_be_bytes()));
        packet.extend([0; 8]);
        packet.extend([0x50, 0x10]);
        packet.resize(usize::from(length) + 14, 0);
        for word in [1_700_000_000 + number, 0, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&packet);
        bytes += u64::from(length);
        packets += 1;
    }
    std::fs::write(path, file).unwrap();
    (bytes, packets)
}

#[test]
fn a_real_exporter_speaks_netflow_5_and_9_and_ipfix() {
    let name = "a_real_exporter_speaks_netflow_5_and_9_and_ipfix";
    let folder = tempfile::tempdir().unwrap();
    if peer(name, "usr/sbin/softflowd").is_none() {
        return;
    }
    let file = folder.path().join("capture.pcap");
    let (bytes, packets) = capture(&file);
    for version in ["5", "9", "10"] {
        let port = free_port();
        let mut node = Node::start(&format!("[flows]\nnetflow_listen = [\"127.0.0.1:{port}\"]\n"));
        let status = peer(name, "usr/sbin/softflowd")
            .unwrap()
            .arg("-r")
            .arg(&file)
            .args(["-n", &format!("127.0.0.1:{port}"), "-v", version])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "version {version}: {status}");
        until(WITHIN, "flow records", || node.source("netflow")["received"].as_u64().filter(|received| *received >= 2));
        // Ending the node ends the minute.
        node.terminate();
        node.launch();
        node.wait_ready();
        let read = Read::new(node);
        let sum = |query: &str| until(WITHIN, &format!("version {version}: {query}"), || value(&read, query));
        assert_eq!(sum("last_over_time(flow_exporter_bytes_total[5m])"), bytes as f64, "version {version}");
        assert_eq!(sum("last_over_time(flow_exporter_packets_total[5m])"), packets as f64);
        assert_eq!(
            sum("last_over_time(flow_bytes_total{protocol=\"tcp\", port=\"443\", src=\"10.0.0.1\"}[5m])"),
            40_000.0
        );
        assert_eq!(sum("last_over_time(flow_exporter_lost_total[5m])"), 0.0);
    }
}
