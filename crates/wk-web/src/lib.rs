//! The built console, embedded.
//!
//! The files come from `web/dist`, which `./x build` makes. A binary that was built without it serves one page that
//! says so.

use std::borrow::Cow;
use std::fmt::Write as _;

use rust_embed::RustEmbed;

#[cfg(test)]
mod tests;

/// The content security policy that the console works under: nothing from elsewhere, nothing inline.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The folder of files whose names carry a hash of what is in them.
const HASHED: &str = "assets/";

/// How many bytes of the content's hash stand in an entity tag.
const ETAG_BYTES: usize = 16;

const UNBUILT: &[u8] = include_bytes!("unbuilt.html");

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Dist;

/// One file of the console, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// What to send.
    pub bytes: Cow<'static, [u8]>,
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    /// The value of the header `ETag`, quotes included.
    pub etag: String,
    /// Tells whether the name changes with the content, so that a browser may keep the file for good.
    pub immutable: bool,
}

/// Returns the file that the console has at a URL path, with or without its leading slash.
///
/// A path that names no file is a page of the console's own and gets `index.html`; a path that can only mean a file
/// (one with a full stop in it, or in the folder of hashed names) and everything under `api/` gets `None`.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.trim_start_matches('/');
    if let Some(file) = Dist::get(path) {
        return Some(file_asset(path, file));
    }
    is_page(path).then(index)
}

/// Tells whether the console was built when this crate was compiled.
#[must_use]
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

fn index() -> Asset {
    match Dist::get("index.html") {
        Some(file) => file_asset("index.html", file),
        None => Asset {
            bytes: Cow::Borrowed(UNBUILT),
            content_type: content_type("index.html"),
            etag: "\"unbuilt\"".to_owned(),
            immutable: false,
        },
    }
}

fn file_asset(path: &str, file: rust_embed::EmbeddedFile) -> Asset {
    Asset {
        bytes: file.data,
        content_type: content_type(path),
        etag: etag(&file.metadata.sha256_hash()),
        immutable: path.starts_with(HASHED),
    }
}

/// Pages have no full stop in their path, except that an incident's id may hold one.
fn is_page(path: &str) -> bool {
    if path == "index.html" {
        return true;
    }
    match path.split('/').next().unwrap_or_default() {
        "api" | "assets" => false,
        "incidents" => !path.split('/').any(|part| part == ".."),
        _ => !path.contains('.'),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn etag(hash: &[u8; 32]) -> String {
    let mut tag = String::with_capacity(2 * ETAG_BYTES + 2);
    tag.push('"');
    for byte in &hash[..ETAG_BYTES] {
        // Writing to a string cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}
