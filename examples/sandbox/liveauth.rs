//! A stand-in for idibu's LiveAuth endpoint, after the vendor's document: five actions by GET, JSON or JSONP, and the
//! browser library.
//!
//! What the document leaves open is decided here: an error is `{"error": "..."}`, with a status of 4xx, or 200 where it
//! is JSONP, because a browser does not run a script that came with another. A missing or unknown Referer is an error.

pub(crate) mod accounts;
mod asked;
mod check;
pub(crate) mod social;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::{Value, json};

use self::{accounts::Level, asked::Asked};
use crate::{
    faults::{Fault, SLOW},
    page::{self, Page, Place},
    trace::{Seen, Topic},
    world::{self, World},
};

/// Ours, see there.
const CLIENT: &str = include_str!("liveauth/client.js");

/// Why a request is not answered as it wishes.
pub(crate) struct Refused {
    status: StatusCode,
    why: String,
}

impl Refused {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/", get(about))
        .route("/clients/api/liveauth/client.js", get(library))
        .route("/clients/api/liveauth/{action}", get(act))
}

async fn about(State(world): State<Arc<World>>) -> Page {
    let body = r#"<p class="lead">This plays idibu's server. It knows the secret of the domain, checks every hash with code of its
own, and keeps the logins that users make.</p>
<div class="card"><h3>What it serves</h3><ul>
<li><code>GET /clients/api/liveauth/:action</code>, for <code>test</code>, <code>status</code>, <code>login</code>,
<code>complete-info</code> and <code>logout</code>, as JSON, or as JSONP with <code>callback</code></li>
<li><a href="/clients/api/liveauth/client.js"><code>client.js</code></a>, the browser library</li></ul></div>"#;
    Page::new(Place::LiveAuth, "The LiveAuth endpoint", body.to_owned())
        .traced(Topic::LiveAuth)
        .front(&world.origins.front)
}

/// The library as the vendor's server would have it: what it calls where it is told nothing is the server it came from.
async fn library(State(world): State<Arc<World>>) -> impl IntoResponse {
    page::script(CLIENT.replace("https://www.idibu.com", &world.origins.liveauth))
}

async fn act(
    State(world): State<Arc<World>>,
    Path(action): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let asked = Asked::parse(&query);
    let fault = world.faults().liveauth;
    if fault == Fault::Slow {
        tokio::time::sleep(SLOW).await;
    }
    let callback = match asked.callback() {
        Ok(callback) => callback,
        // Never in the wrapping that it asked for.
        Err(refused) => return answered(None, Err(refused), Fault::None),
    };
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok());
    let outcome = check::admitted(&asked, referer, world::now())
        .and_then(|client| perform(&world, &action, client, &asked, fault));
    let shown = outcome.as_ref().map_or_else(|refused| json!({ "error": refused.why }), Value::clone);
    let by_browser = headers.contains_key("sec-fetch-mode");
    world.trace.note(&Seen {
        topic: Topic::LiveAuth,
        from: if by_browser { "Browser" } else { "Countersign" },
        to: "LiveAuth",
        request: &format!("GET /clients/api/liveauth/{action}?{query}"),
        sent: referer.map(|referer| json!({ "Referer": referer })),
        answer: match (fault, &outcome) {
            (Fault::None, Ok(_)) => "answered",
            (Fault::None, Err(_)) => "refused",
            _ => "a fault is switched on; without it the answer was",
        },
        got: Some(shown),
    });
    match fault {
        Fault::Error500 => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n").into_response(),
        Fault::Redirect => Redirect::temporary(&format!("{}/elsewhere", world.origins.front)).into_response(),
        _ => answered(callback, outcome, fault),
    }
}

fn perform(world: &World, action: &str, client: i64, asked: &Asked, fault: Fault) -> Result<Value, Refused> {
    let mut accounts = world.accounts();
    match action {
        "test" => Ok(json!("hello world")),
        "status" => {
            let (portal, profile) = (asked.number("portal")?, asked.number("profile")?);
            let mut status = accounts.status(client, portal, profile, &world.origins.social);
            if fault == Fault::WrongUser {
                status["name"] = json!("Somebody Else");
            }
            Ok(status)
        }
        "login" => {
            let (portal, level) = (asked.number("portal")?, level(asked)?);
            let (page, token) = accounts.begin(client, portal, level);
            Ok(json!({ "url": format!("{}/oauth/{page}", world.origins.social), "token": token }))
        }
        "complete-info" => {
            let completed = accounts.complete(client, asked.text("token")?)?;
            Ok(if fault == Fault::WrongUser {
                json!({ "portal_4_token": "somebody-elses-credentials" })
            } else {
                completed
            })
        }
        "logout" => {
            let (portal, level) = (asked.number("portal")?, level(asked)?);
            accounts.end(client, portal, level.ok_or_else(|| Refused::bad("missing parameter: link"))?);
            Ok(json!({}))
        }
        _ => Err(Refused::new(StatusCode::NOT_FOUND, "no such action")),
    }
}

/// `link`, and `id`, which all levels but `global` need.
fn level(asked: &Asked) -> Result<Option<Level>, Refused> {
    let id = || asked.number("id");
    match asked.value("link") {
        None if asked.value("id").is_some() => Err(Refused::bad("id without link")),
        None => Ok(None),
        Some("global") => Ok(Some(Level::Global)),
        Some("office") => Ok(Some(Level::Office(id()?))),
        Some("team") => Ok(Some(Level::Team(id()?))),
        Some("profile") => Ok(Some(Level::Profile(id()?))),
        Some(_) => Err(Refused::bad("link is none of global, office, team, profile")),
    }
}

fn answered(callback: Option<&str>, outcome: Result<Value, Refused>, fault: Fault) -> Response {
    let (status, value) = match outcome {
        Ok(value) => (StatusCode::OK, value),
        Err(refused) => (refused.status, json!({ "error": refused.why })),
    };
    let text = value.to_string();
    let (mut status, mut text, kind) = match callback {
        // Separators that JSON allows in a string, and ES5 does not. The comment keeps what follows from being read as
        // the head of another kind of file.
        Some(name) => {
            let text = text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
            (StatusCode::OK, format!("/**/{name}({text});"), "text/javascript; charset=utf-8")
        }
        None => (status, text, "application/json"),
    };
    match fault {
        Fault::WrongJson => (status, text) = (StatusCode::OK, "<h1>It works!</h1>".to_owned()),
        Fault::Truncated => (status, text) = (StatusCode::OK, text[..text.len() / 2].to_owned()),
        _ => {}
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // The hash is the credential; there are no cookies.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (status, headers, text).into_response()
}
