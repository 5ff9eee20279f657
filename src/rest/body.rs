//! A JSON body, and what is wrong with one: where, and in which way.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::StatusCode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use tokio::time::timeout;

use super::Error;
use super::envelope::Detail;

/// Time for the whole body of a request to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A JSON body; what is wrong with it is told in our shape.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let body =
            timeout(BODY_DEADLINE, <axum::Json<Object<T>> as FromRequest<S>>::from_request(request, state)).await;
        let axum::Json(Object(body)) =
            body.map_err(|_| Error::BodyTooSlow)?.map_err(|rejection| refused(&rejection))?;
        Ok(Self(body))
    }
}

/// A body that may be left out.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Error> {
        // Nothing is nothing, whatever the header says it would have been.
        if request.body().is_end_stream() {
            return Ok(None);
        }
        let body =
            timeout(BODY_DEADLINE, <axum::Json<Object<T>> as OptionalFromRequest<S>>::from_request(request, state))
                .await;
        let body = body.map_err(|_| Error::BodyTooSlow)?.map_err(|rejection| refused(&rejection))?;
        Ok(body.map(|axum::Json(Object(body))| Self(body)))
    }
}

/// What is written as an object. Of itself serde takes a list too, field after field.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

fn refused(rejection: &JsonRejection) -> Error {
    match rejection {
        JsonRejection::JsonDataError(error) => Error::InvalidBody(mismatch(&innermost(error))),
        JsonRejection::JsonSyntaxError(error) => Error::MalformedJson(innermost(error)),
        JsonRejection::MissingJsonContentType(_) => Error::UnsupportedMediaType,
        JsonRejection::BytesRejection(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Error::BodyTooLarge,
        other => Error::MalformedJson(other.body_text()),
    }
}

/// What the JSON reader said, without the sentences of those who passed it on: `path: reason`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.to_string();
        // The reader's own error has lost the path to the field; the one around it has it.
        if text.ends_with(&inner) && text.len() > inner.len() && error.source().is_none() {
            break;
        }
        text = inner;
        source = error.source();
    }
    text
}

/// Finds the field in what the JSON reader said.
fn mismatch(said: &str) -> Detail {
    let between = |marker: &str| {
        let (_, rest) = said.split_once(marker)?;
        rest.split_once('`').map(|(name, _)| name.to_owned())
    };
    let reason = said.split_once(": ").map_or(said, |(path, reason)| if path.contains(' ') { said } else { reason });
    let message = reason.to_owned();
    if let Some(field) = between("unknown field `") {
        return Detail { field: Cow::Owned(field), code: "unknown", message };
    }
    if let Some(field) = between("missing field `") {
        return Detail { field: Cow::Owned(field), code: "required", message };
    }
    if let Some(field) = between("duplicate field `") {
        return Detail { field: Cow::Owned(field), code: "duplicate", message };
    }
    let path = said.split_once(": ").map_or("", |(path, _)| path);
    let field = if path.contains(' ') { "" } else { path };
    Detail { field: Cow::Owned(field.to_owned()), code: "type", message }
}
