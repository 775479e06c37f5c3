//! What Hub asks for when it opens an app's `authenticate` page, and how a login state carries it to the end of the login.

use std::fmt;

use percent_encoding::percent_decode_str;
use zeroize::{Zeroize as _, Zeroizing};

use super::{AddressProblem, Callback, Generation, Origin};
use crate::hub::token::BINDING_MAX;

/// Longest authenticate URL, bytes.
pub const AUTHENTICATE_URL_MAX: usize = 8192;

const HUB_URL: &str = "hubUrl";
const HUB_LOGIN_TOKEN: &str = "hubLoginToken";
const CALLBACK: &str = "callback";

/// The first byte of what a login state carries.
const VERSION: u8 = 1;

/// A login that was begun. It holds credentials of Hub's, and so shows itself to nobody unasked.
#[derive(Clone, PartialEq, Eq)]
pub enum Begun {
    /// In generation 1.
    One {
        /// The Hub.
        hub: Origin,
        /// The hubLoginToken, byte for byte: 1 to 1024 bytes, no control characters.
        token: String,
    },
    /// In generation 2.
    Two {
        /// Where the browser goes back to.
        callback: Callback,
    },
}

/// Why an authenticate URL begins no login. What it shows quotes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BegunProblem {
    /// More than 8192 bytes.
    TooLong,
    /// A control character, a space, or something outside ASCII: not as it came over the wire.
    Raw,
    /// No query.
    NoQuery,
    /// A fragment, which Hub never sends.
    Fragment,
    /// A parameter that is not there, or empty.
    Missing(&'static str),
    /// A parameter that is there twice.
    Twice(&'static str),
    /// A parameter that does not decode to UTF-8.
    Encoding(&'static str),
    /// A parameter with a control character.
    Control(&'static str),
    /// A hubLoginToken above 1024 bytes.
    TokenTooLong,
    /// A parameter that names no Hub.
    Address(&'static str, AddressProblem),
    /// It is of the other generation.
    Other(Generation),
    /// It is of both generations.
    Both,
}

impl fmt::Display for BegunProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "is longer than {AUTHENTICATE_URL_MAX} bytes"),
            Self::Raw => f.write_str(
                "has a control character, a space or something outside ASCII in it: pass the request target on as it was received, not decoded",
            ),
            Self::NoQuery => f.write_str("has no query: pass the whole request target on, with what follows the question mark"),
            Self::Fragment => f.write_str("has a fragment, which no server is sent: pass on what was received"),
            Self::Missing(name) => write!(f, "has no {name}: was this page opened by Hub?"),
            Self::Twice(name) => write!(f, "has {name} more than once"),
            Self::Encoding(name) => write!(f, "has a {name} that is not percent-encoded UTF-8"),
            Self::Control(name) => write!(f, "has a control character in {name}"),
            Self::TokenTooLong => write!(f, "has a hubLoginToken above {BINDING_MAX} bytes"),
            Self::Address(name, problem) => write!(f, "has a {name} that {problem}"),
            Self::Other(found) => {
                let (found, other) = (found.number(), 3 - found.number());
                write!(f, "is of generation {found}, and the app is configured for generation {other}: set generation = {found}")
            }
            Self::Both => f.write_str("has parameters of both generations"),
        }
    }
}

