//! The demo, the SDK and the page to try the API, as files inside the program; compressed once, when they are first asked for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{LazyLock, Mutex};

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
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

#[derive(RustEmbed)]
#[folder = "web-demo/api"]
#[prefix = "api/docs/"]
struct Docs;

/// Files that only the tools of whoever writes the demo read.
const TOOLING: [&str; 2] = ["package.json", "tsconfig.json"];

/// How hard to press, of 11: the last two steps take ten times as long for some percent.
const QUALITY: i32 = 9;

/// The files that were asked for in brotli (RFC 7932) so far. Bounded by the files there are.
static PRESSED: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);

/// The demo's page.
pub async fn index(headers: HeaderMap) -> Result<Response, Error> {
    serve("app/index.html", &headers)
}

/// The page to try the API.
pub async fn docs(headers: HeaderMap) -> Result<Response, Error> {
    serve("api/docs/index.html", &headers)
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
    let EmbeddedFile { data, metadata } =
        App::get(path).or_else(|| Sdk::get(path)).or_else(|| Docs::get(path)).ok_or(Error::NotFound)?;
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let pressed = content_type.contains("charset") && accepted.into_iter().any(takes_brotli);
    let etag = etag(&metadata.sha256_hash(), pressed);
    let mut known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let fresh = known.any(|known| has_it(known, &etag));
    let common = [(ETAG, etag), (CACHE_CONTROL, "no-cache".to_owned()), (VARY, ACCEPT_ENCODING.as_str().to_owned())];
    if fresh {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let content_type = [(CONTENT_TYPE, content_type)];
    if pressed {
        return Ok((common, content_type, [(CONTENT_ENCODING, "br")], Body::from(press(path, &data))).into_response());
    }
    Ok((common, content_type, Body::from(data)).into_response())
}

/// Whether an `Accept-Encoding` (RFC 9110 section 12.5.3) takes brotli.
pub fn takes_brotli(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        name.trim().eq_ignore_ascii_case("br") && !refused
    })
}

fn press(path: &str, data: &[u8]) -> Bytes {
    let known = PRESSED.lock().expect("no code panics while it holds this lock").get(path).cloned();
    known.unwrap_or_else(|| {
        let mut out = Vec::with_capacity(data.len() / 2);
        let params = BrotliEncoderParams { quality: QUALITY, size_hint: data.len(), ..Default::default() };
        brotli::BrotliCompress(&mut &data[..], &mut out, &params).expect("memory can be read and written");
        let out = Bytes::from(out);
        PRESSED.lock().expect("no code panics while it holds this lock").insert(path.to_owned(), out.clone());
        out
    })
}

fn etag(hash: &[u8; 32], pressed: bool) -> String {
    let mut etag = String::with_capacity(2 * hash.len() + 2);
    etag.push('"');
    for byte in hash {
        // Writing to a string cannot fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push_str(if pressed { "-br\"" } else { "\"" });
    etag
}
