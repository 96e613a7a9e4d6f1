//! The 25 shapes of lines.

use std::fmt::Write as _;

use super::Host;
use crate::random::Random;

/// How many shapes there are.
pub const SHAPES: usize = 25;
/// How many programs say them.
pub const APPS: usize = 12;
/// These programs.
pub const NAMES: [&str; APPS] = [
    "sshd",
    "systemd",
    "kernel",
    "nginx",
    "dhcpd",
    "hostapd",
    "modemd",
    "CRON",
    "smartd",
    "snmpd",
    "postfix/smtp",
    "ecdis",
];

const SSHD: usize = 0;
const SYSTEMD: usize = 1;
const KERNEL: usize = 2;
const NGINX: usize = 3;
const DHCPD: usize = 4;
const HOSTAPD: usize = 5;
const MODEMD: usize = 6;
const CRON: usize = 7;
const SMARTD: usize = 8;
const SNMPD: usize = 9;
const POSTFIX: usize = 10;
const ECDIS: usize = 11;

const ERROR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFO: u8 = 6;
const DEBUG: u8 = 7;

const PAGES: [&str; 8] = [
    "/charts/tiles",
    "/api/v1/position",
    "/crew/portal",
    "/weather/grib",
    "/static/app.js",
    "/metrics",
    "/ais/targets",
    "/logbook/entries",
];
const CLIENTS: [&str; 4] = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/7.88.1", "ECDIS-Sync/4.2", "okhttp/4.9.3"];
const UNITS: [&str; 6] = [
    "chart-update.service",
    "logrotate.service",
    "apt-daily.service",
    "fstrim.service",
    "backup.service",
    "ais.service",
];

