//! Rule files: what loads, what is refused and how, and what templates say.

use insta::assert_snapshot;
use proptest::prelude::*;
use wk_types::Labels;

use super::template::Template;
use super::*;
use crate::testing::{Point, Ship, point};

fn refused(text: &str) -> String {
    check_rule_file("site.yaml", text).unwrap_err().in_full()
}

fn rule(fields: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n  - alert: A\n    {}\n", fields.replace('\n', "\n    "))
}

#[test]
fn the_shipped_rules_load() {
    let rules = check_rules(DEFAULT_RULES).unwrap();
    let said: Vec<String> = rules.iter().map(|one| format!("{} {} {}", one.alert, one.severity, one.hold)).collect();
    assert_snapshot!(said.join("\n"), @r"
    DiskFull critical 1 min
    DiskAlmostFull major 2 min
    DiskFilling minor 2 min
    InodesAlmostUsed minor 5 min
    MemoryExhausted critical 2 min
    MemoryLow major 5 min
    LoadHigh minor 10 min
    CpuBusy minor 10 min
    ProcessBurningCpu minor 5 min
    TemperatureHigh major 5 min
    InterfaceReceiveErrors minor 5 min
    InterfaceSendErrors minor 5 min
    ServiceFailed minor 1 min
    ServiceDown major 1 min
    TargetDown major 2 min
    ");
}

#[test]
fn errors_name_the_place_and_what_to_do() {
    assert_snapshot!(refused("groups:\n- name: g\n  rules: 7\n"), @r#"could not read rule file "site.yaml": expected sequence start at line 3, column 10; mend the YAML there"#);
    assert_snapshot!(refused("groups:\n- name: g\n  rulez: []\n"), @r#"could not read rule file "site.yaml": unknown field `rulez`, expected one of name, interval, labels, rules at line 3, column 3; mend the YAML there"#);
    assert_snapshot!(refused(&rule("expr: up ==")), @r#"file "site.yaml", group "g", rule "A": could not read expr: could not parse the query at 1:6: unexpected end of the query, expected a number, a text, a selector or a function"#);
    assert_snapshot!(refused(&rule("expr: up == 0\nfor: 5")), @r#"file "site.yaml", group "g", rule "A": for "5" is no duration; write it as 90s, 5m or 1h30m"#);
    assert_snapshot!(refused(&rule("expr: rate(up[25h]) > 0")), @r#"file "site.yaml", group "g", rule "A": expr looks back 1 d 1 h, the engine keeps 1 d; shorten the range or the offset"#);
    assert_snapshot!(refused(&rule("expr: up @ 0 > 0")), @r#"file "site.yaml", group "g", rule "A": expr reads at a fixed time with @, for which the engine keeps no samples; take the @ away"#);
    assert_snapshot!(refused(&rule("expr: up == 0\nannotations: {summary: 'a {{ query \"up\" }}'}")), @r#"file "site.yaml", group "g", rule "A": annotation "summary" at character 3: the template function `query` is not known here; there are humanize, humanize1024, humanizePercentage, humanizeDuration, toUpper, toLower and printf with one %s or %.2f"#);
    assert_snapshot!(refused(&rule("expr: up == 0\nannotations: {summary: '{{ $value | first }}'}")), @r#"file "site.yaml", group "g", rule "A": annotation "summary" at character 1: the template function `first` is not known here; there are humanize, humanize1024, humanizePercentage, humanizeDuration, toUpper, toLower and printf with one %s or %.2f"#);
    assert_snapshot!(refused(&rule("expr: up == 0\nlabels: {team: 'it {{ $value'}")), @r#"file "site.yaml", group "g", rule "A": label "team" at character 4: `{{` is not closed; add `}}`"#);
    assert_snapshot!(refused("groups:\n- name: g\n  rules:\n  - record: a\n    expr: up\n"), @r#"file "site.yaml", group "g", rule "number 1": recording rules are not evaluated; put the expression into the alerting rules that use it"#);
    assert_snapshot!(refused("groups:\n- name: g\n  rules:\n  - expr: up\n"), @r#"file "site.yaml", group "g", rule "number 1": alert is missing; give the rule a name"#);
    assert_snapshot!(refused("groups:\n- {name: g, interval: 0s}\n"), @r#"file "site.yaml", group "g", rule "the group itself": interval "0s" is no duration; write it as 90s, 5m or 1h30m"#);
    assert_snapshot!(refused("groups:\n- {name: g}\n- {name: g}\n"), @r#"rule file "site.yaml" has two groups named "g"; rename one"#);
}

#[test]
fn a_day_of_look_back_is_taken() {
    check_rules(&rule("expr: avg_over_time(up[24h]) < 1")).unwrap();
    check_rules(&rule("expr: up offset 23h == 0")).unwrap();
}

#[test]
fn severities_are_words_of_many_scales_and_minor_by_default() {
    let severity =
        |word: &str| check_rules(&rule(&format!("expr: up == 0\nlabels: {{severity: {word}}}"))).unwrap()[0].severity;
    assert_eq!(["page", "warning", "critical", "none", "sev9"].map(severity), {
        use Severity::{Critical, Info, Major, Minor};
        [Major, Minor, Critical, Info, Minor]
    });
}

#[test]
fn templates_render_labels_values_and_functions() {
    let labels = Labels::new([("instance", "a\"b"), ("seconds", "90")]);
    let render = |text: &str| Template::parse(text).unwrap().render(&labels, 0.93456, str::to_owned);
    assert_eq!(render("{{ $labels.instance }} {{ .Labels.none }}|{{$value}}"), "a\"b |0.93456");
    assert_eq!(render("{{ $value | humanizePercentage }} {{ humanize $value }}"), "93.46% 934.6m");
    assert_eq!(render("{{ $labels.seconds | humanizeDuration }}"), "1m 30s");
    assert_eq!(render("{{ printf \"%.1f}}\" $value }} {{ $value | printf \"<%.0f>\" }}"), "0.9}} <1>");
    assert_eq!(render("{{ $labels.instance | toUpper }}{{- $labels.instance | humanize -}}"), "A\"Ba\"b");
    for wrong in
        ["{{ }}", "{{ $labels. }}", "{{ a b c d }}", "{{ $value | }}", "{{ printf \"%q\" $value }}", "{{ $x }}"]
    {
        assert!(Template::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_dash_takes_the_white_space_beside_the_braces() {
    let render = |text: &str| Template::parse(text).unwrap().render(&Labels::default(), 7.0, str::to_owned);
    assert_eq!(render("a {{- $value -}} b {{ $value }} c"), "a7b 7 c");
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(
        text in "\\PC{0,40}",
        action in "[-{}$|\"%. a-zA-Z0-9é]{0,24}",
        expr in "[-a-z{}()\\[\\]<>=0-9 \"']{0,24}",
    ) {
        let _ = check_rules(&text);
        let _ = Template::parse(&format!("{{{{{action}}}}}"));
        let _ = check_rules(&rule(&format!("expr: '{}'", expr.replace('\'', "''"))));
    }
}

const OWN: &str = r#"
groups:
- name: own
  interval: 30s
  labels: {team: it}
  rules:
  - alert: Hot
    expr: temp > 50
    for: 1m
    keep_firing_for: 2m
    labels: {severity: major, place: '{{ $labels.room }}'}
    annotations: {summary: '{{ $labels.room }} is {{ $value }} degrees'}
  - alert: Twice
    expr: temp * on () group_left () both
"#;

fn temp(value: f64) -> Vec<Point> {
    vec![
        point("temp", &[("instance", "sensor-1"), ("room", "engine"), ("job", "t")], value),
        point("both", &[("n", "1")], 1.0),
        point("both", &[("n", "2")], 1.0),
    ]
}

#[test]
fn a_rule_waits_fires_keeps_firing_and_ends() {
    let mut ship = Ship::new();
    ship.set_rules(OWN);
    ship.run(60, |_| temp(20.0));
    ship.run(120, |_| temp(60.0));
    ship.run(60, |_| temp(20.0));
    ship.run(60, |_| temp(60.0));
    ship.run(300, |_| temp(20.0));
    assert_snapshot!(ship.said(), @r#"
    00:00:00 .0 2 rules
    00:02:00 .0 + major Up: engine is 60 degrees
    00:02:00 .1 #1 open major opened: engine is 60 degrees [first-signal]
    00:06:30 .0 - the condition of Hot no longer holds
    00:07:30 .0 #1 resolved major resolved: its signal ended; the last was "engine is 60 degrees", which ended at 2026-11-24T00:06:30.000Z
    "#);
}

#[test]
fn a_rule_that_fails_shows_in_the_health_and_the_others_go_on() {
    let mut ship = Ship::new();
    ship.set_rules(OWN);
    let waiting = ship.engine.rule_health();
    assert!(waiting.iter().all(|rule| rule.state == RuleState::Waiting));
    ship.run(120, |_| temp(60.0));
    let said: Vec<String> = ship
        .engine
        .rule_health()
        .iter()
        .map(|rule| format!("{}/{}/{} {:?} failures {}", rule.file, rule.group, rule.alert, rule.state, rule.failures))
        .collect();
    assert_snapshot!(said.join("\n"), @r#"
    own.yaml/own/Hot Evaluated { pending: 0, firing: 1 } failures 0
    own.yaml/own/Twice Failing { reason: "found duplicate series for the match group {} on the right hand-side of the operation: [{__name__=\"both\", n=\"1\"}, {__name__=\"both\", n=\"2\"}];many-to-many matching not allowed: matching labels must be unique on one side" } failures 4
    "#);
}

#[test]
fn a_rule_that_holds_for_too_many_series_fails_instead_of_flooding() {
    let mut ship = Ship::new();
    ship.set_rules(&rule("expr: up == 0"));
    ship.run(30, |_| (0..1_001).map(|n| point("up", &[("instance", &n.to_string())], 0.0)).collect());
    assert!(ship.incidents().is_empty());
    assert!(matches!(ship.engine.rule_health()[0].state, RuleState::Failing { .. }));
}

#[test]
fn not_a_number_and_infinity_stay_writable_as_json() {
    let mut ship = Ship::new();
    ship.set_rules(&rule("expr: odd"));
    ship.run(30, |_| {
        vec![point("odd", &[("instance", "a")], f64::NAN), point("odd", &[("instance", "b")], f64::INFINITY)]
    });
    for fact in &ship.facts {
        let text = serde_json::to_string(fact).unwrap();
        assert_eq!(&serde_json::from_str::<wk_types::Fact>(&text).unwrap(), fact);
    }
    assert_eq!(ship.incidents().len(), 2);
}

#[test]
fn saved_rules_that_can_no_longer_be_read_show_in_the_health() {
    let mut ship = Ship::new();
    ship.set_rules(&rule("expr: up == 0"));
    let saved = String::from_utf8(ship.engine.save()).unwrap().replace("expr: up == 0", "expr: up ==");
    let engine = crate::Engine::load(saved.as_bytes(), ship.options).unwrap();
    let health = engine.rule_health();
    assert_eq!((health.len(), engine.stats().rules), (1, 0));
    assert!(matches!(&health[0].state, RuleState::Unreadable { reason } if reason.contains("own.yaml")), "{health:?}");
}
