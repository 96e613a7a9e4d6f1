use futures::SinkExt;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::*;
use crate::testing::{context, series_text};

fn taken(messages: &[&str]) -> String {
    let metrics = BTreeMap::from([("propulsion.main.revolutions".to_owned(), "engine_revolutions_hertz".to_owned())]);
    let mut stream = Stream::default();
    let mut lines = Vec::new();
    for message in messages {
        let delta: Delta = serde_json::from_str(message).unwrap();
        for one in stream.take(&delta, &metrics).into_iter().flatten() {
            lines.push(match one {
                Taken::Reading { source, reading } => {
                    format!("{source} {} {:.4}", reading.quantity.name(), reading.value)
                }
                Taken::Metric { source, name, value } => format!("{source} {name} {value}"),
            });
        }
    }
    lines.join("\n")
}

const HELLO: &str = r#"{"name":"signalk-server","version":"2.31.1","self":"vessels.urn:mrn:imo:mmsi:230099999","roles":["master"],"timestamp":"2026-06-01T12:00:00.000Z"}"#;

#[test]
fn deltas_of_the_own_vessel_are_read_and_converted() {
    let delta = r#"{"context":"vessels.urn:mrn:imo:mmsi:230099999","updates":[{"$source":"gps.GP","timestamp":"2026-06-01T12:00:00.000Z","values":[
        {"path":"navigation.position","value":{"latitude":60.08,"longitude":23.54}},
        {"path":"navigation.speedOverGround","value":5.144444},
        {"path":"navigation.courseOverGroundTrue","value":-1.5707963},
        {"path":"navigation.rateOfTurn","value":0.01},
        {"path":"navigation.attitude","value":{"roll":0.1,"pitch":-0.05,"yaw":null}},
        {"path":"environment.wind.angleApparent","value":-0.5235988},
        {"path":"propulsion.main.revolutions","value":1.5},
        {"path":"navigation.headingTrue","value":null},
        {"path":"","value":{"name":"MV Test"}}]}]}"#;
    insta::assert_snapshot!(taken(&[HELLO, delta]), @r"
    gps.GP vessel_position_latitude_degrees 60.0800
    gps.GP vessel_position_longitude_degrees 23.5400
    gps.GP vessel_speed_over_ground_knots 10.0000
    gps.GP vessel_course_over_ground_degrees 270.0000
    gps.GP vessel_rate_of_turn_degrees_per_minute 34.3775
    gps.GP vessel_roll_degrees 5.7296
    gps.GP vessel_pitch_degrees -2.8648
    gps.GP vessel_wind_angle_relative_degrees 330.0000
    gps.GP engine_revolutions_hertz 1.5
    ");
}

#[test]
fn other_vessels_and_messages_without_a_hello_are_told_apart() {
    let of = |context: &str| {
        format!(r#"{{{context}"updates":[{{"values":[{{"path":"navigation.speedOverGround","value":1}}]}}]}}"#)
    };
    let own = of(r#""context":"vessels.urn:mrn:imo:mmsi:230099999","#);
    assert_eq!(taken(&[&own]), "");
    assert_eq!(taken(&[HELLO, &of(r#""context":"vessels.urn:mrn:imo:mmsi:1","#)]), "");
    assert!(!taken(&[HELLO, &own]).is_empty());
    assert!(!taken(&[&of("")]).is_empty());
    assert!(!taken(&[&of(r#""context":"vessels.self","#)]).is_empty());
}

proptest! {
    #[test]
    fn hostile_messages_never_panic(text in ".{0,200}", path in "[a-zA-Z.]{0,40}", value in any::<f64>()) {
        let _ = serde_json::from_str::<Delta>(&text);
        let delta = serde_json::json!({"updates": [{"values": [{"path": path, "value": value}, {"path": "navigation.headingTrue", "value": value}]}]});
        let delta: Delta = serde_json::from_value(delta).unwrap();
        let _ = Stream::default().take(&delta, &BTreeMap::new());
    }
}

fn settings(url: String) -> SignalKSettings {
    SignalKSettings {
        name: "bridge".to_owned(),
        url,
        token: Some(Token::new("secret\n").unwrap()),
        asset: "bridge".into(),
        resolution: Duration::from_millis(50),
        sources: Vec::new(),
        metrics: BTreeMap::new(),
    }
}

#[test]
fn addresses_and_tokens_are_checked_and_no_token_is_shown() {
    for (url, ok) in
        [("ws://10.0.0.5:3000", true), ("ws://host/", true), ("http://x", false), ("ws://", false), ("", false)]
    {
        assert_eq!(settings(url.to_owned()).check().is_ok(), ok, "{url}");
    }
    assert!(Token::new("a\nb").is_err());
    assert!(!format!("{:?}", settings(String::new())).contains("secret"));
}

#[tokio::test]
async fn a_stream_is_read_with_the_token_and_nothing_is_sent() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", server.local_addr().unwrap());
    let (context, intake) = context("signalk-bridge");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(settings(url), context.clone(), cancel.clone()));
    let (stream, _) = server.accept().await.unwrap();
    #[allow(clippy::result_large_err, reason = "the library says what a callback returns")]
    let check = |request: &Request, response: Response| {
        assert_eq!(request.uri().to_string(), STREAM_PATH);
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, check).await.unwrap();
    for text in [HELLO, "noise", r#"{"updates":[{"values":[{"path":"navigation.speedOverGround","value":1}]}]}"#] {
        socket.send(Message::text(text)).await.unwrap();
    }
    intake.until(|intake| series_text(&intake.series()).contains("vessel_speed_over_ground_knots")).await;
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(context.stats.snapshot().rejected["not a signal k message"].count, 1);
    let left = socket.next().await;
    assert!(!matches!(left, Some(Ok(Message::Text(_) | Message::Binary(_)))), "{left:?}");
}