/// Writes a line of a shape; answers the program's number and the severity.
#[expect(clippy::too_many_lines, reason = "a table of 25 shapes")]
pub fn write(shape: usize, host: &Host, random: &mut Random, out: &mut String) -> (usize, u8) {
    let [third, fourth] = host.address;
    let (count, reading) = (host.count, host.reading);
    let client = random.below(40) as u8 + fourth / 8;
    let port = 1_024 + random.below(60_000);
    let _ = match shape {
        0 => write!(
            out,
            "10.20.{third}.{client} - - \"GET {}?id={} HTTP/1.1\" 200 {} \"{}\" rt={:.3}",
            random.pick(&PAGES),
            count,
            200 + random.below(40_000),
            random.pick(&CLIENTS),
            random.unit().powi(4)
        ),
        1 => write!(
            out,
            "Accepted publickey for crew{:02} from 10.20.{third}.{client} port {port} ssh2: ED25519 SHA256:{:016x}",
            client,
            u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ),
        2 => write!(
            out,
            "DHCPACK on 10.20.{third}.{client} to 52:54:00:{third:02x}:{fourth:02x}:{client:02x} (tablet-{client}) via vlan{}",
            10 + third % 8
        ),
        3 => write!(
            out,
            "wlan0: STA 52:54:00:{third:02x}:{fourth:02x}:{client:02x} WPA: group key handshake completed (RSN) signal={:.0} dBm",
            -60.0 + 6.0 * reading
        ),
        4 => write!(
            out,
            "carrier lock: SNR {:.1} dB, Eb/N0 {:.1} dB, azimuth {:.1}, elevation {:.1}, symbol errors {}",
            9.0 + reading,
            7.5 + reading,
            181.0 + 4.0 * reading,
            38.0 + reading,
            random.below(90)
        ),
        5 => write!(
            out,
            "pam_unix(sshd:session): session opened for user crew{client:02}(uid={}) by (uid=0)",
            1_000 + u32::from(client)
        ),
        6 => write!(
            out,
            "(root) CMD (/usr/local/bin/chart-sync --vessel --since {} >/var/log/chart-sync.log 2>&1)",
            count
        ),
        7 => write!(
            out,
            "Started {} - scheduled maintenance run {}, main process {} entered running state.",
            random.pick(&UNITS),
            count,
            port
        ),
        8 => write!(
            out,
            "[{count}.{:06}] audit: type=1400 apparmor=\"ALLOWED\" operation=\"open\" profile=\"nginx\" name=\"/srv/charts/{:05}.png\" pid={port}",
            random.below(1_000_000),
            random.below(9_000)
        ),
        9 => write!(
            out,
            "Device: /dev/sda [SAT], SMART Usage Attribute: 194 Temperature_Celsius changed from {:.0} to {:.0}",
            40.0 + 2.0 * reading,
            41.0 + 2.0 * reading
        ),
        10 => write!(
            out,
            "DHCPDISCOVER from 52:54:00:{third:02x}:{fourth:02x}:{client:02x} (tablet-{client}) via vlan{}: network crew, {} free leases",
            10 + third % 8,
            random.below(120)
        ),
        11 => write!(
            out,
            "Connection from UDP: [10.20.{third}.{client}]:{port}->[10.20.0.5]:161, community readonly, {} varbinds",
            1 + random.below(40)
        ),
        12 => write!(
            out,
            "{count:010X}: to=<ops@fleet.example>, relay=none, delay={:.1}, delays={:.1}/0.1/0.4/0, dsn=4.4.1, status=deferred (connection timed out)",
            30.0 + 4.0 * reading.abs(),
            29.0 + 4.0 * reading.abs()
        ),
        13 => write!(
            out,
            "Failed password for invalid user admin{} from 10.20.{third}.{client} port {port} ssh2",
            random.below(30)
        ),
        14 => write!(
            out,
            "position fix: lat {:.5} lon {:.5} sog {:.1} kn cog {:.1}, HDOP {:.1}, {} satellites used",
            53.5 + count as f64 * 1e-6,
            9.9 + count as f64 * 1e-6,
            14.2 + reading,
            281.0 + 3.0 * reading,
            0.9 + 0.1 * reading.abs(),
            7 + random.below(6)
        ),
        15 => write!(
            out,
            "[{count}.{:06}] eth{}: link is down; {} carrier changes since boot, last negotiated 1000 Mbps full duplex",
            random.below(1_000_000),
            client % 4,
            count % 977
        ),
        16 => write!(
            out,
            "[{count}.{:06}] eth{}: link becomes ready, negotiated 1000 Mbps full duplex, flow control rx/tx",
            random.below(1_000_000),
            client % 4
        ),
        17 => write!(
            out,
            "upstream timed out (110: Connection timed out) while reading response header from upstream, client: 10.20.{third}.{client}, request: \"GET {} HTTP/1.1\"",
            random.pick(&PAGES)
        ),
        18 => write!(
            out,
            "{}: Main process exited, code=exited, status={}/FAILURE, restart counter is at {}.",
            random.pick(&UNITS),
            1 + random.below(3),
            count % 41
        ),
        19 => write!(
            out,
            "wlan0: STA 52:54:00:{third:02x}:{fourth:02x}:{client:02x} IEEE 802.11: disassociated due to inactivity after {} s",
            300 + random.below(60)
        ),
        20 => write!(
            out,
            "modem handover: beam {} to beam {}, outage {} ms, SNR before {:.1} dB after {:.1} dB",
            40 + count % 30,
            41 + count % 30,
            400 + random.below(9_000),
            8.0 + reading,
            9.4 + reading
        ),
        21 => write!(
            out,
            "chart cell DE{:06} edition {} rejected: permit expired, {} cells affected on this display",
            400_000 + random.below(9_000),
            1 + random.below(30),
            1 + random.below(12)
        ),
        22 => write!(
            out,
            "[{count}.{:06}] EXT4-fs warning (device dm-2): ext4_dx_add_entry: Directory (ino: {}) index full, reach max htree level",
            random.below(1_000_000),
            100_000 + random.below(70_000)
        ),
        23 => write!(
            out,
            "Device: /dev/sdb [SAT], {} Currently unreadable (pending) sectors, {} offline uncorrectable",
            1 + count % 9,
            count % 4
        ),
        _ => write!(
            out,
            "debug: session {count:x} cache lookup tile={}/{}/{} hit={} age={} ms",
            4 + random.below(12),
            random.below(4_096),
            random.below(4_096),
            random.below(2),
            random.below(90_000)
        ),
    };
    match shape {
        0 => (NGINX, INFO),
        1 | 5 => (SSHD, INFO),
        2 | 10 => (DHCPD, INFO),
        3 => (HOSTAPD, INFO),
        4 => (MODEMD, INFO),
        6 => (CRON, INFO),
        7 => (SYSTEMD, INFO),
        8 => (KERNEL, NOTICE),
        9 => (SMARTD, INFO),
        11 => (SNMPD, INFO),
        12 => (POSTFIX, WARNING),
        13 => (SSHD, WARNING),
        14 => (ECDIS, INFO),
        15 => (KERNEL, ERROR),
        16 => (KERNEL, NOTICE),
        17 => (NGINX, ERROR),
        18 => (SYSTEMD, ERROR),
        19 => (HOSTAPD, NOTICE),
        20 => (MODEMD, WARNING),
        21 => (ECDIS, ERROR),
        22 => (KERNEL, WARNING),
        23 => (SMARTD, ERROR),
        _ => (ECDIS, DEBUG),
    }
}
