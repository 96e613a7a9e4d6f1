//! Profiles: data files that say which objects of which devices become which series.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_snmp::Oid;
use serde::{Deserialize, Deserializer};
use wk_types::ErrorKind;

/// The number of the profile format that this version reads.
pub const FORMAT: u32 = 1;
/// How many bytes a profile's file may have.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// The shipped profiles, by file name.
const SHIPPED: [(&str, &str); 12] = [
    ("system", include_str!("../../profiles/system.toml")),
    ("interface", include_str!("../../profiles/interface.toml")),
    ("host", include_str!("../../profiles/host.toml")),
    ("entity-sensor", include_str!("../../profiles/entity-sensor.toml")),
    ("neighbours", include_str!("../../profiles/neighbours.toml")),
    ("ups", include_str!("../../profiles/ups.toml")),
    ("cisco", include_str!("../../profiles/cisco.toml")),
    ("fortinet", include_str!("../../profiles/fortinet.toml")),
    ("hp-aruba", include_str!("../../profiles/hp-aruba.toml")),
    ("mikrotik", include_str!("../../profiles/mikrotik.toml")),
    ("wireless", include_str!("../../profiles/wireless.toml")),
    ("printer", include_str!("../../profiles/printer.toml")),
];

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It only grows; 32-bit ones are unfolded to 64 bits where they wrap.
    Counter,
    /// It goes up and down; text that is a number counts as one.
    Gauge,
}

/// Objects of some sort of device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The format's number.
    pub format: u32,
    /// What the configuration calls it by.
    pub name: String,
    /// It is read from devices whose sysObjectID begins with one of these; from all where there are none.
    #[serde(default, deserialize_with = "oids")]
    pub object_ids: Vec<Oid>,
    /// Series of value 1 whose labels are texts.
    #[serde(default, rename = "info")]
    pub infos: Vec<Info>,
    /// Single objects.
    #[serde(default, rename = "scalar")]
    pub scalars: Vec<Scalar>,
    /// Tables.
    #[serde(default, rename = "table")]
    pub tables: Vec<Table>,
    /// Tables of neighbours.
    #[serde(default)]
    pub neighbours: Vec<NeighbourTable>,
}

/// A table that names neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NeighbourTable {
    /// LLDP-MIB lldpRemTable.
    Lldp,
    /// CISCO-CDP-MIB cdpCacheTable.
    Cdp,
}

/// A series of value 1 whose labels are texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// The metric's name.
    pub metric: Arc<str>,
    /// What it tells.
    pub help: String,
    /// Label names and the objects that hold their values.
    #[serde(deserialize_with = "named_oids")]
    pub labels: BTreeMap<Arc<str>, Oid>,
}

/// A single object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scalar {
    /// The object with its instance, such as `1.3.6.1.2.1.1.3.0`.
    #[serde(deserialize_with = "oid")]
    pub oid: Oid,
    /// What becomes of it.
    #[serde(flatten)]
    pub metric: Metric,
}

/// What becomes of a value.
#[derive(Debug, Clone, Deserialize)]
pub struct Metric {
    /// The metric's name: the object's, then its unit where the value is scaled, then `_total` of a counter.
    pub metric: Arc<str>,
    /// What the value is.
    pub kind: Kind,
    /// By how much the value is multiplied.
    #[serde(default = "one")]
    pub scale: f64,
    /// What it measures.
    pub help: String,
}

/// A table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Names of the index's parts, each one number; the last takes what is left.
    pub index: Vec<Arc<str>>,
    /// Label names and the columns that hold their values; read less often than the others.
    #[serde(default, deserialize_with = "named_oids")]
    pub labels: BTreeMap<Arc<str>, Oid>,
    /// The column whose change says that the row's counters began anew.
    #[serde(default, deserialize_with = "maybe_oid")]
    pub discontinuity: Option<Oid>,
    /// The columns.
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The column's object, without an instance.
    #[serde(deserialize_with = "oid")]
    pub oid: Oid,
    /// The column that is read where the device does not have this one.
    #[serde(default, deserialize_with = "maybe_oid")]
    pub instead: Option<Oid>,
    /// By how much the value of that one is multiplied, where it differs.
    #[serde(default)]
    pub instead_scale: Option<f64>,
    /// The column that holds the power of a thousand, as entPhySensorScale has it (9 is one).
    #[serde(default, deserialize_with = "maybe_oid")]
    pub thousands: Option<Oid>,
    /// The column that holds the number of decimal places, as entPhySensorPrecision has it.
    #[serde(default, deserialize_with = "maybe_oid")]
    pub decimals: Option<Oid>,
    /// What becomes of it.
    #[serde(flatten)]
    pub metric: Metric,
}

const fn one() -> f64 {
    1.0
}

fn oid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Oid, D::Error> {
    read(&String::deserialize(deserializer)?)
}

