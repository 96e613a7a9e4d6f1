//! Devices on real sockets, answering specified bytes.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::stats::SourceSnapshot;
use crate::testing::RecordingIntake;

pub fn settings(profile: Profile, address: &str) -> LinkSettings {
    LinkSettings {
        name: "mast".to_owned(),
        profile,
        address: address.to_owned(),
        interval: Duration::from_millis(50),
        user: None,
        password_file: None,
        insecure_tls: false,
        asset: "mast".into(),
        labels: BTreeMap::new(),
    }
}

/// Watches a link until `reached` holds, and answers its counters.
async fn watch(settings: LinkSettings, reached: impl Fn(&str) -> bool) -> SourceSnapshot {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (context, intake): (_, Arc<RecordingIntake>) = context("link-mast");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(Link::new(settings).unwrap().run(context.clone(), cancel.clone()));
    intake.until(|intake| reached(&series_text(&intake.series()))).await;
    cancel.cancel();
    task.await.unwrap();
    context.stats.snapshot()
}

/// Answers calls on one HTTP/2 connection: first the status, then the history, and so on.
async fn terminal(stream: TcpStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut calls = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        assert_eq!(request.uri().path(), "/SpaceX.API.Device.Device/Handle");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        let message = if calls % 2 == 0 {
            status_bytes()
        } else {
            history_bytes(3 + calls, &[0.0, 0.5, 0.0, 0.0], &[20.0, 40.0, 20.0, 20.0])
        };
        calls += 1;
        let response = ::http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut body = respond.send_response(response, false).unwrap();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        body.send_data([&[0][..], &length, &message].concat().into(), false).unwrap();
        let mut trailers = ::http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        body.send_trailers(trailers).unwrap();
    }
}

#[tokio::test]
async fn contract_a_terminal_is_read_over_grpc() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", server.local_addr().unwrap());
    let serving = tokio::spawn(async move { terminal(server.accept().await.unwrap().0).await });
    let stats = watch(settings(shipped("starlink"), &address), |text| {
        text.contains(r#"link_loss_ratio{instance="mast", job="link", profile="starlink"} 0.125"#)
            && text.contains(r#"link_rtt_seconds{instance="mast", job="link", profile="starlink"} 0.025"#)
            && text.contains(r#"up{instance="mast", job="link", profile="starlink"} 1"#)
    })
    .await;
    serving.abort();
    assert!(stats.rejected.is_empty() && stats.flagged.is_empty(), "{stats:?}");
}

/// Answers HTTP requests one after the other and notes their first lines.
async fn router(server: TcpListener, answers: Vec<(&'static str, &'static str)>) -> Vec<String> {
    let mut asked = Vec::new();
    for (status, body) in answers {
        let (mut stream, _) = server.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let mut read = 0;
        while !request[..read].windows(4).any(|end| end == b"\r\n\r\n") {
            read += stream.read(&mut request[read..]).await.unwrap();
        }
        let text = String::from_utf8_lossy(&request[..read]).into_owned();
        asked.push(text.lines().next().unwrap().to_owned());
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    asked
}

#[tokio::test]
async fn contract_a_router_is_read_over_http_with_a_token_that_expires() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", server.local_addr().unwrap());
    let token = r#"{"stat":"ok","response":{"accessToken":"t1","expiresIn":172800}}"#;
    let wan = r#"{"stat":"ok","response":{"1":{"statusLed":"green"},"order":[1]}}"#;
    let allowance = r#"{"stat":"ok","response":{"1":{"usage":1}}}"#;
    let denied = r#"{"stat":"fail","code":401,"message":"Unauthorized"}"#;
    let serving = tokio::spawn(router(
        server,
        vec![
            ("200 OK", token),
            ("200 OK", wan),
            ("200 OK", allowance),
            ("200 OK", denied),
            ("200 OK", token),
            ("200 OK", wan),
            ("200 OK", allowance),
        ],
    ));
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s3cret\n").unwrap();
    let mut settings = settings(shipped("peplink"), &address);
    (settings.user, settings.password_file) = (Some("client".to_owned()), Some(secret.path().to_owned()));
    let stats = watch(settings, |text| text.matches("link_quota_used_bytes").count() >= 2).await;
    let asked = serving.await.unwrap();
    insta::assert_snapshot!(asked.join("\n"), @r"
    POST /api/auth.token.grant HTTP/1.1
    GET /api/status.wan.connection?accessToken=t1 HTTP/1.1
    GET /api/status.wan.connection.allowance?accessToken=t1 HTTP/1.1
    GET /api/status.wan.connection?accessToken=t1 HTTP/1.1
    POST /api/auth.token.grant HTTP/1.1
    GET /api/status.wan.connection?accessToken=t1 HTTP/1.1
    GET /api/status.wan.connection.allowance?accessToken=t1 HTTP/1.1
    ");
    let said = format!("{stats:?}");
    assert!(!said.contains("t1") && !said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn what_a_device_wants_is_told() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", server.local_addr().unwrap());
    let stats = watch(settings(shipped("peplink"), &address), |text| text.contains("} 0@0")).await;
    assert_eq!(
        stats.flagged["device did not answer"].example,
        "the device wants a sign-in; set link.user and link.password_file"
    );
}

#[tokio::test]
async fn lines_of_text_are_read_and_nothing_is_sent() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let profile = Profile::parse("own.toml", "format = 1\nname = \"acu\"\ntitle = \"\"\ntransport = \"tcp_text\"\n[[request]]\npath = 'AGC (?<agc>-?[0-9.]+) LOCK (?<lock>\\w+)'\n[[request.field]]\nfrom = \"agc\"\nkpi = \"link_signal_dbm\"\n[[request.field]]\nfrom = \"lock\"\nkpi = \"link_antenna_locked\"\nwords = { YES = 1, NO = 0 }\n").unwrap();
    let device = tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        stream.write_all(b"hello\r\nAGC -61.5 LOCK YES\r\nAGC -61.5 LOCK MAYBE\r\n").await.unwrap();
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).await.unwrap();
        sent.len()
    });
    let stats = watch(settings(profile, &address), |text| {
        text.contains("link_antenna_locked") && text.contains("link_signal_dbm")
    })
    .await;
    assert_eq!(device.await.unwrap(), 0);
    assert!(stats.rejected["value that its field cannot have"].example.contains("MAYBE"));
}
