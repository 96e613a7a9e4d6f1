use super::*;
use crate::testing::{RecordingIntake, context, series_text};

/// NetFlow v5 with one flow of 1,000 bytes, as its format has it.
fn v5(number: u32, last: u8) -> Vec<u8> {
    let mut bytes = vec![0; 72];
    bytes[..4].copy_from_slice(&[0, 5, 0, 1]);
    bytes[16..20].copy_from_slice(&number.to_be_bytes());
    bytes[24..32].copy_from_slice(&[10, 0, 0, last, 10, 0, 0, 254]);
    bytes[40..48].copy_from_slice(&[0, 0, 0, 10, 0, 0, 3, 232]);
    bytes[56..60].copy_from_slice(&[0xc3, 0x50, 1, 0xbb]);
    bytes[62] = 6;
    bytes
}

fn collector(top: usize) -> (Collector, Arc<RecordingIntake>, UdpSocket) {
    let (context, intake) = context("netflow");
    let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    std.set_nonblocking(true).unwrap();
    let socket = UdpSocket::from_std(std).unwrap();
    let settings = FlowSettings { allow_networks: Vec::new(), top, exporters_max: 2, period: PERIOD };
    let collector = Collector {
        drops: Drops::of(&socket),
        context,
        protocol: Protocol::Netflow,
        settings,
        exporters: HashMap::new(),
        present: Present::default(),
        in_flight: FuturesUnordered::new(),
        pending: 0,
        last: None,
    };
    (collector, intake, socket)
}

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_minute_becomes_counters_whose_sum_is_the_total() {
    let (mut collector, intake, _socket) = collector(1);
    for (number, last) in [(1, 1), (2, 1), (3, 2), (9, 1)] {
        collector.take(&v5(number, last), LOOPBACK);
    }
    collector.end_period().await;
    insta::assert_snapshot!(series_text(&intake.series()), @r#"
    flow_bytes_total{dst="10.0.0.254", instance="127.0.0.1", job="flows", port="443", protocol="tcp", src="10.0.0.1"} 0@-60000 3000@0
    flow_conversations{instance="127.0.0.1", job="flows"} 1@0
    flow_exporter_bytes_total{instance="127.0.0.1", job="flows"} 4000@0
    flow_exporter_lost_total{instance="127.0.0.1", job="flows"} 5@0
    flow_exporter_packets_total{instance="127.0.0.1", job="flows"} 40@0
    flow_exporter_records_total{instance="127.0.0.1", job="flows"} 4@0
    flow_exporter_unreadable_total{instance="127.0.0.1", job="flows"} 0@0
    flow_other_bytes_total{instance="127.0.0.1", job="flows"} 1000@0
    "#);
    let counts = collector.context.stats.snapshot();
    assert_eq!((counts.received, counts.accepted, counts.flagged["flow sequence gap"].count), (4, 4, 5));
}

#[tokio::test]
async fn a_minute_that_the_log_refuses_comes_with_the_next() {
    let (mut collector, intake, _socket) = collector(1);
    intake.set_busy(true);
    collector.take(&v5(1, 1), LOOPBACK);
    collector.end_period().await;
    assert_eq!(collector.context.stats.snapshot().accepted, 0);
    intake.set_busy(false);
    collector.take(&v5(2, 1), LOOPBACK);
    collector.end_period().await;
    assert_eq!(collector.context.stats.snapshot().accepted, 2);
    let totals: Vec<f64> = intake
        .series()
        .iter()
        .filter(|one| one.series.labels.name() == "flow_exporter_bytes_total")
        .map(|one| one.samples[0].value)
        .collect();
    assert_eq!(totals, [2_000.0]);
}

#[tokio::test]
async fn strangers_and_surplus_exporters_are_rejected() {
    let (mut collector, _intake, _socket) = collector(1);
    collector.take(&v5(1, 1), "10.9.9.9".parse().unwrap());
    for last in 1..=3 {
        collector.take(&v5(1, 1), IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, last)));
    }
    collector.take(b"nonsense", LOOPBACK);
    let rejected = collector.context.stats.snapshot().rejected;
    assert_eq!(rejected[NOT_ALLOWED].count, 1);
    assert_eq!(rejected["exporters beyond flows.exporters_max"].count, 1);
    assert_eq!(rejected["unknown flow protocol or version"].count, 1);
}
