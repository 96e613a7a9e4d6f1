//! The files of `/proc` that concern the machine as a whole.

use std::collections::HashMap;
use std::path::Path;

use super::Readings;

/// Clock ticks a second in which the kernel counts processor time for programs; the same on every architecture that
/// Linux runs on today.
pub const TICKS_A_SECOND: f64 = 100.0;
const SECTOR_BYTES: f64 = 512.0;
/// How many processors, disks and interfaces are shown at most, each.
const DEVICES_MAX: usize = 256;
const CPU_MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// How far a counter may run backwards before that is taken for a new count (as node_exporter has it).
const BACKWARDS_MAX_SECONDS: f64 = 3.0;

/// Processor times; remembered because the kernel lets some of them run backwards a little.
#[derive(Debug, Default)]
pub struct Cpus(HashMap<(String, &'static str), f64>);

impl Cpus {
    /// Adds processor times and the time of boot.
    pub fn read(&mut self, proc: &Path, readings: &mut Readings) {
        let Some(text) = readings.file("could not read /proc/stat", &proc.join("stat")) else { return };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(key) = words.next() else { continue };
            if key == "btime" {
                if let Some(seconds) = words.next().and_then(|word| word.parse().ok()) {
                    readings.push("node_boot_time_seconds", &[], seconds);
                }
                continue;
            }
            let Some(cpu) = key.strip_prefix("cpu").filter(|cpu| !cpu.is_empty()) else { continue };
            if self.0.len() >= DEVICES_MAX * CPU_MODES.len() && !self.0.contains_key(&(cpu.to_owned(), "user")) {
                continue;
            }
            for (mode, word) in CPU_MODES.into_iter().zip(words) {
                let Ok(ticks) = word.parse::<f64>() else { continue };
                let seconds = self.forward(cpu, mode, ticks / TICKS_A_SECOND);
                readings.push("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], seconds);
            }
        }
    }

    fn forward(&mut self, cpu: &str, mode: &'static str, now: f64) -> f64 {
        let kept = self.0.entry((cpu.to_owned(), mode)).or_insert(now);
        if now > *kept || *kept - now > BACKWARDS_MAX_SECONDS {
            *kept = now;
        }
        *kept
    }
}

/// Adds the load averages.
pub fn load(proc: &Path, readings: &mut Readings) {
    let Some(text) = readings.file("could not read /proc/loadavg", &proc.join("loadavg")) else { return };
    for (name, word) in ["node_load1", "node_load5", "node_load15"].into_iter().zip(text.split_ascii_whitespace()) {
        if let Ok(value) = word.parse() {
            readings.push(name, &[], value);
        }
    }
}

/// Adds memory sizes.
pub fn memory(proc: &Path, readings: &mut Readings) {
    const NAMES: [(&str, &str); 7] = [
        ("MemTotal", "node_memory_MemTotal_bytes"),
        ("MemFree", "node_memory_MemFree_bytes"),
        ("MemAvailable", "node_memory_MemAvailable_bytes"),
        ("Buffers", "node_memory_Buffers_bytes"),
        ("Cached", "node_memory_Cached_bytes"),
        ("SwapTotal", "node_memory_SwapTotal_bytes"),
        ("SwapFree", "node_memory_SwapFree_bytes"),
    ];
    let Some(text) = readings.file("could not read /proc/meminfo", &proc.join("meminfo")) else { return };
    for line in text.lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let Some((_, name)) = NAMES.into_iter().find(|(known, _)| *known == key) else { continue };
        let kilobytes = rest.trim().strip_suffix("kB").unwrap_or(rest).trim().parse::<f64>();
        if let Ok(kilobytes) = kilobytes {
            readings.push(name, &[], kilobytes * 1_024.0);
        }
    }
}

/// Adds the traffic of whole disks; partitions, loop and memory devices are left out.
pub fn disks(proc: &Path, readings: &mut Readings) {
    let Some(text) = readings.file("could not read /proc/diskstats", &proc.join("diskstats")) else { return };
    let rows = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    for row in rows.filter(|row| row.len() >= 13 && is_disk(row[2])).take(DEVICES_MAX) {
        let labels = [("device", row[2])];
        let fields = [
            ("node_disk_reads_completed_total", 3, 1.0),
            ("node_disk_read_bytes_total", 5, SECTOR_BYTES),
            ("node_disk_writes_completed_total", 7, 1.0),
            ("node_disk_written_bytes_total", 9, SECTOR_BYTES),
            ("node_disk_io_time_seconds_total", 12, 0.001),
        ];
        for (name, column, factor) in fields {
            if let Ok(value) = row[column].parse::<f64>() {
                readings.push(name, &labels, value * factor);
            }
        }
    }
}

/// As node_exporter leaves out by default, and optical drives, which count nothing.
pub fn is_disk(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = stem.len() < device.len();
    if !numbered {
        return true;
    }
    if matches!(stem, "ram" | "zram" | "loop" | "fd" | "sr") {
        return false;
    }
    let is_partition_of_letters = ["hd", "sd", "vd", "xvd"].iter().any(|kind| {
        stem.strip_prefix(kind).is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_lowercase())
    });
    let is_partition_of_numbers = (stem.starts_with("nvme") || stem.starts_with("mmcblk"))
        && stem.strip_suffix('p').is_some_and(|disk| disk.ends_with(|c: char| c.is_ascii_digit()));
    !is_partition_of_letters && !is_partition_of_numbers
}

