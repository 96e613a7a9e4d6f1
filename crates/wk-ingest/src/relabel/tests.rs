use proptest::prelude::*;

use super::*;

/// A rule as it stands in a configuration.
fn rule(text: &str) -> RelabelConfig {
    toml::from_str(text).unwrap()
}

/// Labels as `a=1 b=2`.
fn labels(text: &str) -> LabelMap {
    text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

/// The cases of `TestRelabel` in Prometheus' `model/relabel/relabel_test.go`; `drop` is what is not kept.
#[test]
fn the_cases_of_prometheus_come_out_alike() {
    let abc = "a=foo b=bar c=baz";
    let ports = "__tmp_port=1234 __port1=1234 __port2=5678";
    let f = "source_labels = [\"a\"]\nregex = ";
    let some = "source_labels = [\"a\"]\nregex = \"some-([^-]+)-([^,]+)\"\n";
    let tags = |pattern: &str, more: &str| {
        format!("source_labels = [\"__meta_sd_tags\"]\nregex = \"(?:.+,|^){pattern}.*\"\n{more}")
    };
    let cases: Vec<(&str, Vec<String>, &str)> = vec![
        (abc, vec![format!("{f}\"f(.*)\"\ntarget_label = \"d\"\nreplacement = \"ch${{1}}-ch${{1}}\"")], "a=foo b=bar c=baz d=choo-choo"),
        (abc, vec![
            "source_labels = [\"a\", \"b\"]\nregex = \"f(.*);(.*)r\"\ntarget_label = \"a\"\nreplacement = \"b${1}${2}m\"".into(),
            "source_labels = [\"c\", \"a\"]\nregex = \"(b).*b(.*)ba(.*)\"\ntarget_label = \"d\"\nreplacement = \"$1$2$2$3\"".into(),
        ], "a=boobam b=bar c=baz d=boooom"),
        ("a=foo", vec![format!("{f}\".*o.*\"\naction = \"drop\""), format!("{f}\"f(.*)\"\ntarget_label = \"d\"")], "drop"),
        ("a=abc", vec![format!("{f}\".*(b).*\"\ntarget_label = \"d\"")], "a=abc d=b"),
        ("a=foo", vec![format!("{f}\"no-match\"\naction = \"drop\"")], "a=foo"),
        ("a=foo", vec![format!("{f}\"f|o\"\naction = \"drop\"")], "a=foo"),
        ("a=foo", vec![format!("{f}\"no-match\"\naction = \"keep\"")], "drop"),
        ("a=foo", vec![format!("{f}\"f.*\"\naction = \"keep\"")], "a=foo"),
        ("a=boo", vec![format!("{f}\"f\"\ntarget_label = \"b\"\nreplacement = \"bar\"")], "a=boo"),
        (abc, vec!["source_labels = [\"c\"]\ntarget_label = \"d\"\naction = \"hashmod\"\nmodulus = 1000".into()], "a=foo b=bar c=baz d=976"),
        ("a=foo\nbar", vec!["source_labels = [\"a\"]\ntarget_label = \"b\"\naction = \"hashmod\"\nmodulus = 1000".into()], "a=foo\nbar b=734"),
        ("a=foo b1=bar b2=baz", vec!["regex = \"(b.*)\"\nreplacement = \"bar_${1}\"\naction = \"labelmap\"".into()],
         "a=foo b1=bar b2=baz bar_b1=bar bar_b2=baz"),
        ("a=foo __meta_my_bar=aaa __meta_other=ccc", vec!["regex = \"__meta_(my.*)\"\nreplacement = \"${1}\"\naction = \"labelmap\"".into()],
         "a=foo __meta_my_bar=aaa __meta_other=ccc my_bar=aaa"),
        ("a=some-name-value", vec![format!("{some}replacement = \"${{2}}\"\ntarget_label = \"${{1}}\"")], "a=some-name-value name=value"),
        ("a=some-name-value", vec![format!("{some}replacement = \"${{3}}\"\ntarget_label = \"${{1}}\"")], "a=some-name-value"),
        ("a=some-name-0", vec![format!("{some}replacement = \"${{1}}\"\ntarget_label = \"${{3}}\"")], "a=some-name-0"),
        ("__meta_sd_tags=path:/secret,job:some-job,label:foo=bar", vec![
            tags("path:(/[^,]+)", "replacement = \"${1}\"\ntarget_label = \"__metrics_path__\""),
            tags("job:([^,]+)", "replacement = \"${1}\"\ntarget_label = \"job\""),
            tags("label:([^=]+)=([^,]+)", "replacement = \"${2}\"\ntarget_label = \"${1}\""),
        ], "__meta_sd_tags=path:/secret,job:some-job,label:foo=bar __metrics_path__=/secret foo=bar job=some-job"),
        ("port_name=foo port=9091", vec![
            "regex = \"^port_name$\"\naction = \"labeldrop\"".into(),
            "source_labels = [\"port\"]\nregex = \"(.+)\"\nreplacement = \"metrics\"\ntarget_label = \"port_name\"".into(),
            "source_labels = [\"port_name\"]\nregex = \"^metrics$\"\naction = \"keep\"".into(),
        ], "port=9091 port_name=metrics"),
        ("a=foo b1=bar b2=baz", vec!["regex = \"(b.*)\"\naction = \"labelkeep\"".into()], "b1=bar b2=baz"),
        ("a=foo b1=bar b2=baz", vec!["regex = \"(b.*)\"\naction = \"labeldrop\"".into()], "a=foo"),
        ("foo=bAr123Foo", vec![
            "source_labels = [\"foo\"]\naction = \"uppercase\"\ntarget_label = \"upper\"".into(),
            "source_labels = [\"foo\"]\naction = \"lowercase\"\ntarget_label = \"lower\"".into(),
        ], "foo=bAr123Foo lower=bar123foo upper=BAR123FOO"),
        (ports, vec!["source_labels = [\"__tmp_port\"]\naction = \"keepequal\"\ntarget_label = \"__port1\"".into()], ports),
        (ports, vec!["source_labels = [\"__tmp_port\"]\naction = \"dropequal\"\ntarget_label = \"__port1\"".into()], "drop"),
        (ports, vec!["source_labels = [\"__tmp_port\"]\naction = \"dropequal\"\ntarget_label = \"__port2\"".into()], ports),
        (ports, vec!["source_labels = [\"__tmp_port\"]\naction = \"keepequal\"\ntarget_label = \"__port2\"".into()], "drop"),
    ];
    for (input, texts, expected) in cases {
        let rules: Vec<Rule> = texts.iter().map(|text| Rule::new(&rule(text)).unwrap()).collect();
        let mut found = labels(input);
        let kept = apply(&rules, &mut found);
        assert_eq!(kept, expected != "drop", "{texts:?}");
        if kept {
            assert_eq!(found, labels(expected), "{texts:?}");
        }
    }
}

/// The cases of `TestRelabelValidate` and `TestTargetLabelValidity`.
#[test]
fn rules_that_prometheus_refuses_are_refused() {
    let refused = |text: &str| Rule::new(&rule(text)).unwrap_err().to_string();
    insta::assert_snapshot!(refused("action = \"replace\""), @"the action replace needs target_label");
    insta::assert_snapshot!(refused("action = \"lowercase\""), @"the action lowercase needs target_label");
    insta::assert_snapshot!(refused("action = \"lowercase\"\ntarget_label = \"${3}\""), @r#""${3}" is no name of a label"#);
    insta::assert_snapshot!(refused("action = \"hashmod\"\ntarget_label = \"a\""), @"the action hashmod needs modulus");
    insta::assert_snapshot!(refused("target_label = \"a\"\nregex = \"(\""), @r#"could not read the regular expression "(""#);
    for good in ["label", "label${1}", "${1}label", "${1}", "$1", "asd$2asd", "_${1}_", "foo${bar}foo"] {
        assert!(is_target(good, true), "{good}");
    }
    for bad in ["-label", "${", "$", "${}", "foo${", "-foo${1}bar-", "0${3}", "-${3}", ""] {
        assert!(!is_target(bad, true), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_labels_make_a_rule_panic(name in "\\PC{0,10}", value in "\\PC{0,20}", target in "[a-z$0-9{}]{1,8}") {
        let config = RelabelConfig { target_label: target, source_labels: vec![name.clone()], ..RelabelConfig::default() };
        if let Ok(rule) = Rule::new(&config) {
            let _ = apply(&[rule], &mut LabelMap::from([(name, value)]));
        }
    }
}
