//! A stand-in for a posting destination: the web site that the pop-up of a login shows, which is not idibu's.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{
    page::{self, Page, Place, e},
    world::World,
};

const CLOSE: &str = include_str!("../assets/close.js");
const JOHN: &str = include_str!("../assets/john.svg");

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/", get(about))
        .route("/oauth/{page}", get(asking).post(decided))
        .route("/assets/close.js", get(|| async { page::script(CLOSE) }))
        .route("/img/john.svg", get(|| async { ([(header::CONTENT_TYPE, "image/svg+xml")], JOHN) }))
}

async fn about(State(world): State<Arc<World>>) -> Page {
    let body = "<p class=\"lead\">A web site on which jobs are posted, as LiveAuth portals are. Its pages are shown in the \
                pop-up of a login.</p>";
    Page::new(Place::Social, "FriendNet", body.to_owned()).front(&world.origins.front)
}

async fn asking(State(world): State<Arc<World>>, Path(name): Path<String>) -> Response {
    let Some(portal) = world.accounts().portal(&name) else { return nothing(&world) };
    let body = format!(
        r#"<div class="card narrow"><div class="person"><img src="/img/john.svg" alt=""><div><strong>John Doe</strong><br>
<span class="note">you are signed in</span></div></div>
<p><strong>idibu</strong> asks to post job adverts in your name (portal {portal}).</p>
<form method="post" action="/oauth/{}">
<button name="decision" value="allow" id="allow">Allow</button>
<button name="decision" value="deny" id="deny" class="plain">Do not allow</button>
</form></div>"#,
        e(&name),
    );
    Page::new(Place::Social, "Allow idibu?", body).front(&world.origins.front).into_response()
}

#[derive(Deserialize)]
struct Decided {
    decision: String,
}

async fn decided(State(world): State<Arc<World>>, Path(name): Path<String>, Form(form): Form<Decided>) -> Response {
    let allowed = form.decision == "allow";
    if !world.accounts().decide(&name, allowed) {
        return nothing(&world);
    }
    let said = if allowed { "idibu may post in your name." } else { "idibu may not post in your name." };
    let body = format!(
        "<div class=\"card narrow\"><p>{said}</p><p class=\"note\">This window closes itself. The page that opened it \
         then asks LiveAuth how it ended (complete-info).</p></div>"
    );
    Page::new(Place::Social, "Thank you", body).front(&world.origins.front).script("/assets/close.js").into_response()
}

fn nothing(world: &World) -> Response {
    let body =
        "<p class=\"lead\">This login has ended, or never began. Begin it anew on the page that you came from.</p>";
    let page = Page::new(Place::Social, "Nothing here", body.to_owned()).front(&world.origins.front);
    (StatusCode::NOT_FOUND, page).into_response()
}
