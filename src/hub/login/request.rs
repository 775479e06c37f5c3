//! What is sent to a Hub, and where a browser is sent. The origin was checked by whoever calls this.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Callback, Delivery, Generation, Origin};

/// Unreserved characters stay (RFC 3986, section 2.3), and nothing else does.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// `pchar` stays (RFC 3986, section 3.3).
const SEGMENT: &AsciiSet = &COMPONENT
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// How Hub is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

/// A request. It holds credentials, and so shows itself to nobody unasked; its body is wiped when dropped.
pub struct Request {
    /// How.
    pub method: Method,
    /// Where: an absolute URL.
    pub url: String,
    /// What the body is.
    pub content: Content,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why a text cannot be a segment of a path. It goes after the name of the field, and quotes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SegmentProblem {
    /// Nothing at all.
    Empty,
    /// `.` or `..`: it would name another path.
    Dots,
    /// A control character.
    Control,
}

impl fmt::Display for SegmentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty: give one",
            Self::Dots => "is only dots, which in a URL names another path: give the name that Hub has",
            Self::Control => "has a control character in it: remove it",
        })
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> Result<String, SegmentProblem> {
    if text.is_empty() {
        return Err(SegmentProblem::Empty);
    }
    if matches!(text, "." | "..") {
        return Err(SegmentProblem::Dots);
    }
    if text.chars().any(char::is_control) {
        return Err(SegmentProblem::Control);
    }
    Ok(utf8_percent_encode(text, SEGMENT).to_string())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivered<'a> {
    hub_login_token: &'a str,
    auth: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Renewed<'a> {
    auth: &'a str,
    new_auth: &'a str,
    username: &'a str,
}

/// Generation 1: gives `auth` to the Hub, with the hubLoginToken that it wants to know it by.
pub fn deliver(
    hub: &Origin,
    hub_name: &str,
    username: &str,
    hub_login_token: &str,
    auth: &str,
    delivery: Delivery,
) -> Result<Request, SegmentProblem> {
    let url = format!("{hub}/v1/{}/{}/auth", segment(hub_name)?, segment(username)?);
    let (content, body) = match delivery {
        Delivery::Json => (Content::Json, json(&Delivered { hub_login_token, auth })),
        Delivery::Form => {
            let mut body = Zeroizing::new(Vec::with_capacity(3 * hub_login_token.len() + auth.len() + 24));
            for (name, value) in [("hubLoginToken=", hub_login_token), ("&auth=", auth)] {
                body.extend_from_slice(name.as_bytes());
                utf8_percent_encode(value, COMPONENT).for_each(|piece| body.extend_from_slice(piece.as_bytes()));
            }
            (Content::Form, body)
        }
    };
    Ok(Request { method: Method::Post, url, content, body })
}

/// Generation 2: where the browser takes `auth` to the Hub: its callback, with `auth` as JSON text and the username
/// added to what query it has.
#[must_use]
pub fn redirect(callback: &Callback, auth: &str, username: &str) -> String {
    let mut url = String::with_capacity(callback.as_str().len() + auth.len() + 3 * username.len() + 32);
    url.push_str(callback.as_str());
    match callback.as_str().split_once('?') {
        None => url.push('?'),
        Some((_, query)) if query.is_empty() || query.ends_with('&') => {}
        Some(_) => url.push('&'),
    }
    url.push_str("auth=");
    let auth = json(&auth);
    percent_encoding::percent_encode(&auth, COMPONENT).for_each(|piece| url.push_str(piece));
    url.push_str("&username=");
    utf8_percent_encode(username, COMPONENT).for_each(|piece| url.push_str(piece));
    url
}

/// Generation 2: has the Hub take `new_auth` in the place of `auth`.
#[must_use]
pub fn renew(callback: &Callback, auth: &str, new_auth: &str, username: &str) -> Request {
    Request {
        method: Method::Put,
        url: callback.as_str().to_owned(),
        content: Content::Json,
        body: json(&Renewed { auth, new_auth, username }),
    }
}

/// Tells the Hub that there is news for a user. Carries no credential.
pub fn push(generation: Generation, hub: &Origin, hub_name: &str, username: &str) -> Result<Request, SegmentProblem> {
    let username = segment(username)?;
    let url = match generation {
        Generation::One => format!("{hub}/v1/{}/{username}/push", segment(hub_name)?),
        Generation::Two => format!("{hub}/{username}/push"),
    };
    Ok(Request { method: Method::Post, url, content: Content::Nothing, body: Zeroizing::default() })
}

