//! `countersign keys rewrap`.

use std::path::{Path, PathBuf};

use super::{
    home::{self, Asking, Home},
    print, refused,
};
use crate::{
    cli::{Failure, Output},
    keystore::{self, Inner, KMS_TIMEOUT, KekSource, Kms, Location, Passphrase},
};

#[derive(clap::Args, Debug)]
pub(super) struct RewrapArgs {
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    to: ToArgs,
    /// Draw a fresh document key too, and encrypt everything under it: for when whoever had the old KEK had the keyring
    #[arg(long)]
    new_document_key: bool,
}

/// What the keyring shall open with.
#[derive(clap::Args, Debug)]
#[group(id = "to", multiple = false)]
#[expect(clippy::struct_field_names, reason = "each is the option it is named after")]
struct ToArgs {
    /// Let it open with the content of this file, which is made where there is none
    #[arg(long, value_name = "FILE")]
    to_kek_file: Option<PathBuf>,
    /// Let it open with the systemd credential of this name
    #[arg(long, value_name = "NAME")]
    to_kek_credential: Option<String>,
    /// Let it open with a passphrase, which is asked for on the terminal
    #[arg(long)]
    to_kek_passphrase: bool,
    /// Let it open with a passphrase, which is read from this file descriptor to its end (0: standard input)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    to_kek_passphrase_fd: Option<i32>,
    /// Let it open by the Kubernetes KMS v2 plugin on this Unix socket
    #[arg(long, value_name = "PATH")]
    to_kek_kms_socket: Option<PathBuf>,
}

impl ToArgs {
    /// The source that was named, if one was.
    fn source(&self) -> Result<Option<KekSource>, Failure> {
        let Self { to_kek_file, to_kek_credential, to_kek_passphrase, to_kek_passphrase_fd, to_kek_kms_socket } = self;
        Ok(if let Some(path) = to_kek_file {
            Some(KekSource::File(path.clone()))
        } else if let Some(name) = to_kek_credential {
            Some(home::credential(name)?)
        } else if *to_kek_passphrase {
            Some(KekSource::Passphrase(home::ask(Asking::New)?))
        } else if let Some(socket) = to_kek_kms_socket {
            Some(KekSource::Kms(Kms::new(socket.clone(), KMS_TIMEOUT)))
        } else {
            to_kek_passphrase_fd.map(|number| KekSource::Passphrase(Passphrase::from_descriptor(number)))
        })
    }
}

pub(super) fn run(args: &RewrapArgs, output: Output) -> Result<(), Failure> {
    if args.to.to_kek_passphrase_fd == Some(0) {
        args.home.leave_standard_input("the new passphrase")?;
    }
    let location = args.home.location(Asking::Known)?;
    let to = args.to.source()?;
    let moves = to.is_some();
    let to = to.unwrap_or_else(|| location.kek.clone());
    let inner = if args.new_document_key { Inner::Drawn } else { Inner::Kept };
    let rewrapped = keystore::rewrap(&location, &to, inner).map_err(|error| refused(&error))?;
    print::warnings(&rewrapped.warnings);
    let now = Location { keyring: location.keyring, kek: to };
    print::rewrapped(output, &now, &rewrapped, inner, moves.then_some(args.home.config()).flatten().map(Path::new))
}
