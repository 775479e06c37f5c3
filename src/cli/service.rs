//! `dev`, `serve` and `config check`.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{Failure, Output, count, print, remark};
use crate::{
    app::{self, DevOptions, Endpoints, Options, dev},
    clock::Clock,
    config::Config,
    grpc::tls::Door,
    keyring::{KeyKind, KeyName},
    keystore,
};

/// Everything lies in one folder: socket, configuration, keyring and its key. An earlier `dev`'s folder is
/// continued; a temporary one goes away with the process. The sample LiveAuth secret is the one that the vendor's
/// document prints, so nothing made here is worth anything outside.
#[derive(Args)]
pub(super) struct DevArgs {
    /// The folder; a temporary one if left out
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Loopback address for gRPC and JSON without TLS; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Address for /metrics, /livez and /readyz; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:9464", value_name = "IP:PORT")]
    http: SocketAddr,
}

/// SIGHUP reads the configuration and the keyring again, as new content does by itself within `reload.poll`; SIGTERM
/// finishes calls under way and stops.
#[derive(Args)]
pub(super) struct ServeArgs {
    /// The configuration file; deploy/config.toml explains every setting
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Start although this is root
    #[arg(long)]
    allow_root: bool,
}

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a configuration file: its settings, its rules, and the keys and certificates it names
    Check {
        /// The file
        file: PathBuf,
        /// How to print the result
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(|error| Failure::usage(error.to_string()))?;
    let options = Options { config_file: args.config.clone(), allow_root: args.allow_root, dev: None };
    Ok(app::run(config, options, |_| ())?)
}

pub(super) fn dev(args: &DevArgs) -> Result<(), Failure> {
    // Before keys are made. What could not be done is said once the service logs.
    let _ = app::harden();
    if rustix::process::geteuid().is_root() {
        remark("countersign: warning: running as root; `serve` would refuse without --allow-root");
    }
    let folder = dev::Folder::prepare(args.dir.as_deref(), Clock::system().now())?;
    let config = Config::load(&folder.config_file()).map_err(|error| Failure::usage(error.to_string()))?;
    let options = Options {
        config_file: folder.config_file(),
        allow_root: true,
        dev: Some(DevOptions {
            listen: args.listen,
            http: args.http,
            temporary_folder: folder.is_temporary().then(|| folder.path().to_owned()),
        }),
    };
    app::run(config, options, |endpoints| {
        if let Err(failure) = print(&announcement(endpoints, &folder)) {
            tracing::warn!("the commands to paste could not be printed: {}", failure.message);
        }
    })?;
    Ok(())
}

