//! Who may do what: set-up, sessions, tokens, roles, ingest from this machine.

use serde_json::{Value, json};

use crate::harness::Node;

fn setup_token(node: &Node) -> String {
    std::fs::read_to_string(node.data().join("setup-token")).unwrap().trim().to_owned()
}

fn token(node: &Node, role: &str) -> String {
    node.cli_json(&["token", "create", "--role", role])["secret"].as_str().unwrap().to_owned()
}

fn status(node: &Node, method: &str, path: &str, secret: Option<&str>) -> u16 {
    let mut request = node.request(method, path);
    if let Some(secret) = secret {
        request = request.bearer_auth(secret);
    }
    if method == "POST" {
        request = request.json(&match path {
            "/api/v1/sql" => json!({"query": "select 1"}),
            "/api/v1/tokens" => json!({"role": "viewer"}),
            _ => json!({"message": "hello"}),
        });
    }
    request.send().unwrap().status().as_u16()
}

#[test]
fn the_set_up_token_makes_one_account_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::start("");
    let file = node.data().join("setup-token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!node.log().contains(&setup_token(&node)), "the token stands in the log");
    let needed: Value = node.request("GET", "/api/v1/session").send().unwrap().json().unwrap();
    assert_eq!(needed["setup_needed"], true);

    let form = |token: &str| json!({"token": token, "name": "eto", "password": "correct horse battery"});
    let post = |token: &str| node.request("POST", "/api/v1/setup").json(&form(token)).send().unwrap();
    assert!(post("wrong").status().is_client_error());
    let good = setup_token(&node);
    let response = post(&good);
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!file.exists(), "the token's file is gone");
    assert!(post(&good).status().is_client_error(), "a second time is refused");
    let session = cookie.split(';').next().unwrap();
    let who: Value = node.request("GET", "/api/v1/session").header("cookie", session).send().unwrap().json().unwrap();
    assert_eq!((who["name"].as_str(), who["role"].as_str()), (Some("eto"), Some("admin")));
    let change = |marked: bool| {
        let mut request = node.request("POST", "/api/v1/ask").header("cookie", session);
        if marked {
            request = request.header("x-watchkeeper", "1");
        }
        request.json(&json!({"question": "what is open"})).send().unwrap().status().as_u16()
    };
    assert_eq!((change(false), change(true)), (403, 200), "a foreign page cannot make changes");
}

#[test]
fn each_role_may_do_its_own_and_no_more() {
    let node = Node::start("");
    let ingest = token(&node, "ingest");
    let viewer = token(&node, "viewer");
    let operator = token(&node, "operator");
    let admin = token(&node, "admin");
    let read = "/api/v1/incidents";
    assert_eq!(status(&node, "GET", read, None), 401);
    assert_eq!(status(&node, "GET", read, Some("wrong")), 401);
    assert_eq!(status(&node, "GET", read, Some(&ingest)), 403);
    assert_eq!(status(&node, "GET", read, Some(&viewer)), 200);
    let work = "/api/v1/incidents/inc-0000000000000000/acknowledge";
    assert_eq!(status(&node, "POST", work, Some(&viewer)), 403);
    assert_eq!(status(&node, "POST", work, Some(&operator)), 404);
    assert_eq!(status(&node, "POST", "/api/v1/tokens", Some(&operator)), 403);
    assert_eq!(status(&node, "POST", "/api/v1/tokens", Some(&admin)), 201);
    assert_eq!(status(&node, "POST", "/api/v1/sql", Some(&viewer)), 200);
    assert_eq!(status(&node, "POST", "/api/v1/logs", Some(&viewer)), 403);
    assert_eq!(status(&node, "POST", "/api/v1/logs", Some(&ingest)), 200);
}

#[test]
fn a_revoked_token_opens_nothing() {
    let node = Node::start("");
    let made = node.cli_json(&["token", "create", "--role", "viewer", "--label", "grafana"]);
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(status(&node, "GET", "/api/v1/status", Some(secret)), 200);
    assert!(node.cli(&["token", "revoke", made["id"].as_str().unwrap()]).status.success());
    assert_eq!(status(&node, "GET", "/api/v1/status", Some(secret)), 401);
    let listed = node.cli_json(&["token", "list"]).to_string();
    assert!(!listed.contains(secret), "a listing shows no secret");
}

#[test]
fn ingest_without_a_token_is_for_programs_on_this_machine() {
    let node = Node::start("");
    let send = |name: &'static str, value: &'static str| {
        let body = r#"{"message":"hello"}"#;
        node.request("POST", "/api/v1/logs").header(name, value).body(body).send().unwrap().status().as_u16()
    };
    assert_eq!(send("user-agent", "vector"), 200);
    assert_eq!(send("origin", "http://evil.example"), 403);
    assert_eq!(send("x-forwarded-for", "192.0.2.1"), 403);
    assert_eq!(send("forwarded", "for=192.0.2.1"), 403);
    assert_eq!(send("host", "ship.example"), 403);
}

#[test]
fn ingest_from_loopback_can_be_made_to_need_a_token() {
    let mut node = Node::prepare("");
    let file = node.dir().join("watchkeeper.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[http]\n", "[http]\ningest_from_loopback = false\n")).unwrap();
    node.launch();
    node.wait_ready();
    assert_eq!(status(&node, "POST", "/api/v1/logs", None), 401);
    assert_eq!(status(&node, "POST", "/api/v1/logs", Some(&token(&node, "ingest"))), 200);
}

#[test]
fn the_command_lines_socket_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::start("");
    let mode = |path: &str| std::fs::metadata(node.data().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("node.sock"), 0o600);
    assert_eq!(mode("node.key"), 0o600);
    assert_eq!(mode(""), 0o700);
}
