//! What the commands that call the service share: the connection, how errors end, how verdicts are printed.

use std::{
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{ClientArgs, Failure, TlsArgs, print, remark};
use crate::{
    audit::Code,
    grpc::{
        client::{Address, CallError, Client},
        proto,
        tls::{ClientTls, ServerIdentity, TlsFiles},
    },
};

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Input taken from standard input or a file is at most this long, bytes; more cannot be a request.
const INPUT_MAX: u64 = 64 << 10;

pub(super) fn connect(args: &ClientArgs) -> Result<Client, Failure> {
    Target::of(args)?.connect().map_err(failed)
}

/// Whom to connect to, and with what.
pub(super) struct Target {
    address: Address,
    tls: Option<ClientTls>,
}

impl Target {
    pub(super) fn of(args: &ClientArgs) -> Result<Self, Failure> {
        Self::at(&args.address, &args.tls)
    }

    pub(super) fn at(address: &str, files: &TlsArgs) -> Result<Self, Failure> {
        let address = Address::parse(address).map_err(Failure::usage)?;
        let tls = if matches!(address, Address::Https(_)) { Some(tls(files)?) } else { None };
        Ok(Self { address, tls })
    }

    pub(super) fn connect(&self) -> Result<Client, CallError> {
        self.connect_for(TIMEOUT)
    }

    /// The same for calls that may take so long.
    pub(super) fn connect_for(&self, timeout: Duration) -> Result<Client, CallError> {
        Client::connect(&self.address, self.tls.as_ref(), timeout)
    }
}

/// What an https:// address takes.
fn tls(args: &TlsArgs) -> Result<ClientTls, Failure> {
    let file = |given: &Option<PathBuf>, option: &str, what: &str| {
        given.clone().ok_or_else(|| Failure::usage(format!("an https:// address needs {option} FILE, {what}")))
    };
    let files = TlsFiles {
        certificate: file(&args.tls_cert, "--tls-cert", "the client's certificate in PEM")?,
        key: file(&args.tls_key, "--tls-key", "the key of that certificate")?,
        ca: file(&args.tls_ca, "--tls-ca", "the CA of the service's certificate")?,
        crls: Vec::new(),
    };
    let server = match &args.tls_server_name {
        None => ServerIdentity::Host,
        Some(name) => {
            ServerIdentity::parse(name).map_err(|problem| Failure::usage(format!("--tls-server-name {problem}")))?
        }
    };
    ClientTls::load(&files, &server).map_err(Failure::usage)
}

/// From a canonical code to an exit code.
pub(super) fn failed(error: CallError) -> Failure {
    let is = |codes: &[Code]| codes.iter().any(|code| code.number() == error.code);
    let exit = if error.unreachable || is(&[Code::Unavailable, Code::DeadlineExceeded]) {
        4
    } else if is(&[Code::InvalidArgument, Code::NotFound, Code::AlreadyExists]) {
        2
    } else if is(&[Code::PermissionDenied, Code::ResourceExhausted, Code::FailedPrecondition]) {
        3
    } else {
        70
    };
    let message = if error.reason.is_empty() { error.message } else { format!("{} ({})", error.message, error.reason) };
    Failure { exit, message }
}

/// The response message in proto3 JSON.
pub(super) fn print_json(response: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(response).map_err(|error| Failure::ours(format!("cannot print: {error}")))?;
    print(&format!("{json}\n"))
}

/// Ends as the verdict says, whether or not anybody read what was `printed`; remarks go to standard error.
pub(super) fn conclude(verdict: proto::Verdict, hints: &[i32], printed: Result<(), Failure>) -> Result<(), Failure> {
    remark_hints(hints);
    if verdict == proto::Verdict::Valid { printed } else { Err(Failure::verdict()) }
}

pub(super) fn remark_hints(hints: &[i32]) {
    for name in hint_names(hints) {
        remark(&format!("hint: {name}"));
    }
}

/// Hints without the API's prefix, as far as this version knows them.
pub(super) fn hint_names(hints: &[i32]) -> impl Iterator<Item = String> {
    let known = hints.iter().filter_map(|&hint| proto::Hint::try_from(hint).ok());
    known.map(|hint| hint.as_str_name().trim_start_matches("HINT_").to_lowercase())
}

/// A verdict without the API's prefix.
pub(super) fn verdict_name(verdict: proto::Verdict) -> &'static str {
    verdict.as_str_name().trim_start_matches("VERDICT_")
}

/// All of standard input, byte for byte.
pub(super) fn standard_input(what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        remark(&format!("countersign: reading the {what} from standard input; end it with Ctrl-D"));
    }
    bounded(stdin.lock(), what)
}

/// A token on standard input, without the one newline that an editor or `echo` puts behind it.
pub(super) fn token_from_standard_input() -> Result<String, Failure> {
    let mut bytes = standard_input("token")?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Failure::usage("the token on standard input is not text; pass on what Hub sent")),
    }
}

/// A hubLoginToken in a file, without one trailing newline.
pub(super) fn hub_login_token(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(path) = file else { return Ok(None) };
    let cannot = |problem: &str| Failure::usage(format!("--hub-login-token-file {}: {problem}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| cannot(&error.to_string()))?;
    let mut bytes = bounded(file, "hubLoginToken")?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| cannot("is not text"))?;
    Ok(Some(text.to_owned()))
}

fn bounded(source: impl std::io::Read, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Reserved whole, so that growing leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(INPUT_MAX).unwrap_or(0) + 1));
    source
        .take(INPUT_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("the {what} cannot be read: {error}")))?;
    if bytes.len() as u64 > INPUT_MAX {
        return Err(Failure::usage(format!("the {what} is longer than {INPUT_MAX} bytes")));
    }
    Ok(bytes)
}
