//! What Hub answers.

use std::fmt;

use serde::Deserialize;
use url::Url;

use super::{AddressProblem, Origin, origin::is_plain};

/// Longest URL that a browser is sent on to, characters.
const LANDING_MAX: usize = 4096;

/// Why an answer is no success. What it shows quotes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AnswerProblem {
    /// Not a status from 200 to 299.
    Status(u16),
    /// Not a JSON object with one text `url`.
    NotJson,
    /// A `url` that is no address.
    Address(AddressProblem),
    /// A `url` that is not on an allowed origin.
    Elsewhere,
}

impl fmt::Display for AnswerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "Hub answered with HTTP status {status}"),
            Self::NotJson => f.write_str("Hub's answer is no JSON object with a text url"),
            Self::Address(problem) => write!(f, "the url in Hub's answer {problem}"),
            Self::Elsewhere => f.write_str("the url in Hub's answer is on none of the app's origins"),
        }
    }
}

#[derive(Deserialize)]
struct Landing {
    url: String,
}

/// Generation 1's answer to a delivery: where the browser goes next. It must be on one of the allowed origins.
pub fn landing(status: u16, body: &[u8], allowed: &[Origin]) -> Result<String, AnswerProblem> {
    success(status)?;
    let Landing { url } = serde_json::from_slice(body).map_err(|_| AnswerProblem::NotJson)?;
    is_plain(&url, LANDING_MAX).map_err(AnswerProblem::Address)?;
    let host_at = url.find("://").ok_or(AnswerProblem::Address(AddressProblem::NotHttps))? + 3;
    let host_ends = url[host_at..].find(['/', '?', '#']).map_or(url.len(), |at| host_at + at);
    let origin = Origin::parse(&url[..host_ends]).map_err(AnswerProblem::Address)?;
    // Read twice, by us and as a browser reads it: both must see the same Hub.
    let seen = Url::parse(&url).map_err(|_| AnswerProblem::Address(AddressProblem::NotCanonical))?;
    if !allowed.contains(&origin) || seen.origin().ascii_serialization() != origin.as_str() {
        return Err(AnswerProblem::Elsewhere);
    }
    Ok(url)
}

/// Whether the status is a success; Hub's answer to a renewal has no form that anybody has published.
pub fn success(status: u16) -> Result<(), AnswerProblem> {
    if (200..300).contains(&status) { Ok(()) } else { Err(AnswerProblem::Status(status)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed() -> Vec<Origin> {
        ["https://hub.example.com", "https://hub.example.com:8443"].map(|text| Origin::parse(text).unwrap()).into()
    }

    fn read(body: &str) -> Result<String, AnswerProblem> {
        landing(200, body.as_bytes(), &allowed())
    }

    #[test]
    fn the_url_is_read_from_what_else_there_may_be() {
        for url in
            ["https://hub.example.com/success?a=b#c", "https://hub.example.com", "https://HUB.example.com:8443/x"]
        {
            assert_eq!(read(&format!("{{\"url\":\"{url}\"}}")).as_deref(), Ok(url));
            assert_eq!(read(&format!(" {{\"ok\": true, \"url\": \"{url}\", \"n\": null}}\n")).as_deref(), Ok(url));
        }
        assert_eq!(read(r#"{"url":"https:\/\/hub.example.com\/s"}"#).as_deref(), Ok("https://hub.example.com/s"));
    }

    #[test]
    fn whatever_else_is_an_error() {
        use AddressProblem::{Empty, Forbidden, NotHttps, TooLong, Userinfo};
        for body in [
            "",
            "null",
            "[]",
            "\"https://hub.example.com\"",
            "{}",
            "{\"url\":null}",
            "{\"url\":1}",
            "{\"url\":[\"https://hub.example.com\"]}",
            "{\"URL\":\"https://hub.example.com\"}",
            "{\"url\":\"https://hub.example.com/a\",\"url\":\"https://evil.example\"}",
            "{\"url\":\"https://hub.example.com/\"",
            "{\"url\":\"https://hub.example.com/\"} x",
            "<html><body>OK</body></html>",
            "\u{feff}{\"url\":\"https://hub.example.com/\"}",
        ] {
            assert_eq!(read(body), Err(AnswerProblem::NotJson), "{body}");
        }
        for (url, problem) in [
            ("", AnswerProblem::Address(Empty)),
            ("/success", AnswerProblem::Address(NotHttps)),
            ("//hub.example.com/success", AnswerProblem::Address(NotHttps)),
            ("javascript:alert(1)//https://hub.example.com", AnswerProblem::Address(NotHttps)),
            ("http://hub.example.com/", AnswerProblem::Address(NotHttps)),
            ("https://hub.example.com@evil.example/", AnswerProblem::Address(Userinfo)),
            ("https://hub.example.com\\\\@evil.example/", AnswerProblem::Address(Forbidden)),
            ("https://hub.example.com/\\r\\nLocation: https://evil.example", AnswerProblem::Address(Forbidden)),
            ("https://evil.example/https://hub.example.com", AnswerProblem::Elsewhere),
            ("https://hub.example.com.evil.example/", AnswerProblem::Elsewhere),
            ("https://hub.example.com:444/", AnswerProblem::Elsewhere),
            ("https://127.0.0.1/", AnswerProblem::Elsewhere),
        ] {
            assert_eq!(read(&format!("{{\"url\":\"{url}\"}}")), Err(problem), "{url}");
        }
        let long = format!("{{\"url\":\"https://hub.example.com/{}\"}}", "x".repeat(LANDING_MAX));
        assert_eq!(read(&long), Err(AnswerProblem::Address(TooLong(LANDING_MAX))));
        for status in [100, 199, 300, 302, 401, 404, 500, 503] {
            assert_eq!(
                landing(status, b"{\"url\":\"https://hub.example.com\"}", &allowed()),
                Err(AnswerProblem::Status(status))
            );
        }
    }

    proptest! {
        /// Whatever url is taken, a browser goes to an allowed origin with it.
        #[test]
        fn a_browser_lands_on_an_allowed_origin(url in "(https://hub\\.example\\.com|https://)?[a-z.:@/\\\\%?#0-9-]{0,20}") {
            let body = serde_json::to_string(&std::collections::BTreeMap::from([("url", &url)])).unwrap();
            if let Ok(taken) = read(&body) {
                let origin = Url::parse(&taken).unwrap().origin().ascii_serialization();
                prop_assert!(allowed().iter().any(|allowed| allowed.as_str() == origin), "{taken}");
            }
        }
    }
}
