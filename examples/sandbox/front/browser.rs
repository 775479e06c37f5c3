//! LiveAuth in the browser: every method of the library on one page.

use std::sync::Arc;

use axum::extract::{Query, State};
use serde::Deserialize;

use crate::{
    page::{Page, Place, Policy, e},
    trace::{Topic, shortened},
    world::World,
};

/// The client id of the document's examples.
pub(super) const CLIENT: i64 = 42;
/// How long the hashes of pages are good, seconds.
pub(super) const LIFETIME: i64 = 900;

/// The hash in the document's constructor example: made with the same secret, and long out of time.
const EXPIRED: (&str, &str) = ("989539200", "6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29");

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    hash: Kind,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Minted,
    Expired,
    Forged,
}

pub(super) async fn page(State(world): State<Arc<World>>, Query(wanted): Query<Wanted>) -> Page {
    let minted = match world.countersign.mint(CLIENT, LIFETIME).await {
        Ok(minted) => minted,
        Err(status) => {
            let body = format!("<p class=\"bad\">Countersign: {}</p>", e(status.message()));
            return Page::new(Place::Sandbox, "No hash", body);
        }
    };
    let (title, said, expires, hash) = match wanted.hash {
        Kind::Minted => (
            "LiveAuth in the browser",
            "Countersign has minted a hash for this page, good for 15 minutes.",
            minted.expires.to_string(),
            minted.hash,
        ),
        Kind::Expired => (
            "An expired hash",
            "This is the hash that the document prints: signed rightly, and out of time since May 2001. Every call ends \
             in onError.",
            EXPIRED.0.to_owned(),
            EXPIRED.1.to_owned(),
        ),
        Kind::Forged => (
            "A forged hash",
            "This page has a good hash and asks for more time than it was minted for. Every call ends in onError.",
            (minted.expires + 3600).to_string(),
            minted.hash,
        ),
    };
    let liveauth = &world.origins.liveauth;
    let body = format!(
        r#"<p class="lead">{said}</p>
<meta name="x-liveauth-client" content="{CLIENT}">
<meta name="x-liveauth-expires" content="{expires}">
<meta name="x-liveauth-hash" content="{hash}">
<script src="{liveauth}/clients/api/liveauth/client.js"></script>
<div class="columns">
<div class="card"><h3>What the page has</h3><table>
<tr><th>client</th><td><code>{CLIENT}</code></td></tr>
<tr><th>expires</th><td><code>{expires}</code></td></tr>
<tr><th>hash</th><td><code>{masked}</code></td></tr></table>
<p class="note">The secret is in Countersign. Neither this page nor its server ever sees it.</p></div>
<form class="card" id="asked"><h3>What it asks for</h3>
<label class="field">portal <input name="portal" value="4" inputmode="numeric"></label>
<label class="field">link <select name="link"><option value="">none: hand the credentials over</option>
<option>profile</option><option>team</option><option>office</option><option>global</option></select></label>
<label class="field">id, and profile of the status <input name="id" value="2" inputmode="numeric"></label></form>
</div>
<p><button id="do-test">Test</button> <button id="do-status">Status</button> <button id="do-login">Log in</button>
<button id="do-logout">Log out</button></p>
<output id="outcome" aria-live="polite">Press a button.</output>"#,
        masked = e(&shortened(&hash)),
    );
    let policy = Policy { scripts: vec![liveauth.clone()], ..Policy::default() };
    Page::new(Place::Sandbox, title, body).script("/assets/browser.js").traced(Topic::LiveAuth).policy(policy)
}
