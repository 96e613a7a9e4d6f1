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
