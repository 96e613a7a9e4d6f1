//! The parts of `/sys`: the state of interfaces, and temperatures.

use std::fs;
use std::path::Path;

use super::Readings;
use super::procfs::is_interface;

/// How many entries of one folder are looked at.
const ENTRIES_MAX: usize = 256;

/// Adds `node_network_up`.
pub fn network_up(sys: &Path, readings: &mut Readings) {
    for device in sorted(&sys.join("class/net")).iter().filter(|device| is_interface(device)) {
        if let Some(state) = text(&sys.join("class/net").join(device).join("operstate")) {
            readings.push("node_network_up", &[("device", device)], f64::from(u8::from(state == "up")));
        }
    }
}

/// Adds `node_hwmon_temp_celsius` with the chip and sensor names of node_exporter.
pub fn temperatures(sys: &Path, readings: &mut Readings) {
    let class = sys.join("class/hwmon");
    for folder in sorted(&class) {
        let path = class.join(&folder);
        let chip = chip(&path, &folder);
        for file in sorted(&path) {
            let Some(sensor) = file.strip_suffix("_input").filter(|sensor| sensor.starts_with("temp")) else {
                continue;
            };
            let Some(thousandths) = text(&path.join(&file)).and_then(|text| text.parse::<f64>().ok()) else { continue };
            let labels = [("chip", chip.as_str()), ("sensor", sensor)];
            readings.push("node_hwmon_temp_celsius", &labels, thousandths / 1_000.0);
        }
    }
}

/// The chip's name: subsystem and device from where `device` points, else what the driver says, else the folder.
fn chip(path: &Path, folder: &str) -> String {
    let from_device = || {
        let device = fs::canonicalize(path.join("device")).ok()?;
        let name = clean(device.file_name()?.to_str()?);
        let kind = clean(device.parent()?.file_name()?.to_str()?);
        match (kind.is_empty(), name.is_empty()) {
            (false, false) => Some(format!("{kind}_{name}")),
            (true, false) => Some(name),
            _ => None,
        }
    };
    from_device()
        .or_else(|| text(&path.join("name")).map(|name| clean(&name)).filter(|name| !name.is_empty()))
        .unwrap_or_else(|| folder.to_owned())
}

fn clean(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == ':' || c == '_' { c } else { '_' };
    name.to_ascii_lowercase().chars().map(keep).collect::<String>().trim_matches('_').to_owned()
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The names in a folder in order, so that every round reads alike.
fn sorted(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).take(ENTRIES_MAX).collect();
    names.sort_unstable();
    names
}
