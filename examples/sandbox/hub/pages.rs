//! What a user of Hub sees: the settings, where apps are enabled, and the page that shows what apps have to say.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::{APP, USER, memory::Generation};
use crate::{
    faults::Fault,
    page::{Page, Place, Policy, e},
    trace::{Topic, shortened},
    world::{World, random},
};

pub(super) async fn settings(State(world): State<Arc<World>>) -> Page {
    let card = |generation: Generation| {
        let number = generation.number();
        let opens = match generation {
            Generation::One => "authenticate?hubUrl=…&amp;hubLoginToken=…",
            Generation::Two => "authenticate?callback=…",
        };
        let state = match world.hub().stored(generation) {
            None => format!(
                "<p>Not connected.</p><p><a class=\"button\" id=\"connect-{number}\" href=\"/connect/{number}\">Connect</a></p>"
            ),
            Some(stored) => format!(
                "<p><span class=\"good\">Connected</span> as {}. Hub keeps <code>auth</code> <code>{}</code>, renewed \
                 {} times.</p><form method=\"post\" action=\"/forget/{number}\"><a class=\"button\" \
                 href=\"/home/{number}\">See what it has to say</a> <a class=\"button plain\" \
                 href=\"/connect/{number}\">Connect again</a> <button class=\"plain\">Forget</button></form>",
                e(&stored.username),
                e(&shortened(&stored.auth)),
                stored.renewals,
            ),
        };
        format!(
            "<section class=\"card acme\"><h3>Acme Contacts, generation {number}</h3><p class=\"note\">Hub opens \
             <code>{}/{opens}</code></p>{state}</section>",
            generation.base(),
        )
    };
    let body = format!(
        "<p class=\"lead\">You are signed in to Hub as <strong>{}</strong>. These apps are private: connecting one opens its \
         own login page, and what it hands over then goes along with every request of Hub's.</p><div \
         class=\"columns\">{}</div>",
        e(USER),
        Generation::BOTH.map(card).concat(),
    );
    Page::new(Place::Hub, "Settings: apps", body).traced(Topic::Hub).front(&world.origins.front)
}

/// "We will open a page pointing to your server."
pub(super) async fn connect(State(world): State<Arc<World>>, Path(generation): Path<Generation>) -> Redirect {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (hub, base) = (&world.origins.hub, generation.base());
    let query = match generation {
        Generation::One => {
            format!("hubUrl={}&hubLoginToken={}", encoded(hub), encoded(&world.hub().begin_with_token()))
        }
        Generation::Two => {
            let session = world.hub().begin();
            format!("callback={}", encoded(&format!("{hub}/{APP}/callback?session={session}")))
        }
    };
    Redirect::to(&format!("{}{base}/authenticate?{query}", world.origins.acme))
}

pub(super) async fn forget(
    State(world): State<Arc<World>>,
    Path(generation): Path<Generation>,
    headers: HeaderMap,
) -> Response {
    if headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() != world.origins.hub.as_bytes()) {
        return (StatusCode::FORBIDDEN, "apps are forgotten on Hub's own page\n").into_response();
    }
    world.hub().store(generation, None);
    Redirect::to("/").into_response()
}

pub(super) async fn success(State(world): State<Arc<World>>, Path(generation): Path<Generation>) -> Page {
    let number = generation.number();
    let body = format!(
        "<div class=\"card\"><p class=\"good\">Acme Contacts is connected.</p><p>Hub keeps what the app has handed over and \
         sends it along from now on.</p><p><a class=\"button\" href=\"/home/{number}\">See what it has to say</a></p></div>"
    );
    Page::new(Place::Hub, "Success", body).traced(Topic::Hub).front(&world.origins.front)
}

/// How Hub's requests look, on wish: as they should, or as an attacker would have them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum As {
    #[default]
    Stored,
    Tampered,
    Other,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    r#as: As,
}

pub(super) async fn home(
    State(world): State<Arc<World>>,
    Path(generation): Path<Generation>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let number = generation.number();
    if world.hub().stored(generation).is_none() {
        return Redirect::to("/").into_response();
    }
    let (lead, name) = match wanted.r#as {
        As::Stored => {
            ("Every request below carries the <code>auth</code> that Hub keeps, from your browser.", "stored")
        }
        As::Tampered => ("One character of <code>auth</code> was changed on the way.", "tampered"),
        As::Other => {
            ("The <code>auth</code> is yours, and the username that goes with it is somebody else's.", "other")
        }
    };
    let choice = |what: &str, words: &str| {
        let class = if what == name { "button" } else { "button plain" };
        format!("<a class=\"{class}\" href=\"/home/{number}?as={what}\">{words}</a>")
    };
    let acme = &world.origins.acme;
    let body = format!(
        r#"<p class="lead">{lead}</p>
<p>{} {} {}</p>
<div id="hub" data-app="{acme}{}" data-generation="{number}" data-as="{name}" class="columns two">
<section class="card"><h3>Notifications</h3><p class="note">POST, after the browser has asked with OPTIONS</p>
<pre id="notifications">asking…</pre></section>
<section class="card"><h3>Timeline</h3><p class="note">{}</p><pre id="timeline">asking…</pre></section>
<section class="card"><h3>Microapp</h3><p class="note">a frame, with auth and username in its address</p>
<iframe id="microapp" title="Microapp"></iframe></section>
<section class="card"><h3>Contextual</h3><p class="note">a frame beside an e-mail{}</p>
<iframe id="contextual" title="Contextual"></iframe></section>
</div>
<p class="note">Pushes from the app: <strong id="pushes">0</strong>. Each has Hub ask again.</p>"#,
        choice("stored", "as it should be"),
        choice("tampered", "tampered with"),
        choice("other", "another user's name"),
        generation.base(),
        if generation == Generation::One {
            "POST with a JSON body"
        } else {
            "GET with auth as a JSON text in the query"
        },
        if generation == Generation::One { "" } else { ", with auth as a JSON text" },
    );
    let policy = Policy { requests: vec![acme.clone()], frames: vec![acme.clone()], ..Policy::default() };
    Page::new(Place::Hub, &format!("Acme Contacts, generation {number}"), body)
        .script("/assets/hub.js")
        .traced(Topic::Hub)
        .front(&world.origins.front)
        .policy(policy)
        .into_response()
}

#[derive(Deserialize)]
pub(super) struct Asked {
    generation: Generation,
    #[serde(default)]
    r#as: As,
}

/// What the page's script sends: Hub's requests come from the user's browser, so the user can see them whole.
pub(super) async fn session(State(world): State<Arc<World>>, Query(asked): Query<Asked>) -> Response {
    let fault = world.faults().hub;
    let hub = world.hub();
    let Some(stored) = hub.stored(asked.generation) else {
        return (StatusCode::NOT_FOUND, "not connected\n").into_response();
    };
    let mut auth = stored.auth.clone();
    if asked.r#as == As::Tampered {
        let middle = auth.chars().count() / 2;
        let other = |c: char| if c == 'A' { 'B' } else { 'A' };
        auth = auth.chars().enumerate().map(|(at, c)| if at == middle { other(c) } else { c }).collect();
    }
    if fault == Fault::Truncated {
        auth = auth.chars().take(auth.chars().count() / 2).collect();
    }
    let username = if asked.r#as == As::Other || fault == Fault::WrongUser {
        "mallory@example.com".to_owned()
    } else {
        stored.username.clone()
    };
    let session = json!({
        "auth": auth,
        "username": username,
        "csrf": random::<12>(),
        "hubLoginToken": stored.login_token,
        "pushes": hub.pushes(asked.generation),
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(session)).into_response()
}
