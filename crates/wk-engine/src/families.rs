//! The metric families that the detector looks at, declared as data.
//!
//! A machine gives some 1,500 series, and most of them wander, burst with every scheduled job, or follow what people
//! happen to do: a statistical surprise in them tells nobody anything. So the detector evaluates only the families
//! declared here, each with the direction that is bad, the smallest change that matters in the metric's own unit, and
//! how long it must hold. Of these, only the families in which leaving one's own past is itself a fault (a room's
//! temperature, interface errors, stalled memory, a link's quality) speak with severity minor and so can open an incident; the
//! others are kept as information that explains an incident. What is bad at an absolute value, such as a full disk, is
//! the business of the alerting rules.

use wk_types::{Direction, DurationMs, Severity};

/// Which metric names belong to a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Exactly this name.
    Name(&'static str),
    /// Every name that ends so.
    Suffix(&'static str),
}

/// What the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The value itself is looked at.
    Gauge,
    /// The value only grows, and its rate a second is looked at.
    Counter,
}

/// One family of metrics worth evaluating.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// Which names belong to it.
    pub pattern: Pattern,
    /// What its samples are.
    pub kind: Kind,
    /// The direction that is bad; `None` where both are.
    pub bad: Option<Direction>,
    /// The smallest change that matters, in `unit`.
    pub effect_min: f64,
    /// The smallest change that matters as a share of the usual value; both minima must be exceeded.
    pub share_min: f64,
    /// The unit of what is looked at.
    pub unit: &'static str,
    /// What it is, in plain words.
    pub says: &'static str,
    /// How bad leaving the usual range is.
    pub severity: Severity,
    /// How long it must hold before it is said.
    pub hold: DurationMs,
}

const fn family(pattern: Pattern, kind: Kind, unit: &'static str, says: &'static str) -> Family {
    Family {
        pattern,
        kind,
        bad: Some(Direction::Up),
        effect_min: 0.0,
        share_min: 0.0,
        unit,
        says,
        severity: Severity::Info,
        hold: DurationMs::from_mins(5),
    }
}

impl Family {
    const fn effect(mut self, effect_min: f64, share_min: f64) -> Self {
        self.effect_min = effect_min;
        self.share_min = share_min;
        self
    }

    const fn falls(mut self) -> Self {
        self.bad = Some(Direction::Down);
        self
    }

    const fn either(mut self) -> Self {
        self.bad = None;
        self
    }

    const fn minor(mut self) -> Self {
        self.severity = Severity::Minor;
        self.hold = DurationMs::from_mins(10);
        self
    }

    /// Tells whether a metric of this name belongs to the family.
    #[must_use]
    pub fn matches(&self, metric: &str) -> bool {
        match self.pattern {
            Name(name) => name == metric,
            Suffix(suffix) => metric.ends_with(suffix),
        }
    }
}

use Kind::{Counter, Gauge};
use Pattern::{Name, Suffix};

const MIB: f64 = 1_048_576.0;