impl Begun {
    /// Reads the URL that Hub opened: absolute, or path and query; the query byte for byte as it was received.
    pub fn parse(url: &str, generation: Generation) -> Result<Self, BegunProblem> {
        if url.len() > AUTHENTICATE_URL_MAX {
            return Err(BegunProblem::TooLong);
        }
        if !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BegunProblem::Raw);
        }
        if url.contains('#') {
            return Err(BegunProblem::Fragment);
        }
        let (_, query) = url.split_once('?').ok_or(BegunProblem::NoQuery)?;
        let [hub_url, token, callback] = [HUB_URL, HUB_LOGIN_TOKEN, CALLBACK].map(|name| value(query, name));
        let (hub_url, token, callback) = (hub_url?, token?, callback?);
        match (generation, hub_url.is_some() || token.is_some(), callback.is_some()) {
            (_, true, true) => Err(BegunProblem::Both),
            (Generation::Two, true, false) => Err(BegunProblem::Other(Generation::One)),
            (Generation::One, false, true) => Err(BegunProblem::Other(Generation::Two)),
            (Generation::One, ..) => {
                let hub_url = hub_url.ok_or(BegunProblem::Missing(HUB_URL))?;
                let token = token.ok_or(BegunProblem::Missing(HUB_LOGIN_TOKEN))?;
                if token.len() > BINDING_MAX {
                    return Err(BegunProblem::TokenTooLong);
                }
                let hub = hub(&hub_url).map_err(|problem| BegunProblem::Address(HUB_URL, problem))?;
                Ok(Self::One { hub, token: String::clone(&token) })
            }
            (Generation::Two, ..) => {
                let text = callback.ok_or(BegunProblem::Missing(CALLBACK))?;
                let callback = Callback::parse(&text).map_err(|problem| BegunProblem::Address(CALLBACK, problem))?;
                Ok(Self::Two { callback })
            }
        }
    }

    /// The generation that it began in, and is completed in.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            Self::One { .. } => Generation::One,
            Self::Two { .. } => Generation::Two,
        }
    }

    /// The Hub.
    #[must_use]
    pub fn hub(&self) -> &Origin {
        match self {
            Self::One { hub, .. } => hub,
            Self::Two { callback } => callback.origin(),
        }
    }

    /// As the payload of a login state: version, generation, and `u16(len) || text` of the Hub's origin and of the
    /// hubLoginToken or the callback.
    ///
    /// # Panics
    /// Never: origins, tokens and callbacks were checked against smaller limits.
    #[must_use]
    pub fn to_payload(&self) -> Zeroizing<Vec<u8>> {
        let (hub, carried) = match self {
            Self::One { hub, token } => (hub, token.as_str()),
            Self::Two { callback } => (callback.origin(), callback.as_str()),
        };
        let parts = [hub.as_str(), carried];
        let len = 2 + parts.iter().map(|part| 2 + part.len()).sum::<usize>();
        let mut payload = Zeroizing::new(Vec::with_capacity(len));
        payload.extend_from_slice(&[VERSION, self.generation().number()]);
        for part in parts {
            let len = u16::try_from(part.len()).expect("origins, tokens and callbacks are far below 65536 bytes");
            payload.extend_from_slice(&len.to_be_bytes());
            payload.extend_from_slice(part.as_bytes());
        }
        payload
    }

    /// Reads such a payload; `None` where it is not exactly of the form.
    #[must_use]
    pub fn from_payload(payload: &[u8]) -> Option<Self> {
        let ([VERSION, generation], rest) = payload.split_first_chunk::<2>()? else { return None };
        let (hub, rest) = part(rest)?;
        let (carried, rest) = part(rest)?;
        let hub = Origin::parse(hub).ok().filter(|origin| origin.as_str() == hub)?;
        if !rest.is_empty() {
            return None;
        }
        match Generation::from_number(*generation)? {
            Generation::One => {
                let fits = (1..=BINDING_MAX).contains(&carried.len()) && !carried.chars().any(char::is_control);
                fits.then(|| Self::One { hub, token: carried.to_owned() })
            }
            Generation::Two => {
                let callback = Callback::parse(carried).ok()?;
                (*callback.origin() == hub).then_some(Self::Two { callback })
            }
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Self::One { token, .. } = self {
            token.zeroize();
        }
    }
}

/// The one value of a parameter, decoded once: a plus sign stays one. What is empty is not there.
fn value(query: &str, wanted: &'static str) -> Result<Option<Zeroizing<String>>, BegunProblem> {
    let mut found = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if percent_decode_str(name).eq(wanted.bytes()) && found.replace(value).is_some() {
            return Err(BegunProblem::Twice(wanted));
        }
    }
    let Some(raw) = found.filter(|raw| !raw.is_empty()) else { return Ok(None) };
    let whole = |tail: &[u8]| tail.len() >= 2 && tail[..2].iter().all(u8::is_ascii_hexdigit);
    if !raw.match_indices('%').all(|(at, _)| whole(&raw.as_bytes()[at + 1..])) {
        return Err(BegunProblem::Encoding(wanted));
    }
    let decoded = Zeroizing::new(percent_decode_str(raw).collect::<Vec<u8>>());
    let text = str::from_utf8(&decoded).map_err(|_| BegunProblem::Encoding(wanted))?;
    if text.chars().any(char::is_control) {
        return Err(BegunProblem::Control(wanted));
    }
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// `hubUrl`: a host, or an origin, either with `/` or `/v1` behind it.
fn hub(text: &str) -> Result<Origin, AddressProblem> {
    let text = text.strip_suffix("/v1").or_else(|| text.strip_suffix('/')).unwrap_or(text);
    if text.contains("://") { Origin::parse(text) } else { Origin::parse(&format!("https://{text}")) }
}

fn part(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((str::from_utf8(part).ok()?, rest))
}

#[cfg(test)]
mod tests;
