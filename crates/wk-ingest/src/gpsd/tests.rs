use proptest::prelude::*;
use tokio::io::AsyncBufReadExt;

use super::report::BadReport;
use super::*;
use crate::testing::{NOW, context, series_text};

fn text(line: &str) -> String {
    match read(line.as_bytes(), NOW) {
        Ok(Report::Readings { device, readings }) => {
            let lines = readings.iter().map(|one| format!("{} {:.3}", one.quantity.name(), one.value));
            std::iter::once(device).chain(lines).collect::<Vec<_>>().join("\n")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn reports_as_gpsd_json_documents_them_are_read() {
    insta::assert_snapshot!(text(r#"{"class":"TPV","device":"/dev/pts/1","time":"2026-06-01T12:00:00.500Z","ept":0.005,"lat":46.498293369,"lon":7.567411672,"alt":1343.127,"eph":36.0,"epv":32.321,"track":10.3788,"speed":0.091,"climb":-0.085,"mode":3}"#), @r"
    /dev/pts/1
    vessel_position_latitude_degrees 46.498
    vessel_position_longitude_degrees 7.567
    vessel_speed_over_ground_knots 0.177
    vessel_course_over_ground_degrees 10.379
    vessel_gnss_time_offset_seconds 0.500
    ");
    insta::assert_snapshot!(text(r#"{"class":"SKY","device":"/dev/pts/1","hdop":1.24,"satellites":[{"PRN":23,"el":6,"az":84,"ss":0,"used":false},{"PRN":28,"el":7,"az":160,"ss":0,"used":true}]}"#), @r"
    /dev/pts/1
    vessel_gnss_satellites 1.000
    vessel_gnss_hdop 1.240
    ");
    insta::assert_snapshot!(text(r#"{"class":"ATT","device":"/dev/x","heading":14223.00,"pitch":169.00,"roll":-43.00}"#), @r"
    /dev/x
    vessel_heading_true_degrees 183.000
    vessel_pitch_degrees 169.000
    vessel_roll_degrees -43.000
    ");
    insta::assert_snapshot!(text(r#"{"class":"TPV","device":"/dev/x","mode":1}"#), @"/dev/x");
    insta::assert_snapshot!(text(r#"{"class":"ERROR","message":"Unrecognized request"}"#), @r#"Ok(Trouble("Unrecognized request"))"#);
    insta::assert_snapshot!(text(r#"{"class":"VERSION","release":"3.22"}"#), @"Ok(Other)");
    insta::assert_snapshot!(text(r#"{"class":"TPV","mode":3,"status":8,"lat":1.0,"lon":1.0}"#), @"Err(Simulated)");
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, NOW);
    }

    #[test]
    fn hostile_values_never_panic(latitude in any::<f64>(), time in ".{0,30}", mode in any::<i64>()) {
        let line = serde_json::json!({"class": "TPV", "mode": mode, "lat": latitude, "lon": latitude, "time": time, "track": latitude});
        let read = read(line.to_string().as_bytes(), NOW);
        prop_assert!(!matches!(read, Err(BadReport::Simulated)));
    }
}

#[tokio::test]
async fn reports_come_from_a_daemon_that_is_asked_once_and_connected_to_again() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = GpsdSettings {
        name: "gps".to_owned(),
        address: server.local_addr().unwrap().to_string(),
        asset: "gps".into(),
        resolution: Duration::from_millis(50),
        devices: Vec::new(),
    };
    let (context, intake) = context("gpsd-gps");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(settings, context.clone(), cancel.clone()));
    drop(server.accept().await.unwrap());
    let (stream, _) = server.accept().await.unwrap();
    let mut stream = tokio::io::BufReader::new(stream);
    let mut asked = String::new();
    stream.read_line(&mut asked).await.unwrap();
    assert_eq!(asked.as_bytes(), WATCH);
    stream
        .get_mut()
        .write_all(b"{\"class\":\"VERSION\"}\r\n{\"class\":\"TPV\",\"mode\":2,\"lat\":1.5,\"lon\":2.5}\r\nnoise\r\n")
        .await
        .unwrap();
    intake.until(|intake| series_text(&intake.series()).contains("vessel_position_latitude_degrees")).await;
    cancel.cancel();
    task.await.unwrap();
    let stats = context.stats.snapshot();
    assert_eq!((stats.rejected["not a report of gpsd"].count, stats.flagged["connection failed"].count), (1, 1));
}