/// What `dev` prints once it serves. The commands stand between `# paste these` and `# end`, a line each.
fn announcement(endpoints: &Endpoints, folder: &dev::Folder) -> String {
    let (app, domain) = (dev::APP, dev::DOMAIN);
    let fate = if folder.is_temporary() { "goes away when this process ends" } else { "kept" };
    let binary = std::env::current_exe().map_or_else(|_| "countersign".into(), |path| quoted(&path));
    let cs = format!("{binary} {{}} --address {}", quoted_text(&format!("unix:{}", endpoints.unix.display())));
    let run = |command: &str, rest: &str| format!("{} {rest}", cs.replace("{}", command));
    let user = "jodonnell@broadsoft.com";
    let on_app = format!("--app {app} --username {user}");
    let verify = |expires: &str, hash: &str| {
        run("liveauth verify", &format!("--domain {domain} --client 42 --expires {expires} --hash {hash}"))
    };
    let documents = "6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29";
    let mut text = format!(
        "Countersign {} for development. Its LiveAuth secret is the one the vendor's document prints.\n\n\
         \x20 folder  {}   ({fate})\n\
         \x20 socket  unix:{}\n",
        env!("CARGO_PKG_VERSION"),
        folder.path().display(),
        endpoints.unix.display(),
    );
    if let Some(admin) = &endpoints.admin {
        let _ = writeln!(text, "  admin   unix:{}   (the same, and KeyService)", admin.display());
    }
    if let Some(tcp) = &endpoints.tcp {
        let _ = writeln!(text, "  grpc    {tcp}   (and JSON; no TLS, callers are name:dev-tcp)");
    }
    let _ = writeln!(text, "  http    http://{}   (/metrics /livez /readyz)", endpoints.http);
    let _ = writeln!(text, "  made    LiveAuth domain {domain}, Hub app {app}\n\n# paste these into another terminal");
    let mut step = |what: &str, command: String| {
        let _ = writeln!(text, "# {what}\n{command}");
    };
    step(
        "mint a LiveAuth hash for client 42",
        run("liveauth mint", &format!("--domain {domain} --client 42 --ttl 15m")),
    );
    step("the document's own hash: signed rightly, out of time (EXPIRED)", verify("989539200", documents));
    step("the document's misprinted one (BAD_SIGNATURE)", verify("1580608922", documents));
    let seal =
        format!("printf %s an-oauth-token | {}", run("hub seal", &format!("{on_app} --kind oauth-access-token")));
    let seal_for_a_second = format!("printf %s an-oauth-token | {}", run("hub seal", &format!("{on_app} --ttl 1s")));
    let open = run("hub open", &on_app);
    let judge = run("hub verify", &on_app);
    let judge_for_another = run("hub verify", &format!("--app {app} --username mallory@example.com"));
    step("seal an OAuth token for a Hub user", seal.clone());
    step("judge one without opening it (VALID)", format!("{seal} | {judge}"));
    step("seal one and open it again", format!("{seal} | {open}; echo"));
    step("tampered with on the way (MALFORMED)", format!("{seal} | sed 's/......$/000000/' | {judge}"));
    step("out of time (EXPIRED)", format!("{seal_for_a_second} | (sleep 2; cat) | {judge}"));
    step("shown by another user (WRONG_CONTEXT)", format!("{seal} | {judge_for_another}"));
    if let Some(admin) = &endpoints.admin {
        let admin = quoted_text(&format!("unix:{}", admin.display()));
        let keys = |command: &str| format!("{binary} {command} --address {admin}");
        step("look at the keys, on the admin socket", keys("keys list"));
        // Its number is not known before: a folder that is continued may have more.
        let first = format!("--key {app} --key-version 1");
        step(
            "set a version aside: what it sealed is not taken (UNKNOWN_KEY)",
            format!("t=$({seal}) && {} && printf %s \"$t\" | {judge}", keys(&format!("keys suspend {first}"))),
        );
        step("bring it back", keys(&format!("keys resume {first}")));
    }
    if let Some(tcp) = &endpoints.tcp {
        step(
            "the same as the first without gRPC",
            format!(
                "curl -sS {tcp}/countersign.v1.LiveAuthService/MintHash -H 'Content-Type: application/json' -d '{{\"domain\":\"{domain}\",\"client\":42}}'"
            ),
        );
    }
    text.push_str("# end\n\nready; Ctrl-C stops it\n");
    text
}

fn quoted(path: &Path) -> String {
    quoted_text(&path.display().to_string())
}

/// As a POSIX shell takes it.
pub(super) fn quoted_text(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:@%+=,".contains(&b);
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

pub(super) fn config(command: &ConfigCommand) -> Result<(), Failure> {
    let ConfigCommand::Check { file, output } = command;
    let config = Config::load(file).map_err(|error| Failure::usage(error.to_string()))?;
    let tls = certificates_it_names(&config)?;
    let warnings: Vec<String> = config.advice().into_iter().chain(keys_it_names(&config)).chain(tls).collect();
    if *output == Output::Json {
        return print(&format!("{}\n", serde_json::json!({ "ok": true, "warnings": warnings })));
    }
    for line in warnings {
        remark(&format!("warning: {line}"));
    }
    print(&format!(
        "{}: ok ({}, {}, {})\n",
        file.display(),
        count(config.domains.len() as u64, "domain"),
        count(config.apps.len() as u64, "app"),
        count(config.rules.len() as u64, "rule")
    ))
}

/// Loads what TLS listeners are made of, as `serve` would.
fn certificates_it_names(config: &Config) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    for settings in &config.tls {
        let door = Door::load(settings, Clock::system()).map_err(Failure::usage)?;
        warnings.extend(door.warnings().into_iter().map(|line| format!("listen.tls {}: {line}", settings.address)));
    }
    Ok(warnings)
}

/// What can be said of the keys without opening the keyring: it may not be on the machine that checks.
fn keys_it_names(config: &Config) -> Vec<String> {
    let summary = match keystore::summary(&config.keyring.keyring) {
        Ok(summary) => summary,
        Err(error) => return vec![format!("the keys it names were not looked at: {error}")],
    };
    let lacking = |name: &KeyName, kind: KeyKind, whose: String| match summary.keys.iter().find(|key| key.name == *name)
    {
        None => Some(format!("{whose} names key {name}, which the keyring does not have")),
        Some(key) if key.kind != kind => {
            Some(format!("{whose} names key {name}, which is of kind {}, not {}", key.kind.name(), kind.name()))
        }
        Some(_) => None,
    };
    let domains =
        config.domains.iter().filter_map(|d| lacking(&d.key, KeyKind::LiveAuth, format!("domain {}", d.name.as_str())));
    let apps = config.apps.iter().filter_map(|a| lacking(&a.key, KeyKind::Hat1, format!("app {}", a.name)));
    domains.chain(apps).collect()
}
