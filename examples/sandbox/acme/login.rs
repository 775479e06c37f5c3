//! The login that Hub opens: `BeginLogin`, the app's own login page and consent, `CompleteLogin`, and back to Hub.

use std::sync::Arc;

use ::countersign::grpc::proto::{BeginLoginRequest, CompleteLoginRequest, PayloadKind};
use axum::{
    Form,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{app, is_own, memory::Connected};
use crate::{
    countersign::{told, verdict},
    hub::{USER, memory::Generation},
    page::{Page, Place, Policy, e},
    trace::Topic,
    world::{World, random},
};

/// The login that was begun: the generation, a dot, and what `BeginLogin` gave, which is sealed and says nothing.
const BEGUN: &str = "acme_login";
/// The session.
const SESSION: &str = "acme_session";
/// As long as a login state lives, seconds.
const LIFETIME: u32 = 900;

/// `GET <base>/authenticate`: Hub has sent the browser here.
pub(super) async fn authenticate(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
    generation: Generation,
) -> Response {
    // As it came: Countersign reads it, and decides whether this Hub may be trusted with anything.
    let authenticate_url =
        format!("{}{}/authenticate?{}", world.origins.acme, generation.base(), query.unwrap_or_default());
    let request = BeginLoginRequest { app: app(generation).into(), authenticate_url };
    match world.countersign.begin_login(&world.trace, request).await {
        Ok(begun) => {
            let cookie = format!("{}.{}", generation.number(), begun.login_state);
            (AppendHeaders([(header::SET_COOKIE, cookie_of(BEGUN, &cookie))]), Redirect::to("/login")).into_response()
        }
        Err(status) => refused(&world, "This login cannot begin", &told(&status)),
    }
}

pub(super) async fn page(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    if begun(&headers).is_none() {
        return refused(&world, "No login", "Begin in Hub: its settings page opens this one.");
    }
    let body = format!(
        r#"{}<div class="card narrow"><p>Hub wants to connect to your contacts. Sign in first.</p>
<form method="post" action="/login">
<label class="field">e-mail or phone number <input name="username" value="{}" autocomplete="username" required></label>
<label class="field">password <input name="password" type="password" value="anything" autocomplete="off" required></label>
<button id="sign-in">Sign in</button></form>
<p class="note">Any password does: this is not about passwords.</p></div>"#,
        steps(2),
        e(USER),
    );
    Page::new(Place::Acme, "Sign in", body).traced(Topic::Hub).front(&world.origins.front).into_response()
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    username: String,
    password: String,
}

pub(super) async fn signed_in(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Form(given): Form<Credentials>,
) -> Response {
    if !is_own(&world, &headers) {
        return refused(&world, "Not from here", "This form was sent by a page of another site.");
    }
    if given.username.is_empty() || given.password.is_empty() {
        return refused(&world, "Who are you?", "Give an e-mail address or a phone number, and any password.");
    }
    let session = world.acme().sign_in(&given.username);
    (AppendHeaders([(header::SET_COOKIE, cookie_of(SESSION, &session))]), Redirect::to("/consent")).into_response()
}

pub(super) async fn consent(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let Some(username) = user(&world, &headers) else { return Redirect::to("/login").into_response() };
    let body = format!(
        r#"{}<div class="card narrow"><p>Signed in as <strong>{}</strong>.</p><p><strong>BroadSoft Hub</strong> asks to</p>
<ul><li>read your contacts</li><li>show you what is new</li></ul>
<form method="post" action="/consent">
<button name="decision" value="allow" id="allow">Allow</button>
<button name="decision" value="deny" id="deny" class="plain">Do not allow</button></form>
<p class="note">If you do, Acme makes an OAuth token for Hub to keep. Countersign seals it first: Hub gets a text that only
Countersign can open.</p></div>"#,
        steps(3),
        e(&username),
    );
    // The form's answer sends the browser on to Hub.
    let policy = Policy { forms: vec![world.origins.hub.clone()], ..Policy::default() };
    let page = Page::new(Place::Acme, "Allow Hub?", body).traced(Topic::Hub).front(&world.origins.front);
    page.policy(policy).into_response()
}

#[derive(Deserialize)]
pub(super) struct Decided {
    decision: String,
}

pub(super) async fn decided(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Form(form): Form<Decided>,
) -> Response {
    if !is_own(&world, &headers) {
        return refused(&world, "Not from here", "This form was sent by a page of another site.");
    }
    let (Some(username), Some((generation, login_state))) = (user(&world, &headers), begun(&headers)) else {
        return refused(&world, "No login", "Begin in Hub: its settings page opens this one.");
    };
    if form.decision != "allow" {
        return refused(&world, "Not connected", "Nothing was handed over to Hub.");
    }
    // What an OAuth provider would give for the code that the user came back with.
    let payload = json!({
        "access_token": format!("at-{}", random::<16>()),
        "refresh_token": format!("rt-{}", random::<16>()),
        "scope": "contacts.read",
    });
    let request = CompleteLoginRequest {
        app: app(generation).into(),
        login_state,
        username: username.clone(),
        payload: payload.to_string().into_bytes(),
        kind: PayloadKind::Json.into(),
        ..CompleteLoginRequest::default()
    };
    let done = match world.countersign.complete_login(&world.trace, request).await {
        Ok(done) => done,
        Err(status) => return refused(&world, "Hub could not be told", &told(&status)),
    };
    if done.redirect_url.is_empty() {
        let why = format!("Countersign found the login state {}. Begin anew in Hub.", verdict(done.verdict));
        return refused(&world, "This login has ended", &why);
    }
    let (grant, callback) = (done.grant_id, done.callback);
    world.acme().connect(generation, Connected { username, grant, callback, seen: None });
    let over = AppendHeaders([(header::SET_COOKIE, over(BEGUN))]);
    // In generation 2 the token is in the address: it shall not go on from there.
    (over, [(header::REFERRER_POLICY, "no-referrer")], Redirect::to(&done.redirect_url)).into_response()
}

/// Where in the login this is.
fn steps(now: usize) -> String {
    let steps = [
        "Hub opened the app. <code>BeginLogin</code> has checked that it is a Hub we know.",
        "The app's own login page.",
        "The user allows it.",
        "<code>CompleteLogin</code> seals what Hub shall keep, and hands it over.",
        "Back to Hub's success page.",
    ];
    let step = |(at, text): (usize, &&str)| {
        let class = if at + 1 == now { " class=\"now\"" } else { "" };
        format!("<li{class}>{text}</li>")
    };
    format!("<ol class=\"steps\">{}</ol>", steps.iter().enumerate().map(step).collect::<String>())
}

fn refused(world: &World, title: &str, why: &str) -> Response {
    let body = format!(
        "<div class=\"card\"><p class=\"bad\">{}</p><p><a class=\"button plain\" href=\"{}/\">Back to Hub</a></p></div>",
        e(why),
        world.origins.hub
    );
    let page = Page::new(Place::Acme, title, body).traced(Topic::Hub).front(&world.origins.front);
    (StatusCode::BAD_REQUEST, page).into_response()
}

fn user(world: &World, headers: &HeaderMap) -> Option<String> {
    world.acme().who(cookie(headers, SESSION)?)
}

fn begun(headers: &HeaderMap) -> Option<(Generation, String)> {
    let (generation, state) = cookie(headers, BEGUN)?.split_once('.')?;
    let generation = Generation::BOTH.into_iter().find(|known| known.number().to_string() == generation)?;
    Some((generation, state.to_owned()))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split("; ")).filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn cookie_of(name: &str, value: &str) -> HeaderValue {
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LIFETIME}");
    HeaderValue::from_str(&cookie).expect("tokens and hexadecimal digits are plain ASCII")
}

fn over(name: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")).expect("plain ASCII")
}
