//! What is known of metric families: kind, help and unit.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use wk_ingest::prometheus_text::{self, Format};
use wk_ingest::{Metadata, host, link, vessel};
use wk_types::ErrorKind;

use super::answer::{Refusal, answer, success};
use super::outside::{self, Path};
use super::parameters::limit;
use crate::http::auth::Viewer;
use crate::http::params::Params;
use crate::node::Node;

/// One description as Prometheus answers it.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
pub struct Described {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    help: String,
    #[serde(default)]
    unit: String,
}

impl From<Metadata> for Described {
    fn from(metadata: Metadata) -> Self {
        let kind = match metadata.kind.as_str() {
            "" | "untyped" => "unknown".to_owned(),
            _ => metadata.kind,
        };
        Self { kind, help: metadata.help, unit: metadata.unit }
    }
}

/// Describes metric families: those of scraped targets and of remote write, of this machine and of the node itself.
#[utoipa::path(get, path = "/api/v1/metadata", tag = "prometheus", params(("metric" = Option<String>, Query), ("limit" = Option<usize>, Query), ("limit_per_metric" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn metadata(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    let outside = match described_outside(&node, &params).await {
        Ok(outside) => outside,
        Err(refusal) => return refusal.into_response(),
    };
    answer(node, move |node| {
        let families_max = limit(&params, "limit")?.unwrap_or(usize::MAX);
        let variants_max = limit(&params, "limit_per_metric")?.unwrap_or(usize::MAX);
        let metric = params.first("metric").filter(|metric| !metric.is_empty());
        let mut all = everything(node);
        for (family, variants) in outside {
            let known = all.entry(family).or_default();
            variants.into_iter().for_each(|one| {
                if !known.contains(&one) {
                    known.push(one);
                }
            });
        }
        all.retain(|family, _| metric.is_none_or(|metric| metric == family));
        let answered: BTreeMap<String, Vec<Described>> = all
            .into_iter()
            .take(families_max)
            .map(|(family, variants)| (family, variants.into_iter().take(variants_max).collect()))
            .collect();
        success(answered)
    })
    .await
}

/// What the store outside says of families, where metrics are kept outside: it may know what others have written.
async fn described_outside(node: &Arc<Node>, params: &Params) -> Result<BTreeMap<String, Vec<Described>>, Refusal> {
    #[derive(Deserialize)]
    struct Said {
        data: BTreeMap<String, Vec<Described>>,
    }
    let Some(answer) = outside::asked(node, Path::plain(&["metadata"]), params).await? else {
        return Ok(BTreeMap::new());
    };
    if answer.status != 200 {
        return Ok(BTreeMap::new());
    }
    let said: Said =
        serde_json::from_slice(&answer.body).map_err(|error| Refusal::of(ErrorKind::Unavailable, &error))?;
    Ok(said.data)
}

fn everything(node: &Node) -> BTreeMap<String, Vec<Described>> {
    let mut all: BTreeMap<String, Vec<Described>> = BTreeMap::new();
    let mut add = |family: String, metadata: Metadata| {
        let described = Described::from(metadata);
        let variants = all.entry(family).or_default();
        if !variants.contains(&described) {
            variants.push(described);
        }
    };
    for (_, families) in node.scraper.iter().flat_map(|scraper| scraper.metadata()) {
        families.into_iter().for_each(|(family, metadata)| add(family, metadata));
    }
    for (family, variants) in node.metadata.all() {
        variants.into_iter().for_each(|metadata| add(family.clone(), metadata));
    }
    if node.config.host.enabled {
        host::metadata().for_each(|(family, metadata)| add(family.to_owned(), metadata));
    }
    if !(node.config.nmea.is_empty() && node.config.gpsd.is_empty() && node.config.signalk.is_empty()) {
        vessel::metadata().into_iter().for_each(|(family, metadata)| add(family, metadata));
    }
    if !node.config.link.is_empty() {
        link::kpi::metadata().into_iter().for_each(|(family, metadata)| add(family, metadata));
    }
    let own = crate::own_metrics::text(node);
    prometheus_text::parse(&own, Format::Text)
        .metadata
        .into_iter()
        .for_each(|(family, metadata)| add(family, metadata));
    all
}
