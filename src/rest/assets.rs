//! The demo and the SDK, as files inside the program.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::Error;

#[derive(RustEmbed)]
#[folder = "web-demo/app"]
#[prefix = "app/"]
struct App;

#[derive(RustEmbed)]
#[folder = "web-demo/sdk"]
#[prefix = "sdk/"]
struct Sdk;

/// Files that only the tools of whoever writes the demo read.
const TOOLING: [&str; 2] = ["package.json", "tsconfig.json"];

/// The demo's page.
pub async fn index(headers: HeaderMap) -> Result<Response, Error> {
    serve("app/index.html", &headers)
}

/// The file of the path.
pub async fn file(uri: Uri, headers: HeaderMap) -> Result<Response, Error> {
    serve(uri.path().trim_start_matches('/'), &headers)
}

/// The type of a file that may be served, by its name; `None`: it may not.
pub fn content_type(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if TOOLING.contains(&name) || path.contains("node_modules/") {
        return None;
    }
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        "png" => "image/png",
        "json" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        _ => return None,
    })
}

/// Whether an `If-None-Match` names this file: then the browser has it already.
pub fn has_it(if_none_match: &str, etag: &str) -> bool {
    let mut tags = if_none_match.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn serve(path: &str, headers: &HeaderMap) -> Result<Response, Error> {
    let content_type = content_type(path).ok_or(Error::NotFound)?;
    let EmbeddedFile { data, metadata } = App::get(path).or_else(|| Sdk::get(path)).ok_or(Error::NotFound)?;
    let etag = etag(&metadata.sha256_hash());
    let mut known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let fresh = known.any(|known| has_it(known, &etag));
    let common = [(ETAG, etag), (CACHE_CONTROL, "no-cache".to_owned())];
    if fresh {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(CONTENT_TYPE, content_type)], Body::from(data)).into_response())
}

fn etag(hash: &[u8; 32]) -> String {
    let mut etag = String::with_capacity(2 * hash.len() + 2);
    etag.push('"');
    for byte in hash {
        // Writing to a string cannot fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    etag
}
