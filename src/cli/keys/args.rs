//! What the subcommands of `countersign keys` take.

use std::path::PathBuf;

use super::{
    secret,
    way::{Changing, Looking},
};
use crate::{
    crypto::aead::Suite,
    keyring::{KeyKind, KeyName},
};

#[derive(clap::Args, Debug)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    pub(super) at: Changing,
    /// Name of the key: 1 to 64 of a-z 0-9 . _ -
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    pub(super) key: KeyName,
    /// What it is for; only hat1 keys are made here
    #[arg(long, value_enum)]
    pub(super) kind: Kind,
    /// What a hat1 key seals with
    #[arg(long, value_enum, default_value_t = SuiteName::Aes256Gcm)]
    pub(super) suite: SuiteName,
    /// When it starts to mint, in Unix seconds; at once if absent
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub(super) activate_at: Option<i64>,
}

#[derive(clap::Args, Debug)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    pub(super) at: Changing,
    /// Name of the key: 1 to 64 of a-z 0-9 . _ -; an existing one gets a further version
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    pub(super) key: KeyName,
    /// What it is for: a LiveAuth secret from idibu, or a 32-byte key for Hub auth tokens
    #[arg(long, value_enum)]
    pub(super) kind: Kind,
    /// How the secret is written; base64 is the standard alphabet, with or without padding
    #[arg(long, value_enum)]
    pub(super) encoding: secret::Encoding,
    /// What a hat1 key seals with [default: aes-256-gcm]; a LiveAuth key has no suite
    #[arg(long, value_enum)]
    pub(super) suite: Option<SuiteName>,
    /// When the version starts to mint, in Unix seconds; at once if absent
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub(super) activate_at: Option<i64>,
    /// Read the secret from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    pub(super) at: Changing,
    /// Name of the key
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    pub(super) key: KeyName,
    /// How the secret is written that is given; needed for a LiveAuth key, and left out a hat1 key is drawn
    #[arg(long, value_enum)]
    pub(super) encoding: Option<secret::Encoding>,
    /// What a hat1 key seals with [default: what its newest version seals with]
    #[arg(long, value_enum)]
    pub(super) suite: Option<SuiteName>,
    /// When the version takes over, in Unix seconds [default: keyring.propagation from now]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub(super) activate_at: Option<i64>,
    /// Read the secret from this file instead of standard input
    #[arg(long, value_name = "FILE", requires = "encoding")]
    pub(super) from: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub(super) struct VersionArgs {
    #[command(flatten)]
    pub(super) at: Changing,
    /// Name of the key
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    pub(super) key: KeyName,
    /// Number of the version; `keys show` lists them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) key_version: u32,
}

#[derive(clap::Args, Debug)]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    pub(super) version: VersionArgs,
    /// Do so although something that the version made may still be in use
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pub(super) at: Looking,
    /// Name of the key
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    pub(super) key: KeyName,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Kind {
    /// A secret that idibu gave for a domain
    #[value(name = "liveauth")]
    LiveAuth,
    /// A 32-byte key for Hub auth tokens
    Hat1,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum SuiteName {
    /// AES-256-GCM
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    /// ChaCha20-Poly1305, for machines without AES instructions
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::LiveAuth => Self::LiveAuth,
            Kind::Hat1 => Self::Hat1,
        }
    }
}

impl From<SuiteName> for Suite {
    fn from(suite: SuiteName) -> Self {
        match suite {
            SuiteName::Aes256Gcm => Self::Aes256Gcm,
            SuiteName::ChaCha20Poly1305 => Self::ChaCha20Poly1305,
        }
    }
}