fn maybe_oid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Oid>, D::Error> {
    oid(deserializer).map(Some)
}

fn oids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Oid>, D::Error> {
    Vec::<String>::deserialize(deserializer)?.iter().map(|text| read(text)).collect()
}

fn named_oids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Arc<str>, Oid>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    texts.iter().map(|(name, text)| Ok((name.as_str().into(), read(text)?))).collect()
}

fn read<E: serde::de::Error>(text: &str) -> Result<Oid, E> {
    let parsed = Oid::parse(text).map_err(|error| E::custom(format!("{text:?} is no object identifier: {error}")))?;
    if parsed.len() < 2 {
        Err(E::custom(format!("{text:?} is too short for an object identifier")))
    } else {
        Ok(parsed)
    }
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The folder or a file in it cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than a profile may be.
    #[error("{} has more than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A text is no profile.
    #[error("could not understand the profile {name}: {what}")]
    Parse {
        /// The profile or its file.
        name: String,
        /// Where and what.
        what: String,
    },
    /// A device asks for a profile that is not there.
    #[error("there is no profile {name:?}; there are: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
    },
}

impl ProfileError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::Unavailable,
            Self::Unknown { .. } => ErrorKind::NotFound,
            Self::TooLarge { .. } | Self::Parse { .. } => ErrorKind::InvalidInput,
        }
    }
}

/// All profiles, by name.
#[derive(Debug, Clone)]
pub struct Profiles(BTreeMap<String, Arc<Profile>>);

impl Profiles {
    /// Reads the shipped profiles, and those of a folder, which take the place of shipped ones of their name.
    ///
    /// # Errors
    /// A folder that cannot be read, a file that is no profile.
    pub fn load(folder: Option<&Path>) -> Result<Self, ProfileError> {
        let mut all = BTreeMap::new();
        for (name, text) in SHIPPED {
            let profile = parse(name, text)?;
            all.insert(profile.name.clone(), Arc::new(profile));
        }
        for path in folder.map(files).transpose()?.unwrap_or_default() {
            let failed = |source| ProfileError::Read { path: path.clone(), source };
            if std::fs::metadata(&path).map_err(failed)?.len() > FILE_BYTES_MAX {
                return Err(ProfileError::TooLarge { path });
            }
            let profile = parse(&path.display().to_string(), &std::fs::read_to_string(&path).map_err(failed)?)?;
            all.insert(profile.name.clone(), Arc::new(profile));
        }
        Ok(Self(all))
    }

    /// The profiles of these names, in their order.
    ///
    /// # Errors
    /// A name that no profile has.
    pub fn named(&self, names: &[String]) -> Result<Vec<Arc<Profile>>, ProfileError> {
        let find = |name: &String| {
            self.0.get(name).map(Arc::clone).ok_or_else(|| ProfileError::Unknown {
                name: name.clone(),
                known: self.0.keys().cloned().collect::<Vec<_>>().join(", "),
            })
        };
        names.iter().map(find).collect()
    }

    /// The profiles for a device of this sysObjectID, sorted by name.
    #[must_use]
    pub fn fitting(&self, object_id: Option<&Oid>) -> Vec<Arc<Profile>> {
        let begins = |prefix: &Oid| object_id.is_some_and(|object_id| object_id.starts_with(prefix));
        let fits = |profile: &&Arc<Profile>| profile.object_ids.is_empty() || profile.object_ids.iter().any(begins);
        self.0.values().filter(fits).map(Arc::clone).collect()
    }

    /// Every metric with its kind and what it tells, each name once.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, crate::Metadata)> {
        let mut all = BTreeMap::new();
        for profile in self.0.values() {
            let columns = profile.tables.iter().flat_map(|table| table.columns.iter().map(|column| &column.metric));
            for metric in profile.scalars.iter().map(|scalar| &scalar.metric).chain(columns) {
                let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
                all.insert(metric.metric.to_string(), crate::Metadata::new(kind, &metric.help, ""));
            }
            for info in &profile.infos {
                all.insert(info.metric.to_string(), crate::Metadata::new("gauge", &info.help, ""));
            }
        }
        all.into_iter().collect()
    }
}

/// Reads one profile.
///
/// # Errors
/// A text that is none, or one of a newer format.
fn parse(name: &str, text: &str) -> Result<Profile, ProfileError> {
    let failed = |what: String| ProfileError::Parse { name: name.to_owned(), what };
    let profile: Profile = toml::from_str(text).map_err(|error| failed(error.to_string().trim().to_owned()))?;
    if profile.format != FORMAT {
        return Err(failed(format!("it has format {}, this version reads {FORMAT}", profile.format)));
    }
    for table in &profile.tables {
        if table.index.is_empty() || table.columns.is_empty() {
            return Err(failed("a table needs an index and a column".to_owned()));
        }
    }
    Ok(profile)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, ProfileError> {
    let failed = |source| ProfileError::Read { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
