//! What went over the wire, for the panel at the foot of every page: requests and answers, with secrets masked before
//! they are kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

use crate::world::World;

/// Kept; older ones go.
const KEPT: usize = 60;

/// Members and parameters that are shown as a beginning and a length.
const SECRET: &[&str] =
    &["auth", "csrf", "hash", "hubLoginToken", "loginState", "newAuth", "password", "payload", "session", "token"];

/// Whose business an exchange is, so that a page shows what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    LiveAuth,
    Hub,
}

/// One request and its answer, fit to be shown.
#[derive(Clone, Serialize)]
struct Exchange {
    number: u64,
    topic: Topic,
    from: &'static str,
    to: &'static str,
    request: String,
    sent: Option<String>,
    answer: String,
    got: Option<String>,
}

/// The last exchanges.
#[derive(Default)]
pub(crate) struct Trace(Mutex<(u64, VecDeque<Exchange>)>);

/// An exchange to be kept, as it was.
pub(crate) struct Seen<'a> {
    pub(crate) topic: Topic,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// Such as `GET /path?query`, or the name of an RPC.
    pub(crate) request: &'a str,
    pub(crate) sent: Option<Value>,
    /// A status, in words.
    pub(crate) answer: &'a str,
    pub(crate) got: Option<Value>,
}

impl Trace {
    pub(crate) fn note(&self, seen: &Seen<'_>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0 += 1;
        let number = kept.0;
        kept.1.push_back(Exchange {
            number,
            topic: seen.topic,
            from: seen.from,
            to: seen.to,
            request: masked_address(seen.request),
            sent: seen.sent.as_ref().map(shown),
            answer: seen.answer.to_owned(),
            got: seen.got.as_ref().map(shown),
        });
        if kept.1.len() > KEPT {
            kept.1.pop_front();
        }
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/trace.json", get(since))
}

#[derive(Deserialize)]
struct Wanted {
    topic: Topic,
    #[serde(default)]
    after: u64,
}

async fn since(State(world): State<Arc<World>>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let kept = world.trace.0.lock().unwrap_or_else(PoisonError::into_inner);
    let new = |exchange: &&Exchange| exchange.topic == wanted.topic && exchange.number > wanted.after;
    let exchanges: Vec<&Exchange> = kept.1.iter().filter(new).collect();
    Json(serde_json::json!({ "exchanges": exchanges }))
}

fn shown(value: &Value) -> String {
    serde_json::to_string_pretty(&masked(value)).unwrap_or_default()
}

/// The value with what is secret in it shortened.
pub(crate) fn masked(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) if is_secret(name) => (name.clone(), shortened(text).into()),
                other => (name.clone(), masked(other)),
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::String(text) if text.contains("://") => masked_address(text).into(),
        other => other.clone(),
    }
}

/// The address, or the line of a request, with the secret parameters of its query shortened, and those of an address
/// that a parameter is. For reading: it may be decoded where the real one is not.
pub(crate) fn masked_address(address: &str) -> String {
    let Some((path, query)) = address.split_once('?') else { return address.to_owned() };
    let pairs = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| {
        let value = if is_secret(&name) { shortened(&value) } else { masked_address(&value) };
        format!("{name}={value}")
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn is_secret(name: &str) -> bool {
    SECRET.contains(&name) || name.ends_with("_token")
}

/// The first characters, and how many there are.
pub(crate) fn shortened(secret: &str) -> String {
    let length = secret.chars().count();
    let seen: String = secret.chars().take(if length < 16 { 0 } else { 6 }).collect();
    format!("{seen}… ({length} characters)")
}
