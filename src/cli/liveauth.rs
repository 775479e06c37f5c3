//! `countersign liveauth mint | verify`.

use clap::{Args, Subcommand, ValueEnum};

use super::{ClientArgs, Failure, Output, client, print, service::quoted_text};
use crate::{
    config::parse_seconds,
    grpc::proto::{
        MintHashRequest, MintHashResponse, VerifyHashRequest, mint_hash_request::Validity, verify_hash_request::Origin,
    },
};

const ENDPOINT: &str = "https://www.idibu.com/clients/api/liveauth/test";

#[derive(Subcommand)]
pub(super) enum LiveAuthCommand {
    /// Make a hash
    #[command(
        after_help = "Example:\n  countersign liveauth mint --domain jobs.example.com --client 42 --ttl 15m --format meta"
    )]
    Mint(MintArgs),
    /// Judge a hash: prints the verdict, and exits 1 where it is not VALID
    #[command(after_help = "The values are judged exactly as given: 042 is not 42.")]
    Verify(VerifyArgs),
}

#[derive(Args)]
pub(super) struct MintArgs {
    /// The domain that the request to idibu will come from
    #[arg(long)]
    domain: String,
    /// The numeric idibu client id
    #[arg(long, allow_negative_numbers = true)]
    client: i64,
    /// How long it shall be valid, such as 900, 15m or 1h
    #[arg(long, conflicts_with = "expires", value_parser = parse_seconds)]
    ttl: Option<i64>,
    /// Until when it shall be valid, Unix time in seconds
    #[arg(long, allow_negative_numbers = true)]
    expires: Option<i64>,
    /// Print just what a page or a back end needs
    #[arg(long, value_enum, conflicts_with = "output")]
    format: Option<Format>,
    #[command(flatten)]
    service: ClientArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The `auth` object of the LiveAuth browser library, as JSON
    AuthJson,
    /// The query string
    Query,
    /// Three meta elements for a page
    Meta,
    /// A curl command that asks idibu's test action
    Curl,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The domain whose secret it must have been made with
    #[arg(long, required_unless_present = "referer", conflicts_with = "referer")]
    domain: Option<String>,
    /// The Referer that it came with, in place of the domain
    #[arg(long)]
    referer: Option<String>,
    /// The client parameter as received
    #[arg(long, allow_hyphen_values = true)]
    client: String,
    /// The expires parameter as received
    #[arg(long, allow_hyphen_values = true)]
    expires: String,
    /// The hash parameter as received
    #[arg(long, allow_hyphen_values = true)]
    hash: String,
    #[command(flatten)]
    service: ClientArgs,
}

pub(super) fn run(command: &LiveAuthCommand) -> Result<(), Failure> {
    match command {
        LiveAuthCommand::Mint(args) => mint(args),
        LiveAuthCommand::Verify(args) => verify(args),
    }
}

fn mint(args: &MintArgs) -> Result<(), Failure> {
    let validity = args.ttl.map(Validity::Ttl).or(args.expires.map(Validity::Expires));
    let request = MintHashRequest { domain: args.domain.clone(), client: args.client, validity };
    let minted = client::connect(&args.service)?.mint_hash(request).map_err(client::failed)?;
    if args.service.output == Output::Json {
        return client::print_json(&minted);
    }
    print(&shown(&minted, args.format))
}

fn shown(minted: &MintHashResponse, format: Option<Format>) -> String {
    let MintHashResponse { client, expires, hash, referer, query, key_version } = minted;
    match format {
        None => format!(
            "client   {client}\nexpires  {expires}\nhash     {hash}\nreferer  {referer}\nquery    {query}\nversion  {key_version}\n"
        ),
        Some(Format::AuthJson) => format!("{{\"client\":{client},\"expires\":{expires},\"hash\":\"{hash}\"}}\n"),
        Some(Format::Query) => format!("{query}\n"),
        Some(Format::Meta) => format!(
            "<meta name=\"x-liveauth-client\" content=\"{client}\">\n\
             <meta name=\"x-liveauth-expires\" content=\"{expires}\">\n\
             <meta name=\"x-liveauth-hash\" content=\"{hash}\">\n"
        ),
        Some(Format::Curl) => format!(
            "curl -sS -H {} {}\n",
            quoted_text(&format!("Referer: {referer}")),
            quoted_text(&format!("{ENDPOINT}?{query}"))
        ),
    }
}

fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let origin = args.domain.clone().map(Origin::Domain).or(args.referer.clone().map(Origin::Referer));
    let request = VerifyHashRequest {
        origin,
        client: args.client.clone(),
        expires: args.expires.clone(),
        hash: args.hash.clone(),
    };
    let judged = client::connect(&args.service)?.verify_hash(request).map_err(client::failed)?;
    let printed = match args.service.output {
        Output::Json => client::print_json(&judged),
        Output::Text => print(&format!("{}\n", client::verdict_name(judged.verdict()))),
    };
    client::conclude(judged.verdict(), &judged.hints, printed)
}
