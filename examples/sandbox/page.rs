//! Pages: one frame for all, one style sheet, and a content security policy that lets in nothing else. Whatever comes from
//! a request goes through [`e`] on its way into a page.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};

use crate::{trace::Topic, world::World};

const STYLE: &str = include_str!("assets/style.css");
const TRACE: &str = include_str!("assets/trace.js");

/// Whose page it is: shown at its head, in a colour of its own.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Sandbox,
    LiveAuth,
    Social,
    Hub,
    Acme,
    /// In one of Hub's frames.
    AcmeFramed,
}

impl Place {
    fn class(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::LiveAuth => "liveauth",
            Self::Social => "social",
            Self::Hub => "hub",
            Self::Acme => "acme",
            Self::AcmeFramed => "acme framed",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "Countersign sandbox",
            Self::LiveAuth => "idibu LiveAuth",
            Self::Social => "FriendNet",
            Self::Hub => "BroadSoft Hub",
            Self::Acme | Self::AcmeFramed => "Acme Contacts",
        }
    }

    fn is(self) -> &'static str {
        match self {
            Self::Sandbox => "both vendors on your laptop, the real Countersign in the middle",
            Self::Social => "a stand-in for a social network",
            Self::LiveAuth | Self::Hub => "a stand-in for the vendor",
            Self::Acme | Self::AcmeFramed => "an app that integrates with Hub through Countersign",
        }
    }
}

/// A page to be answered with.
pub(crate) struct Page {
    place: Place,
    title: String,
    body: String,
    scripts: Vec<&'static str>,
    topic: Option<Topic>,
    front: Option<String>,
    policy: Policy,
}

/// What a page may load and where it may go, besides its own origin.
#[derive(Default)]
pub(crate) struct Policy {
    /// Further sources of scripts.
    pub(crate) scripts: Vec<String>,
    /// Where its images come from.
    pub(crate) images: Vec<String>,
    /// Where its scripts may send requests.
    pub(crate) requests: Vec<String>,
    /// What it shows in frames.
    pub(crate) frames: Vec<String>,
    /// Where its forms lead, also by a redirect.
    pub(crate) forms: Vec<String>,
    /// Who may show it in a frame.
    pub(crate) framed_by: Vec<String>,
}

impl Policy {
    /// The header.
    pub(crate) fn header(&self) -> String {
        let list = |sources: &[String]| sources.iter().fold(String::new(), |all, source| all + " " + source);
        let ancestors = if self.framed_by.is_empty() { " 'none'".into() } else { list(&self.framed_by) };
        format!(
            "default-src 'none'; base-uri 'none'; style-src 'self'; script-src 'self'{}; img-src 'self'{}; connect-src \
             'self'{}; frame-src{}; form-action 'self'{}; frame-ancestors{ancestors}",
            list(&self.scripts),
            list(&self.images),
            list(&self.requests),
            if self.frames.is_empty() { " 'none'".into() } else { list(&self.frames) },
            list(&self.forms),
        )
    }
}

impl Page {
    /// `body` is HTML.
    pub(crate) fn new(place: Place, title: &str, body: String) -> Self {
        let (scripts, policy) = (Vec::new(), Policy::default());
        Self { place, title: title.to_owned(), body, scripts, topic: None, front: None, policy }
    }

    /// With a script of this origin.
    pub(crate) fn script(mut self, address: &'static str) -> Self {
        self.scripts.push(address);
        self
    }

    /// With what went over the wire about `topic`.
    pub(crate) fn traced(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    /// With a way back to the sandbox, which is elsewhere.
    pub(crate) fn front(mut self, origin: &str) -> Self {
        self.front = Some(origin.to_owned());
        self
    }

    pub(crate) fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let (place, title) = (self.place, e(&self.title).to_string());
        let scripts = self.scripts.iter().map(|script| format!("<script src=\"{script}\" defer></script>\n"));
        let scripts: String = scripts.collect();
        let topic = self.topic.and_then(|topic| serde_json::to_value(topic).ok());
        let trace = topic.as_ref().and_then(serde_json::Value::as_str).map(|topic| {
            format!(
                "<section class=\"trace\" data-topic=\"{topic}\">\n<h2>What went over the wire</h2>\n<p class=\"note\">The \
                 newest first: what was sent, and what came back. Secrets are shown as a beginning and a \
                 length.</p>\n<ol><li class=\"note\">Nothing yet.</li></ol>\n</section>\n\
                 <script src=\"/assets/trace.js\" defer></script>\n"
            )
        });
        let home = self.front.as_deref().unwrap_or_default();
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{title} · {name}</title>\n<link rel=\"stylesheet\" \
             href=\"/assets/style.css\">\n{scripts}</head>\n<body class=\"{class}\">\n<header><strong>{name}</strong> \
             <span>{is}</span><a href=\"{home}/\">sandbox</a></header>\n<main>\n<h1>{title}</h1>\n{body}\n{trace}</main>\n\
             </body>\n</html>\n",
            class = place.class(),
            name = place.name(),
            is = place.is(),
            home = e(home),
            body = self.body,
            trace = trace.unwrap_or_default(),
        );
        let policy = HeaderValue::from_str(&self.policy.header()).expect("origins are plain ASCII");
        let headers = [
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        (headers, Html(html)).into_response()
    }
}

/// Text in a page, or in a quoted attribute: no markup, whatever it is.
pub(crate) fn e(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`e`].
pub(crate) struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => fmt::Write::write_char(f, other)?,
            }
        }
        Ok(())
    }
}

/// What every origin serves.
pub(crate) fn assets() -> Router<Arc<World>> {
    Router::new()
        .route("/assets/style.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route("/assets/trace.js", get(|| async { script(TRACE) }))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
}

/// A script of ours.
pub(crate) fn script(text: impl IntoResponse) -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, "text/javascript; charset=utf-8");
    ([kind, (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text)
}
