//! A request and its answer, as plain values. Both can hold what signs somebody in, so neither shows itself, and both are
//! wiped when they are done with.

use std::fmt;

use zeroize::Zeroize as _;

/// How to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
}

/// What is sent along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

impl Body {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// One request. Its URL is sent as it is written here.
pub struct Request {
    /// How.
    pub method: Method,
    /// Where: absolute, and encoded.
    pub url: String,
    /// The Referer header, if there is one.
    pub referer: Option<String>,
    /// The body and what it is, if there is one.
    pub body: Option<(Body, Vec<u8>)>,
}

impl Request {
    /// A GET.
    #[must_use]
    pub fn get(url: String) -> Self {
        Self { method: Method::Get, url, referer: None, body: None }
    }

    /// A POST or PUT of this body; an empty one is sent as `Content-Length: 0`.
    #[must_use]
    pub fn with_body(method: Method, url: String, kind: Body, bytes: Vec<u8>) -> Self {
        Self { method, url, referer: None, body: Some((kind, bytes)) }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.url.zeroize();
        if let Some((_, bytes)) = &mut self.body {
            bytes.zeroize();
        }
    }
}

/// An answer that was read to its end. Never a redirect.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the status says that it went well.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_shows_what_it_holds() {
        let mut request = Request::with_body(Method::Post, "https://PLANTED/".into(), Body::Json, b"PLANTED".to_vec());
        request.referer = Some("PLANTED".into());
        let answer = Answer { status: 200, body: b"PLANTED".to_vec() };
        let shown = format!("{request:?} {answer:?}");
        assert!(!shown.contains("PLANTED") && !shown.contains("80, 76") && shown.contains("200"), "{shown}");
    }
}
