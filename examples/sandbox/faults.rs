//! What goes wrong on purpose: a vendor's fault, switched on from a page or by a request.
//!
//! ```text
//! curl -X PUT -H 'Content-Type: application/json' -d '{"liveauth":"slow"}' http://127.0.0.1:4280/faults.json
//! ```

use std::{sync::Arc, time::Duration};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};

use crate::{
    page::{Page, Place, e},
    world::World,
};

/// Longer than the five seconds that the LiveAuth library, and Countersign, wait.
pub(crate) const SLOW: Duration = Duration::from_secs(7);

/// One thing that a vendor does wrong.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    #[default]
    None,
    Slow,
    Error500,
    WrongJson,
    Redirect,
    Truncated,
    WrongUser,
}

impl Fault {
    const ALL: [Self; 7] =
        [Self::None, Self::Slow, Self::Error500, Self::WrongJson, Self::Redirect, Self::Truncated, Self::WrongUser];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slow => "slow",
            Self::Error500 => "error500",
            Self::WrongJson => "wrong_json",
            Self::Redirect => "redirect",
            Self::Truncated => "truncated",
            Self::WrongUser => "wrong_user",
        }
    }

    /// What it is at LiveAuth, and at Hub.
    fn at(self) -> (&'static str, &'static str) {
        match self {
            Self::None => ("All is well", "All is well"),
            Self::Slow => ("Answers after 7 seconds", "Answers after 7 seconds"),
            Self::Error500 => ("Answers with status 500", "Answers with status 500"),
            Self::WrongJson => ("Answers with something that is no JSON", "Answers with something that is no JSON"),
            Self::Redirect => ("Redirects to another site", "Redirects, or sends the browser, to another site"),
            Self::Truncated => ("Breaks off in the middle of its answer", "Sends the auth token back cut short"),
            Self::WrongUser => ("Answers about another user", "Sends the auth token with another username"),
        }
    }
}

/// What is switched on.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    pub(crate) liveauth: Fault,
    pub(crate) hub: Fault,
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/faults", get(page).post(switched)).route("/faults.json", get(read).put(switched_by_program))
}

/// For the front page: whoever has forgotten what is on would wonder.
pub(crate) fn warning(on: Faults) -> String {
    let Faults { liveauth, hub } = on;
    let one = |vendor: &str, fault: Fault, words: &str| {
        let said = format!("<p class=\"bad\">A fault is switched on. {vendor}: {}.</p>", e(words));
        if fault == Fault::None { String::new() } else { said }
    };
    one("idibu LiveAuth", liveauth, liveauth.at().0) + &one("BroadSoft Hub", hub, hub.at().1)
}

async fn page(State(world): State<Arc<World>>) -> Page {
    let now = *world.faults();
    let choices = |vendor: &str, on: Fault, words: fn(Fault) -> &'static str| {
        let choice = |fault: Fault| {
            format!(
                r#"<label class="choice"><input type="radio" name="{vendor}" value="{}"{}> {}</label>"#,
                fault.name(),
                if fault == on { " checked" } else { "" },
                e(words(fault)),
            )
        };
        Fault::ALL.map(choice).concat()
    };
    let body = format!(
        r#"<p class="lead">Vendors fail in their own ways. Switch a fault on, go back to a page and see what Countersign
and the app make of it.</p>
<form method="post" action="/faults">
<div class="columns">
<fieldset class="card"><legend>idibu LiveAuth</legend>{}</fieldset>
<fieldset class="card"><legend>BroadSoft Hub</legend>{}</fieldset>
</div>
<p><button>Switch</button></p>
</form>
<p class="note">For programs: <code>GET</code> and <code>PUT /faults.json</code>, such as
<code>{{"liveauth":"slow","hub":"none"}}</code>.</p>"#,
        choices("liveauth", now.liveauth, |fault| fault.at().0),
        choices("hub", now.hub, |fault| fault.at().1),
    );
    Page::new(Place::Sandbox, "Faults", body)
}

async fn switched(State(world): State<Arc<World>>, headers: HeaderMap, Form(new): Form<Faults>) -> Response {
    // A page of another site may not switch them.
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin.is_some_and(|origin| origin != world.origins.front) {
        return (StatusCode::FORBIDDEN, "faults are switched on the sandbox's own page\n").into_response();
    }
    *world.faults() = new;
    Redirect::to("/faults").into_response()
}

async fn read(State(world): State<Arc<World>>) -> Json<Faults> {
    Json(*world.faults())
}

async fn switched_by_program(State(world): State<Arc<World>>, Json(new): Json<Faults>) -> Json<Faults> {
    *world.faults() = new;
    Json(new)
}
