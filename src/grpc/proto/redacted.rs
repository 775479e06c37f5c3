//! `Debug` for the messages that `build.rs` lists as secret: what is public in them is shown, of the rest only
//! whether it is there and how long it is.

mod hub_login;

use std::fmt;

use zeroize::Zeroize as _;

use super::generated::{
    CompleteInfoRequest, CompleteInfoResponse, ExplainTokenRequest, GetStatusResponse, ImportKeyVersionRequest, Label,
    LoginResponse, MintHashResponse, OpenRequest, OpenResponse, ResealRequest, ResealResponse, RevokeRequest,
    RotateKeyRequest, SealRequest, SealResponse, TokenClaims, VerifyHashRequest, VerifyRequest, revoke_request::What,
    verify_hash_request::Origin,
};

/// Stands in for bytes that must not be shown.
struct Hidden(usize);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0)
    }
}

fn hidden(text: &str) -> Hidden {
    Hidden(text.len())
}

fn hidden_option(text: Option<&String>) -> Option<Hidden> {
    text.map(|text| hidden(text))
}

impl fmt::Debug for MintHashResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintHashResponse")
            .field("expires", &self.expires)
            .field("hash", &hidden(&self.hash))
            .field("key_version", &self.key_version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifyHashRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyHashRequest")
            .field("origin", &self.origin)
            .field("client", &hidden(&self.client))
            .field("expires", &hidden(&self.expires))
            .field("hash", &hidden(&self.hash))
            .finish()
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => f.debug_tuple("Domain").field(domain).finish(),
            Self::Referer(referer) => f.debug_tuple("Referer").field(&hidden(referer)).finish(),
        }
    }
}

impl fmt::Debug for GetStatusResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetStatusResponse")
            .field("signed", &self.signed)
            .field("is_profile", &self.is_profile)
            .field("name", &hidden_option(self.name.as_ref()))
            .field("picture", &hidden_option(self.picture.as_ref()))
            .finish()
    }
}

impl fmt::Debug for LoginResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginResponse").field("url", &hidden(&self.url)).field("token", &hidden(&self.token)).finish()
    }
}

impl fmt::Debug for CompleteInfoRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompleteInfoRequest")
            .field("domain", &self.domain)
            .field("token", &hidden(&self.token))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CompleteInfoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompleteInfoResponse(<{} credentials>)", self.credentials.len())
    }
}

impl fmt::Debug for RevokeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeRequest")
            .field("app", &self.app)
            .field("what", &self.what)
            .field("issued_until", &self.issued_until)
            .field("bound_username", &hidden_option(self.bound_username.as_ref()))
            .field("bound_hub_login_token", &hidden_option(self.bound_hub_login_token.as_ref()))
            .finish()
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth(auth) => f.debug_tuple("Auth").field(&hidden(auth)).finish(),
            Self::TokenId(id) => f.debug_tuple("TokenId").field(id).finish(),
            Self::GrantId(id) => f.debug_tuple("GrantId").field(id).finish(),
            Self::Username(name) => f.debug_tuple("Username").field(&hidden(name)).finish(),
            Self::All(all) => f.debug_tuple("All").field(all).finish(),
        }
    }
}

impl fmt::Debug for SealRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealRequest")
            .field("app", &self.app)
            .field("username", &hidden_option(self.username.as_ref()))
            .field("payload", &Hidden(self.payload.len()))
            .field("kind", &self.kind)
            .field("ttl", &self.ttl)
            .field("hub_login_token", &hidden_option(self.hub_login_token.as_ref()))
            .field("hub_origin", &self.hub_origin)
            .field("labels", &self.labels)
            .finish()
    }
}

impl fmt::Debug for SealResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealResponse")
            .field("auth", &hidden(&self.auth))
            .field("token_id", &self.token_id)
            .field("grant_id", &self.grant_id)
            .field("expires_at", &self.expires_at)
            .field("key_version", &self.key_version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Label").field("name", &self.name).field("value", &hidden(&self.value)).finish()
    }
}

