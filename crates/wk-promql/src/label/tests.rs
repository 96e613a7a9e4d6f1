use wk_types::Labels;

use super::*;

#[test]
fn numbers_within_texts_sort_by_their_size() {
    let mut texts = ["node10", "node2", "node", "10.0.0.9", "10.0.0.10", "b"];
    texts.sort_by(|a, b| natural(a, b));
    assert_eq!(texts, ["10.0.0.9", "10.0.0.10", "b", "node", "node2", "node10"]);
}

#[test]
fn rows_of_equal_values_sort_by_all_labels() {
    let row = |cpu: &str, host: &str| Row {
        labels: Labels::new([("cpu", cpu), ("host", host)]),
        drop_name: false,
        values: vec![1.0],
    };
    let found = sorted(vec![row("10", "a"), row("2", "b"), row("2", "a")], &["cpu".into()], true);
    let shown: Vec<String> = found.iter().map(|row| row.labels.to_string()).collect();
    assert_eq!(shown, [r#"{cpu="10", host="a"}"#, r#"{cpu="2", host="b"}"#, r#"{cpu="2", host="a"}"#]);
}
