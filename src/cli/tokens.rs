//! `countersign tokens explain`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::{Table, presets::NOTHING};

use super::{ADDRESS, ADMIN_ADDRESS, ClientArgs, Failure, Output, client, print};
use crate::grpc::proto::{
    ExplainTokenRequest, ExplainTokenResponse, KeyVersionState, PayloadKind, RevocationKind, Suite, TokenCheckOutcome,
    Verdict,
};

#[derive(Subcommand)]
pub(super) enum TokensCommand {
    /// Tell why the token on standard input is judged as it is: every check, and which of them decided
    ///
    /// For those who look after keys: it needs the right admin on the app's key, and an admin listener of the service;
    /// where no address is named, the one in /run/countersign if it is there. It shows no payload and no username, and counts as no use of the key. Exits 1 where the verdict is not VALID.
    #[command(after_help = EXAMPLES)]
    Explain(ExplainArgs),
}

const EXAMPLES: &str = "\
Examples:
  countersign tokens explain --app acme-contacts < token
  countersign tokens explain --app acme-contacts --username jane@example.com < token";

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// The app that it is presented to
    #[arg(long)]
    app: String,
    /// The Hub username that came with it
    #[arg(long)]
    username: Option<String>,
    /// A file that holds the hubLoginToken that came with it
    #[arg(long, value_name = "FILE")]
    hub_login_token_file: Option<PathBuf>,
    #[command(flatten)]
    service: ClientArgs,
}

pub(super) fn run(command: &TokensCommand) -> Result<(), Failure> {
    let TokensCommand::Explain(args) = command;
    let request = ExplainTokenRequest {
        app: args.app.clone(),
        auth: client::token_from_standard_input()?,
        username: args.username.clone(),
        hub_login_token: client::hub_login_token(args.hub_login_token_file.as_deref())?,
    };
    let address = address(&args.service.address, Path::exists);
    let target = client::Target::at(address, &args.service.tls)?;
    let told = target.connect().map_err(client::failed)?.explain_token(request).map_err(|error| {
        match error.reason.as_str() {
            "UNKNOWN_METHOD" => Failure::usage(format!(
                "{address} does not serve this; name an admin listener with --address, such as {ADMIN_ADDRESS}"
            )),
            _ => client::failed(error),
        }
    })?;
    match args.service.output {
        Output::Json => client::print_json(&told)?,
        Output::Text => print(&as_text(&told))?,
    }
    if told.verdict() == Verdict::Valid { Ok(()) } else { Err(Failure::verdict()) }
}

/// The admin socket in place of the ordinary one, which never serves this, where it is there.
fn address(named: &str, is_there: impl FnOnce(&Path) -> bool) -> &str {
    let admin = ADMIN_ADDRESS.strip_prefix("unix:").map(Path::new);
    if named == ADDRESS && admin.is_some_and(is_there) { ADMIN_ADDRESS } else { named }
}

fn as_text(told: &ExplainTokenResponse) -> String {
    let mut text = format!("{}\n\n", client::verdict_name(told.verdict()));
    let mut table = Table::new();
    table.load_style(NOTHING);
    for checked in &told.checks {
        let outcome = match checked.outcome() {
            TokenCheckOutcome::Passed => "passed",
            TokenCheckOutcome::Failed => "FAILED",
            TokenCheckOutcome::NotReached | TokenCheckOutcome::Unspecified => "-",
        };
        let check = plain(checked.check().as_str_name(), "TOKEN_CHECK_");
        table.add_row([check, outcome.to_owned(), checked.reason.clone()]);
    }
    text += &lines(&table);
    let mut table = Table::new();
    table.load_style(NOTHING);
    for (name, value) in facts(told) {
        table.add_row([name.to_owned(), value]);
    }
    if !table.is_empty() {
        text = format!("{text}\n{}", lines(&table));
    }
    text
}

/// What is known of it, in the words of the other commands.
fn facts(told: &ExplainTokenResponse) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(facts) = &told.facts {
        rows.push(("token id", facts.token_id.clone()));
        rows.push(("holds", format!("up to {} bytes of payload and claims", facts.holds_bytes)));
        let bound = [(facts.username_bound, "username"), (facts.hub_login_token_bound, "hubLoginToken")];
        let bound: Vec<&str> = bound.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
        rows.push(("bound to", if bound.is_empty() { "nothing".to_owned() } else { bound.join(", ") }));
        if facts.suite() != Suite::Unspecified {
            rows.push(("suite", plain(facts.suite().as_str_name(), "SUITE_")));
        }
        rows.push(("kid", facts.kid.clone()));
        if facts.key_state() != KeyVersionState::Unspecified {
            let state = plain(facts.key_state().as_str_name(), "KEY_VERSION_STATE_");
            rows.push(("key", format!("{}, version {}, {state}", facts.key, facts.key_version)));
        }
    }
    if let Some(claims) = &told.claims {
        rows.push(("grant id", claims.grant_id.clone()));
        let kind = match claims.kind() {
            PayloadKind::Unspecified => "opaque".to_owned(),
            kind => plain(kind.as_str_name(), "PAYLOAD_KIND_"),
        };
        rows.push(("kind", kind));
        rows.push(("issued at", claims.issued_at.to_string()));
        let expires = if claims.expires_at == 0 { "never".to_owned() } else { claims.expires_at.to_string() };
        rows.push(("expires at", expires));
        rows.push(("resealed", super::count(claims.reseal_count.into(), "time")));
    }
    for by in &told.revoked_by {
        let what = plain(by.kind().as_str_name(), "REVOCATION_KIND_");
        rows.push(match by.kind() {
            RevocationKind::Token => ("revoked", "by its id".to_owned()),
            _ => ("revoked", format!("by its {what}, what was issued until {}", by.issued_until)),
        });
    }
    for hint in client::hint_names(&told.hints) {
        rows.push(("hint", hint));
    }
    rows
}

fn plain(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', "-")
}

fn lines(table: &Table) -> String {
    let line = |line: String| format!("{}\n", line.trim());
    table.lines().map(line).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_address_it_goes_where_it_is_served_if_that_is_there() {
        assert_eq!(address(ADDRESS, |socket| socket == Path::new("/run/countersign/admin.sock")), ADMIN_ADDRESS);
        assert_eq!(address(ADDRESS, |_| false), ADDRESS);
        assert_eq!(address("unix:/other.sock", |_| true), "unix:/other.sock");
    }
}
