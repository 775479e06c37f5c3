//! What `countersign keys` prints: lines and tables for people, JSON for programs. Public metadata only.

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::Path,
};

use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;

mod usage;

use self::usage::{LedgerJson, UsageJson};
use super::{used::Known, way::Listed};
use crate::{
    authority::{Changed, KeyShown, VersionShown},
    cli::{Failure, Output},
    clock::UnixSeconds,
    crypto::aead::Suite,
    keyring::State,
    keystore::{Initialised, Inner, KekSource, Location, Rewrapped, Warning},
};

/// A made keyring, as JSON. 64-bit numbers are text, as in proto3 JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitialisedJson<'a> {
    keyring: String,
    kek: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kek_file: Option<String>,
    keyring_id: &'a str,
    generation: &'static str,
    kek_made: bool,
}

/// A version that was added or changed, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeJson<'a> {
    key: &'a str,
    kind: &'static str,
    version: u32,
    state: &'static str,
    activates_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a String>,
    generation: String,
}

/// A keyring's public part, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SummaryJson<'a> {
    keyring_id: &'a str,
    generation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerJson<'a>>,
    keys: Vec<KeyJson<'a>>,
}

/// A key, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyJson<'a> {
    name: &'a str,
    kind: &'static str,
    /// Where one key is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerJson<'a>>,
    versions: Vec<VersionJson<'a>>,
}

/// A version, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionJson<'a> {
    number: u32,
    state: &'static str,
    created_at: String,
    activates_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deactivates_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compromised_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroyed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suite: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    usage: UsageJson,
}

/// Prints warnings, on standard error.
pub(super) fn warnings(warnings: &[Warning]) {
    lines_of(warnings);
}

fn lines_of(warnings: &[impl Display]) {
    let mut stderr = io::stderr().lock();
    for warning in warnings {
        let _ = writeln!(stderr, "warning: {warning}");
    }
}

/// Prints what `init` made.
pub(super) fn initialised(output: Output, location: &Location, made: &Initialised) -> Result<(), Failure> {
    let keyring = location.keyring.display();
    match output {
        Output::Json => json(&InitialisedJson {
            keyring: keyring.to_string(),
            kek: location.kek.name(),
            kek_file: match &location.kek {
                KekSource::File(path) => Some(path.display().to_string()),
                _ => None,
            },
            keyring_id: &made.keyring_id,
            generation: "1",
            kek_made: made.kek_made,
        }),
        Output::Text => {
            let kek = match &location.kek {
                KekSource::File(path) if made.kek_made => {
                    let path = path.display();
                    format!("made the KEK file {path}: without it nobody opens the keyring, so keep a copy elsewhere")
                }
                KekSource::File(path) => format!("it opens with the KEK file {}, which was there", path.display()),
                KekSource::Passphrase(_) => {
                    "it opens with the passphrase: without it nobody opens the keyring, so keep it elsewhere".to_owned()
                }
                other @ (KekSource::Credential(_) | KekSource::Kms(_)) => format!("it opens with {other}"),
            };
            print(&format!(
                "made the keyring {keyring}, without keys yet\n{kek}\n\
                 next: `countersign keys import` for a LiveAuth secret, `countersign keys create` for a hat1 key\n"
            ))
        }
    }
}

/// A keyring that was wrapped anew, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RewrappedJson<'a> {
    keyring: String,
    keyring_id: &'a str,
    generation: String,
    kek: &'static str,
    kek_made: bool,
    new_document_key: bool,
}

/// Prints what `rewrap` did; `config` is the file that must say so now.
pub(super) fn rewrapped(
    output: Output,
    location: &Location,
    rewrapped: &Rewrapped,
    inner: Inner,
    config: Option<&Path>,
) -> Result<(), Failure> {
    let keyring = location.keyring.display();
    if output == Output::Json {
        return json(&RewrappedJson {
            keyring: keyring.to_string(),
            keyring_id: &rewrapped.keyring_id,
            generation: rewrapped.generation.to_string(),
            kek: location.kek.name(),
            kek_made: rewrapped.kek_made,
            new_document_key: inner == Inner::Drawn,
        });
    }
    let drawn =
        if inner == Inner::Drawn { ", and everything in it is encrypted under a fresh document key" } else { "" };
    let made = if rewrapped.kek_made { "made the KEK file: keep a copy of it elsewhere\n" } else { "" };
    let next = config.map_or_else(String::new, |config| {
        format!("next: name that source in {} (keyring.kek_…), and restart the service\n", config.display())
    });
    print(&format!("the keyring {keyring} now opens with {}{drawn}\n{made}{next}", location.kek))
}

