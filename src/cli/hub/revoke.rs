//! `countersign hub revoke | revocations`.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets::NOTHING};

use crate::{
    cli::{ClientArgs, Failure, Output, client, print, remark},
    grpc::proto::{
        ListRevocationsRequest, ListRevocationsResponse, Revocation, RevocationKind, RevokeRequest,
        revoke_request::What,
    },
};

/// Entries asked for at a time.
const PAGE: i32 = 1000;

#[derive(Args)]
pub(in crate::cli) struct RevokeArgs {
    /// The app
    #[arg(long)]
    app: String,
    #[command(flatten)]
    what: WhatArgs,
    /// Cut off what was issued at this moment or before, Unix time in seconds; left out: two seconds from now
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    issued_until: Option<i64>,
    /// With a token on standard input: the username that it is bound to, so that the entry can end with the token
    #[arg(long, conflicts_with = "one")]
    username: Option<String>,
    /// With a token on standard input: a file that holds the hubLoginToken that it is bound to
    #[arg(long, value_name = "FILE", conflicts_with = "one")]
    hub_login_token_file: Option<PathBuf>,
    #[command(flatten)]
    service: ClientArgs,
}

#[derive(Args)]
#[group(id = "one", required = false, multiple = false)]
struct WhatArgs {
    /// One token, by its id
    #[arg(long, value_name = "H")]
    token_id: Option<String>,
    /// One grant, by its id: a token and all that it was resealed into
    #[arg(long, value_name = "H")]
    grant: Option<String>,
    /// One user: every token that is bound to this username
    #[arg(long, value_name = "U")]
    user: Option<String>,
    /// Every token of the app
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub(in crate::cli) struct RevocationsArgs {
    /// The app; left out: all that this caller may cut off
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    service: ClientArgs,
}

pub(super) fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let what = match &args.what {
        WhatArgs { token_id: Some(id), .. } => What::TokenId(id.clone()),
        WhatArgs { grant: Some(id), .. } => What::GrantId(id.clone()),
        WhatArgs { user: Some(name), .. } => What::Username(name.clone()),
        WhatArgs { all: true, .. } => What::All(true),
        _ => What::Auth(client::token_from_standard_input()?),
    };
    let request = RevokeRequest {
        app: args.app.clone(),
        what: Some(what),
        issued_until: args.issued_until,
        bound_username: args.username.clone(),
        bound_hub_login_token: client::hub_login_token(args.hub_login_token_file.as_deref())?,
    };
    let response = client::connect(&args.service)?.revoke(request).map_err(client::failed)?;
    if args.service.output == Output::Json {
        return client::print_json(&response);
    }
    let made = response.revocation.unwrap_or_default();
    let (what, app) = (said(&made), &made.app);
    match made.kind() {
        RevocationKind::Token => {
            print(&format!("{what} of app {app} is revoked\n"))?;
            if !made.grant_id.is_empty() {
                remark(&format!(
                    "if it may have been resealed, revoke its grant too: countersign hub revoke --app {app} --grant {}",
                    made.grant_id
                ));
            }
            Ok(())
        }
        _ => print(&format!("{what} of app {app} is revoked: what was issued until {}\n", made.issued_until)),
    }
}

pub(super) fn revocations(args: &RevocationsArgs) -> Result<(), Failure> {
    let service = client::connect(&args.service)?;
    let mut all = ListRevocationsResponse::default();
    loop {
        let request = ListRevocationsRequest {
            app: args.app.clone().unwrap_or_default(),
            page_size: PAGE,
            page_token: std::mem::take(&mut all.next_page_token),
        };
        let page = service.list_revocations(request).map_err(client::failed)?;
        all.revocations.extend(page.revocations);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    if args.service.output == Output::Json {
        return client::print_json(&all);
    }
    if all.revocations.is_empty() {
        remark("nothing is revoked");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["APP", "REVOKED", "ISSUED UNTIL", "ENDS", "ASKED FOR"]);
    for each in &all.revocations {
        let ends = if each.ends_at == 0 { "never".to_owned() } else { each.ends_at.to_string() };
        let until = if each.kind() == RevocationKind::Token { "-".to_owned() } else { each.issued_until.to_string() };
        table.add_row([each.app.clone(), said(each), until, ends, each.revoked_at.to_string()]);
    }
    let line = |line: String| format!("{}\n", line.trim());
    print(&table.lines().map(line).collect::<String>())
}

fn said(revocation: &Revocation) -> String {
    match revocation.kind() {
        RevocationKind::Token => format!("token {}", revocation.token_id),
        RevocationKind::Grant => format!("grant {}", revocation.grant_id),
        RevocationKind::User => format!("user {}", revocation.user_digest),
        RevocationKind::App | RevocationKind::Unspecified => "everything".to_owned(),
    }
}
