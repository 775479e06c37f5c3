//! What Hub asks for, each time with `auth` and `username`: Countersign says whether to answer.

use std::sync::Arc;

use ::countersign::grpc::proto::{OpenRequest, ResolveLoginRequest, Verdict};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::app;
use crate::{
    hub::memory::Generation,
    page::{Page, Place, Policy, e},
    world::World,
};

pub(super) fn routes(generation: Generation) -> Router<Arc<World>> {
    let notifications = move |state, query, body| notifications(state, query, body, generation);
    let timeline = move |state, query, body| timeline(state, query, body, generation);
    Router::new()
        .route("/notifications", get(notifications).post(notifications).options(preflight))
        .route("/timeline", get(timeline).post(timeline).options(preflight))
        .route("/microapp", get(move |state, query| microapp(state, query, generation)))
        .route("/contextual", get(move |state, query| contextual(state, query, generation)))
}

/// What came with a request of Hub's, from its body or its address. `auth` may be a JSON text: Countersign takes either.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Presented {
    auth: Option<String>,
    username: Option<String>,
    hub_login_token: Option<String>,
    context: Option<String>,
}

impl Presented {
    fn read(query: Option<String>, body: &Bytes) -> Self {
        if !body.is_empty() {
            return serde_json::from_slice(body).unwrap_or_default();
        }
        let query = query.unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned().map(|(name, value)| (name, json!(value)));
        serde_json::from_value(Value::Object(pairs.collect())).unwrap_or_default()
    }
}

/// A user of the app, and what was sealed at the login.
struct Known {
    username: String,
    payload: Vec<u8>,
}

/// The one question that an app has to ask.
async fn known(world: &World, generation: Generation, presented: Presented) -> Option<Known> {
    let (auth, username) = (presented.auth?, presented.username?);
    let request = OpenRequest {
        app: app(generation).into(),
        auth: auth.clone(),
        username: Some(username.clone()),
        hub_login_token: None,
    };
    let opened = world.countersign.open(&world.trace, request).await.ok()?;
    if opened.verdict != i32::from(Verdict::Valid) {
        return None;
    }
    // Where Hub sends the hubLoginToken along, it must be the one of this user's login.
    if let Some(hub_login_token) = presented.hub_login_token {
        let request = ResolveLoginRequest { app: app(generation).into(), hub_login_token };
        let login = world.countersign.resolve_login(&world.trace, request).await.ok()?;
        if login.username != username {
            return None;
        }
    }
    world.acme().saw(generation, &username, &auth);
    Some(Known { username, payload: opened.payload })
}

async fn notifications(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
    body: Bytes,
    generation: Generation,
) -> Response {
    let known = known(&world, generation, Presented::read(query, &body)).await;
    let new = known.map(|known| json!({ "for": known.username, "notifications": ["Jane Doe has a new number"] }));
    shared(&world, new)
}

async fn timeline(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
    body: Bytes,
    generation: Generation,
) -> Response {
    let known = known(&world, generation, Presented::read(query, &body)).await;
    let shown = known.map(|known| {
        // What was sealed at the login is back: this is what the app would call its own API with.
        let oauth: Value = serde_json::from_slice(&known.payload).unwrap_or_default();
        json!({ "for": known.username, "scope": oauth["scope"], "timeline": ["09:12 called Jane Doe", "10:40 met John"] })
    });
    shared(&world, shown)
}

async fn microapp(State(world): State<Arc<World>>, RawQuery(query): RawQuery, generation: Generation) -> Response {
    let known = known(&world, generation, Presented::read(query, &Bytes::new())).await;
    let body = known.map(|known| {
        format!(
            "<p>Hello, <strong>{}</strong>.</p><table><tr><th>name</th><th>number</th></tr><tr><td>Jane \
             Doe</td><td>+1 555 0100</td></tr><tr><td>John Smith</td><td>+1 555 0101</td></tr></table>",
            e(&known.username)
        )
    });
    framed(&world, "Contacts", body)
}

async fn contextual(State(world): State<Arc<World>>, RawQuery(query): RawQuery, generation: Generation) -> Response {
    let mut presented = Presented::read(query, &Bytes::new());
    let context = presented.context.take().unwrap_or_default();
    let known = known(&world, generation, presented).await;
    let body = known
        .map(|_| format!("<p>About <strong>{}</strong>: Jane Doe, +1 555 0100, last met on Tuesday.</p>", e(&context)));
    framed(&world, "In context", body)
}

/// A page for Hub's frames, and nobody else's. Its address holds a credential, which goes nowhere from there.
fn framed(world: &World, title: &str, body: Option<String>) -> Response {
    let body = body.unwrap_or_else(|| "<p class=\"bad\">you are not authenticated</p>".to_owned());
    let policy = Policy { framed_by: vec![world.origins.hub.clone()], ..Policy::default() };
    let page = Page::new(Place::AcmeFramed, title, body).front(&world.origins.front).policy(policy);
    ([(header::REFERRER_POLICY, "no-referrer")], page).into_response()
}

/// JSON for Hub's scripts. Whoever is not known is told so as Hub's samples do it: with status 200, and never why.
fn shared(world: &World, value: Option<Value>) -> Response {
    let value = value.unwrap_or_else(|| json!({ "message": "you are not authenticated" }));
    let origin = HeaderValue::from_str(&world.origins.hub).expect("origins are plain ASCII");
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
        (header::VARY, HeaderValue::from_static("Origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Json(value)).into_response()
}

/// OPTIONS, which the browser asks before it sends Hub's POST: Hub's pages may, with cookies.
async fn preflight(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let by_hub = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() == world.origins.hub.as_bytes());
    if !by_hub {
        return StatusCode::FORBIDDEN.into_response();
    }
    let origin = HeaderValue::from_str(&world.origins.hub).expect("origins are plain ASCII");
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
        (header::VARY, HeaderValue::from_static("Origin")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
