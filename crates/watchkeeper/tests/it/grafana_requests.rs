//! Contract: the requests that Grafana's Prometheus data source makes, as its sources have them
//! (`pkg/promlib/client`, `pkg/promlib/healthcheck`, `packages/grafana-prometheus/src/{resource_clients,
//! language_provider,datasource}.ts`). Grafana itself is not part of the test.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Node, Read, client, until};
use crate::remote_write::now_ms;

/// What Grafana's back end sends, by POST with a form as it does by default, or by GET as it can be set to.
struct Grafana<'a> {
    read: &'a Read,
    by_get: bool,
}

impl Grafana<'_> {
    /// Queries and whatever else may go as a form.
    fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let url = format!("http://{}/api/v1/{path}", self.read.node.http);
        let request = if self.by_get {
            client().get(format!("{url}?{form}"))
        } else {
            client().post(url).header("content-type", "application/x-www-form-urlencoded").body(form)
        };
        self.answered(path, request)
    }

    /// What only goes by GET.
    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.answered(path, client().get(format!("http://{}/api/v1/{path}?{query}", self.read.node.http)))
    }

    fn answered(&self, path: &str, request: reqwest::blocking::RequestBuilder) -> Value {
        let request = request.header("x-grafana-org-id", "1").header("accept-encoding", "gzip");
        let response = request.bearer_auth(&self.read.token).send().unwrap();
        let status = response.status().as_u16();
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/json"), "{path}");
        let answer: Value = response.json().unwrap();
        assert_eq!((status, &answer["status"]), (200, &json!("success")), "{path}: {answer}");
        answer["data"].clone()
    }
}

/// A node that watches this machine and has done so twice.
fn watching() -> Read {
    let read = Read::new(Node::start("[host]\ninterval_s = 1\n"));
    until(Duration::from_secs(20), "two rounds of host metrics", || {
        let answer = read.get("/api/v1/query?query=count_over_time(node_load1[1m])");
        let rounds: f64 = answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()?;
        (rounds >= 2.0).then_some(())
    });
    read
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn contract_the_requests_of_grafana_s_prometheus_data_source_are_answered() {
    let read = watching();
    for by_get in [false, true] {
        let grafana = Grafana { read: &read, by_get };
        save_and_test(&grafana);
        panels(&grafana);
        query_editor(&grafana);
        variables(&grafana);
        alert_list(&grafana);
    }
}

fn save_and_test(grafana: &Grafana<'_>) {
    let two = grafana.form("query", &[("query", "1+1"), ("time", "4")]);
    assert_eq!((&two["resultType"], &two["result"]), (&json!("scalar"), &json!([4, "2"])));
    let build = grafana.get("status/buildinfo", &[]);
    assert!(build["features"].is_null(), "features would make it a Mimir");
    assert!(build["version"].as_str().unwrap().starts_with("3."));
}

fn panels(grafana: &Grafana<'_>) {
    let now = now_ms() as f64 / 1_000.0;
    // Grafana aligns start and end to the step and writes floats in full.
    let (start, end) = (((now - 300.0) / 15.0).floor() * 15.0, (now / 15.0).ceil() * 15.0);
    let [start, end] = [start, end].map(|time| time.to_string());
    let query = "sum by (mode) (rate(node_cpu_seconds_total{instance=~\".*\"}[1m0s]))";
    let range = [("query", query), ("start", &start), ("end", &end), ("step", "15"), ("timeout", "20s")];
    let matrix = grafana.form("query_range", &range);
    assert_eq!(matrix["resultType"], "matrix");
    assert!(!matrix["result"].as_array().unwrap().is_empty());
    let time = now.to_string();
    let vector = grafana.form("query", &[("query", "node_memory_MemAvailable_bytes"), ("time", &time)]);
    assert_eq!((&vector["resultType"], vector["result"].as_array().unwrap().len()), (&json!("vector"), 1));
    let exemplars = [("query", query), ("start", start.as_str()), ("end", end.as_str())];
    assert_eq!(grafana.form("query_exemplars", &exemplars), json!([]));
}

fn query_editor(grafana: &Grafana<'_>) {
    let now = now_ms() / 1_000;
    let [start, end] = [(now - 3_600).to_string(), (now + 60).to_string()];
    let span = [("start", start.as_str()), ("end", end.as_str())];
    let limit = [("limit", "40000")];
    let metrics = grafana.get("label/__name__/values", &[&limit[..], &span].concat());
    assert!(strings(&metrics).contains(&"node_load1"), "{metrics}");
    let matched = [("match[]", "{__name__=\"node_cpu_seconds_total\",mode!=\"\"}")];
    let labels = grafana.form("labels", &[&limit[..], &span, &matched].concat());
    assert_eq!(strings(&labels), ["__name__", "cpu", "instance", "job", "mode"]);
    let modes = grafana.get("label/mode/values", &[&limit[..], &span, &matched].concat());
    assert!(strings(&modes).contains(&"idle"));
    let escaped = grafana.get("label/U__mode/values", &[&limit[..], &span, &matched].concat());
    assert_eq!(escaped, modes, "a name that Grafana escapes is the same name");
    let series = grafana.form("series", &[&span[..], &[("match[]", "{__name__!=\"\"}")], &limit].concat());
    assert!(series.as_array().unwrap().len() > 20 && series[0]["__name__"].is_string());
    let metadata = grafana.get("metadata", &[("limit", "40000")]);
    assert_eq!(metadata["node_cpu_seconds_total"][0]["type"], "counter");
    assert_eq!(metadata["node_load1"][0]["type"], "gauge");
    let own = &metadata["watchkeeper_node_uptime_seconds"][0];
    assert!(own["help"].is_string() && own["unit"].is_string());
}

fn variables(grafana: &Grafana<'_>) {
    let now = now_ms() / 1_000;
    let [start, end] = [(now - 3_600).to_string(), now.to_string()];
    let span = [("start", start.as_str()), ("end", end.as_str())];
    // label_values(node_uname_info, instance), label_names(), query_result(…), and a list of series.
    let instances = grafana.get("label/instance/values", &[&span[..], &[("match[]", "node_uname_info")]].concat());
    assert_eq!(strings(&instances).len(), 1);
    assert!(strings(&grafana.form("labels", &span)).contains(&"instance"));
    let time = now.to_string();
    let result = grafana.form("query", &[("query", "topk(3, node_cpu_seconds_total)"), ("time", &time)]);
    assert_eq!(result["result"].as_array().unwrap().len(), 3);
    let devices = grafana.form("series", &[&span[..], &[("match[]", "node_network_up")]].concat());
    assert!(devices.as_array().unwrap().iter().all(|one| one["device"].is_string()));
}

fn alert_list(grafana: &Grafana<'_>) {
    let rules = grafana.get("rules", &[]);
    let groups = rules["groups"].as_array().unwrap();
    assert!(!groups.is_empty(), "the shipped rules are in force");
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        assert_eq!(rule["type"], "alerting");
        assert!(["ok", "unknown"].contains(&rule["health"].as_str().unwrap()), "{rule}");
        assert!(["firing", "pending", "inactive"].contains(&rule["state"].as_str().unwrap()), "{rule}");
    }
    assert!(grafana.get("alerts", &[])["alerts"].is_array());
}