/// All families; the first that matches a name holds.
pub const FAMILIES: &[Family] = &[
    // Leaving one's own past is itself a fault.
    family(Suffix("_temperature_celsius"), Gauge, "celsius", "Temperature").effect(8.0, 0.0).minor(),
    family(Name("node_network_receive_errs_total"), Counter, "errors/s", "Receive errors").effect(1.0, 1.0).minor(),
    family(Name("node_network_transmit_errs_total"), Counter, "errors/s", "Send errors").effect(1.0, 1.0).minor(),
    family(Name("node_pressure_memory_stalled_seconds_total"), Counter, "ratio", "Time stalled for memory")
        .effect(0.25, 0.0)
        .minor(),
    family(Suffix("_snr_db"), Gauge, "db", "Signal-to-noise ratio").effect(4.0, 0.0).falls().minor(),
    family(Suffix("_packet_loss_ratio"), Gauge, "ratio", "Packet loss").effect(0.05, 0.0).minor(),
    // Kept as information. A processor's own temperature follows its load, so only its absolute value is a fault.
    family(Name("node_hwmon_temp_celsius"), Gauge, "celsius", "Temperature").effect(10.0, 0.0),
    family(Name("node_load1"), Gauge, "load", "Load").effect(2.0, 1.0),
    family(Name("node_load5"), Gauge, "load", "Load over 5 min").effect(2.0, 1.0),
    family(Name("node_memory_MemAvailable_bytes"), Gauge, "bytes", "Available memory").effect(512.0 * MIB, 0.4).falls(),
    family(Name("node_filesystem_avail_bytes"), Gauge, "bytes", "Free disk space").effect(1_024.0 * MIB, 0.3).falls(),
    family(Name("node_disk_io_time_seconds_total"), Counter, "ratio", "Disk busy time").effect(0.5, 0.0),
    family(Name("node_pressure_cpu_waiting_seconds_total"), Counter, "ratio", "Time waiting for the cpu")
        .effect(0.4, 0.0),
    family(Name("node_pressure_io_stalled_seconds_total"), Counter, "ratio", "Time stalled for disks").effect(0.3, 0.0),
    family(Name("node_network_receive_drop_total"), Counter, "packets/s", "Dropped packets").effect(10.0, 1.0),
    family(Name("node_network_receive_bytes_total"), Counter, "bytes/s", "Network traffic in")
        .effect(4.0 * MIB, 2.0)
        .either(),
    family(Name("node_network_transmit_bytes_total"), Counter, "bytes/s", "Network traffic out")
        .effect(4.0 * MIB, 2.0)
        .either(),
    family(Name("namedprocess_namegroup_cpu_seconds_total"), Counter, "cores", "Cpu use").effect(0.5, 1.0),
    family(Name("namedprocess_namegroup_memory_bytes"), Gauge, "bytes", "Memory use").effect(512.0 * MIB, 1.0),
    family(Suffix("_rtt_seconds"), Gauge, "seconds", "Round-trip time").effect(0.2, 1.0),
    family(Suffix("_latency_seconds"), Gauge, "seconds", "Latency").effect(0.2, 1.0),
    family(Suffix("_errors_total"), Counter, "errors/s", "Errors").effect(1.0, 1.0),
];

/// The family a metric belongs to, with its position in [`FAMILIES`]; `None` where the metric is not evaluated.
#[must_use]
pub fn family_of(metric: &str) -> Option<(usize, &'static Family)> {
    FAMILIES.iter().enumerate().find(|(_, family)| family.matches(metric))
}

/// Writes a value with its unit as a person reads it, the same on every machine.
#[must_use]
pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => scaled_bytes(value, "B"),
        "bytes/s" => scaled_bytes(value, "B/s"),
        "celsius" => format!("{value:.1} °C"),
        "db" => format!("{value:.1} dB"),
        "ratio" => format!("{:.1} %", value * 100.0),
        "percent" => format!("{value:.1} %"),
        "seconds" if value.abs() < 1.0 => format!("{:.0} ms", value * 1_000.0),
        "seconds" => format!("{value:.2} s"),
        "load" | "" => format!("{value:.2}"),
        _ => format!("{value:.2} {unit}"),
    }
}

fn scaled_bytes(value: f64, unit: &str) -> String {
    const PREFIXES: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let mut scaled = value;
    let mut position = 0;
    while scaled.abs() >= 1_024.0 && position + 1 < PREFIXES.len() {
        scaled /= 1_024.0;
        position += 1;
    }
    let digits = usize::from(position > 0);
    format!("{scaled:.digits$} {}{unit}", PREFIXES[position])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_its_family_and_most_names_find_none() {
        let found = |metric: &str| family_of(metric).map(|(_, family)| (family.says, family.severity));
        assert_eq!(found("rack_temperature_celsius"), Some(("Temperature", Severity::Minor)));
        assert_eq!(found("modem_snr_db"), Some(("Signal-to-noise ratio", Severity::Minor)));
        assert_eq!(found("node_load1"), Some(("Load", Severity::Info)));
        assert_eq!(found("node_intr_total"), None);
        assert_eq!(found("node_cpu_seconds_total"), None);
    }

    #[test]
    fn every_family_declares_an_effect_that_matters() {
        for family in FAMILIES {
            assert!(family.effect_min > 0.0, "{:?}", family.pattern);
            assert!(family.hold >= DurationMs::from_mins(5), "{:?}", family.pattern);
            assert!(family.severity <= Severity::Minor, "{:?}", family.pattern);
        }
    }

    #[test]
    fn values_read_with_their_unit() {
        let said = [
            with_unit(0.93, "ratio"),
            with_unit(1.5 * 1_024.0 * MIB, "bytes"),
            with_unit(12.0, "bytes/s"),
            with_unit(0.25, "seconds"),
            with_unit(71.25, "celsius"),
            with_unit(1.0, "cores"),
        ];
        assert_eq!(said, ["93.0 %", "1.5 GiB", "12 B/s", "250 ms", "71.2 °C", "1.00 cores"]);
    }
}