/// Prints a version that was added or changed; `verb` says how.
pub(super) fn changed(output: Output, verb: &str, changed: &Changed) -> Result<(), Failure> {
    lines_of(&changed.warnings);
    let Changed { key, kind, version, generation, .. } = changed;
    match output {
        Output::Json => json(&ChangeJson {
            key,
            kind: kind.name(),
            version: version.number,
            state: version.state.name(),
            activates_at: version.activates_at.to_string(),
            kid: (!version.kid.is_empty()).then_some(&version.kid),
            generation: generation.to_string(),
        }),
        Output::Text => {
            let id = if version.kid.is_empty() { String::new() } else { format!(", kid {}", version.kid) };
            let stands = match version.state {
                State::PreActive => format!("pre-active until {}", UnixSeconds(version.activates_at).utc()),
                State::Active => "active now".to_owned(),
                State::Deactivated => "deactivated, it verifies only".to_owned(),
                State::Suspended => "it neither mints nor verifies until it is resumed".to_owned(),
                State::Compromised => "it neither mints nor verifies any more".to_owned(),
                State::Destroyed => "its material is gone".to_owned(),
            };
            print(&format!("{verb} version {} of key {key} ({}{id}): {stands}\n", version.number, kind.name()))
        }
    }
}

/// Prints what a reload put in force.
pub(super) fn reloaded(output: Output, generation: u64) -> Result<(), Failure> {
    match output {
        Output::Json => json(&serde_json::json!({ "generation": generation.to_string() })),
        Output::Text => print(&format!("reloaded: generation {generation} of the keyring serves\n")),
    }
}

/// Prints all keys.
pub(super) fn list(output: Output, listed: &Listed) -> Result<(), Failure> {
    match output {
        Output::Json => json(&SummaryJson {
            keyring_id: &listed.keyring_id,
            generation: listed.generation.to_string(),
            ledger: LedgerJson::of(&listed.known),
            keys: listed.keys.iter().map(|key| key_json(key, None)).collect(),
        }),
        Output::Text if listed.keys.is_empty() => {
            print("no keys yet: `countersign keys import` or `countersign keys create` adds one\n")
        }
        Output::Text => {
            let mut table =
                columns(["KEY", "KIND", "VERSION", "STATE", "ACTIVATES", "SUITE", "KID", "SAFE TO DESTROY"]);
            for key in &listed.keys {
                for version in &key.versions {
                    let [number, state, activates, suite, kid] = cells(version);
                    let (name, of, safe) = (key.name.clone(), key.kind.name().to_owned(), usage::brief(version));
                    table.add_row([name, of, number, state, activates, suite, kid, safe]);
                }
            }
            print(&format!("{}\nuse  {}\n", flush_left(&table), usage::source(&listed.known)))
        }
    }
}

/// Prints one key.
pub(super) fn show(output: Output, key: &KeyShown, known: &Known) -> Result<(), Failure> {
    match output {
        Output::Json => json(&key_json(key, LedgerJson::of(known))),
        Output::Text => {
            let mut table = columns(["VERSION", "STATE", "CREATED", "ACTIVATES", "SUITE", "KID"]);
            for version in &key.versions {
                let [number, state, activates, suite, kid] = cells(version);
                table.add_row([number, state, UnixSeconds(version.created_at).utc(), activates, suite, kid]);
            }
            let active = match key.active_version {
                0 => "none: it verifies as its versions allow, and does not mint".to_owned(),
                number => format!("version {number}"),
            };
            let (name, kind) = (&key.name, key.kind.name());
            let (source, table) = (usage::source(known), flush_left(&table));
            let used: String = key.versions.iter().map(|version| usage::in_full(version, key.kind)).collect();
            print(&format!("key     {name}\nkind    {kind}\nactive  {active}\nuse     {source}\n\n{table}\n{used}"))
        }
    }
}

fn key_json<'a>(key: &'a KeyShown, ledger: Option<LedgerJson<'a>>) -> KeyJson<'a> {
    let text = |at: Option<i64>| at.map(|at| at.to_string());
    let versions = key.versions.iter().map(|version| VersionJson {
        number: version.number,
        state: version.state.name(),
        created_at: version.created_at.to_string(),
        activates_at: version.activates_at.to_string(),
        deactivates_at: text(version.deactivates_at),
        suspended_at: text(version.suspended_at),
        compromised_at: text(version.compromised_at),
        destroyed_at: text(version.destroyed_at),
        suite: version.suite.map(Suite::name),
        kid: (!version.kid.is_empty()).then_some(version.kid.as_str()),
        usage: UsageJson::of(version),
    });
    KeyJson { name: &key.name, kind: key.kind.name(), ledger, versions: versions.collect() }
}

fn cells(version: &VersionShown) -> [String; 5] {
    [
        version.number.to_string(),
        version.state.name().to_owned(),
        UnixSeconds(version.activates_at).utc(),
        version.suite.map_or("-", Suite::name).to_owned(),
        if version.kid.is_empty() { "-".to_owned() } else { version.kid.clone() },
    ]
}

fn columns<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table
}

/// The table without the padding before its first column and after its last.
fn flush_left(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text
}

pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("strings and numbers always make JSON");
    print(&(text + "\n"))
}

pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure { exit: 70, message: format!("done, but the result cannot be printed ({error})") }),
        Ok(()) => Ok(()),
    }
}
