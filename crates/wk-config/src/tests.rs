use super::*;

fn refused(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = Config::parse("").unwrap();
    assert_eq!(config, Config::default());
    assert!(config.http.listen.ip().is_loopback() && config.syslog.listen.ip().is_loopback());
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    insta::assert_snapshot!(refused("[http]\nlisten = \"127.0.0.1:1\"\nbody_byte_max = 3\n"), @r#"the key "body_byte_max" does not exist (line 3); did you mean "body_bytes_max"?"#);
    insta::assert_snapshot!(refused("[htp]\n"), @r#"the key "htp" does not exist (line 1); did you mean "http"?"#);
    insta::assert_snapshot!(refused("[[scrape]]\njob = \"a\"\nurl = \"http://a\"\nintervall_s = 1\n"), @r#"the key "intervall_s" does not exist (line 4); did you mean "interval_s"?"#);
}

#[test]
fn a_newer_format_is_refused_before_its_keys_are_judged() {
    insta::assert_snapshot!(refused("format = 2\nbrand_new = true\n"), @"the configuration has format 2, this version reads 1; use a newer watchkeeper");
}

#[test]
fn values_that_do_not_go_together_say_what_to_write() {
    insta::assert_snapshot!(refused("[syslog]\nlisten = \"0.0.0.0:1514\"\n"), @r#"syslog.allow_networks: syslog carries no token, so an address other than loopback needs the networks that may send, such as ["10.20.0.0/16"]"#);
    insta::assert_snapshot!(refused("[mail]\nfrom = \"a@b\"\nto = [\"c@d\"]\n"), @r#"mail.smtp: is missing; write smtp = "smtp://host:25" or sendmail = ["/usr/bin/msmtp", "-t"]"#);
    insta::assert_snapshot!(refused("[mail]\nfrom = \"a@b\"\nto = []\nsmtp = \"smtp://x\"\n"), @"mail.to: names nobody; write at least one address");
    insta::assert_snapshot!(refused("[http]\ntls_key = \"k\"\n"), @"http.tls_certificate: needs http.tls_key beside it, and the other way round");
    insta::assert_snapshot!(refused("[storage]\nlate_window_s = 10\n"), @"storage.late_window_s: must be from 60 to 86400, that is from a minute to a day");
    insta::assert_snapshot!(refused("[postgres]\nenabled = true\nlisten = \"127.0.0.1:8484\"\n"), @"postgres.listen: is the address of http.listen; choose another port, such as 5433");
    insta::assert_snapshot!(refused("[[scrape]]\njob = \"a\"\nurl = \"a:9100\"\n"), @"scrape[0].url: must begin with http:// or https://");
    let outside = |lines: &str| refused(&format!("[storage]\nlogs = \"clickhouse\"\n{lines}"));
    insta::assert_snapshot!(outside(""), @r#"storage.outside_logs: is missing; write [storage.outside_logs] with url = "http://host:8123""#);
    insta::assert_snapshot!(outside("[storage.outside_logs]\nurl = \"http://u:p@ch:8123\"\n"), @"storage.outside_logs.url: holds more than an address; user and password_file have keys of their own");
    insta::assert_snapshot!(outside("[storage.outside_logs]\nurl = \"http://ch:8123\"\ndatabase = \"a-b\"\n"), @"storage.outside_logs.database: must be a name of letters, digits and underscores");
    insta::assert_snapshot!(outside("[storage.outside_logs]\nurl = \"http://ch:8123\"\npassword_file = \"p\"\n"), @"storage.outside_logs.password_file: needs outside_logs.user beside it");
    insta::assert_snapshot!(refused("[storage.outside_logs]\nurl = \"http://ch:8123\"\n"), @r#"storage.outside_logs: stands beside storage.logs = "embedded"; write logs = "clickhouse", or remove it"#);
    insta::assert_snapshot!(outside("[storage.outside_logs]\nurl = \"http://ch:8123\"\nttl_day = 3\n"), @r#"the key "ttl_day" does not exist (line 5); did you mean "ttl_days"?"#);
}

#[test]
fn a_metric_store_outside_is_named_and_addressed() {
    let outside = |metrics: &str, table: &str| {
        format!("[storage]\nmetrics = \"{metrics}\"\n[storage.outside_metrics]\nurl = \"http://store:8428\"\n{table}\n")
    };
    for metrics in ["victoriametrics", "mimir", "prometheus"] {
        let config = Config::parse(&outside(metrics, "tenant = \"ship-7\"\nspill = true")).unwrap();
        assert!(config.storage.outside_metrics.is_some_and(|outside| outside.spill));
    }
    insta::assert_snapshot!(refused("[storage]\nmetrics = \"mimir\"\n"), @r#"storage.outside_metrics: is missing; write [storage.outside_metrics] and url = "http://…", the store's address"#);
    insta::assert_snapshot!(refused(&outside("embedded", "")), @r#"storage.outside_metrics: stands beside storage.metrics = "embedded"; name the store in storage.metrics, or take the table out"#);
    insta::assert_snapshot!(refused(&outside("mimir", "user = \"a\"")), @"storage.outside_metrics.user: needs password_file beside it, and the other way round");
    insta::assert_snapshot!(refused(&outside("mimir", "user = \"a\"\npassword_file = \"p\"\nbearer_token_file = \"t\"")), @"storage.outside_metrics.bearer_token_file: stands beside user; keep one of the two");
    insta::assert_snapshot!(refused(&outside("mimir", "authority_file = \"ca.pem\"")), @"storage.outside_metrics.authority_file: needs an address that begins with https://");
    insta::assert_snapshot!(refused(&outside("mimir", "query_url = \"http://a:b@store\"")), @"storage.outside_metrics.query_url: holds a user or a password; write user and password_file");
    insta::assert_snapshot!(refused(&outside("mimir", "tenants = \"a\"")), @r#"the key "tenants" does not exist (line 5); did you mean "tenant"?"#);
    assert!(refused(&outside("influx", "")).contains("victoriametrics"));
}

#[test]
fn navigation_sources_say_what_they_lack() {
    insta::assert_snapshot!(refused("[[nmea]]\nname = \"bridge\"\n"), @"nmea[0].udp: exactly one of udp, tcp and serial says where the sentences come from");
    insta::assert_snapshot!(refused("[[nmea]]\nname = \"bridge\"\ntcp = \"a:1\"\nserial = \"/dev/ttyS0\"\n"), @"nmea[0].udp: exactly one of udp, tcp and serial says where the sentences come from");
    insta::assert_snapshot!(refused("[[nmea]]\nname = \"bridge\"\nudp = [\"239.192.0.4:60004\"]\n"), @r#"nmea[0].allow_networks: datagrams carry no token, so an address other than loopback needs the networks that may send, such as ["10.20.0.0/16"]"#);
    insta::assert_snapshot!(refused("[[gpsd]]\nname = \"a\"\n[[gpsd]]\nname = \"a\"\n"), @r#"gpsd.name: "a" stands twice; each source needs its own name"#);
    insta::assert_snapshot!(refused("[[gpsd]]\nname = \"a\"\nresolution_s = 0\n"), @"gpsd.resolution_s: must be at least 1");
    insta::assert_snapshot!(refused("[[signalk]]\nname = \"a\"\nurl = \"http://x\"\n"), @"signalk[0].url: must begin with ws://");
}

#[test]
fn brokers_and_links_say_what_they_lack() {
    let broker = "[[mqtt]]\nname = \"a\"\nurl = \"mqtt://x\"\n";
    insta::assert_snapshot!(refused(broker), @"mqtt[0].topic: is missing; write [[mqtt.topic]] with a filter and a metric or an app");
    insta::assert_snapshot!(refused(&format!("{broker}[[mqtt.topic]]\nfilter = \"a\"\n")), @"mqtt[0].topic[0].metric: exactly one of metric and app says what the messages become");
    insta::assert_snapshot!(refused(&format!("{broker}[[mqtt.topic]]\nfilter = \"a\"\nmetric = \"m\"\nvalue = \"v\"\n")), @"mqtt[0].topic[0].value: must be a JSON pointer, such as /value");
    insta::assert_snapshot!(refused("[[mqtt]]\nname = \"a\"\nurl = \"tcp://x\"\n"), @"mqtt[0].url: must begin with mqtt://");
    insta::assert_snapshot!(refused("[[link]]\nname = \"a\"\nprofile = \"starlink\"\naddress = \"x\"\ninterval_s = 0\n"), @"link[0].interval_s: must be at least 1");
}

#[test]
fn a_wrong_type_names_the_line() {
    let text = refused("name = \"x\"\n[host]\ninterval_s = \"often\"\n");
    assert!(text.contains("line 3"), "{text}");
}

#[test]
fn networks_hold_what_lies_in_them() {
    let check = |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
    assert!(check("10.20.0.0/16", "10.20.255.1"));
    assert!(!check("10.20.0.0/16", "10.21.0.1"));
    assert!(check("0.0.0.0/0", "192.0.2.1"));
    assert!(check("192.0.2.1", "::ffff:192.0.2.1"));
    assert!(check("fd00::/8", "fd12::1"));
    assert!(!check("0.0.0.0/0", "fd12::1"));
    for wrong in ["10.0.0.0/33", "ship", "10.0.0.0/", "::/129"] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
}

#[test]
fn every_value_names_its_origin() {
    let values = Config::effective("name = \"MV Test\"\n[host]\ninterval_s = 5\n").unwrap();
    let origin = |key: &str| values.iter().find(|value| value.key == key).map(|value| value.origin);
    assert_eq!(origin("name"), Some(Origin::File));
    assert_eq!(origin("host.interval_s"), Some(Origin::File));
    assert_eq!(origin("host.enabled"), Some(Origin::Default));
    assert_eq!(origin("http.listen"), Some(Origin::Default));
}

#[test]
fn snmp_keys_that_do_not_go_together_say_what_to_write() {
    let credential = "[[snmp.credential]]\nname = \"a\"\nversion = \"v2c\"\ncommunity_file = \"c\"\n";
    let device = "[[snmp.device]]\naddress = \"10.0.0.2\"\ncredential = \"a\"\n";
    assert_eq!(Config::parse(&format!("{credential}{device}")).unwrap().snmp.device[0].port, 161);
    insta::assert_snapshot!(refused(device), @r#"snmp.device[0].credential: no [[snmp.credential]] has the name "a""#);
    insta::assert_snapshot!(refused(&format!("{credential}{device}{device}")), @"snmp.device[1].address: 10.0.0.2 comes twice");
    insta::assert_snapshot!(refused(&format!("{credential}{device}engine_id = \"8000\"\n")), @"snmp.device[0].engine_id: must be 5 to 32 bytes in hexadecimal, such as 0x80001f8804746f70");
    insta::assert_snapshot!(refused("[[snmp.credential]]\nname = \"a\"\nversion = \"v2c\"\n"), @"snmp.credential[0].community_file: is missing; write the file that holds the community");
    insta::assert_snapshot!(refused("[[snmp.credential]]\nname = \"a\"\nversion = \"v3\"\nuser = \"u\"\nprivacy = \"aes\"\n"), @"snmp.credential[0].privacy: needs privacy_password_file beside it");
    insta::assert_snapshot!(refused("[snmp.traps]\nenabled = true\nlisten = \"0.0.0.0:162\"\n"), @r#"snmp.traps.allow_networks: an address other than loopback needs the networks that may send, such as ["10.20.0.0/16"]"#);
    insta::assert_snapshot!(refused("[flows]\nnetflow_listen = [\"0.0.0.0:2055\"]\n"), @r#"flows.allow_networks: flow records carry no token, so an address other than loopback needs the networks that may send, such as ["10.20.0.0/16"]"#);
}
