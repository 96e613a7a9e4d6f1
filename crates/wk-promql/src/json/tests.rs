use serde_json::json;

use super::*;

fn check(value: &Value, expected: &serde_json::Value) {
    assert_eq!(serde_json::to_value(value.to_prometheus_json()).unwrap(), *expected);
}

#[test]
fn scalars_and_strings_are_pairs() {
    check(&Value::Scalar(UtcMs(1_500), 0.5), &json!({"resultType": "scalar", "result": [1.5, "0.5"]}));
    check(&Value::String(UtcMs(2_000), "a".to_owned()), &json!({"resultType": "string", "result": [2, "a"]}));
}

#[test]
fn vectors_name_metric_and_value() {
    let up = Labels::metric("up", &[("job", "node")]);
    check(
        &Value::Vector(vec![(up, Sample::new(UtcMs(1_000), f64::NAN))]),
        &json!({"resultType": "vector", "result": [{"metric": {"__name__": "up", "job": "node"}, "value": [1, "NaN"]}]}),
    );
}

#[test]
fn matrices_name_metric_and_values() {
    let samples = vec![Sample::new(UtcMs(0), 1.0), Sample::new(UtcMs(1_001), f64::NEG_INFINITY)];
    check(
        &Value::Matrix(vec![(Labels::default(), samples)]),
        &json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[0, "1"], [1.001, "-Inf"]]}]}),
    );
}

#[test]
fn numbers_read_as_go_writes_them() {
    let cases = [
        (0.0, "0"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (9.5e-7, "9.5e-07"),
        (5e-324, "5e-324"),
    ];
    for (value, text) in cases {
        assert_eq!(number(value), text);
    }
}
