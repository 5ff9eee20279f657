//! The headers that every answer has: what browsers may do with it, and who may read it.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_DNS_PREFETCH_CONTROL, X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::rates::{LIMIT, REMAINING, RESET};
use super::unread::End;
use crate::config::Origins;
use crate::tls::Secure;

/// Scripts, styles and frames of our own only; realtime connections to wherever the doors are.
const POLICY: &str = "default-src 'self'; script-src 'self'; script-src-attr 'none'; style-src 'self'; \
                      font-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
                      connect-src 'self' https: http: wss: ws:; object-src 'none'; base-uri 'self'; form-action 'self'; \
                      frame-ancestors 'self'";

/// What every answer says, whatever it is.
const ALWAYS: [(HeaderName, &str); 11] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "SAMEORIGIN"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("origin-agent-cluster"), "?1"),
    (X_DNS_PREFETCH_CONTROL, "off"),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), "none"),
    (HeaderName::from_static("x-download-options"), "noopen"),
    (X_XSS_PROTECTION, "0"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(self), display-capture=(self)"),
];

/// Whose pages may show it (the Fetch standard, section 3.7).
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// One year, in seconds.
const TRANSPORT_SECURITY: &str = "max-age=31536000; includeSubDomains";
/// How long a browser may remember what a preflight allowed.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// Adds them to the answer. One that was given before all of the request was read ends the connection
/// (RFC 9112 section 9.3), or what is left of it would swallow the next.
pub async fn guard(request: Request, next: Next) -> Response {
    let secure = request.extensions().get::<Secure>().is_some_and(|secure| secure.0);
    let path = request.uri().path().to_owned();
    let end = End::default();
    let mut response = next.run(request.map(|body| end.watch(body))).await;
    if !end.has_come() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    add(response.headers_mut(), &path, secure);
    response
}

/// Lets the pages that may connect read our answers, and send what a page of the original's may: any
/// method that an API has, any header, and credentials, of which none of ours are a browser's to send.
pub fn cors(origins: Origins) -> CorsLayer {
    let allowed = move |origin: &HeaderValue, _: &_| origin.to_str().is_ok_and(|origin| origins.allows(Some(origin)));
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(true)
        .expose_headers([RETRY_AFTER, CONTENT_DISPOSITION, LIMIT, REMAINING, RESET])
        .max_age(PREFLIGHT)
}

/// What a route says itself stands.
fn add(headers: &mut HeaderMap, path: &str, secure: bool) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let api = path.starts_with("/api/");
    // Apps on pages of their own use these two; the demo's pages are for this site alone.
    let shared = api || path.starts_with("/sdk/");
    let resource = if shared { "cross-origin" } else { "same-origin" };
    headers.entry(RESOURCE_POLICY).or_insert(HeaderValue::from_static(resource));
    if api || path == "/health" || path == "/health/live" {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TRANSPORT_SECURITY));
    }
}
