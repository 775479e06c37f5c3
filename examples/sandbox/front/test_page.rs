//! The "complete test page example" of the LiveAuth document: its text, with the address of the script and the three meta
//! values put in, and nothing else changed.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::browser::{CLIENT, LIFETIME};
use crate::{page::Policy, world::World};

/// As the document prints it.
const DOCUMENT: &str = include_str!("test-page.html");

/// What the document says, and where what is said here goes.
const SCRIPT: &str = "https://www.idibu.com/clients/api/liveauth/client.js";
const EXPIRES: &str = "\"989539200\"";
const HASH: &str = "f4a04f87cabf65ed55a2db9da2159cd7";

/// Added in the variant that does not wait for a click.
const ON_LOAD: &str = r#"<p id="answer">waiting for LiveAuth…</p>
<script>
liveauth.test(function(message) {
document.getElementById("answer").textContent = message;
});
</script>
"#;

pub(super) async fn document(State(world): State<Arc<World>>) -> Response {
    served(&world, "").await
}

pub(super) async fn on_load(State(world): State<Arc<World>>) -> Response {
    served(&world, ON_LOAD).await
}

async fn served(world: &World, more: &str) -> Response {
    let minted = match world.countersign.mint(CLIENT, LIFETIME).await {
        Ok(minted) => minted,
        Err(status) => {
            return (StatusCode::BAD_GATEWAY, format!("Countersign: {}\n", status.message())).into_response();
        }
    };
    let liveauth = &world.origins.liveauth;
    let html = DOCUMENT
        .replace(SCRIPT, &format!("{liveauth}/clients/api/liveauth/client.js"))
        .replace("content=\"42\"", &format!("content=\"{}\"", minted.client))
        .replace(EXPIRES, &format!("\"{}\"", minted.expires))
        .replace(HASH, &minted.hash)
        + more;
    // The document's script is in the page, where a policy can only let it in by what it hashes to.
    let inline = html.split("<script>\n").skip(1).filter_map(|rest| rest.split_once("</script>"));
    let hashes =
        inline.map(|(script, _)| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(format!("\n{script}")))));
    let scripts = std::iter::once(liveauth.clone()).chain(hashes).collect();
    let policy = Policy { scripts, ..Policy::default() }.header();
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).expect("origins and hashes are plain ASCII")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Html(html)).into_response()
}
