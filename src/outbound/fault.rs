//! Why there is no answer, and how far it came. Closed, and without a word of what was sent or answered: neither a query
//! nor a token can be in it.

use std::{error::Error, fmt, io};

use super::resolve::Lookup;

/// What the vendor may have heard when a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sent {
    /// Nothing: it is as if the call had never been made.
    Nothing,
    /// Perhaps all of it, perhaps nothing.
    Uncertain,
    /// All of it: an answer began.
    Answered,
}

impl Sent {
    /// The name in error details.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Uncertain => "uncertain",
            Self::Answered => "answered",
        }
    }
}

/// Where a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Problem {
    /// What was to be called is no URL, or has a user or password in it.
    Url,
    /// Its origin is none of those that the caller allows.
    Origin,
    /// It is not https, and neither loopback in development.
    Insecure,
    /// The address is none of the public internet.
    Address,
    /// The name cannot be looked up.
    Name,
    /// Nothing answers at the address.
    Unreachable,
    /// TLS cannot be agreed upon: mostly, the certificate is not trusted.
    Tls,
    /// It took too long to connect.
    ConnectTimeout,
    /// It took too long to answer.
    Timeout,
    /// The connection broke off, or what came is no HTTP.
    Broken,
    /// The answer leads elsewhere, which is not followed.
    Redirect,
    /// The answer is longer than is read.
    TooLarge,
    /// Certificate authorities cannot be read, or something of ours broke.
    Ours,
}

impl Problem {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Url,
        Self::Origin,
        Self::Insecure,
        Self::Address,
        Self::Name,
        Self::Unreachable,
        Self::Tls,
        Self::ConnectTimeout,
        Self::Timeout,
        Self::Broken,
        Self::Redirect,
        Self::TooLarge,
        Self::Ours,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Url => "bad_url",
            Self::Origin => "origin_refused",
            Self::Insecure => "insecure",
            Self::Address => "address_refused",
            Self::Name => "no_such_name",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Redirect => "redirect",
            Self::TooLarge => "too_large",
            Self::Ours => "internal",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "what is to be called is no URL of a server",
            Self::Origin => "its origin is none of those that are allowed; check the configuration",
            Self::Insecure => "only https is spoken; http only to this machine, in development",
            Self::Address => {
                "its address is none of the public internet; where it shall be, set outbound.private_addresses = true"
            }
            Self::Name => "its name cannot be looked up; check the name and this machine's DNS",
            Self::Unreachable => "nothing answers there; check the address, firewalls and that it is up",
            Self::Tls => {
                "no TLS connection can be made; mostly its certificate is not trusted: name its CA in outbound.ca_file"
            }
            Self::ConnectTimeout => "it took longer than outbound.connect_timeout to connect",
            Self::Timeout => "it took too long to answer",
            Self::Broken => "the connection broke off, or what came is no HTTP",
            Self::Redirect => "it answered with a redirect, and those are not followed",
            Self::TooLarge => "its answer is longer than outbound.response_bytes",
            Self::Ours => "the certificate authorities of this machine cannot be read, or something of ours broke",
        })
    }
}

/// A call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fault {
    /// What the vendor may have heard.
    pub sent: Sent,
    /// Where it failed.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl Fault {
    /// Refused before anything was done.
    pub(super) const fn unsent(problem: Problem) -> Self {
        Self { sent: Sent::Nothing, problem }
    }

    /// After the answer had begun.
    pub(super) const fn answered(problem: Problem) -> Self {
        Self { sent: Sent::Answered, problem }
    }

    /// Nothing came in time.
    pub(super) const fn of_silence() -> Self {
        Self { sent: Sent::Uncertain, problem: Problem::Timeout }
    }

    /// What became of a request without an answer. The error itself is not shown to anybody: it holds the URL.
    pub(super) fn of_request(error: &reqwest::Error) -> Self {
        let problem = if error.is_connect() {
            return Self::unsent(of_connecting(error));
        } else if error.is_builder() {
            return Self::unsent(Problem::Url);
        } else if error.is_timeout() {
            Problem::Timeout
        } else {
            Problem::Broken
        };
        Self { sent: Sent::Uncertain, problem }
    }
}

fn of_connecting(error: &reqwest::Error) -> Problem {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(found) = cause {
        if let Some(lookup) = found.downcast_ref::<Lookup>() {
            return match lookup {
                Lookup::Refused => Problem::Address,
                Lookup::Failed => Problem::Name,
            };
        }
        if found.is::<rustls::Error>() {
            return Problem::Tls;
        }
        // An io::Error hides the error inside it from the chain of sources.
        let inside = found.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inside.map(|inside| inside as &(dyn Error + 'static)).or_else(|| found.source());
    }
    if error.is_timeout() { Problem::ConnectTimeout } else { Problem::Unreachable }
}