fn json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(value).expect("texts are always JSON"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    fn hub() -> Origin {
        Origin::parse("https://core.broadsoftlabs.com").unwrap()
    }

    #[test]
    fn generation_1_posts_what_the_document_says() {
        let token = "s:abc.d+e/f=\"";
        let post = |delivery| deliver(&hub(), "acme", "jodonnell@broadsoft.com", token, "hat1_x", delivery).unwrap();
        let sent = post(Delivery::Json);
        assert_eq!(sent.url, "https://core.broadsoftlabs.com/v1/acme/jodonnell@broadsoft.com/auth");
        assert_eq!((sent.method, sent.content), (Method::Post, Content::Json));
        assert_eq!(&sent.body[..], br#"{"hubLoginToken":"s:abc.d+e/f=\"","auth":"hat1_x"}"#);
        let sent = post(Delivery::Form);
        assert_eq!(sent.content, Content::Form);
        assert_eq!(&sent.body[..], b"hubLoginToken=s%3Aabc.d%2Be%2Ff%3D%22&auth=hat1_x");
    }

    #[test]
    fn generation_2_adds_to_the_query_that_the_callback_has() {
        let to = |callback: &str| redirect(&Callback::parse(callback).unwrap(), "hat1_x", "+49 30@x.com");
        let added = "auth=%22hat1_x%22&username=%2B49%2030%40x.com";
        assert_eq!(to("https://h.example/cb"), format!("https://h.example/cb?{added}"));
        assert_eq!(to("https://h.example/cb?"), format!("https://h.example/cb?{added}"));
        assert_eq!(to("https://h.example/cb?s=a%2Bb"), format!("https://h.example/cb?s=a%2Bb&{added}"));
        assert_eq!(to("https://h.example?s=1&"), format!("https://h.example/?s=1&{added}"));
        let put = renew(&Callback::parse("https://h.example/cb?s=1").unwrap(), "hat1_o", "hat1_n", "jo");
        assert_eq!((put.method, put.url.as_str()), (Method::Put, "https://h.example/cb?s=1"));
        assert_eq!(&put.body[..], br#"{"auth":"hat1_o","newAuth":"hat1_n","username":"jo"}"#);
    }

    #[test]
    fn a_push_has_no_body_and_the_path_of_its_generation() {
        let to = |generation| push(generation, &hub(), "acme", "+4930123").unwrap();
        assert_eq!(to(Generation::One).url, "https://core.broadsoftlabs.com/v1/acme/+4930123/push");
        assert_eq!(to(Generation::Two).url, "https://core.broadsoftlabs.com/+4930123/push");
        assert!(to(Generation::Two).body.is_empty() && to(Generation::Two).content == Content::Nothing);
    }

    #[test]
    fn no_name_leaves_its_segment() {
        for (name, encoded) in [
            ("jane@example.com", "jane@example.com"),
            ("+49 (30) 123", "+49%20(30)%20123"),
            ("o'brien;x=1,2:3$4&5!6*", "o'brien;x=1,2:3$4&5!6*"),
            ("a/b", "a%2Fb"),
            ("../../admin", "..%2F..%2Fadmin"),
            ("...", "..."),
            ("%2e%2e", "%252e%252e"),
            ("a?b#c", "a%3Fb%23c"),
            ("a\\b", "a%5Cb"),
            ("é\u{202e}", "%C3%A9%E2%80%AE"),
            ("\"<>^`{|}[]", "%22%3C%3E%5E%60%7B%7C%7D%5B%5D"),
        ] {
            assert_eq!(segment(name).as_deref(), Ok(encoded), "{name}");
        }
        assert_eq!(segment(""), Err(SegmentProblem::Empty));
        assert_eq!((segment("."), segment("..")), (Err(SegmentProblem::Dots), Err(SegmentProblem::Dots)));
        for control in ["a\r\nb", "a\0", "\u{85}", "a\tb"] {
            assert_eq!(segment(control), Err(SegmentProblem::Control), "{control:?}");
        }
    }

    proptest! {
        /// A URL parser sees the path that was meant: its segments, and in them the name.
        #[test]
        fn a_url_parser_sees_the_name_in_its_place(name in "\\PC{1,40}") {
            let Ok(sent) = deliver(&hub(), "acme", &name, "t", "a", Delivery::Json) else {
                prop_assert!(matches!(name.as_str(), "." | "..") || name.chars().any(char::is_control));
                return Ok(());
            };
            let url = Url::parse(&sent.url).unwrap();
            prop_assert_eq!(url.as_str(), &sent.url);
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 4);
            let decoded = percent_encoding::percent_decode_str(segments[2]).decode_utf8().unwrap();
            prop_assert_eq!(decoded, name.as_str());
            prop_assert!(url.query().is_none() && url.fragment().is_none());
        }

        /// Whatever reads the redirect as a form reads the two values, and what was there before.
        #[test]
        fn a_query_parser_sees_both_values(username in "\\PC{1,40}", own in "([a-z]=[a-zA-Z0-9%+]{0,5}&?){0,3}") {
            let text = format!("https://h.example/cb?{own}");
            let Ok(callback) = Callback::parse(&text) else { return Ok(()) };
            let url = Url::parse(&redirect(&callback, "hat1_x", &username)).unwrap();
            let read = |name: &str| url.query_pairs().filter(|(n, _)| n == name).map(|(_, v)| v.into_owned()).collect::<Vec<_>>();
            prop_assert_eq!(read("auth"), ["\"hat1_x\""]);
            prop_assert_eq!(read("username"), [username]);
            prop_assert!(url.query().unwrap().starts_with(&own));
        }
    }
}
