use proptest::prelude::*;

use super::*;
use crate::testing::{NOW, series_text};

fn metric(pointer: &str) -> MetricMapping {
    MetricMapping {
        name: "engine_temperature_celsius".to_owned(),
        labels: BTreeMap::from([("engine".to_owned(), "{1}".to_owned())]),
        pointer: pointer.to_owned(),
        factor: 1.0,
        offset: 0.0,
    }
}

fn mapping(filter: &str) -> Result<Mapping, BadMapping> {
    Mapping::new(filter, Target::Metric(metric("")))
}

#[test]
fn filters_meet_topics_as_mqtt_says() {
    // MQTT 3.1.1, 4.7.
    for (filter, topic, met) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", Some("")),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", Some("ranking")),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", Some("score/wimbledon")),
        ("#", "a/b", Some("a/b")),
        ("sport/+", "sport", None),
        ("sport/+", "sport/", Some("")),
        ("+/+", "/finance", Some("|finance")),
        ("/+", "/finance", Some("finance")),
        ("+", "/finance", None),
        ("#", "$SYS/uptime", None),
        ("+/monitor/clients", "$SYS/monitor/clients", None),
        ("$SYS/#", "$SYS/uptime", Some("uptime")),
        ("a/b", "a/b", Some("")),
        ("a/b", "a/b/c", None),
    ] {
        assert_eq!(mapping(filter).unwrap().fits(topic).map(|met| met.join("|")).as_deref(), met, "{filter} {topic}");
    }
    for filter in ["", "a/#/b", "a+", "a/b#", "a/\0"] {
        assert_eq!(mapping(filter), Err(BadMapping::Filter), "{filter}");
    }
}

#[test]
fn messages_become_samples() {
    let read = |pointer: &str, payload: &str| {
        let series = metric(pointer).series(
            payload.as_bytes(),
            &["main"],
            &Origin { instance: "broker", asset: &"broker".into(), now: NOW },
        );
        series.map_or_else(|bad| bad.to_string(), |series| series_text(&[series]))
    };
    insta::assert_snapshot!(read("", " 81.5 "), @r#"engine_temperature_celsius{engine="main", instance="broker", job="mqtt"} 81.5@0"#);
    insta::assert_snapshot!(read("/a/0", r#"{"a":[7]}"#), @r#"engine_temperature_celsius{engine="main", instance="broker", job="mqtt"} 7@0"#);
    insta::assert_snapshot!(read("", "ON"), @r#"engine_temperature_celsius{engine="main", instance="broker", job="mqtt"} 1@0"#);
    insta::assert_snapshot!(read("/a", r#"{"a":true}"#), @r#"engine_temperature_celsius{engine="main", instance="broker", job="mqtt"} 1@0"#);
    insta::assert_snapshot!(read("/b", r#"{"a":true}"#), @"nothing at the pointer");
    insta::assert_snapshot!(read("/a", "{"), @"not json");
    insta::assert_snapshot!(read("", "NaN"), @"not a number");
    insta::assert_snapshot!(read("/a", r#"{"a":{}}"#), @"not a number");
}

#[test]
fn messages_become_log_messages() {
    let log = LogMapping {
        app: "alarms".to_owned(),
        message_pointer: "/text".to_owned(),
        severity_pointer: "/level".to_owned(),
    };
    let record = |payload: &str| {
        log.record(
            payload.as_bytes(),
            "alarms/engine",
            &Origin { instance: "broker", asset: &"broker".into(), now: NOW },
        )
    };
    let one = record(r#"{"text":"oil pressure low","level":"major"}"#).unwrap();
    assert_eq!(
        (&*one.message, one.severity.as_str(), &*one.attributes["topic"]),
        ("oil pressure low", "major", "alarms/engine")
    );
    assert_eq!(record(r#"{"text":"x","level":2}"#).unwrap().severity.as_str(), "critical");
    assert_eq!(record(r#"{"text":"x"}"#), Err(BadMapping::Nothing));
}

#[test]
fn addresses_of_brokers_are_read() {
    for (url, expected) in [
        ("mqtt://10.0.0.5", Some(("10.0.0.5", 1_883))),
        ("mqtt://broker.local:8883/", Some(("broker.local", 8_883))),
        ("mqtt://[fd00::1]:1883", Some(("fd00::1", 1_883))),
        ("mqtt://", None),
        ("mqtt://a:b", None),
        ("http://a", None),
        ("mqtt://user@a", None),
    ] {
        let read = read_url(url).ok();
        assert_eq!(read.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{url}");
    }
}

proptest! {
    #[test]
    fn hostile_messages_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..100), topic in ".{0,40}", pointer in "(/[a-z0-9~]{0,4}){0,3}") {
        let _ = metric(&pointer).series(&payload, &[&topic], &Origin { instance: "broker", asset: &"broker".into(), now: NOW });
        let log = LogMapping { app: "a".to_owned(), message_pointer: pointer, severity_pointer: String::new() };
        let _ = log.record(&payload, &topic, &Origin { instance: "broker", asset: &"broker".into(), now: NOW });
        let _ = mapping("+/a/#").unwrap().fits(&topic);
    }
}
