//! LiveAuth from a back end: `LiveAuthPortalService`, one button for each of its five RPCs.

use std::sync::Arc;

use ::countersign::grpc::proto::{
    CompleteInfoRequest, GetStatusRequest, LoginRequest, LogoutRequest, ProfileLink, TestRequest,
};
use axum::{
    Form,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

use super::browser::CLIENT;
use crate::{
    countersign::{DOMAIN, told},
    page::{Page, Place, e},
    trace::{Topic, masked},
    world::World,
};

/// The form of the page.
#[derive(Deserialize)]
pub(super) struct Asked {
    action: Action,
    portal: i64,
    link: Link,
    id: i64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Test,
    Status,
    Login,
    CompleteInfo,
    Logout,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Link {
    None,
    Global,
    Office,
    Team,
    Profile,
}

impl Link {
    fn on_the_wire(self) -> i32 {
        let link = match self {
            Self::None => ProfileLink::Unspecified,
            Self::Global => ProfileLink::Global,
            Self::Office => ProfileLink::Office,
            Self::Team => ProfileLink::Team,
            Self::Profile => ProfileLink::Profile,
        };
        link.into()
    }

    /// `none` and `global` have no id.
    fn id(self, id: i64) -> Option<i64> {
        (!matches!(self, Self::None | Self::Global)).then_some(id)
    }
}

pub(super) async fn page() -> Page {
    shown("<output id=\"outcome\">Press a button.</output>")
}

pub(super) async fn asked(State(world): State<Arc<World>>, headers: HeaderMap, Form(asked): Form<Asked>) -> Response {
    if headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() != world.origins.front.as_bytes()) {
        return (StatusCode::FORBIDDEN, "this is done on the sandbox's own page\n").into_response();
    }
    let outcome = match perform(&world, &asked).await {
        Ok(outcome) => outcome,
        Err(status) => format!("<output id=\"outcome\" class=\"failed\">{}</output>", e(&told(&status))),
    };
    shown(&outcome).into_response()
}

/// The RPC, and what to show of its answer.
async fn perform(world: &World, asked: &Asked) -> Result<String, tonic::Status> {
    let (countersign, trace) = (&world.countersign, &world.trace);
    let (domain, client, portal) = (DOMAIN.to_owned(), CLIENT, asked.portal);
    let (link, id) = (asked.link.on_the_wire(), asked.link.id(asked.id));
    match asked.action {
        Action::Test => Ok(told_as(&countersign.test(trace, TestRequest { domain, client }).await?)),
        Action::Status => {
            let request = GetStatusRequest { domain, client, portal, profile: asked.id };
            Ok(told_as(&countersign.get_status(trace, request).await?))
        }
        Action::Login => {
            let begun = countersign.login(trace, LoginRequest { domain, client, portal, link, id }).await?;
            world.keep_login(begun.token.clone());
            let open = format!(
                "<p><a class=\"button\" id=\"portal\" href=\"{}\" target=\"_blank\" rel=\"noopener\">Show the portal to \
                 the user</a> and when that is closed, press <em>Complete info</em>.</p>",
                e(&begun.url)
            );
            Ok(told_as(&begun) + &open)
        }
        Action::CompleteInfo => {
            let token = world.kept_login();
            Ok(told_as(&countersign.complete_info(trace, CompleteInfoRequest { domain, client, token }).await?))
        }
        Action::Logout => {
            Ok(told_as(&countersign.logout(trace, LogoutRequest { domain, client, portal, link, id }).await?))
        }
    }
}

fn told_as(answer: &impl Serialize) -> String {
    let answer = serde_json::to_value(answer).unwrap_or_default();
    let text = serde_json::to_string_pretty(&masked(&answer)).unwrap_or_default();
    format!("<output id=\"outcome\">{}</output>", e(&text))
}

fn shown(outcome: &str) -> Page {
    let body = format!(
        r#"<p class="lead">The job site's server asks Countersign, which mints the hash, adds the <code>Referer</code>, calls
LiveAuth and reads the answer. The site needs no secret, no hash and no HTTP client.</p>
<form method="post" action="/liveauth/backend">
<div class="columns"><div class="card"><h3>What it asks for</h3>
<label class="field">portal <input name="portal" value="4" inputmode="numeric" required></label>
<label class="field">link <select name="link"><option value="none">none: hand the credentials over</option>
<option>profile</option><option>team</option><option>office</option><option>global</option></select></label>
<label class="field">id, and profile of the status <input name="id" value="2" inputmode="numeric" required></label></div>
<div class="card"><h3>The five RPCs</h3>
<p><button name="action" value="test">Test</button> <button name="action" value="status">Get status</button></p>
<p><button name="action" value="login">Log in</button> <button name="action" value="complete-info">Complete info</button></p>
<p><button name="action" value="logout" class="plain">Log out</button></p>
<p class="note">With a <a href="/faults">fault</a> switched on, see how Countersign tells a slow vendor from one that says
no.</p></div></div></form>
{outcome}
<p class="note">As client {CLIENT} of <code>{DOMAIN}</code>.</p>"#
    );
    Page::new(Place::Sandbox, "LiveAuth from a back end", body).traced(Topic::LiveAuth)
}
