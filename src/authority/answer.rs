//! What the use cases take and give: plain values, borrowed on the way in, owned on the way out.
//! None of them is `Debug` where it holds a token, a payload or a hash.

use super::{PayloadKind, Refusal, RevocationKind, Validity};
use crate::{
    hub::token,
    verdict::{Hints, Verdict},
};

/// One outcome per item, in order; or why the batch as a whole is refused.
pub type Batch<T> = Result<Vec<Result<T, Refusal>>, Refusal>;

/// Asks for a LiveAuth hash.
pub struct MintHash<'a> {
    /// The domain, as the caller names it.
    pub domain: &'a str,
    /// The idibu client id.
    pub client: i64,
    /// How long.
    pub validity: Validity,
}

/// A LiveAuth hash and what goes with it.
pub struct MintedHash {
    /// The client id.
    pub client: i64,
    /// Unix seconds.
    pub expires: i64,
    /// 64 lower-case hexadecimal digits.
    pub hash: String,
    /// The Referer to send.
    pub referer: String,
    /// `client=…&expires=…&hash=…`
    pub query: String,
    /// The key version that made it.
    pub key_version: u32,
}

/// How a hash names the domain it claims to come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin<'a> {
    /// Not at all.
    Missing,
    /// The caller says which.
    Domain(&'a str),
    /// An end user's request says which.
    Referer(&'a str),
}

/// Presents a LiveAuth hash, as received.
pub struct VerifyHash<'a> {
    /// Whose.
    pub origin: Origin<'a>,
    /// The raw parameter.
    pub client: &'a str,
    /// The raw parameter.
    pub expires: &'a str,
    /// The raw parameter.
    pub hash: &'a str,
}

/// What was found out about a hash. Numbers are 0 and the domain empty where they are not known.
pub struct JudgedHash {
    /// The verdict.
    pub verdict: Verdict,
    /// Remarks.
    pub hints: Hints,
    /// The key version that matched.
    pub key_version: u32,
    /// The configured domain.
    pub domain: String,
    /// The client id, if authentic.
    pub client: i64,
    /// Unix seconds, if authentic.
    pub expires: i64,
}

/// Asks for a Hub auth token.
pub struct Seal<'a> {
    /// The app.
    pub app: &'a str,
    /// The user it is bound to.
    pub username: Option<&'a str>,
    /// What Hub shall remember.
    pub payload: &'a [u8],
    /// What that is; `None` for a number the API does not know.
    pub kind: Option<PayloadKind>,
    /// Seconds; `None` for the app's default.
    pub ttl: Option<i64>,
    /// The login it is bound to.
    pub hub_login_token: Option<&'a str>,
    /// Hub's origin; empty for none.
    pub hub_origin: &'a str,
    /// Names and values to carry.
    pub labels: Vec<(&'a str, &'a str)>,
}

/// A sealed token. `expires_at` 0 means never.
pub struct SealedToken {
    /// The token.
    pub auth: String,
    /// Its public id, hexadecimal.
    pub token_id: String,
    /// The grant's id, hexadecimal.
    pub grant_id: String,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// The key version that sealed it.
    pub key_version: u32,
    /// Bound to the username.
    pub username_bound: bool,
    /// Bound to the hubLoginToken.
    pub hub_login_token_bound: bool,
    /// Remarks.
    pub hints: Hints,
}

impl From<token::Sealed> for SealedToken {
    fn from(sealed: token::Sealed) -> Self {
        Self {
            token_id: id_text(&sealed.token_id),
            grant_id: id_text(&sealed.grant_id),
            issued_at: sealed.issued_at.0,
            expires_at: sealed.expires_at.map_or(0, |at| at.0),
            key_version: sealed.key_version,
            username_bound: sealed.username_bound,
            hub_login_token_bound: sealed.hub_login_token_bound,
            hints: sealed.hints,
            auth: sealed.token,
        }
    }
}

/// Presents a token, as Hub sent it.
pub struct Present<'a> {
    /// The app.
    pub app: &'a str,
    /// The token.
    pub auth: &'a str,
    /// The username that came with it.
    pub username: Option<&'a str>,
    /// The hubLoginToken that came with it.
    pub hub_login_token: Option<&'a str>,
}

