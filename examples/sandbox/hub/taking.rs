//! What apps send to Hub: the `auth` of a user, its renewal, and that there is something new.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    APP,
    memory::{Generation, Stored},
};
use crate::{
    faults::{Fault, SLOW},
    trace::{Seen, Topic},
    world::World,
};

/// Longest `auth` that is kept, characters.
const AUTH_MAX: usize = 16384;

/// Generation 1's delivery. Nothing else may be in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delivery {
    hub_login_token: String,
    auth: String,
}

/// Generation 2's renewal. Nothing else may be in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Renewal {
    auth: String,
    new_auth: String,
    username: String,
}

/// `POST /v1/<app>/<username>/auth`
pub(super) async fn delivered(
    State(world): State<Arc<World>>,
    Path((app, username)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = begun(&world).await;
    let taken = read::<Delivery>(&headers, &body).and_then(|delivery| {
        let mut hub = world.hub();
        if app != APP {
            return Err("no such app");
        }
        if !hub.knows_token(&delivery.hub_login_token) {
            return Err("no such hubLoginToken");
        }
        if delivery.auth.is_empty() || delivery.auth.len() > AUTH_MAX {
            return Err("no auth, or too long a one");
        }
        if fault != Fault::Error500 {
            let (auth, login_token) = (delivery.auth, Some(delivery.hub_login_token));
            hub.store(Generation::One, Some(Stored { auth, username: username.clone(), renewals: 0, login_token }));
        }
        Ok(())
    });
    let to = if fault == Fault::Redirect {
        format!("{}/elsewhere", world.origins.front)
    } else {
        format!("{}/success/1", world.origins.hub)
    };
    let line = format!("POST /v1/{app}/{username}/auth");
    // The redirect of this one is in what it says.
    let fault = if fault == Fault::Redirect { Fault::None } else { fault };
    answered(&world, "Countersign", &line, body_of(&body), taken.map(|()| json!({ "url": to })), fault)
}

/// `GET callback?…&auth=…&username=…`, by the browser: generation 2's delivery.
pub(super) async fn came_back(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let fault = begun(&world).await;
    let query = query.unwrap_or_default();
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    // A JSON text; ours is one string.
    let auth = serde_json::from_str::<String>(&value("auth")).unwrap_or_default();
    let taken = {
        let mut hub = world.hub();
        if !hub.knows(&value("session")) {
            Err("no such session")
        } else if auth.is_empty() || auth.len() > AUTH_MAX {
            Err("auth is no JSON text of a string, or too long a one")
        } else {
            let username = value("username");
            hub.store(Generation::Two, Some(Stored { auth, username, renewals: 0, login_token: None }));
            Ok(())
        }
    };
    let line = format!("GET /{APP}/callback?{query}");
    match (taken, fault) {
        (Ok(()), Fault::None | Fault::Slow | Fault::Truncated | Fault::WrongUser) => {
            answered(&world, "Browser", &line, None, Ok(json!({ "message": "ok" })), Fault::None);
            Redirect::to("/success/2").into_response()
        }
        (taken, fault) => answered(&world, "Browser", &line, None, taken.map(|()| json!({ "message": "ok" })), fault),
    }
}

/// `PUT callback`
pub(super) async fn renewed(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = begun(&world).await;
    let taken = read::<Renewal>(&headers, &body).and_then(|renewal| {
        if fault == Fault::Error500 {
            return Ok(json!({}));
        }
        let Renewal { auth, new_auth, username } = renewal;
        let done = world.hub().renew(Generation::Two, &username, &auth, &new_auth);
        if done { Ok(json!({ "message": "ok" })) } else { Err("that is not the auth of this user") }
    });
    let line = format!("PUT /{APP}/callback?{}", query.unwrap_or_default());
    answered(&world, "Countersign", &line, body_of(&body), taken, fault)
}

/// `POST /v1/<app>/<username>/push`
pub(super) async fn pushed_to_one(
    State(world): State<Arc<World>>,
    Path((app, username)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let known = app == APP;
    pushed(&world, Generation::One, &format!("POST /v1/{app}/{username}/push"), &username, known, &body).await
}

/// `POST /<username>/push`
pub(super) async fn pushed_to_two(
    State(world): State<Arc<World>>,
    Path(username): Path<String>,
    body: Bytes,
) -> Response {
    pushed(&world, Generation::Two, &format!("POST /{username}/push"), &username, true, &body).await
}

/// Says without a credential that there is something new; Hub then asks for it.
async fn pushed(
    world: &World,
    generation: Generation,
    line: &str,
    username: &str,
    known: bool,
    body: &Bytes,
) -> Response {
    let fault = begun(world).await;
    let taken = {
        let mut hub = world.hub();
        if !known || hub.stored(generation).is_none_or(|stored| stored.username != username) {
            Err("nobody of that name uses this app")
        } else if !body.is_empty() {
            Err("a push says nothing")
        } else {
            hub.push(generation);
            Ok(json!({ "message": "ok" }))
        }
    };
    answered(world, "Countersign", line, body_of(body), taken, fault)
}

/// The fault that is on, after its wait.
async fn begun(world: &World) -> Fault {
    let fault = world.faults().hub;
    if fault == Fault::Slow {
        tokio::time::sleep(SLOW).await;
    }
    fault
}

fn read<'a, T: Deserialize<'a>>(headers: &HeaderMap, body: &'a Bytes) -> Result<T, &'static str> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next() != Some("application/json") {
        return Err("the content type is not application/json");
    }
    serde_json::from_slice(body).map_err(|_| "the body is not the JSON that it should be")
}

fn body_of(body: &Bytes) -> Option<Value> {
    if body.is_empty() { None } else { Some(serde_json::from_slice(body).unwrap_or_else(|_| json!("not JSON"))) }
}

fn answered(
    world: &World,
    from: &'static str,
    line: &str,
    sent: Option<Value>,
    taken: Result<Value, &'static str>,
    fault: Fault,
) -> Response {
    let (status, said) = match taken {
        Ok(said) => (StatusCode::OK, said),
        Err(why) => (StatusCode::FORBIDDEN, json!({ "error": why })),
    };
    let answer = match fault {
        Fault::Error500 => "500, a fault that is switched on",
        Fault::WrongJson => "no JSON, a fault that is switched on",
        Fault::Redirect => "a redirect, a fault that is switched on",
        Fault::Slow => "late, a fault that is switched on",
        Fault::None | Fault::Truncated | Fault::WrongUser => {
            if status == StatusCode::OK {
                "200"
            } else {
                "403"
            }
        }
    };
    world.trace.note(&Seen {
        topic: Topic::Hub,
        from,
        to: "Hub",
        request: line,
        sent,
        answer,
        got: Some(said.clone()),
    });
    match fault {
        Fault::Error500 => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n").into_response(),
        Fault::WrongJson => ([(header::CONTENT_TYPE, "application/json")], "<h1>It works!</h1>").into_response(),
        Fault::Redirect => Redirect::temporary(&format!("{}/elsewhere", world.origins.front)).into_response(),
        _ => (status, axum::Json(said)).into_response(),
    }
}
