//! Where generation 2 of Hub wants the browser back: a URL on one of its origins, often with a query of its own.

use percent_encoding::percent_decode_str;
use url::Url;

use super::origin::{AddressProblem, Origin, is_plain};

/// Longest callback, characters: a login state that carries it still fits into a cookie.
pub const CALLBACK_MAX: usize = 2048;

/// A callback, spelt as a URL parser spells it. It may hold a credential of Hub's, and so shows itself to nobody unasked.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    origin: Origin,
    url: String,
}

impl Callback {
    /// Reads one. It is taken as it is, but for the case of its host, a slash after a bare host, a port that goes without
    /// saying, and apostrophes in its query, which parsers encode.
    pub fn parse(text: &str) -> Result<Self, AddressProblem> {
        is_plain(text, CALLBACK_MAX)?;
        if text.contains('#') {
            return Err(AddressProblem::Fragment);
        }
        let host_at = text.find("://").ok_or(AddressProblem::NotHttps)? + 3;
        let path_at = text[host_at..].find(['/', '?']).map_or(text.len(), |at| host_at + at);
        let origin = Origin::parse(&text[..path_at])?;
        let (path, query) = match text[path_at..].split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&text[path_at..], None),
        };
        let mut url = origin.as_str().to_owned();
        url.push_str(if path.is_empty() { "/" } else { path });
        if let Some(query) = query {
            let is_ours = |pair: &str| {
                let name = percent_decode_str(pair.split('=').next().unwrap_or_default());
                [b"auth".as_slice(), b"username"].iter().any(|ours| name.clone().eq(ours.iter().copied()))
            };
            if query.split('&').any(is_ours) {
                return Err(AddressProblem::OurParameter);
            }
            url.push('?');
            url.push_str(&query.replace('\'', "%27"));
        }
        match Url::parse(&url) {
            Ok(parsed) if parsed.as_str() == url => Ok(Self { origin, url }),
            _ => Err(AddressProblem::NotCanonical),
        }
    }

    /// The Hub.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(text: &str) -> Result<String, AddressProblem> {
        Callback::parse(text).map(|callback| callback.url)
    }

    #[test]
    fn callbacks_are_taken_with_their_own_query_byte_for_byte() {
        for same in [
            "https://hub.example.com/",
            "https://hub.example.com/v1/acme/callback",
            "https://hub.example.com/cb?session=a%2Bb+c%2F&x=%22q%22&x=2&&=",
            "https://hub.example.com:8443/cb?",
            "https://hub.example.com/%C3%A9;p=1/@me:x/~",
            "http://127.0.0.1:8080/cb?state=1",
        ] {
            assert_eq!(taken(same).as_deref(), Ok(same));
        }
        assert_eq!(taken("https://Hub.Example.com:443?a=B").as_deref(), Ok("https://hub.example.com/?a=B"));
        assert_eq!(taken("https://h.example/cb?u=o'b").as_deref(), Ok("https://h.example/cb?u=o%27b"));
        assert_eq!(Callback::parse("https://h.example/cb?x").unwrap().origin().as_str(), "https://h.example");
    }

    #[test]
    fn callbacks_that_hide_something_are_refused() {
        use AddressProblem::{
            Empty, Forbidden, Fragment, Host, NotCanonical, NotHttps, OurParameter, TooLong, Userinfo,
        };
        for (text, problem) in [
            ("", Empty),
            ("/cb", NotHttps),
            ("//hub.example.com/cb", NotHttps),
            ("javascript:alert(1)", NotHttps),
            ("data:text/html,x", NotHttps),
            ("http://hub.example.com/cb", NotHttps),
            ("https://hub.example.com@evil.example/cb", Userinfo),
            ("https://hub.example.com\\@evil.example/cb", Forbidden),
            ("https://evil.example\\.hub.example.com/cb", Forbidden),
            ("https://hub.example.com/cb\r\nSet-Cookie: x=1", Forbidden),
            ("https://hub.example.com/cb x", Forbidden),
            ("https://hub.example.com/c\u{e9}", Forbidden),
            ("https://hub.example.com/cb#auth", Fragment),
            ("https://hub.example.com/a/../b", NotCanonical),
            ("https://hub.example.com/a/%2e%2E/b", NotCanonical),
            ("https://hub.example.com/./b", NotCanonical),
            ("https://hub.example.com/\"b", NotCanonical),
            ("https://hub.example.com/<b>", NotCanonical),
            ("https://hub..example.com/b", Host),
            ("https://hub.example.com/cb?auth=x", OurParameter),
            ("https://hub.example.com/cb?x=1&%61uth=x", OurParameter),
            ("https://hub.example.com/cb?username", OurParameter),
        ] {
            assert_eq!(taken(text), Err(problem), "{text}");
        }
        let long = format!("https://hub.example.com/{}", "x".repeat(CALLBACK_MAX));
        assert_eq!(taken(&long), Err(TooLong(CALLBACK_MAX)));
    }

    proptest! {
        /// What is taken is on the origin that a URL parser sees, and is taken again as it is.
        #[test]
        fn what_is_taken_is_read_alike_by_a_url_parser(tail in "[ -~]{0,30}", host in "(hub|evil\\.example|hub\\.example\\.com)?") {
            let text = format!("https://{host}{tail}");
            if let Ok(callback) = Callback::parse(&text) {
                let url = Url::parse(callback.as_str()).unwrap();
                prop_assert_eq!(url.as_str(), callback.as_str());
                prop_assert_eq!(url.origin().ascii_serialization(), callback.origin().as_str());
                // Browsers that are given the text itself go to the same place.
                prop_assert_eq!(Url::parse(&text).unwrap().origin(), url.origin());
                prop_assert_eq!(taken(callback.as_str()), Ok(callback.url));
            }
        }
    }
}
