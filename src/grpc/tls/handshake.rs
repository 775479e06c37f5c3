//! One handshake, from accept to a caller or a refusal: bounded in time and in number, done on the worker that will
//! serve the connection, and counted under one name. A refused client gets its alert; the operator gets one line.

use std::{
    io,
    net::{SocketAddr, TcpStream as StdTcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{CertificateError, Error, PeerIncompatible};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Door,
    queue::Turn,
    verifier::{Note, Seen},
};
use crate::{
    clock::UnixSeconds,
    grpc::session::Reach,
    metrics::{Handshake, TransportCounters},
    policy::Caller,
};

/// How long, and for how many bytes, a refused peer is listened to, so that it can read why: closing with something
/// unread would reset the connection, and the alert with it.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 << 10;

/// Somebody at the door.
pub(in crate::grpc) struct Knock {
    stream: StdTcpStream,
    peer: SocketAddr,
    door: Arc<Door>,
    turn: Turn,
}

/// Somebody let in.
pub(in crate::grpc) struct Admitted {
    pub(in crate::grpc) stream: TlsStream<TcpStream>,
    pub(in crate::grpc) caller: Caller,
    /// Which services the listener has.
    pub(in crate::grpc) reach: Reach,
    /// How long its certificate is good for.
    pub(in crate::grpc) good_for: Duration,
}

impl Knock {
    /// A connection just accepted, one of at most `most` at this door.
    pub(in crate::grpc) fn new(stream: StdTcpStream, peer: SocketAddr, door: &Arc<Door>, most: usize) -> Self {
        Self { stream, peer, door: Arc::clone(door), turn: door.queue.enter(most) }
    }

    /// Shakes hands, in at most `patience`. `None` where nobody is let in.
    pub(in crate::grpc) async fn answer(self, patience: Duration, counters: &TransportCounters) -> Option<Admitted> {
        let Self { stream, peer, door, mut turn } = self;
        let stream = TcpStream::from_std(stream).ok()?;
        let (config, note) = match door.next() {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, listener = %door.address, "cannot offer TLS");
                counters.handshakes.count(Handshake::Other);
                return None;
            }
        };
        let accepting = TlsAcceptor::from(config).accept(stream).into_fallible();
        let ended = tokio::select! {
            ended = timeout(patience, accepting) => ended,
            () = turn.lost() => {
                refuse(&door, peer, counters, Handshake::Shed, "as many handshakes are under way as may be (limits.handshakes), and it was the oldest", &note);
                return None;
            }
        };
        match ended {
            Ok(Ok(stream)) => Some(admit(stream, &note, &door, counters)?),
            Ok(Err((error, stream))) => {
                let (result, why) = judge(&error, note.get());
                refuse(&door, peer, counters, result, &why, &note);
                tokio::select! { () = part(stream) => {}, () = turn.lost() => {} }
                None
            }
            Err(_elapsed) => {
                let why = format!("the handshake took longer than {} ms (limits.handshake)", patience.as_millis());
                refuse(&door, peer, counters, Handshake::TimedOut, &why, &note);
                None
            }
        }
    }
}

fn admit(stream: TlsStream<TcpStream>, note: &Note, door: &Door, counters: &TransportCounters) -> Option<Admitted> {
    let seen = note.get()?;
    let Some(Ok(caller)) = &seen.caller else { return None };
    counters.handshakes.count(Handshake::Ok);
    let good_for = seconds_until(seen.not_after, door.clock.now());
    Some(Admitted { stream, caller: caller.clone(), reach: door.reach, good_for })
}

fn seconds_until(end: UnixSeconds, now: UnixSeconds) -> Duration {
    Duration::from_secs(u64::try_from(end.since(now)).unwrap_or(0))
}

/// Counts, and says so to the operator. A peer that just goes away is no news: load balancers do that to see whether
/// a port is open.
fn refuse(door: &Door, peer: SocketAddr, counters: &TransportCounters, result: Handshake, why: &str, note: &Note) {
    counters.handshakes.count(result);
    let (listener, names) = (door.address, note.get().map_or("not seen", |seen| seen.names.as_str()));
    if result == Handshake::HungUp {
        tracing::debug!(%listener, %peer, "a TLS client went away in its handshake");
    } else if let Some(unsaid) = door.throttle.pass(Instant::now()) {
        let result = result.name();
        tracing::warn!(%listener, %peer, result, names, unsaid, "refused a TLS client: {why}");
    }
}

/// Lets a refused peer read its alert.
async fn part(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut rest = stream.take(FAREWELL_BYTES);
    let mut unread = [0; 1024];
    let _ = timeout(FAREWELL, async { while rest.read(&mut unread).await.is_ok_and(|read| read > 0) {} }).await;
}

/// The name a failure is counted under, and why it failed, for people.
fn judge(error: &io::Error, seen: Option<&Seen>) -> (Handshake, String) {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    let said = |result, why: &str| (result, why.to_owned());
    match cause {
        None => said(Handshake::HungUp, "it went away"),
        Some(Error::NoCertificatesPresented) => {
            said(Handshake::NoCertificate, "it sent no certificate; give it one of a CA in client_ca, with its key")
        }
        Some(Error::InvalidCertificate(problem)) => of_certificate(problem, seen),
        Some(Error::InvalidCertRevocationList(problem)) => (
            Handshake::UnknownRevocationStatus,
            format!("the CRL of its issuer cannot be used ({problem:?}); fetch it again"),
        ),
        Some(Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        )) => said(Handshake::ProtocolVersion, "it does not offer TLS 1.3; renew its TLS library"),
        Some(Error::InvalidMessage(_)) => {
            said(Handshake::NotTls, "what it sent is no TLS; clients of this port write https://")
        }
        Some(Error::NoApplicationProtocol) => {
            said(Handshake::NoApplicationProtocol, "it offers neither h2 nor http/1.1 (ALPN)")
        }
        Some(Error::AlertReceived(alert)) => (
            Handshake::RefusedByPeer,
            format!(
                "it refused us with the alert {alert:?}; does it trust the CA of our certificate, and is its name right?"
            ),
        ),
        Some(other) => (Handshake::Other, format!("{other}")),
    }
}

fn of_certificate(problem: &CertificateError, seen: Option<&Seen>) -> (Handshake, String) {
    if let Some(Some(Err(fault))) = seen.map(|seen| &seen.caller) {
        return (fault.result(), fault.to_string());
    }
    let (result, why) = match problem {
        CertificateError::UnknownIssuer => (
            Handshake::UnknownCa,
            "its certificate is of an issuer that client_ca does not hold; add that CA, or give it a certificate of one that is there",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (Handshake::Expired, "its certificate has expired; renew it")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (Handshake::NotYetValid, "its certificate is not valid yet; check the clocks of both machines")
        }
        CertificateError::BadSignature => (
            Handshake::BadCertificate,
            "its certificate is not signed by the issuer it names; was that CA in client_ca made anew, with another key?",
        ),
        CertificateError::Revoked => (Handshake::Revoked, "its certificate is revoked"),
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => (
            Handshake::UnknownRevocationStatus,
            "its issuer has no CRL here while others have; add the issuer's to crls",
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
            Handshake::WrongPurpose,
            "its certificate is not for clients; issue it with the extended key usage clientAuth",
        ),
        other => {
            return (Handshake::BadCertificate, format!("its certificate is not taken ({other}); issue it anew"));
        }
    };
    (result, why.to_owned())
}
