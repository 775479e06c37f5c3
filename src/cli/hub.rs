//! `countersign hub seal | open | verify | reseal | revoke | revocations`.

mod bulk;
mod revoke;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use self::revoke::{RevocationsArgs, RevokeArgs};
use super::{ClientArgs, Failure, Output, client, print, print_bytes, remark};
use crate::{
    config::parse_seconds,
    grpc::proto::{OpenRequest, PayloadKind, ResealRequest, SealRequest, Verdict, VerifyRequest},
};

#[derive(Subcommand)]
pub(super) enum HubCommand {
    /// Seal the payload on standard input, byte for byte, and print the token
    #[command(
        after_help = "Example:\n  printf %s \"$OAUTH_TOKEN\" | countersign hub seal --app acme-contacts --username jane@example.com --kind oauth-access-token"
    )]
    Seal(SealArgs),
    /// Open the token on standard input and print its payload, byte for byte
    #[command(
        after_help = "Where the verdict is not VALID nothing is printed on standard output, the verdict goes to standard error, and the exit code is 1."
    )]
    Open(PresentArgs),
    /// Judge the token on standard input: prints the verdict, and exits 1 where it is not VALID
    Verify(PresentArgs),
    /// Seal the token on standard input, or those of a table, anew under the active key version
    #[command(after_help = RESEAL_EXAMPLES)]
    Reseal(ResealArgs),
    /// Cut off one token, one grant, one user, or a whole app: at once here, within seconds on the same ledger
    #[command(
        after_help = "With none of --token-id, --grant, --user and --all the token is read from standard input.\n\nExamples:\n  countersign hub revoke --app acme-contacts --user jane@example.com\n  countersign hub revoke --app acme-contacts < leaked-token\n\nA login after a revocation works at once. Revoking twice does no harm."
    )]
    Revoke(RevokeArgs),
    /// Show what is cut off, the newest first
    #[command(after_help = "Users are shown by a digest of their names that only this keyring makes.")]
    Revocations(RevocationsArgs),
}

const RESEAL_EXAMPLES: &str = "\
Examples:
  countersign hub reseal --app acme-contacts --username jane@example.com < token
  countersign hub reseal --app acme-contacts --in tokens.csv --out resealed.csv

A table is worked on in batches, several at a time, within the caller's rate. A row whose token cannot be resealed keeps it \
and says why in reseal_verdict and reseal_error; the others go on, and the exit code is 1. A run that was cut off goes on \
where its output ends when it is started again.";

/// What a token is presented or made for.
#[derive(Args)]
pub(super) struct ContextArgs {
    /// The app
    #[arg(long)]
    app: String,
    /// The Hub username
    #[arg(long)]
    username: Option<String>,
    /// A file that holds the hubLoginToken
    #[arg(long, value_name = "FILE")]
    hub_login_token_file: Option<PathBuf>,
    #[command(flatten)]
    service: ClientArgs,
}

#[derive(Args)]
pub(super) struct SealArgs {
    #[command(flatten)]
    context: ContextArgs,
    /// What the payload is
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
    /// How long it shall be valid, such as 3600, 12h or 90d; left out: the app's default
    #[arg(long, value_parser = parse_seconds)]
    ttl: Option<i64>,
}

#[derive(Args)]
pub(super) struct PresentArgs {
    #[command(flatten)]
    context: ContextArgs,
}

#[derive(Args)]
pub(super) struct ResealArgs {
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    bulk: bulk::BulkArgs,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Kind {
    /// Bytes of the app's own making
    #[default]
    Opaque,
    /// An OAuth access token
    OauthAccessToken,
    /// An OAuth refresh token
    OauthRefreshToken,
    /// A user id
    UserId,
    /// A JSON text
    Json,
}

impl Kind {
    const fn proto(self) -> PayloadKind {
        match self {
            Self::Opaque => PayloadKind::Unspecified,
            Self::OauthAccessToken => PayloadKind::OauthAccessToken,
            Self::OauthRefreshToken => PayloadKind::OauthRefreshToken,
            Self::UserId => PayloadKind::UserId,
            Self::Json => PayloadKind::Json,
        }
    }
}

pub(super) fn run(command: &HubCommand) -> Result<(), Failure> {
    match command {
        HubCommand::Seal(args) => seal(args),
        HubCommand::Open(args) => open(&args.context),
        HubCommand::Verify(args) => verify(&args.context),
        HubCommand::Reseal(args) => match args.bulk.files() {
            Some(files) => bulk::run(&args.context, &args.bulk, files),
            None => reseal(&args.context),
        },
        HubCommand::Revoke(args) => revoke::revoke(args),
        HubCommand::Revocations(args) => revoke::revocations(args),
    }
}

fn seal(args: &SealArgs) -> Result<(), Failure> {
    let context = &args.context;
    let request = SealRequest {
        app: context.app.clone(),
        username: context.username.clone(),
        hub_login_token: client::hub_login_token(context.hub_login_token_file.as_deref())?,
        payload: client::standard_input("payload")?.to_vec(),
        kind: args.kind.proto().into(),
        ttl: args.ttl,
        ..SealRequest::default()
    };
    let sealed = client::connect(&context.service)?.seal(request).map_err(client::failed)?;
    client::remark_hints(&sealed.hints);
    match context.service.output {
        Output::Json => client::print_json(&sealed),
        Output::Text => print(&format!("{}\n", sealed.auth)),
    }
}

fn open(context: &ContextArgs) -> Result<(), Failure> {
    let request = OpenRequest {
        app: context.app.clone(),
        auth: client::token_from_standard_input()?,
        username: context.username.clone(),
        hub_login_token: client::hub_login_token(context.hub_login_token_file.as_deref())?,
    };
    let opened = client::connect(&context.service)?.open(request).map_err(client::failed)?;
    let printed = match context.service.output {
        Output::Json => client::print_json(&opened),
        Output::Text if opened.verdict() == Verdict::Valid => print_bytes(&opened.payload),
        Output::Text => {
            remark(client::verdict_name(opened.verdict()));
            Ok(())
        }
    };
    client::conclude(opened.verdict(), &opened.hints, printed)
}

fn verify(context: &ContextArgs) -> Result<(), Failure> {
    let request = VerifyRequest {
        app: context.app.clone(),
        auth: client::token_from_standard_input()?,
        username: context.username.clone(),
        hub_login_token: client::hub_login_token(context.hub_login_token_file.as_deref())?,
    };
    let judged = client::connect(&context.service)?.verify(request).map_err(client::failed)?;
    let printed = match context.service.output {
        Output::Json => client::print_json(&judged),
        Output::Text => print(&format!("{}\n", client::verdict_name(judged.verdict()))),
    };
    client::conclude(judged.verdict(), &judged.hints, printed)
}

fn reseal(context: &ContextArgs) -> Result<(), Failure> {
    let request = ResealRequest {
        app: context.app.clone(),
        auth: client::token_from_standard_input()?,
        username: context.username.clone(),
        hub_login_token: client::hub_login_token(context.hub_login_token_file.as_deref())?,
    };
    let resealed = client::connect(&context.service)?.reseal(request).map_err(client::failed)?;
    let printed = match context.service.output {
        Output::Json => client::print_json(&resealed),
        Output::Text if resealed.verdict() == Verdict::Valid => print(&format!("{}\n", resealed.auth)),
        Output::Text => {
            remark(client::verdict_name(resealed.verdict()));
            Ok(())
        }
    };
    client::conclude(resealed.verdict(), &resealed.hints, printed)
}
