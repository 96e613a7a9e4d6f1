use super::*;

fn rewritten(query: &str) -> Option<String> {
    rewrite(query, &["time", "asset", "app", "severity", "message"])
}

#[test]
fn counts_of_one_table_are_rewritten() {
    assert_eq!(
        rewritten("SELECT app, count(*) AS n FROM logs l WHERE l.time >= '2026' and \"App\" = 'time' GROUP BY app")
            .unwrap(),
        "SELECT app , ifnull(sum(\"rows?\"),0) AS n FROM logs l WHERE l . \"time?\" COLLATE INSTANT >= '2026' and \"app?\" = 'time' \
         GROUP BY app "
    );
    assert!(rewritten("select COUNT ( * ) from logs -- all\n").is_some());
    assert!(rewritten("SELECT upper(app), count(*) FROM logs WHERE app IN ('a', 'b') GROUP BY 1 ORDER BY 2").is_some());
}

#[test]
fn times_are_cut_by_the_table() {
    assert_eq!(
        rewritten("SELECT substr(time, 1, 16) AS m, count(*) FROM logs WHERE substr(time,1,4) = '2026' GROUP BY m")
            .unwrap(),
        "SELECT \"time?16\" AS m , ifnull(sum(\"rows?\"),0) FROM logs WHERE substr ( \"time?\" COLLATE INSTANT , 1 , 4 ) \
         = '2026' GROUP BY m "
    );
    let other = "SELECT substr ( time , 2 , 16 ) , ifnull(sum(\"rows?\"),0) FROM logs GROUP BY 1 ";
    assert_eq!(rewritten("SELECT substr(time, 2, 16), count(*) FROM logs GROUP BY 1").unwrap(), other);
}

#[test]
fn what_is_more_than_a_count_is_left_as_it_is() {
    for query in [
        "SELECT app FROM logs",
        "SELECT count(app) FROM logs",
        "SELECT count(*), sum(length(message)) FROM logs",
        "SELECT count(*) FROM logs, assets",
        "SELECT count(*) FROM logs JOIN assets ON asset = id",
        "SELECT count(*) FROM assets",
        "SELECT count(*) FROM (SELECT 1 FROM logs)",
        "SELECT count(*) FROM logs WHERE app IN (SELECT id FROM assets)",
        "SELECT count(*) OVER () FROM logs",
        "SELECT count(*) FILTER (WHERE app = 'a') FROM logs",
        "SELECT count(*) FROM logs UNION SELECT 1",
        "SELECT 'count(*)' FROM logs",
        "SELECT count(*) FROM logs WHERE app = 'open",
        "SELECT count(*), group_concat(app) FROM logs",
    ] {
        assert_eq!(rewritten(query), None, "{query}");
    }
}
