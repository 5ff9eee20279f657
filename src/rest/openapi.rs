//! The API's document (OpenAPI 3.1), made of the handlers: what each says of itself, and what holds for
//! all of them and is known here.

use axum::body::Bytes;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::envelope::Failure;
use super::limits::Limit;
use crate::auth::password;

/// What stands around the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Duologue",
        description = "Conversations between two people: accounts, people, files. What is said goes over the realtime \
                       doors, which `GET /api/connect` names.\n\nEvery answer is `{success, message?, data}` or \
                       `{success, message, error: {code, details?}}`. Codes are stable; messages are for people."
    ),
    components(schemas(Failure)),
    tags(
        (name = "auth", description = "Accounts and tokens"),
        (name = "users", description = "People, and your device"),
        (name = "files", description = "Files and voice notes on their way, kept nowhere"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Base;

/// The document without its routes.
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The document as it is served.
pub fn whole(document: &utoipa::openapi::OpenApi) -> Bytes {
    let mut document = serde_json::to_value(document).expect("a document has nothing that JSON cannot say");
    document["components"]["securitySchemes"] = json!({"token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The token that registering, logging in or coming in as a guest gives.",
    }});
    let password = &mut document["components"]["schemas"]["Registration"]["properties"]["password"];
    password["not"] = json!({"enum": password::common().collect::<Vec<_>>()});
    let paths = document["paths"].as_object_mut().expect("a document has paths");
    for (path, methods) in paths {
        for (method, operation) in methods.as_object_mut().expect("a path has methods") {
            let method: Method = method.to_uppercase().parse().expect("what axum routes is a method");
            complete(operation, Limit::of(&method, path));
        }
    }
    Bytes::from(document.to_string())
}

/// The document, as an answer.
pub fn answer(document: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

/// Adds the answers that a route has because of what it takes, and the headers that all of them have.
fn complete(operation: &mut Value, limit: Option<Limit>) {
    // A body that may be left out is not one that may be `null`.
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema")
        && let Some(either) = schema.get("oneOf").and_then(|either| either.get(0))
    {
        *schema = either.clone();
    }
    let has = |part: &str| operation.get(part).is_some();
    let form = operation.pointer("/requestBody/content/multipart~1form-data").is_some();
    let body = has("requestBody");
    let tokens = has("security");
    let mut more = Vec::new();
    if tokens {
        more.push(("401", "`token-missing`, `token-invalid`, `token-expired`, `user-unknown`"));
    }
    if tokens || limit == Some(Limit::Auth) {
        more.push(("503", "`busy`, `unavailable`: come back after `Retry-After`"));
    }
    if form {
        more.extend([
            ("400", "`malformed-form`"),
            ("408", "`body-too-slow`, `stalled`"),
            ("413", "`file-too-big`, `too-big`, `voice-too-long`"),
            ("415", "`unsupported-media-type`, `type-not-allowed`, `type-mismatch`"),
            ("422", "`invalid-data`, `file-empty`, `size-mismatch`, `voice-mismatch`, `voice-unreadable`"),
        ]);
    } else if body {
        more.extend([
            ("400", "`malformed-json`"),
            ("408", "`body-too-slow`"),
            ("413", "`body-too-large`"),
            ("415", "`unsupported-media-type`"),
            ("422", "`invalid-data`, with what is wrong with each field"),
        ]);
    }
    if limit.is_some() {
        more.push(("429", "`too-fast`: come back after `Retry-After`"));
    }
    let responses = operation["responses"].as_object_mut().expect("an operation has answers");
    for (status, codes) in more {
        add(responses, status, codes);
    }
    if limit.is_some() {
        for answer in responses.values_mut() {
            answer["headers"] = standing();
        }
    }
}

/// What a route says itself stands first.
fn add(responses: &mut Map<String, Value>, status: &str, codes: &str) {
    let failure = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}});
    let answer = responses.entry(status).or_insert_with(|| json!({"description": "", "content": failure}));
    let said = answer["description"].as_str().unwrap_or_default();
    answer["description"] = match said {
        "" => json!(codes),
        said => json!(format!("{said}; {codes}")),
    };
}

/// The headers that tell where an address stands.
fn standing() -> Value {
    let header = |description: &str| json!({"description": description, "required": true, "schema": {"type": "integer", "minimum": 0}});
    json!({
        "RateLimit-Limit": header("Requests of one address in a window"),
        "RateLimit-Remaining": header("Of them, those that are left"),
        "RateLimit-Reset": header("Seconds until the window ends"),
    })
}