/// Adds the traffic of network interfaces; the host's ends of container interfaces are left out.
pub fn network(proc: &Path, readings: &mut Readings) {
    const FIELDS: [(usize, &str); 8] = [
        (0, "node_network_receive_bytes_total"),
        (1, "node_network_receive_packets_total"),
        (2, "node_network_receive_errs_total"),
        (3, "node_network_receive_drop_total"),
        (8, "node_network_transmit_bytes_total"),
        (9, "node_network_transmit_packets_total"),
        (10, "node_network_transmit_errs_total"),
        (11, "node_network_transmit_drop_total"),
    ];
    let Some(text) = readings.file("could not read /proc/net/dev", &proc.join("net/dev")) else { return };
    let rows = text.lines().filter_map(|line| line.split_once(':'));
    for (device, rest) in rows.filter(|(device, _)| is_interface(device.trim())).take(DEVICES_MAX) {
        let columns: Vec<&str> = rest.split_ascii_whitespace().collect();
        for (column, name) in FIELDS {
            if let Some(value) = columns.get(column).and_then(|word| word.parse().ok()) {
                readings.push(name, &[("device", device.trim())], value);
            }
        }
    }
}

/// Tells whether an interface is the machine's own.
pub fn is_interface(device: &str) -> bool {
    !device.is_empty() && !device.starts_with("veth") && !device.starts_with("cali") && !device.contains('|')
}

/// Adds how long work waited for processor, disk and memory; kernels without the figures say nothing.
pub fn pressure(proc: &Path, readings: &mut Readings) {
    const NAMES: [(&str, &str, &str); 5] = [
        ("cpu", "some", "node_pressure_cpu_waiting_seconds_total"),
        ("io", "some", "node_pressure_io_waiting_seconds_total"),
        ("io", "full", "node_pressure_io_stalled_seconds_total"),
        ("memory", "some", "node_pressure_memory_waiting_seconds_total"),
        ("memory", "full", "node_pressure_memory_stalled_seconds_total"),
    ];
    for (file, row, name) in NAMES {
        let Ok(text) = std::fs::read_to_string(proc.join("pressure").join(file)) else { continue };
        let total = text
            .lines()
            .filter(|line| line.split_ascii_whitespace().next() == Some(row))
            .find_map(|line| line.split("total=").nth(1)?.trim().parse::<f64>().ok());
        if let Some(microseconds) = total {
            readings.push(name, &[], microseconds / 1e6);
        }
    }
}

#[cfg(test)]
mod tests;
