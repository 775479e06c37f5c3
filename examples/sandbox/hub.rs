//! A stand-in for BroadSoft Hub, in both generations. It opens an app's `authenticate` page, takes what the app delivers,
//! keeps it, and sends it along with every request from then on: from the user's browser, as Hub does.
//!
//! What nobody has published is decided here: a renewal of what is not stored is refused with status 403, and a success is
//! `{"message": "ok"}`.

pub(crate) mod memory;
mod pages;
mod taking;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::{page, world::World};

/// What the app is called in Hub.
pub(crate) const APP: &str = "acme-contacts";
/// Who is signed in to Hub in this browser.
pub(crate) const USER: &str = "jodonnell@broadsoft.com";

const SCRIPT: &str = include_str!("assets/hub.js");

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/", get(pages::settings))
        .route("/connect/{generation}", get(pages::connect))
        .route("/forget/{generation}", post(pages::forget))
        .route("/success/{generation}", get(pages::success))
        .route("/home/{generation}", get(pages::home))
        .route("/session.json", get(pages::session))
        .route("/assets/hub.js", get(|| async { page::script(SCRIPT) }))
        .route("/v1/{app}/{username}/auth", post(taking::delivered))
        .route("/v1/{app}/{username}/push", post(taking::pushed_to_one))
        .route("/acme-contacts/callback", get(taking::came_back).put(taking::renewed))
        .route("/{username}/push", post(taking::pushed_to_two))
}
