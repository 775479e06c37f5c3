//! The app's own page about its users in Hub, with what a support desk does: renew, cut off, push.

use std::sync::Arc;

use ::countersign::grpc::proto::{NotifyUpdateRequest, RenewAuthRequest, RevokeRequest, Verdict, revoke_request::What};
use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{app, is_own, memory::Connected};
use crate::{
    countersign::{told, verdict},
    hub::memory::Generation,
    page::{Page, Place, e},
    trace::Topic,
    world::World,
};

/// Or it was not this app's page that asked.
const NOBODY: &str = "Nothing was done: nobody is connected.";

pub(super) async fn page(State(world): State<Arc<World>>) -> Page {
    let said = world.acme().said();
    let said = said.map(|said| format!("<output id=\"said\">{}</output>", e(&said))).unwrap_or_default();
    let rows = Generation::BOTH.map(|generation| {
        let number = generation.number();
        let acme = world.acme();
        let Some(user) = acme.connected(generation) else {
            return format!(
                "<tr><td>{number}</td><td colspan=\"3\">nobody yet: <a href=\"{}/\">connect in Hub</a></td></tr>",
                world.origins.hub
            );
        };
        let button = |what: &str, words: &str| {
            format!(
                "<form method=\"post\" action=\"/{what}/{number}\"><button class=\"plain\" \
                 id=\"{what}-{number}\">{words}</button></form>"
            )
        };
        let renew = if generation == Generation::Two { button("renew", "Renew") } else { String::new() };
        format!(
            "<tr><td>{number}</td><td>{}</td><td><code>{}</code></td><td class=\"buttons\">{renew}{}{}</td></tr>",
            e(&user.username),
            e(&user.grant),
            button("push", "Push"),
            button("revoke", "Cut off"),
        )
    });
    let body = format!(
        r#"<p class="lead">Users of Acme Contacts who are connected to Hub. The app holds no key and reads no token: it knows the
number of a grant, and asks Countersign.</p>{said}
<div class="card"><table><tr><th>generation</th><th>user</th><th>grant</th><th></th></tr>{}</table></div>
<p class="note"><strong>Renew</strong> has the token sealed anew and Hub told of it. <strong>Push</strong> tells Hub that there is
something new. <strong>Cut off</strong> revokes the grant: Hub goes on sending its token, and it is refused.</p>
<p><a class="button" href="{}/">To Hub</a></p>"#,
        rows.concat(),
        world.origins.hub,
    );
    Page::new(Place::Acme, "Users in Hub", body).traced(Topic::Hub).front(&world.origins.front)
}

pub(super) async fn renew(State(world): State<Arc<World>>, path: Path<Generation>, headers: HeaderMap) -> Response {
    let Some((generation, user)) = chosen(&world, path, &headers) else { return back(&world, NOBODY.into()) };
    let Some(auth) = user.seen else {
        return back(&world, "Hub has not sent this user's token yet: look at its page first.".into());
    };
    let request = RenewAuthRequest {
        app: app(generation).into(),
        username: user.username.clone(),
        auth,
        callback: user.callback,
        ..RenewAuthRequest::default()
    };
    let said = match world.countersign.renew_auth(&world.trace, request).await {
        Ok(done) if done.verdict == i32::from(Verdict::Valid) => {
            world.acme().saw(generation, &user.username, &done.auth);
            "Renewed: Hub has the new token, and the old one is refused.".to_owned()
        }
        Ok(done) => format!("Not renewed: the old token is {}.", verdict(done.verdict)),
        Err(status) => format!("Not renewed: {}", told(&status)),
    };
    back(&world, said)
}

pub(super) async fn revoke(State(world): State<Arc<World>>, path: Path<Generation>, headers: HeaderMap) -> Response {
    let Some((generation, user)) = chosen(&world, path, &headers) else { return back(&world, NOBODY.into()) };
    let what = Some(What::GrantId(user.grant));
    let request = RevokeRequest { app: app(generation).into(), what, ..RevokeRequest::default() };
    let said = match world.countersign.revoke(&world.trace, request).await {
        Ok(_) => format!("{} is cut off: what Hub holds is refused from now on.", user.username),
        Err(status) => format!("Not cut off: {}", told(&status)),
    };
    back(&world, said)
}

pub(super) async fn push(State(world): State<Arc<World>>, path: Path<Generation>, headers: HeaderMap) -> Response {
    let Some((generation, user)) = chosen(&world, path, &headers) else { return back(&world, NOBODY.into()) };
    let request = NotifyUpdateRequest { app: app(generation).into(), username: user.username, hub_origin: None };
    let said = match world.countersign.notify_update(&world.trace, request).await {
        Ok(done) => format!("Hub was told that there is something new, and answered with {}.", done.http_status),
        Err(status) => format!("Hub was not told: {}", told(&status)),
    };
    back(&world, said)
}

/// Who it is about, where the form was sent from the app's own page.
fn chosen(world: &World, Path(generation): Path<Generation>, headers: &HeaderMap) -> Option<(Generation, Connected)> {
    let user = world.acme().connected(generation).cloned();
    user.filter(|_| is_own(world, headers)).map(|user| (generation, user))
}

fn back(world: &World, said: String) -> Response {
    world.acme().say(said);
    Redirect::to("/").into_response()
}
