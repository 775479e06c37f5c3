//! The same for `HubLoginService`.

use std::fmt;

use super::{Hidden, hidden, hidden_option};
use crate::grpc::proto::{
    BeginLoginRequest, BeginLoginResponse, CompleteLoginRequest, CompleteLoginResponse, NotifyUpdateRequest,
    RenewAuthRequest, RenewAuthResponse, ResolveLoginRequest, ResolveLoginResponse,
};

impl fmt::Debug for BeginLoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeginLoginRequest")
            .field("app", &self.app)
            .field("authenticate_url", &hidden(&self.authenticate_url))
            .finish()
    }
}

impl fmt::Debug for BeginLoginResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeginLoginResponse")
            .field("login_state", &hidden(&self.login_state))
            .field("expires_at", &self.expires_at)
            .field("generation", &self.generation)
            .field("hub_origin", &self.hub_origin)
            .finish()
    }
}

impl fmt::Debug for CompleteLoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompleteLoginRequest")
            .field("app", &self.app)
            .field("login_state", &hidden(&self.login_state))
            .field("username", &hidden(&self.username))
            .field("payload", &Hidden(self.payload.len()))
            .field("kind", &self.kind)
            .field("ttl", &self.ttl)
            .field("labels", &self.labels)
            .finish()
    }
}

impl fmt::Debug for CompleteLoginResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompleteLoginResponse")
            .field("verdict", &self.verdict)
            .field("hints", &self.hints)
            .field("redirect_url", &hidden(&self.redirect_url))
            .field("token_id", &self.token_id)
            .field("grant_id", &self.grant_id)
            .field("expires_at", &self.expires_at)
            .field("generation", &self.generation)
            .field("callback", &hidden(&self.callback))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RenewAuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewAuthRequest")
            .field("app", &self.app)
            .field("username", &hidden(&self.username))
            .field("auth", &hidden(&self.auth))
            .field("callback", &hidden(&self.callback))
            .field("payload", &self.payload.as_ref().map(|payload| Hidden(payload.len())))
            .field("kind", &self.kind)
            .field("ttl", &self.ttl)
            .field("labels", &self.labels)
            .finish()
    }
}

impl fmt::Debug for RenewAuthResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewAuthResponse")
            .field("verdict", &self.verdict)
            .field("hints", &self.hints)
            .field("auth", &hidden(&self.auth))
            .field("token_id", &self.token_id)
            .field("grant_id", &self.grant_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ResolveLoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolveLoginRequest")
            .field("app", &self.app)
            .field("hub_login_token", &hidden(&self.hub_login_token))
            .finish()
    }
}

impl fmt::Debug for ResolveLoginResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolveLoginResponse")
            .field("verdict", &self.verdict)
            .field("username", &hidden(&self.username))
            .field("grant_id", &self.grant_id)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NotifyUpdateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyUpdateRequest")
            .field("app", &self.app)
            .field("username", &hidden(&self.username))
            .field("hub_origin", &hidden_option(self.hub_origin.as_ref()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_output_shows_what_a_login_carries() {
        let planted = || "PLANTED".to_owned();
        let (payload, labels) = (b"PLANTED".to_vec(), Vec::new());
        let shown = [
            format!("{:?}", BeginLoginRequest { app: "acme".into(), authenticate_url: planted() }),
            format!("{:?}", BeginLoginResponse { login_state: planted(), ..BeginLoginResponse::default() }),
            format!(
                "{:?}",
                CompleteLoginRequest {
                    login_state: planted(),
                    username: planted(),
                    payload: payload.clone(),
                    labels,
                    ..CompleteLoginRequest::default()
                }
            ),
            format!(
                "{:?}",
                CompleteLoginResponse {
                    redirect_url: planted(),
                    callback: planted(),
                    ..CompleteLoginResponse::default()
                }
            ),
            format!(
                "{:?}",
                RenewAuthRequest {
                    username: planted(),
                    auth: planted(),
                    callback: planted(),
                    payload: Some(payload),
                    ..RenewAuthRequest::default()
                }
            ),
            format!("{:?}", RenewAuthResponse { auth: planted(), ..RenewAuthResponse::default() }),
            format!("{:?}", ResolveLoginRequest { app: "acme".into(), hub_login_token: planted() }),
            format!("{:?}", ResolveLoginResponse { username: planted(), ..ResolveLoginResponse::default() }),
            format!(
                "{:?}",
                NotifyUpdateRequest { app: "acme".into(), username: planted(), hub_origin: Some(planted()) }
            ),
        ];
        for text in shown {
            assert!(!text.contains("PLANTED") && !text.contains("80, 76, 65"), "{text}");
        }
    }
}
