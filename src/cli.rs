//! The command line: what people type and what scripts rely on. Exit codes: 0 done or VALID, 1 another verdict,
//! 2 bad usage or input, 3 refused by policy or limits, 4 unreachable, 70 our fault.

mod audit;
mod client;
mod hub;
pub mod keys;
mod lines;
mod liveauth;
mod pages;
mod policy;
mod progress;
mod service;
mod tokens;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::app;

const AFTER_HELP: &str = "\
Exit codes:
  0   done, or the verdict is VALID
  1   another verdict
  2   bad usage or input, or an unknown domain or app
  3   refused by policy or limits
  4   the service is unreachable or unavailable
  70  our fault; please report it

Examples:
  countersign dev
  countersign liveauth mint --domain jobs.example.com --client 42 --ttl 15m
  printf %s \"$OAUTH_TOKEN\" | countersign hub seal --app acme-contacts --username jane@example.com

Secrets are never taken from the command line or the environment: they come on standard input or from a file.";

/// Holds a company's integration secrets, so that no other service ever sees a key.
///
/// Countersign mints and verifies idibu LiveAuth hashes, and seals, opens and verifies BroadSoft Hub auth tokens,
/// over gRPC and JSON. `countersign dev` starts a whole service with sample keys and prints commands to try.
#[derive(Parser)]
#[command(name = "countersign", version, after_help = AFTER_HELP, propagate_version = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a service for development: sample keys, sample domain and app, commands to paste
    Dev(service::DevArgs),
    /// Run the service
    Serve(service::ServeArgs),
    /// Judge a configuration file
    #[command(subcommand)]
    Config(service::ConfigCommand),
    /// Say what the rules decide, and test them
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Look after keys: in a running service, or in the keyring file
    Keys(keys::KeysArgs),
    /// Have a running service read its files again
    Reload(keys::ReloadArgs),
    /// Mint and verify LiveAuth hashes, through the service
    #[command(subcommand)]
    Liveauth(liveauth::LiveAuthCommand),
    /// Seal, open, verify and reseal Hub auth tokens, through the service
    #[command(subcommand)]
    Hub(hub::HubCommand),
    /// Tell operators about single tokens
    #[command(subcommand)]
    Tokens(tokens::TokensCommand),
    /// Judge, read and follow journals
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Print a completion script for a shell
    Completions(pages::CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    Man(pages::ManArgs),
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON object, for programs
    Json,
}

/// Where a service's socket is, if nobody says otherwise.
const ADDRESS: &str = "unix:/run/countersign/countersign.sock";

/// Where its admin socket is.
const ADMIN_ADDRESS: &str = "unix:/run/countersign/admin.sock";

/// Where the service is, and how to print what it answers.
#[derive(Args)]
struct ClientArgs {
    /// unix:PATH, https://HOST:PORT or http://HOST:PORT
    #[arg(
        long,
        env = "COUNTERSIGN_ADDRESS",
        default_value = ADDRESS,
        value_name = "ADDRESS"
    )]
    address: String,
    #[command(flatten)]
    tls: TlsArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
}

/// What an https:// address takes.
#[derive(Args, Debug)]
#[expect(clippy::struct_field_names, reason = "each is the option it is named after")]
struct TlsArgs {
    /// For https: our certificate, with what lies between it and its root, PEM
    #[arg(long, env = "COUNTERSIGN_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// For https: the key of that certificate, PEM
    #[arg(long, env = "COUNTERSIGN_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// For https: the CA that the service's certificate must lead to, PEM
    #[arg(long, env = "COUNTERSIGN_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// For https: whom the service's certificate must name, a host or a SPIFFE ID; the address's host if left out
    #[arg(long, env = "COUNTERSIGN_TLS_SERVER_NAME", value_name = "NAME")]
    tls_server_name: Option<String>,
}

/// How a command ends that does not end well.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: u8,
    /// One line for standard error; empty where all was said already.
    pub message: String,
}

impl Failure {
    /// Bad usage or input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: 2, message: message.into() }
    }

    /// A verdict other than VALID, already printed.
    fn verdict() -> Self {
        Self { exit: 1, message: String::new() }
    }

    /// Our fault.
    pub fn ours(message: impl Into<String>) -> Self {
        Self { exit: 70, message: message.into() }
    }
}

impl From<app::Failure> for Failure {
    fn from(failure: app::Failure) -> Self {
        Self { exit: failure.exit, message: failure.message }
    }
}

impl From<std::io::Error> for Failure {
    /// Printing failed: whoever reads our output went away or its disk is full.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self { exit: 0, message: String::new() },
            _ => Self::ours(format!("the output cannot be written: {error}")),
        }
    }
}

/// Reads the command line and does what it says.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Dev(args) => service::dev(&args),
        Command::Serve(args) => service::serve(&args),
        Command::Config(command) => service::config(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Keys(args) => keys::run(&args),
        Command::Reload(args) => keys::reload(&args),
        Command::Liveauth(command) => liveauth::run(&command),
        Command::Hub(command) => hub::run(&command),
        Command::Tokens(command) => tokens::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Completions(args) => pages::completions(&args, Cli::command()),
        Command::Man(args) => pages::man(&args, Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                // Where standard error is gone too, the exit code has to do.
                let _ = writeln!(std::io::stderr().lock(), "countersign: {}", failure.message);
            }
            ExitCode::from(failure.exit)
        }
    }
}

/// Prints to standard output.
fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// So many of something, as people say it.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Prints a remark to standard error, where it does not get in the way of a result.
fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
