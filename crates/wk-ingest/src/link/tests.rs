use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::starlink::{History, Response, fields_of, seconds_since};
use super::*;
use crate::testing::{context, series_text};

mod devices;

fn shipped(name: &str) -> Profile {
    Profile::find(name, &[]).unwrap()
}

fn refused(text: &str) -> String {
    Profile::parse("own.toml", text).unwrap_err().to_string()
}

#[test]
fn the_shipped_profiles_are_read_and_say_where_they_come_from() {
    for profile in Profile::shipped() {
        assert!(!profile.origin.is_empty() && !profile.title.is_empty(), "{}", profile.name);
    }
    let error = Profile::find("nonsense", &[]).unwrap_err().to_string();
    assert_eq!(error, "there is no profile \"nonsense\"; there are starlink, peplink, idirect-nms");
}

#[test]
fn own_profiles_go_before_shipped_ones_and_mistakes_are_told() {
    let own = "format = 1\nname = \"starlink\"\ntitle = \"mine\"\ntransport = \"http_json\"\n[[request]]\npath = \"/a\"\n[[request.field]]\nfrom = \"/b\"\nkpi = \"link_snr_db\"\n";
    let own = Profile::parse("own.toml", own).unwrap();
    assert_eq!(Profile::find("starlink", &[own]).unwrap().title, "mine");
    let with = |transport: &str, path: &str, from: &str| {
        refused(&format!(
            "format = 1\nname = \"a\"\ntitle = \"\"\ntransport = \"{transport}\"\n[[request]]\npath = '{path}'\n[[request.field]]\nfrom = \"{from}\"\nkpi = \"link_snr_db\"\n"
        ))
    };
    insta::assert_snapshot!(with("http_json", "a", "/b"), @r#"could not read the profile "own.toml": path "a" must begin with /"#);
    insta::assert_snapshot!(with("http_json", "/a", "b"), @r#"could not read the profile "own.toml": from "b" must be a JSON pointer, such as /rx/snr"#);
    insta::assert_snapshot!(with("tcp_text", "SNR (?<snr>.*)", "es"), @r#"could not read the profile "own.toml": path "SNR (?<snr>.*)" has no group named "es""#);
    insta::assert_snapshot!(with("snmp", "", "1.3.x"), @r#"could not read the profile "own.toml": from "1.3.x" must be an object identifier, such as 1.3.6.1.2.1.1.3.0"#);
    insta::assert_snapshot!(refused("format = 2\nname = \"a\"\ntitle = \"\"\ntransport = \"snmp\"\n"), @r#"could not read the profile "own.toml": it has format 2, this version reads 1"#);
    insta::assert_snapshot!(refused("format = 1\nname = \"a\"\ntitle = \"\"\ntransport = \"snmp\"\n"), @r#"could not read the profile "own.toml": it has 0 fields; 1 to 512 are read"#);
    assert!(refused("format = 1\nname = \"a\"\ntitle = \"\"\ntransport = \"snmp\"\n[[request]]\n[[request.field]]\nfrom = \"1\"\nkpi = \"link_snr\"\n").contains("unknown variant `link_snr`"));
}

fn text(values: &[Value]) -> String {
    let line = |one: &Value| {
        let labels: String = one.labels.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{} {:.4}{labels}", one.kpi.name(), one.value)
    };
    values.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn fields_are_scaled_worded_and_checked() {
    let wan = json!({"stat": "ok", "response": {"order": [1, 2],
        "1": {"name": "VSAT", "statusLed": "green", "message": "Connected", "uptime": 61},
        "2": {"name": "LTE", "statusLed": "red", "message": "No SIM Card", "cellular": {"rat": [{"name": "LTE", "band": [{"signal": {"rssi": -58, "rsrp": -85, "rsrq": -9, "sinr": 12.5}}]}]}}}});
    let profile = shipped("peplink");
    let (values, bad) = profile.requests[0].read(&wan);
    insta::assert_snapshot!(text(&values), @r"
    link_up 1.0000 wan=1
    link_state 1.0000 wan=1 state=Connected
    link_device_uptime_seconds 61.0000 wan=1
    link_up 0.0000 wan=2
    link_state 1.0000 wan=2 state=No SIM Card
    link_signal_dbm -58.0000 wan=2
    link_rsrp_dbm -85.0000 wan=2
    link_rsrq_db -9.0000 wan=2
    link_sinr_db 12.5000 wan=2
    ");
    assert!(bad.is_empty());
    let allowance =
        json!({"response": {"2": {"enable": true, "usage": 1_500, "limit": 20_480, "percent": 7, "unit": "MB"}}});
    let (values, _) = profile.requests[1].read(&allowance);
    insta::assert_snapshot!(text(&values), @r"
    link_quota_used_bytes 1500000000.0000 wan=2
    link_quota_bytes 20480000000.0000 wan=2
    link_quota_used_ratio 0.0700 wan=2
    ");
    let (values, bad) = profile.requests[0].read(&json!({"response": {"1": {"statusLed": "purple", "uptime": -1}}}));
    assert!(values.is_empty());
    insta::assert_snapshot!(bad.join("\n"), @r#"
    /statusLed is "purple", which link_up cannot have
    /uptime is -1, which link_device_uptime_seconds cannot have
    "#);
}

/// A field of the protobuf wire format: a key of tag and wire type, then what is in it.
fn field(tag: u32, wire: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from((tag << 3) | wire));
    if wire == 2 {
        bytes.extend(varint(content.len() as u64));
    }
    bytes.extend_from_slice(content);
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn float(tag: u32, value: f32) -> Vec<u8> {
    field(tag, 5, &value.to_le_bytes())
}

fn floats(tag: u32, values: &[f32]) -> Vec<u8> {
    let content: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    field(tag, 2, &content)
}

/// The status of a terminal that carries traffic, by the numbers of its fields.
fn status_bytes() -> Vec<u8> {
    let status = [
        field(2, 2, &field(1, 0, &varint(86_461))),
        field(1004, 2, &[float(1, 0.0125), field(5, 0, &[1])].concat()),
        field(1005, 2, &field(3, 0, &[1])),
        float(1007, 87_300_000.0),
        float(1009, 35.5),
        float(1011, -12.5),
        float(1012, 64.0),
        field(1015, 2, &[field(1, 0, &[1]), field(2, 0, &varint(14))].concat()),
        // A field that nobody here knows.
        field(3001, 2, b"new"),
    ];
    field(2004, 2, &status.concat())
}

fn history_bytes(current: u64, drops: &[f32], latencies: &[f32]) -> Vec<u8> {
    let history = [
        field(1, 0, &varint(current)),
        floats(1001, drops),
        floats(1002, latencies),
        floats(1010, &vec![50.0; drops.len()]),
    ];
    field(2006, 2, &history.concat())
}

#[test]
fn contract_a_terminal_answers_specified_bytes() {
    // The keys as the wire format has them: 2004 with length, 1009 with four bytes.
    assert_eq!(field(2004, 2, &[])[..2], [0xa2, 0x7d]);
    assert_eq!(float(1009, 0.0)[..2], [0x8d, 0x3f]);
    let status = Response::decode(&*status_bytes()).unwrap().status.unwrap();
    let (values, bad) = shipped("starlink").requests[0].read(&json!({"status": fields_of(&status), "history": null}));
    assert!(bad.is_empty(), "{bad:?}");
    insta::assert_snapshot!(text(&values), @r"
    link_up 1.0000
    link_state 1.0000 state=CONNECTED
    link_receive_bits_per_second 87300000.0000
    link_obstruction_ratio 0.0125
    link_obstructed 1.0000
    link_antenna_azimuth_degrees -12.5000
    link_antenna_elevation_degrees 64.0000
    link_gnss_valid 1.0000
    link_gnss_satellites 14.0000
    link_device_uptime_seconds 86461.0000
    link_alert 0.0000 alert=motors_stuck
    link_alert 0.0000 alert=thermal_shutdown
    link_alert 1.0000 alert=thermal_throttle
    link_alert 0.0000 alert=unexpected_location
    link_alert 0.0000 alert=slow_ethernet
    ");
}

#[test]
fn contract_an_outage_says_its_cause_and_measures_nothing() {
    let bytes = field(2004, 2, &field(1014, 2, &field(1, 0, &[6])));
    let status = Response::decode(&*bytes).unwrap().status.unwrap();
    let (values, _) = shipped("starlink").requests[0].read(&json!({"status": fields_of(&status)}));
    insta::assert_snapshot!(text(&values), @r"
    link_up 0.0000
    link_state 1.0000 state=OBSTRUCTED
    ");
}

#[test]
fn the_seconds_since_the_last_reading_are_averaged_once() {
    // A ring of four seconds; second 5 lies at place 1, second 6 at place 2.
    let history = History {
        current: 7,
        drop_rate: vec![0.0, 0.2, 1.0, 0.0],
        latency: vec![20.0, 30.0, 0.0, 99.0],
        power: vec![],
    };
    let seen = seconds_since(&history, Some(5)).unwrap();
    assert_eq!((&seen["seconds"], &seen["pop_ping_latency_ms"]), (&json!(2), &json!(30.0)));
    assert!((seen["pop_ping_drop_rate"].as_f64().unwrap() - 0.6).abs() < 1e-6);
    assert_eq!(seen["power_in_w"], json!(null));
    assert_eq!(seconds_since(&history, Some(7)), None);
    // A terminal that started anew counts from zero again, and at most the whole ring is read.
    assert_eq!(seconds_since(&history, Some(900)).unwrap()["seconds"], json!(4));
    assert_eq!(seconds_since(&history, None).unwrap()["seconds"], json!(4));
}

#[test]
fn grpc_frames_are_checked() {
    assert_eq!(grpc::unframed(&[0, 0, 0, 0, 2, 7, 8]), Ok(&[7, 8][..]));
    for (bytes, what) in [
        (&[0, 0, 0][..], "the answer is cut short"),
        (&[1, 0, 0, 0, 1, 7][..], "the answer is compressed, which was not asked for"),
        (&[0, 0xff, 0xff, 0xff, 0xff, 7][..], "the answer has another length than it says"),
    ] {
        assert_eq!(grpc::unframed(bytes).unwrap_err(), what);
    }
}

proptest! {
    #[test]
    fn hostile_answers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), read_to in any::<Option<u64>>(), current in any::<u64>(), drops in proptest::collection::vec(any::<f32>(), 0..10), latencies in proptest::collection::vec(any::<f32>(), 0..10)) {
        let _ = grpc::unframed(&bytes);
        if let Ok(answer) = Response::decode(&*bytes)
            && let Some(status) = answer.status
        {
            let _ = shipped("starlink").requests[0].read(&json!({"status": fields_of(&status)}));
        }
        let history = History { current, drop_rate: drops, latency: latencies, power: Vec::new() };
        if let Some(seen) = seconds_since(&history, read_to) {
            let (values, _) = shipped("starlink").requests[0].read(&json!({"history": seen}));
            prop_assert!(values.iter().all(|one| one.kpi.holds(one.value)));
        }
    }

    #[test]
    fn hostile_json_never_panics(word in ".{0,20}", number in any::<f64>(), deep in 0_usize..40) {
        let mut value = json!({"statusLed": word, "uptime": number, "cellular": [number], "message": number});
        for _ in 0..deep {
            value = json!({"response": {"1": value}});
        }
        for request in shipped("peplink").requests {
            let (values, _) = request.read(&value);
            prop_assert!(values.iter().all(|one| one.kpi.holds(one.value)));
        }
    }
}

#[test]
fn addresses_fit_their_profiles() {
    let check = |profile: &str, address: &str| {
        devices::settings(shipped(profile), address).check().map_err(|error| error.to_string())
    };
    assert_eq!(check("starlink", "http://192.168.100.1:9200"), Ok(()));
    insta::assert_snapshot!(check("starlink", "192.168.100.1").unwrap_err(), @r#"could not read "192.168.100.1" as the address of "starlink"; write http://192.168.100.1:9200"#);
    insta::assert_snapshot!(check("peplink", "192.168.1.1").unwrap_err(), @r#"could not read "192.168.1.1" as the address of "peplink"; write https://192.168.1.1"#);
    insta::assert_snapshot!(check("idirect-nms", "10.0.0.1").unwrap_err(), @r#"the profile "idirect-nms" describes what is read over snmp; name it in [[snmp]] instead"#);
}