/// Not even how long it is: a short secret is a weak one.
struct Secret;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Debug for ImportKeyVersionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportKeyVersionRequest")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("secret", &Secret)
            .field("suite", &self.suite)
            .field("activates_at", &self.activates_at)
            .finish()
    }
}

impl fmt::Debug for RotateKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotateKeyRequest")
            .field("key", &self.key)
            .field("secret", &self.secret.as_ref().map(|_| Secret))
            .field("suite", &self.suite)
            .field("activates_at", &self.activates_at)
            .finish()
    }
}

// However such a message ends, its secret is wiped.
impl Drop for ImportKeyVersionRequest {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Drop for RotateKeyRequest {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for TokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClaims")
            .field("token_id", &self.token_id)
            .field("grant_id", &self.grant_id)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenResponse")
            .field("verdict", &self.verdict)
            .field("hints", &self.hints)
            .field("payload", &Hidden(self.payload.len()))
            .field("claims", &self.claims)
            .field("key_version", &self.key_version)
            .finish()
    }
}

impl fmt::Debug for ResealResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResealResponse")
            .field("verdict", &self.verdict)
            .field("hints", &self.hints)
            .field("auth", &hidden(&self.auth))
            .field("claims", &self.claims)
            .field("key_version", &self.key_version)
            .finish()
    }
}

/// Three messages present a token in the same four fields.
macro_rules! presenting {
    ($($message:ident)+) => { $(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))
                    .field("app", &self.app)
                    .field("auth", &hidden(&self.auth))
                    .field("username", &hidden_option(self.username.as_ref()))
                    .field("hub_login_token", &hidden_option(self.hub_login_token.as_ref()))
                    .finish()
            }
        }
    )+ };
}

presenting! { OpenRequest VerifyRequest ResealRequest ExplainTokenRequest }

#[cfg(test)]
mod tests {
    use super::super::{BatchOpenResult, BatchSealRequest, batch_open_result};
    use super::*;

    #[test]
    fn no_debug_output_shows_what_a_message_carries() {
        let seal = SealRequest {
            app: "acme".into(),
            username: Some("PLANTED".into()),
            payload: b"PLANTED".to_vec(),
            hub_login_token: Some("PLANTED".into()),
            labels: vec![Label { name: "team".into(), value: "PLANTED".into() }],
            ..SealRequest::default()
        };
        let presented = OpenRequest {
            app: "acme".into(),
            auth: "PLANTED".into(),
            username: Some("PLANTED".into()),
            hub_login_token: Some("PLANTED".into()),
        };
        let opened = OpenResponse { payload: b"PLANTED".to_vec(), ..OpenResponse::default() };
        let minted = MintHashResponse {
            hash: "PLANTED".into(),
            query: "PLANTED".into(),
            referer: "PLANTED".into(),
            ..MintHashResponse::default()
        };
        let verify = VerifyHashRequest {
            origin: Some(Origin::Referer("PLANTED".into())),
            client: "PLANTED".into(),
            expires: "PLANTED".into(),
            hash: "PLANTED".into(),
        };
        let result = batch_open_result::Result::Response(opened.clone());
        let shown = [
            format!("{seal:?}"),
            format!("{:?}", BatchSealRequest { items: vec![seal] }),
            format!("{presented:?} {opened:?} {minted:?} {verify:?}"),
            format!("{:?}", BatchOpenResult { result: Some(result) }),
            format!("{:?}", SealResponse { auth: "PLANTED".into(), ..SealResponse::default() }),
            format!("{:?}", LoginResponse { url: "PLANTED".into(), token: "PLANTED".into() }),
            format!("{:?}", CompleteInfoRequest { token: "PLANTED".into(), ..CompleteInfoRequest::default() }),
            format!("{:?}", CompleteInfoResponse { credentials: [("PLANTED".into(), "PLANTED".into())].into() }),
            format!("{:?}", GetStatusResponse { name: Some("PLANTED".into()), ..GetStatusResponse::default() }),
            format!("{:?}", ResealResponse { auth: "PLANTED".into(), ..ResealResponse::default() }),
        ];
        for text in shown {
            assert!(!text.contains("PLANTED"), "{text}");
            assert!(!text.contains("80, 76, 65"), "{text}");
        }
    }
}
