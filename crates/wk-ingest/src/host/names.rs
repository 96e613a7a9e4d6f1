//! What this machine calls itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::Readings;

/// The machine's host name, read under the given `/proc`; `localhost` where there is none.
#[must_use]
pub fn host_name(proc: &Path) -> String {
    let name = kernel(proc, "hostname");
    if name.is_empty() || name == "(none)" { "localhost".to_owned() } else { name }
}

/// The addresses of this machine other than loopback and link-local ones, sorted, read under the given `/proc`.
#[must_use]
pub fn addresses(proc: &Path) -> Vec<IpAddr> {
    let read = |name: &str| std::fs::read_to_string(proc.join(name)).unwrap_or_default();
    let mut found: Vec<IpAddr> = ipv4(&read("net/fib_trie")).map(IpAddr::V4).collect();
    found.extend(ipv6(&read("net/if_inet6")).map(IpAddr::V6));
    found.retain(|address| !address.is_loopback());
    found.sort_unstable();
    found.dedup();
    found
}

/// Local addresses stand in `fib_trie` as `|-- 10.0.0.2` above `/32 host LOCAL`.
fn ipv4(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    trie.lines().zip(trie.lines().skip(1)).filter(|(_, below)| below.trim() == "/32 host LOCAL").filter_map(
        |(line, _)| {
            let address: Ipv4Addr = line.trim().strip_prefix("|-- ")?.parse().ok()?;
            (!address.is_link_local()).then_some(address)
        },
    )
}

/// Lines of `if_inet6` begin with the address as 32 hexadecimal digits.
fn ipv6(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    table.lines().filter_map(|line| {
        let digits = line.get(..32)?;
        let address = Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?);
        (!address.is_unicast_link_local()).then_some(address)
    })
}

/// Adds `node_uname_info`.
pub fn uname(proc: &Path, readings: &mut Readings) {
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    let labels = [
        ("sysname", kernel(proc, "ostype")),
        ("release", kernel(proc, "osrelease")),
        ("version", kernel(proc, "version")),
        ("machine", machine),
        ("nodename", host_name(proc)),
        ("domainname", kernel(proc, "domainname")),
    ];
    let labels: Vec<(&'static str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    readings.push("node_uname_info", &labels, 1.0);
}

fn kernel(proc: &Path, name: &str) -> String {
    let path = proc.join("sys/kernel").join(name);
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}
