//! What lines cost; printed, not judged.

use std::collections::BTreeMap;
use std::time::Instant;

use wk_connect::clickhouse::{ClickHouse, Line};
use wk_types::{Seq, Severity, UtcMs};

use super::engine::Engine;
use super::{DAY, options, runtime};

const LINES: u64 = 200_000;
const BATCH: usize = 50_000;

/// The processor time of this process, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let mut fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11);
    let mut ticks = || fields.next().unwrap().parse::<f64>().unwrap();
    (ticks() + ticks()) / 100.0
}

/// A line as a host writes it; the words are ours, the numbers differ.
fn message(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    match mixed >> 62 {
        0 => format!(
            "DHCPACK on 10.20.{}.{} to 00:1a:2b:{:02x}:{:02x}:{:02x} via eth0",
            mixed & 63,
            mixed >> 8 & 255,
            mixed >> 16 & 255,
            mixed >> 24 & 255,
            mixed >> 32 & 255
        ),
        1 => format!(
            "Accepted publickey for eto from 10.20.1.{} port {} ssh2",
            mixed & 255,
            32_768 + (mixed >> 8 & 0x7fff)
        ),
        2 => format!("request {number} took {} ms", mixed >> 40 & 1_023),
        _ => format!(
            "carrier lock, snr {}.{} dB, pointing error 0.{:02}",
            8 + (mixed & 3),
            mixed >> 4 & 7,
            mixed >> 8 & 31
        ),
    }
}

#[test]
#[ignore = "a measurement: run it alone, in a release build, with --ignored --nocapture"]
fn what_lines_cost() {
    let Some(engine) = Engine::start("clickhouse: what_lines_cost", &[]) else { return };
    let runtime = runtime();
    let store = ClickHouse::new(options(engine.port, "figures"), runtime.handle().clone()).unwrap();
    store.prepare().unwrap();
    let messages: Vec<String> = (0..LINES).map(message).collect();
    let names: Vec<String> = (0..50).map(|host| format!("host-{host}")).collect();
    let none = BTreeMap::new();
    let lines: Vec<Line<'_>> = (0..LINES)
        .map(|number| Line {
            seq: Seq(number + 1),
            line: 0,
            time: UtcMs(DAY.0 + number as i64 * 17),
            asset: &names[(number.wrapping_mul(2_654_435_761) >> 16) as usize % names.len()],
            app: ["dhcpd", "sshd", "api", "modem"][(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62) as usize],
            severity: Severity::ALL[(number % 11 / 8) as usize],
            message: &messages[number as usize],
            template: None,
            attributes: &none,
        })
        .collect();
    let (before, began) = (cpu_seconds(), Instant::now());
    for batch in lines.chunks(BATCH) {
        store.insert(DAY, batch).unwrap();
    }
    let (cpu, wall) = (cpu_seconds() - before, began.elapsed().as_secs_f64());
    let text: usize = messages.iter().map(String::len).sum();
    engine.ask("figures", "OPTIMIZE TABLE logs FINAL");
    let sizes = engine.ask(
        "figures",
        "SELECT sum(data_compressed_bytes), sum(secondary_indices_compressed_bytes), sum(bytes_on_disk) \
         FROM system.parts WHERE database = 'figures' AND table = 'logs' AND active",
    );
    let sizes: Vec<f64> = sizes.split_whitespace().map(|size| size.parse::<f64>().unwrap() / LINES as f64).collect();
    println!(
        "{LINES} lines, {:.1} bytes of text each: {:.1} µs of CPU a line on the node ({:.0} lines a CPU-second), {:.1} s wall \
         with the test's own interface; in the store {:.1} bytes a line, {:.1} of them columns, {:.1} indexes; the engine and \
         its interface took {:.1} s of CPU",
        text as f64 / LINES as f64,
        cpu / LINES as f64 * 1e6,
        LINES as f64 / cpu,
        wall,
        sizes[2],
        sizes[0],
        sizes[1],
        engine.cpu_seconds(),
    );
}