/// What an authentic token says of itself. `expires_at` 0 means never.
pub struct Claims {
    /// The token's public id, hexadecimal.
    pub token_id: String,
    /// The grant's id, hexadecimal.
    pub grant_id: String,
    /// What the payload is.
    pub kind: PayloadKind,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// Bound to a username.
    pub username_bound: bool,
    /// Bound to a hubLoginToken.
    pub hub_login_token_bound: bool,
    /// Hub's origin; empty for none.
    pub hub_origin: String,
    /// How often the grant was resealed.
    pub reseal_count: u32,
    /// Names and values, as sealed.
    pub labels: Vec<(String, String)>,
}

impl From<token::Claims> for Claims {
    fn from(claims: token::Claims) -> Self {
        Self {
            token_id: id_text(&claims.token_id),
            grant_id: id_text(&claims.grant_id),
            kind: claims.kind,
            issued_at: claims.issued_at.0,
            expires_at: claims.expires_at.map_or(0, |at| at.0),
            username_bound: claims.username_bound,
            hub_login_token_bound: claims.hub_login_token_bound,
            hub_origin: claims.hub_origin.unwrap_or_default(),
            reseal_count: claims.reseal_count,
            labels: claims.labels,
        }
    }
}

/// A public id as people and programs read it.
pub(super) fn id_text(id: &[u8; 16]) -> String {
    base16ct::lower::encode_string(id)
}

/// What was found out about a token.
pub struct JudgedToken {
    /// The verdict.
    pub verdict: Verdict,
    /// Remarks.
    pub hints: Hints,
    /// Where authentic.
    pub claims: Option<Claims>,
    /// The key version that sealed it; 0 where none was found.
    pub key_version: u32,
}

impl From<token::Examined> for JudgedToken {
    fn from(mut examined: token::Examined) -> Self {
        Self {
            verdict: examined.verdict,
            hints: examined.hints,
            claims: examined.claims.take().map(Into::into),
            key_version: examined.key_version.unwrap_or(0),
        }
    }
}

/// A judged token and, if valid, its payload.
pub struct OpenedToken {
    /// The judgement.
    pub judged: JudgedToken,
    /// Empty unless valid.
    pub payload: Vec<u8>,
}

/// A judged token and, if valid, its successor.
pub struct ResealedToken {
    /// The judgement on the old token; claims and key version are the new one's if there is one.
    pub judged: JudgedToken,
    /// Empty unless valid.
    pub auth: String,
}

/// What is to be cut off.
#[derive(Clone, Copy)]
pub enum Cut<'a> {
    /// One token, there whole, and what it is bound to where that is known.
    Token {
        /// The token.
        auth: &'a str,
        /// The username.
        username: Option<&'a str>,
        /// The hubLoginToken.
        hub_login_token: Option<&'a str>,
    },
    /// One token by its id, hexadecimal.
    TokenId(&'a str),
    /// One grant by its id, hexadecimal.
    Grant(&'a str),
    /// One user.
    User(&'a str),
    /// Every token of the app, if true.
    All(bool),
}

/// Asks for something to be cut off.
pub struct Revoke<'a> {
    /// The app.
    pub app: &'a str,
    /// What.
    pub what: Option<Cut<'a>>,
    /// What was issued until then, Unix seconds; `None` for as late as clocks may differ.
    pub issued_until: Option<i64>,
}

/// Something that is cut off. Ids are hexadecimal, and empty where they do not apply.
pub struct Revocation {
    /// The app.
    pub app: String,
    /// What kind of thing.
    pub kind: RevocationKind,
    /// The token's id.
    pub token_id: String,
    /// The grant's id; of a token that was opened, too.
    pub grant_id: String,
    /// The keyed digest of the user's name.
    pub user: String,
    /// What was issued until then, Unix seconds.
    pub issued_until: i64,
    /// When all it covers has expired, Unix seconds; 0 for never.
    pub ends_at: i64,
    /// When it was cut off, Unix seconds.
    pub revoked_at: i64,
}

/// Asks for what is cut off.
pub struct ListRevocations<'a> {
    /// The app; empty for all that the caller may cut off.
    pub app: &'a str,
    /// How many at most; 0 for the default.
    pub page_size: i32,
    /// Where to go on; empty for the beginning.
    pub page_token: &'a str,
}

/// A page of what is cut off.
pub struct Listed {
    /// The newest first; may be empty although there is more.
    pub revocations: Vec<Revocation>,
    /// Where to go on; empty at the end.
    pub next_page_token: String,
}
