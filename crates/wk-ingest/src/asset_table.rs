//! The look-up from names and addresses to assets.

use std::collections::HashMap;
use std::net::IpAddr;

use wk_types::{Asset, AssetId};

use crate::contract::{Attribution, Sender};

/// Which asset each name and address stands for. A full name goes before a short one; names compare in any case,
/// without port, brackets or trailing dot.
///
/// A name that a message claims is never overruled by the address it came from: behind one address there may be a
/// relay that forwards for many. Only a claim of loopback from elsewhere is read as "the machine at that address".
#[derive(Debug, Clone)]
pub struct AssetTable {
    own: AssetId,
    names: HashMap<String, AssetId>,
    short_names: HashMap<String, Option<AssetId>>,
    addresses: HashMap<IpAddr, AssetId>,
}

enum Claim {
    Name(String),
    Address(IpAddr),
    Loopback,
}

impl AssetTable {
    /// Makes a table that knows only this machine, by its asset's id and further names.
    #[must_use]
    pub fn new<'a>(own: &AssetId, own_names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table =
            Self { own: own.clone(), names: HashMap::new(), short_names: HashMap::new(), addresses: HashMap::new() };
        table.add_name(own.as_str(), own);
        for name in own_names {
            table.add_name(name, own);
        }
        table
    }

    /// Adds an address of this machine.
    pub fn add_own_address(&mut self, address: IpAddr) {
        self.addresses.insert(address.to_canonical(), self.own.clone());
    }

    /// Adds an asset under its id, host names and addresses; returns the identifiers that another asset already has,
    /// which stay with that one.
    pub fn add(&mut self, asset: &Asset) -> Vec<String> {
        let values = |key: &str| asset.identifiers.get(key).into_iter().flatten();
        let mut taken = Vec::new();
        for name in std::iter::once(asset.id.as_str()).chain(values("hostname").map(String::as_str)) {
            if !self.add_name(name, &asset.id) {
                taken.push(name.to_owned());
            }
        }
        for text in values("ip") {
            let Ok(address) = text.trim().parse::<IpAddr>() else {
                taken.push(text.clone());
                continue;
            };
            let holder = self.addresses.entry(address.to_canonical()).or_insert_with(|| asset.id.clone());
            if holder != &asset.id {
                taken.push(text.clone());
            }
        }
        taken
    }

    fn add_name(&mut self, name: &str, asset: &AssetId) -> bool {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        if let Some((short, _)) = name.split_once('.') {
            let holder = self.short_names.entry(short.to_owned()).or_insert_with(|| Some(asset.clone()));
            if holder.as_ref() != Some(asset) {
                *holder = None;
            }
        }
        self.names.entry(name).or_insert_with(|| asset.clone()) == asset
    }

    /// Says whose a record is: the declared asset, else whom the claimed name stands for, else whom the address does.
    #[must_use]
    pub fn look_up(&self, sender: &Sender<'_>) -> Attribution {
        if let Some(declared) = sender.declared {
            return known(declared);
        }
        match sender.claimed.and_then(read_claim) {
            Some(Claim::Name(name)) => self.by_name(&name),
            Some(Claim::Address(address)) => self.by_address(address),
            Some(Claim::Loopback) | None => match sender.peer {
                Some(peer) => self.by_address(peer),
                None if sender.claimed.is_some() => known(&self.own),
                None => unknown("the sender gave neither a name nor an address".to_owned()),
            },
        }
    }

    fn by_name(&self, name: &str) -> Attribution {
        let short = name.split_once('.').map_or(name, |(short, _)| short);
        if let Some(asset) = self.names.get(name).or_else(|| self.names.get(short)) {
            return known(asset);
        }
        match self.short_names.get(short) {
            Some(Some(asset)) if name == short => known(asset),
            Some(None) if name == short => unknown(format!("the short name {name:?} fits several assets")),
            _ => unknown(format!("no asset has the name {name:?}")),
        }
    }

    fn by_address(&self, address: IpAddr) -> Attribution {
        let address = address.to_canonical();
        if address.is_loopback() {
            return known(&self.own);
        }
        match self.addresses.get(&address) {
            Some(asset) => known(asset),
            None => unknown(format!("no asset has the address {address}")),
        }
    }
}

fn known(asset: &AssetId) -> Attribution {
    Attribution { asset: asset.clone(), unknown: None }
}

fn unknown(reason: String) -> Attribution {
    Attribution { asset: AssetId::unknown(), unknown: Some(reason) }
}

/// Reads `name`, `name:port`, `[address]:port`, `address`, or any of them inside a URL.
fn read_claim(text: &str) -> Option<Claim> {
    let text = text.trim();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split('/').next().unwrap_or(text);
    let host = bare_host(text).trim_end_matches('.');
    if host.is_empty() || host == "-" {
        return None;
    }
    let without_scope = host.split('%').next().unwrap_or(host);
    if let Ok(address) = without_scope.parse::<IpAddr>() {
        let address = address.to_canonical();
        return Some(if address.is_loopback() { Claim::Loopback } else { Claim::Address(address) });
    }
    let name = host.to_ascii_lowercase();
    let is_loopback = name == "localhost" || name.starts_with("localhost.") || name.ends_with(".localhost");
    Some(if is_loopback { Claim::Loopback } else { Claim::Name(name) })
}

fn bare_host(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    }
}

#[cfg(test)]
mod tests;
