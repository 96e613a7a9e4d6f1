//! Which series there are: their labels, names and values.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use wk_types::series::SourceError;
use wk_types::{Labels, Matcher, UtcMs};

use super::answer::{Answer, Refusal, answer, cut, success_with};
use super::outside::{self, forwarded};
use super::parameters::{limit, selectors, span};
use crate::http::auth::Viewer;
use crate::http::params::Params;
use crate::node::Node;

/// Most series answered at once.
const SERIES_MAX: usize = 50_000;

/// Lists label names.
#[utoipa::path(get, path = "/api/v1/labels", tag = "prometheus", params(("match[]" = Option<Vec<String>>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query), ("limit" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn labels(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    if let Some(answer) = forwarded(&node, outside::Path::form(&["labels"]), &params).await {
        return answer;
    }
    answer(node, move |node| list(&params, |matchers, from, to| node.metrics.label_names(matchers, from, to))).await
}

/// Lists the values of one label.
#[utoipa::path(get, path = "/api/v1/label/{name}/values", tag = "prometheus", params(("name" = String, Path), ("match[]" = Option<Vec<String>>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query), ("limit" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn label_values(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Path(name): Path<String>,
    params: Params,
) -> Response {
    if let Some(answer) = forwarded(&node, outside::Path::plain(&["label", &name, "values"]), &params).await {
        return answer;
    }
    answer(node, move |node| {
        let name = unescaped(&name);
        list(&params, |matchers, from, to| node.metrics.label_values(&name, matchers, from, to))
    })
    .await
}

/// Lists series by their labels.
#[utoipa::path(get, path = "/api/v1/series", tag = "prometheus", params(("match[]" = Vec<String>, Query), ("start" = Option<String>, Query), ("end" = Option<String>, Query), ("limit" = Option<usize>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn series(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    if let Some(answer) = forwarded(&node, outside::Path::form(&["series"]), &params).await {
        return answer;
    }
    answer(node, move |node| found_series(node, &params)).await
}

fn found_series(node: &Node, params: &Params) -> Answer {
    let (from, to) = span(params)?;
    let series_max = limit(params, "limit")?.map_or(SERIES_MAX, |limit| limit.min(SERIES_MAX));
    let selectors = selectors(params)?;
    if selectors.is_empty() {
        return Err(Refusal::parameter("match[]", "no match[] parameter provided"));
    }
    let mut found: BTreeSet<Labels> = BTreeSet::new();
    for matchers in selectors {
        // One more than are answered, so that a cut is noticed.
        let series = node.metrics.series(&matchers, from, to, series_max + 1)?;
        found.extend(series.iter().map(|one| one.labels.clone()));
    }
    let mut found: Vec<Labels> = found.into_iter().collect();
    let warnings = cut(&mut found, Some(series_max));
    success_with(found, &warnings, &[])
}

/// What `of` answers for each selector, or for all series where there is none; sorted, each once.
fn list(params: &Params, of: impl Fn(&[Matcher], UtcMs, UtcMs) -> Result<Vec<String>, SourceError>) -> Answer {
    let (from, to) = span(params)?;
    let limit = limit(params, "limit")?;
    let selectors = selectors(params)?;
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    let mut all = BTreeSet::new();
    for matchers in selectors {
        all.extend(of(&matchers, from, to)?);
    }
    let mut all: Vec<String> = all.into_iter().collect();
    let warnings = cut(&mut all, limit);
    success_with(all, &warnings, &[])
}

/// A name of a label in which clients write `U__` before it and `_` and hexadecimal digits for what else cannot stand
/// in a path, such as `U__http_2e_status` for `http.status`; any other name is as it stands.
fn unescaped(name: &str) -> Cow<'_, str> {
    let Some(mut rest) = name.strip_prefix("U__") else { return Cow::Borrowed(name) };
    let mut plain = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('_') {
            plain.push('_');
            rest = behind;
            continue;
        }
        let written = rest.split_once('_').and_then(|(digits, behind)| {
            let code = u32::from_str_radix(digits, 16).ok()?;
            Some((char::from_u32(code)?, behind))
        });
        let Some((letter, behind)) = written else { return Cow::Borrowed(name) };
        plain.push(letter);
        rest = behind;
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read() {
        for (escaped, plain) in [
            ("job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U__gr_f6__fc_", "gr\u{f6}\u{fc}"),
            ("U__broken_2e", "U__broken_2e"),
            ("U__broken_zz_", "U__broken_zz_"),
        ] {
            assert_eq!(unescaped(escaped), plain, "{escaped}");
        }
    }
}
