use super::*;

fn ask(statement: &str) -> Result<Option<Outcome>, Refusal> {
    let asker = Asker { user: "eto".to_owned(), database: "watchkeeper".to_owned(), process: 7 };
    answer(statement, &asker)
}

fn rows(statement: &str) -> Vec<Vec<Value>> {
    match ask(statement) {
        Ok(Some(Outcome::Rows(answer))) => answer.rows,
        other => panic!("{statement}: {other:?}"),
    }
}

#[test]
fn statements_for_the_stores_are_left_to_them() {
    for statement in [
        "SELECT 1",
        "SELECT message FROM logs WHERE message LIKE '%from pg_catalog.pg_class%'",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT version",
    ] {
        assert_eq!(ask(statement), Ok(None), "{statement}");
    }
}

#[test]
fn transactions_and_settings_are_harmless() {
    assert_eq!(ask("BEGIN READ ONLY"), Ok(Some(Outcome::Begin)));
    assert_eq!(ask("START TRANSACTION"), Ok(Some(Outcome::Begin)));
    assert_eq!(ask("COMMIT"), Ok(Some(Outcome::End("COMMIT"))));
    assert_eq!(ask("ROLLBACK TO a").unwrap_err().code, "0A000");
    assert_eq!(ask("SET extra_float_digits = 3"), Ok(Some(Outcome::Done("SET"))));
    assert_eq!(ask("SET client_encoding TO 'UTF8'"), Ok(Some(Outcome::Done("SET"))));
    assert_eq!(ask("SET client_encoding = 'LATIN1'").unwrap_err().code, "22023");
    assert_eq!(rows("SHOW server_version"), [[json!("15.0")]]);
    assert_eq!(rows("SHOW TRANSACTION ISOLATION LEVEL"), [[json!("read committed")]]);
    assert_eq!(ask("SHOW shared_buffers").unwrap_err().code, "42704");
}

#[test]
fn functions_about_the_session_are_answered() {
    assert_eq!(
        rows("select current_schema(), current_user, current_database() as db"),
        [[json!("public"), json!("eto"), json!("watchkeeper")]]
    );
    assert_eq!(rows("SELECT current_setting('server_version_num')::int/100 as version"), [[json!(1500)]]);
    assert!(rows("SELECT version()")[0][0].as_str().unwrap().contains("Watchkeeper"));
}

/// As Grafana's `postgresMetaQuery.ts` has them.
#[test]
fn the_questions_of_grafana_s_schema_browser_are_answered() {
    let constraint = "quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1)) as i, string_to_array(current_setting('search_path'),',') s)";
    let schemas = "quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache')";
    let newer = format!(
        "SELECT CASE WHEN {constraint} THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS \"table\" FROM information_schema.tables WHERE {schemas} ORDER BY CASE WHEN {constraint} THEN 0 ELSE 1 END, 1"
    );
    let older = format!(
        "select quote_ident(table_name) as \"table\" from information_schema.tables\n where {schemas} and {constraint}"
    );
    for statement in [newer, older] {
        let tables = rows(&statement);
        assert_eq!(tables.len(), 6, "{statement}");
        assert!(tables.contains(&vec![json!("logs")]), "{tables:?}");
    }
    let columns = rows(
        "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE CASE WHEN array_length(parse_ident('logs'),1) = 2 THEN quote_ident(table_schema) = (parse_ident('logs'))[1] AND quote_ident(table_name) = (parse_ident('logs'))[2] ELSE quote_ident(table_name) = 'logs' END",
    );
    assert_eq!(columns[0], [json!("time"), json!("timestamp with time zone")]);
    assert_eq!(columns.len(), 7);
    assert!(rows("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").is_empty());
}

#[test]
fn other_questions_about_the_catalogue_are_refused() {
    for statement in [
        "SELECT * FROM pg_catalog.pg_roles",
        "SELECT rolname FROM pg_roles",
        "SELECT a FROM information_schema.triggers",
    ] {
        let refusal = ask(statement).unwrap_err();
        assert_eq!(refusal.code, "0A000", "{statement}");
        assert!(refusal.message.contains("logs"), "{}", refusal.message);
    }
}

#[test]
fn names_fit_patterns_of_psql() {
    for (pattern, name, fits) in [
        ("logs", "logs", true),
        ("logs", "log", false),
        ("log.*", "logs", true),
        (".*s", "logs", true),
        ("m.*5m", "metrics_5m", true),
        ("m.*7m", "metrics_5m", false),
        (".*", "anything", true),
        ("a.*b.*c", "abc", true),
        ("ab.*b", "ab", false),
    ] {
        assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
    }
}
