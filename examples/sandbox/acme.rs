//! Acme Contacts, an app that integrates with Hub in both generations: what a developer who uses Countersign writes. It holds
//! no key, reads no token and makes none; each of its steps is one call.

mod desk;
mod login;
pub(crate) mod memory;
mod requests;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, header},
    routing::{get, post},
};

use crate::{hub::memory::Generation, world::World};

pub(crate) fn routes() -> Router<Arc<World>> {
    let mut routes = Router::new()
        .route("/", get(desk::page))
        .route("/renew/{generation}", post(desk::renew))
        .route("/revoke/{generation}", post(desk::revoke))
        .route("/push/{generation}", post(desk::push))
        .route("/login", get(login::page).post(login::signed_in))
        .route("/consent", get(login::consent).post(login::decided));
    for generation in Generation::BOTH {
        let base = generation.base();
        routes = routes.nest(base, requests::routes(generation)).route(
            &format!("{base}/authenticate"),
            get(move |state, query| login::authenticate(state, query, generation)),
        );
    }
    routes
}

/// How Countersign calls the app.
fn app(generation: Generation) -> &'static str {
    match generation {
        Generation::One => "acme-contacts",
        Generation::Two => "acme-contacts-2",
    }
}

/// Whether a form was sent from one of the app's own pages.
fn is_own(world: &World, headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_none_or(|origin| origin.as_bytes() == world.origins.acme.as_bytes())
}
