//! What becomes of a call that a vendor did not answer as it should. Whoever called learns which vendor, what it may have
//! heard, and what it said of it; the log learns all but the last, since it is the vendor's own words.

use std::fmt;

use crate::{
    audit::Code,
    outbound::{Fault, Problem, Sent, Vendor},
};

/// Characters of a vendor's words that are passed on.
const SAID_MAX: usize = 200;

/// What a vendor did not do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VendorProblem {
    /// It may not be called: its address or origin is not allowed.
    NotAllowed,
    /// It was not reached.
    Unreachable,
    /// It did not answer in time.
    Late,
    /// It broke down, or off.
    Failed,
    /// It said that it will not.
    Refused,
    /// It answered something else than its document says.
    Unreadable,
    /// Nobody knows whether it has the token of a login, which is cut off therefore.
    DeliveryUncertain,
    /// Nobody knows which of two tokens it has.
    RenewalUncertain,
}

impl VendorProblem {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NotAllowed,
        Self::Unreachable,
        Self::Late,
        Self::Failed,
        Self::Refused,
        Self::Unreadable,
        Self::DeliveryUncertain,
        Self::RenewalUncertain,
    ];

    /// Whether it is about a token that Hub may have.
    #[must_use]
    pub const fn is_about_tokens(self) -> bool {
        matches!(self, Self::DeliveryUncertain | Self::RenewalUncertain)
    }

    /// The canonical code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::NotAllowed | Self::Refused => Code::FailedPrecondition,
            Self::Unreachable | Self::Failed => Code::Unavailable,
            Self::Late => Code::DeadlineExceeded,
            Self::Unreadable | Self::DeliveryUncertain | Self::RenewalUncertain => Code::Unknown,
        }
    }

    /// The stable reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotAllowed => "OUTBOUND_REFUSED",
            Self::Unreachable => "VENDOR_UNREACHABLE",
            Self::Late => "VENDOR_TIMEOUT",
            Self::Failed => "VENDOR_FAILED",
            Self::Refused => "VENDOR_REFUSED",
            Self::Unreadable => "VENDOR_ANSWER_UNREADABLE",
            Self::DeliveryUncertain => "DELIVERY_UNCERTAIN",
            Self::RenewalUncertain => "RENEWAL_UNCERTAIN",
        }
    }
}

impl From<Problem> for VendorProblem {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Url | Problem::Origin | Problem::Insecure | Problem::Address => Self::NotAllowed,
            Problem::Name | Problem::Unreachable | Problem::Tls | Problem::ConnectTimeout | Problem::Ours => {
                Self::Unreachable
            }
            Problem::Timeout => Self::Late,
            Problem::Broken => Self::Failed,
            Problem::Redirect | Problem::TooLarge => Self::Unreadable,
        }
    }
}

/// A vendor's own words, cut short and made harmless. They may still hold what nobody else shall see, so they are shown
/// to whoever called alone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Said(String);

impl Said {
    /// Its words, without control characters and without any of these `secrets`, which it may have repeated.
    #[must_use]
    pub fn new(words: &str, secrets: &[&str]) -> Self {
        let mut words = words.to_owned();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            words = words.replace(secret, "***");
        }
        let is_plain = |c: &char| !c.is_control() && !is_invisible(*c);
        let words: String = words.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(is_plain).collect();
        Self(words.trim().chars().take(SAID_MAX).collect())
    }

    /// The words; empty where it said nothing.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Line and paragraph separators, and what turns the direction of text round: they let words look like others.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// There is no way out of a service that ends.
pub(super) const GONE: Fault = Fault { sent: Sent::Nothing, problem: Problem::Ours };

/// A call to a vendor that did not do what it was made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VendorFault {
    /// Which vendor.
    pub vendor: Vendor,
    /// What it did not do.
    pub problem: VendorProblem,
    /// What it may have heard.
    pub sent: Sent,
    /// The HTTP status, where it answered.
    pub http_status: Option<u16>,
    /// What it said.
    pub said: Said,
    /// What failed, for the log: nothing that a vendor or a caller can put words into.
    why: String,
}

impl VendorFault {
    /// A call without an answer.
    #[must_use]
    pub fn of(vendor: Vendor, fault: Fault) -> Self {
        let (problem, why) = (fault.problem.into(), fault.to_string());
        Self { vendor, problem, sent: fault.sent, http_status: None, said: Said::default(), why }
    }

    /// The same of a call that sent nothing: it was not reached, unless it may not be.
    #[must_use]
    pub(super) fn unreached(self) -> Self {
        match self.problem {
            VendorProblem::NotAllowed => self,
            _ => Self { problem: VendorProblem::Unreachable, ..self },
        }
    }

    /// The same, as a problem of another kind.
    #[must_use]
    pub(super) fn taken_for(self, problem: VendorProblem) -> Self {
        Self { problem, ..self }
    }

    /// An answer that is none. `why` quotes nothing of it.
    #[must_use]
    pub fn answered(vendor: Vendor, problem: VendorProblem, http_status: u16, said: Said, why: &str) -> Self {
        let sent = Sent::Answered;
        Self { vendor, problem, sent, http_status: Some(http_status), said, why: why.to_owned() }
    }
}

impl fmt::Display for VendorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.vendor {
            Vendor::LiveAuth => "LiveAuth",
            Vendor::Hub => "Hub",
        };
        write!(f, "{name}: {}", self.why)?;
        if let Some(status) = self.http_status {
            write!(f, " (HTTP {status})")?;
        }
        match self.problem {
            VendorProblem::DeliveryUncertain => {
                f.write_str("; it may have the token, whose grant is revoked therefore: have the user log in anew")
            }
            VendorProblem::RenewalUncertain => {
                f.write_str("; it has one of the two tokens, and both stay valid: go on with the one that it sends")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_words_are_cut_short_and_made_harmless() {
        let said = |words: &str| Said::new(words, &["s3cret", ""]).as_str().to_owned();
        assert_eq!(said(" no such\r\n\tportal \u{1b}[31m\u{202e}"), "no such   portal [31m");
        assert_eq!(said("s3cret: as3cretb"), "***: a***b");
        assert_eq!(said(&"é".repeat(500)).chars().count(), 200);
        assert!(!format!("{:?}", Said::new("PLANTED", &[])).contains("PLANTED"));
    }

    #[test]
    fn neither_the_text_nor_the_debug_output_of_a_fault_has_the_vendors_words() {
        let said = Said::new("PLANTED", &[]);
        let fault = VendorFault::answered(Vendor::LiveAuth, VendorProblem::Refused, 403, said, "it refused");
        assert_eq!(fault.to_string(), "LiveAuth: it refused (HTTP 403)");
        assert!(!format!("{fault:?}").contains("PLANTED"));
    }
}
