//! Domains and apps, as the file names them.

use super::{
    duration::{Lifetime, parse_lifetime, parse_seconds},
    raw,
    typed::{AppSpec, DomainSpec},
};
use crate::{
    hub::{
        app::{self, Ttl, UsernameForm},
        login::{Delivery, Generation, Origin, Settings},
    },
    keyring::KeyName,
    liveauth::domain::{self, HostName},
};

pub(super) fn domain(raw: &raw::Domain) -> Result<DomainSpec, String> {
    let place = format!("domain {:?}", raw.name);
    let seconds = |text: &Option<String>, default: i64, setting: &str| match text {
        None => Ok(default),
        Some(text) => parse_seconds(text).map_err(|problem| format!("{place}: {setting}: {problem}")),
    };
    let max_ttl = seconds(&raw.max_ttl, domain::DEFAULT_MAX_TTL, "max_ttl")?;
    Ok(DomainSpec {
        name: HostName::from_config(&raw.name).map_err(|problem| format!("{place}: {problem}"))?,
        key: KeyName::new(&raw.key).map_err(|problem| format!("{place}: key: {problem}"))?,
        ttl: seconds(&raw.ttl, domain::DEFAULT_TTL.min(max_ttl), "ttl")?,
        max_ttl,
        leeway: seconds(&raw.leeway, 0, "leeway")?,
        subdomains: raw.subdomains,
        referer: raw.referer.clone(),
    })
}

pub(super) fn app(raw: &raw::App) -> Result<AppSpec, String> {
    let place = format!("app {:?}", raw.name);
    let ttl = |text: &Option<String>, default: Ttl, setting: &str| match text.as_deref().map(parse_lifetime) {
        None => Ok(default),
        Some(Ok(Lifetime::Never)) => Ok(Ttl::Never),
        Some(Ok(Lifetime::Seconds(n))) => Ok(Ttl::Seconds(n)),
        Some(Err(problem)) => Err(format!("{place}: {setting}: {problem}")),
    };
    let username_form = match raw.username_form.as_deref() {
        None => UsernameForm::default(),
        Some(name) => UsernameForm::from_name(name)
            .ok_or_else(|| format!("{place}: username_form {name:?} is unknown; write \"exact\" or \"ascii_lower\""))?,
    };
    let max_ttl = ttl(&raw.max_ttl, Ttl::Seconds(app::MAX_TTL_CEILING), "max_ttl")?;
    let default_ttl = match (app::DEFAULT_TTL, max_ttl) {
        (Ttl::Seconds(default), Ttl::Seconds(most)) => Ttl::Seconds(default.min(most)),
        (default, _) => default,
    };
    Ok(AppSpec {
        name: raw.name.clone(),
        key: KeyName::new(&raw.key).map_err(|problem| format!("{place}: key: {problem}"))?,
        ttl: ttl(&raw.ttl, default_ttl, "ttl")?,
        max_ttl,
        pad_to: raw.pad_to.unwrap_or(0),
        max_chars: raw.max_chars.unwrap_or(app::DEFAULT_MAX_CHARS),
        require_username: raw.require_username.unwrap_or(true),
        username_form,
        reseal_extends: raw.reseal_extends,
        login: login(raw).map_err(|problem| format!("{place}: {problem}"))?,
    })
}

/// The Hubs of an app.
fn login(raw: &raw::App) -> Result<Settings, String> {
    let generation = match raw.generation {
        None => Generation::default(),
        Some(number) => Generation::from_number(number).ok_or_else(|| {
            format!("generation {number} is unknown; write 1 or 2, as Hub's document that you follow says")
        })?,
    };
    let delivery = match raw.delivery.as_deref() {
        None => Delivery::default(),
        Some(name) => Delivery::from_name(name)
            .ok_or_else(|| format!("delivery {name:?} is unknown; write \"json\" or \"form\""))?,
    };
    if generation == Generation::Two && (raw.delivery.is_some() || raw.bind_hub_login_token) {
        return Err(
            "delivery and bind_hub_login_token are for generation 1: leave them out, or set generation = 1".into()
        );
    }
    let origin = |text: &String| {
        Origin::parse(text)
            .map_err(|problem| format!("the origin {text:?} {problem}; write it as https://hub.example.com"))
    };
    let hub_name = raw.hub_name.clone();
    if hub_name.as_deref() == Some("") {
        return Err("hub_name is empty: leave it out, or write what Hub calls the app".into());
    }
    Ok(Settings {
        generation,
        origins: raw.origins.iter().map(origin).collect::<Result<_, _>>()?,
        hub_name: hub_name.unwrap_or_default(),
        delivery,
        bind_hub_login_token: raw.bind_hub_login_token,
        notify_origin: raw.notify_origin.as_ref().map(origin).transpose()?,
    })
}
