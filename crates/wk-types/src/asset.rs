//! Assets and the topology between them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::AssetId;

/// Anything watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Asset {
    /// The name it is kept under.
    pub id: AssetId,
    /// What it is, such as `host`, `switch` or `modem`; empty where unknown.
    #[serde(default)]
    pub role: String,
    /// Names and addresses it answers to: `hostname`, `ip`, `mac`, `serial`, each with its values.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    pub identifiers: BTreeMap<String, BTreeSet<String>>,
}

/// What an edge means, read from `from` to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// `from` gives power to `to`.
    Powers,
    /// `from` is linked with `to`.
    Connects,
    /// `from` runs `to`.
    Hosts,
    /// `from` needs `to`.
    DependsOn,
    /// `from` reaches others through `to`.
    RoutesVia,
}

/// One typed, directed edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Edge {
    /// Where it starts.
    pub from: AssetId,
    /// What it means.
    pub kind: EdgeKind,
    /// Where it ends.
    pub to: AssetId,
}

/// The graph of assets as it is declared now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Topology {
    /// Its edges, sorted.
    #[schema(value_type = Vec<Edge>)]
    pub edges: BTreeSet<Edge>,
}

impl Topology {
    /// The edge that joins two assets in either direction, the first in order where there are several.
    #[must_use]
    pub fn edge_between(&self, a: &AssetId, b: &AssetId) -> Option<&Edge> {
        self.edges.iter().find(|edge| (&edge.from == a && &edge.to == b) || (&edge.from == b && &edge.to == a))
    }
}
