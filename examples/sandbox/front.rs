//! The sandbox's own pages, and those of the job site that uses LiveAuth.

mod backend;
mod browser;
mod test_page;

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};

use crate::{
    faults,
    page::{self, Page, Place},
    world::World,
};

const BROWSER: &str = include_str!("assets/browser.js");

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/", get(index))
        .route("/liveauth/test", get(test_page::document))
        .route("/liveauth/test-on-load", get(test_page::on_load))
        .route("/liveauth/browser", get(browser::page))
        .route("/liveauth/backend", get(backend::page).post(backend::asked))
        .route("/assets/browser.js", get(|| async { page::script(BROWSER) }))
        .route("/elsewhere", get(elsewhere))
        .merge(faults::routes())
}

async fn index(State(world): State<Arc<World>>) -> Page {
    let body = format!(
        r#"<p class="lead">Neither vendor has a public sandbox, so here is one. The pages play both documents through with stand-ins on
loopback; every hash and every token is made and judged by a real Countersign, over gRPC.</p>
{faults}<div class="columns">
<section class="card liveauth"><h2>idibu LiveAuth</h2>
<p>A web page calls LiveAuth with a hash that its server had minted: HMAC-SHA256 under a secret that only Countersign holds.</p>
<ol>
<li><a href="/liveauth/test">The document's test page</a>, as printed: open the console, press <em>Test</em>,
and read <code>hello world</code></li>
<li><a href="/liveauth/test-on-load">The same page, run on load too</a>, with the answer on the page</li>
<li><a href="/liveauth/browser">Test, status, login and logout</a> in the browser, with the pop-up of a social network</li>
<li><a href="/liveauth/browser?hash=expired">An expired hash</a> and <a href="/liveauth/browser?hash=forged">a forged
one</a>, which end in <code>onError</code></li>
<li><a href="/liveauth/backend">From a back end</a>: Countersign asks LiveAuth itself, and not even a hash leaves it</li>
</ol>
<p class="path"><span>job site</span> → <span class="us">Countersign</span> → <span>LiveAuth</span></p></section>
<section class="card hub"><h2>BroadSoft Hub</h2>
<p>Hub keeps a text for each user of an app and sends it along with every request. Countersign seals it, so that only
Countersign can open it.</p>
<ol>
<li><a href="{hub}/">Hub's settings</a>: connect Acme Contacts, in generation 1 or 2, and go through its login</li>
<li>Hub's page of the app: notifications, timeline and frames, each with the stored <code>auth</code>; then tampered with, and
under another user's name</li>
<li><a href="{acme}/">Acme's desk</a>: renew a token, push, cut a user off</li>
</ol>
<p class="path"><span>browser</span> → <span>Acme Contacts</span> → <span class="us">Countersign</span> → <span>Hub</span></p></section>
</div>
<p><a class="button plain" href="/faults">Switch on a vendor's fault</a> <span class="note">slow, failing, hostile: see what becomes of
it</span></p>
<h2>Who plays whom</h2>
<div class="card"><table>
<tr><th>who</th><th>where</th><th>is</th></tr>
<tr><td>the sandbox, and a job site</td><td><a href="{front}/">{front}</a></td><td>these pages</td></tr>
<tr><td>idibu LiveAuth</td><td><a href="{liveauth}/">{liveauth}</a></td><td>a stand-in, with checks of its own</td></tr>
<tr><td>FriendNet, a social network</td><td><a href="{social}/">{social}</a></td><td>a stand-in</td></tr>
<tr><td>BroadSoft Hub</td><td><a href="{hub}/">{hub}</a></td><td>a stand-in, both generations</td></tr>
<tr><td>Acme Contacts, an app</td><td><a href="{acme}/">{acme}</a></td><td>what a developer writes: calls Countersign over gRPC</td></tr>
<tr><td>Countersign</td><td>a Unix socket</td><td>the real one, a process of its own</td></tr>
</table></div>"#,
        faults = faults::warning(*world.faults()),
        front = world.origins.front,
        liveauth = world.origins.liveauth,
        social = world.origins.social,
        hub = world.origins.hub,
        acme = world.origins.acme,
    );
    Page::new(Place::Sandbox, "Try both vendors", body)
}

/// Where the fault of redirecting leads.
async fn elsewhere() -> Page {
    let body = "<p class=\"lead\">The vendor was told to send its callers here, where they have no business.</p>";
    Page::new(Place::Sandbox, "Somewhere else", body.to_owned())
}
