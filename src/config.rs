//! The configuration: a raw twin of the file, refused where a key is unknown, then a typed value that is
//! checked as a whole, then built into what serves. Reads no secret; the keyring is named, not opened.

mod advice;
mod decision;
mod duration;
mod expected;
mod journal;
mod kek;
mod listen;
mod object;
mod outbound;
mod raw;
mod rotation;
mod rule;
mod tls;
mod typed;

pub use decision::{Decision, MaxTtl, Question, Rulebook, Target};
pub use duration::{Lifetime, parse_lifetime, parse_seconds};
pub use expected::Expected;
pub use rotation::{Interval, interval_of};
pub use typed::{AppSpec, Config, DomainSpec, Landlock, Log, LogFormat};

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::{crypto::digest, keystore::Location};

/// Why a configuration is refused, in one line that says what to do.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Config {
    /// Reads and checks a file. Relative paths in it are taken from the folder it lies in.
    ///
    /// # Errors
    /// The first [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{shown}: cannot be read ({error}); check the path and its mode")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|problem| ConfigError(format!("{shown}: {problem}")))
    }

    /// Checks the text of a file that lies in `folder`.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let raw: raw::Raw = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        let mut config = typed::check(kek::settled(raw, text), folder)?;
        config.digest = digest::of_file(text.as_bytes());
        Ok(config)
    }

    /// What is allowed, but likely not meant. One line each.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        advice::of(self)
    }
}

/// Seconds from the staging of a new version to its use, where no configuration says otherwise.
pub const PROPAGATION: i64 = 300;

/// What a command that works on the keyring takes from a configuration.
pub struct KeyringHome {
    /// Where the keyring lies.
    pub location: Location,
    /// Whether keys must lie in locked memory.
    pub require_mlock: bool,
    /// Seconds from the staging of a new version to its use, where nobody says otherwise.
    pub propagation: i64,
    /// Where the ledger lies, if there is to be one.
    pub ledger: Option<PathBuf>,
}

/// The keyring of this configuration.
///
/// # Errors
/// What is wrong with the file, in one line.
pub fn keyring_home(path: &Path) -> Result<KeyringHome, String> {
    let config = Config::load(path).map_err(|error| error.to_string())?;
    let Config { keyring: location, require_mlock, propagation, ledger, .. } = config;
    Ok(KeyringHome { location, require_mlock, propagation, ledger })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../deploy/config.toml");

    #[test]
    fn the_shipped_file_says_the_defaults() {
        let shipped: raw::Raw = toml::from_str(SHIPPED).unwrap();
        assert_eq!(shipped, raw::Raw::default());
    }

    #[test]
    fn an_empty_file_has_the_propagation_that_commands_take_without_one() {
        assert_eq!(Config::parse("", Path::new("")).unwrap().propagation, PROPAGATION);
    }

    #[test]
    fn the_shipped_file_names_every_setting() {
        let text = toml::to_string(&raw::Raw::default()).unwrap();
        let defaults: toml::Table = toml::from_str(&text).unwrap();
        let shipped: toml::Table = toml::from_str(SHIPPED).unwrap();
        for (section, settings) in &defaults {
            let toml::Value::Table(settings) = settings else { continue };
            for (name, value) in settings {
                if value.as_array().is_some_and(Vec::is_empty) {
                    continue; // lists of tables, which the examples show
                }
                assert!(shipped[section].get(name).is_some(), "deploy/config.toml lacks {section}.{name}");
            }
        }
    }

    /// The examples in the shipped file are lines that start with `#| `: with the mark removed they must be taken.
    #[test]
    fn the_examples_in_the_shipped_file_are_taken() {
        let text = SHIPPED.replace("#| ", "");
        assert_ne!(text, SHIPPED);
        let config = Config::parse(&text, Path::new("/etc/countersign")).unwrap();
        assert_eq!((config.domains.len(), config.apps.len(), config.rules.len()), (2, 1, 4));
        // The file says both defaults and examples, and this one of them is for who lets the service write its keyring.
        let advice = config.advice();
        assert!(advice.len() == 1 && advice[0].contains("keyring.rotate"), "{advice:?}");
    }

    fn problem(text: &str) -> String {
        match Config::parse(text, Path::new("")) {
            Ok(_) => panic!("taken: {text}"),
            Err(problem) => {
                assert!(!problem.contains('\n'), "{problem}");
                problem
            }
        }
    }

    #[test]
    fn an_unknown_setting_is_refused_with_its_line_and_the_known_ones() {
        let said = problem("[limits]\n\nmessage_byte = 3\n");
        assert!(said.starts_with("line 3: unknown field `message_byte`") && said.contains("`message_bytes`"), "{said}");
        assert!(problem("[listn]\n").contains("unknown field `listn`"));
    }

    #[test]
    fn contradictions_are_refused() {
        for (text, word) in [
            ("[limits]\nmessage_bytes = 0", "message_bytes"),
            ("[limits]\nbatch_bytes = 10", "batch_bytes"),
            ("[process]\nlandlock = \"yes\"", "landlock"),
            ("[limits]\nrate = \"fast\"", "rate"),
            ("[keyring]\nkek_file = \"kek\"\nkek_credential = \"kek\"", "kek_file, keyring.kek_credential"),
            ("[keyring]\nkek_credential = \"kek\"\nkek_passphrase_fd = 3", "kek_credential, keyring.kek_passphrase_fd"),
            ("[keyring]\nkek_file = \"\"", "names no source"),
            ("[keyring]\nkek_credential = \"../kek\"", "kek_credential"),
            ("[keyring]\nkek_passphrase_fd = 2", "kek_passphrase_fd"),
            ("[keyring]\nkek_kms_socket = \"s\"\nkek_kms_timeout = \"0s\"", "kek_kms_timeout"),
            ("[keyring]\nkek_kms_poll = \"never\"", "kek_kms_poll"),
            ("[limits]\ndeadline = \"0s\"", "deadline"),
            ("[hub]\nseal_alarm = 10\nseal_limit = 5", "seal_alarm"),
            ("[[liveauth.domains]]\nname = \"a.example\"\nkey = \"k\"\nttl = \"2h\"", "ttl"),
            ("[[liveauth.domains]]\nname = \"a.example\"\nkey = \"k\"\nmax_ttl = \"2d\"", "max_ttl"),
            ("[[liveauth.domains]]\nname = \"a.example\"\nkey = \"k\"\nleeway = \"31s\"", "leeway"),
            ("[[liveauth.domains]]\nname = \"co.uk\"\nkey = \"k\"\nsubdomains = true", "public suffix"),
            ("[[liveauth.domains]]\nname = \"127.0.0.1\"\nkey = \"k\"", "127.0.0.1"),
            ("[[liveauth.domains]]\nname = \"a.example\"\nkey = \"K\"", "key name"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\nttl = \"never\"", "max_ttl"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\nmax_ttl = \"401d\"", "400"),
            ("[[hub.apps]]\nname = \"A b\"\nkey = \"k\"", "name"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\nmax_chars = 100", "max_chars"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\npad_to = 6048", "pad_to"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\nusername_form = \"fold\"", "username_form"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\ngeneration = 3", "generation"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\norigins = [\"http://127.0.0.1:8080\"]", "insecure_loopback"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\norigins = [\"hub.example.com\"]", "https://"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\norigins = [\"http://hub.example.com\"]", "https://"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\norigins = [\"https://hub.example.com/v1\"]", "more than a host"),
            (
                "[[hub.apps]]\nname = \"a\"\nkey = \"k\"\norigins = [\"https://h.example\", \"https://H.example:443\"]",
                "twice",
            ),
            (
                "[[hub.apps]]\nname = \"a\"\nkey = \"k\"\norigins = [\"https://h.example\"]\nnotify_origin = \"https://i.example\"",
                "notify_origin",
            ),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\nhub_name = \"..\"", "hub_name"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\nhub_name = \"\"", "hub_name"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\ngeneration = 1\ndelivery = \"xml\"", "delivery"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\ndelivery = \"form\"", "generation = 1"),
            ("[[hub.apps]]\nname = \"a\"\nkey = \"k\"\nbind_hub_login_token = true", "generation = 1"),
            ("[reload]\npoll = \"never\"", "off"),
            ("[reload]\npoll = \"0s\"", "off"),
            (
                "[[policy.rules]]\nname = \"r\"\ncallers = [\"*\"]\nverbs = [\"mint\"]\ndomains = [\"*\"]\nrate = 0",
                "rate",
            ),
            (
                "[[policy.rules]]\nname = \"r\"\ncallers = [\"*\"]\nverbs = [\"mint\"]\ndomains = [\"*\"]\nburst = 9",
                "rate",
            ),
            (
                "[[policy.rules]]\nname = \"r\"\ncallers = [\"spiffe://t/a*\"]\nverbs = [\"mint\"]\ndomains = [\"*\"]",
                "slash",
            ),
            ("[[policy.rules]]\nname = \"r\"\ncallers = [\"root\"]\nverbs = [\"mint\"]\ndomains = [\"*\"]", "root"),
            ("[[policy.rules]]\nname = \"r\"\ncallers = [\"*\"]\nverbs = [\"sign\"]\ndomains = [\"*\"]", "sign"),
            ("[[policy.rules]]\nname = \"r\"\ncallers = [\"*\"]\nverbs = [\"mint\"]\napps = [\"*\"]", "domains"),
            ("[[policy.rules]]\nname = \"r\"\ncallers = [\"*\"]\nverbs = [\"admin\"]\napps = [\"*\"]", "needs keys"),
            ("[[policy.rules]]\nname = \"r\"\ncallers = [\"*\"]\nverbs = [\"admin\"]\nkeys = [\"a*\"]", "key pattern"),
            ("[listen]\nunix = \"a/s\"\nadmin = \"s\"", "listen.admin"),
            ("[outbound]\ntimeout = \"61s\"", "outbound.timeout"),
            ("[outbound]\nconnect_timeout = \"5s\"", "shorter than outbound.timeout"),
            ("[outbound]\nconnect_timeout = \"4s\"\n[liveauth]\ntimeout = \"4s\"", "shorter than liveauth.timeout"),
            ("[outbound]\nresponse_bytes = 10", "response_bytes"),
            ("[liveauth]\nendpoint = \"www.idibu.com\"", "absolute URL"),
            ("[liveauth]\nendpoint = \"ftp://www.idibu.com/\"", "https"),
            ("[liveauth]\nendpoint = \"https://u:p@www.idibu.com/\"", "user"),
            ("[liveauth]\nendpoint = \"https://www.idibu.com/?a=b\"", "query"),
            ("[liveauth]\nendpoint = \"http://127.0.0.1/\"", "insecure_loopback"),
        ] {
            let said = problem(text);
            assert!(said.contains(word), "{text}\n{said}");
        }
    }

    #[test]
    fn one_source_of_the_kek_is_enough_and_the_default_gives_way_to_it() {
        let kek = |text: &str| {
            let config = Config::parse(&format!("[keyring]\n{text}"), Path::new("/etc")).unwrap();
            config.keyring.kek.to_string()
        };
        assert_eq!(kek(""), "the KEK file \"/etc/countersign/kek\"");
        assert_eq!(kek("kek_file = \"kek\""), "the KEK file \"/etc/kek\"");
        assert_eq!(kek("kek_credential = \"kek\""), "the credential kek");
        assert_eq!(kek("kek_file = \"\"\nkek_credential = \"kek\""), "the credential kek");
        assert_eq!(kek("kek_kms_socket = \"/run/kms.sock\""), "the KMS plugin at \"/run/kms.sock\"");
        assert_eq!(kek("kek_kms_socket = \"unix:///run/kms.sock\""), "the KMS plugin at \"/run/kms.sock\"");
        assert_eq!(kek("kek_passphrase_fd = 3"), "the passphrase from file descriptor 3");
    }

    const SHARING: &str = "[[liveauth.domains]]\nname = \"a.example\"\nkey = \"k\"\n\
                           [[liveauth.domains]]\nname = \"b.example\"\nkey = \"k\"\n";

    fn minting(name: &str, callers: &str, domains: &str) -> String {
        format!("[[policy.rules]]\nname = {name:?}\ncallers = [{callers}]\nverbs = [\"mint\"]\ndomains = [{domains}]\n")
    }

    #[test]
    fn rules_that_grant_half_of_a_shared_secret_are_pointed_out_for_every_kind_of_caller() {
        let kinds = ["uid:7", "gid:7", "name:x", "dns:a.b", "spiffe://t/a", "spiffe://t/a/*", "spiffe://t/*", "*"];
        for caller in kinds {
            let quoted = format!("{caller:?}");
            let half = format!("{SHARING}{}", minting("half", &quoted, "\"a.example\""));
            let advice = Config::parse(&half, Path::new("")).unwrap().advice();
            let told =
                |line: &String| ["half", caller, "a.example", "b.example"].iter().all(|word| line.contains(word));
            assert!(advice.iter().any(told), "{caller}: {advice:?}");
            // Another rule gives the same caller the rest.
            let whole = format!("{half}{}", minting("rest", &quoted, "\"*.example\""));
            assert_eq!(Config::parse(&whole, Path::new("")).unwrap().advice(), [""; 0], "{caller}");
        }
    }

    #[test]
    fn callers_to_whom_more_is_granted_by_a_wider_rule_are_left_out_of_the_advice() {
        let rules = [
            minting("half", "\"spiffe://t/a/*\", \"uid:7\"", "\"a.example\""),
            minting("rest", "\"spiffe://t/*\"", "\"*\""),
        ];
        let advice = Config::parse(&format!("{SHARING}{}", rules.concat()), Path::new("")).unwrap().advice();
        assert!(advice.len() == 1 && advice[0].contains("uid:7") && !advice[0].contains("spiffe"), "{advice:?}");
    }

    #[test]
    fn logins_of_generation_1_without_a_ledger_are_pointed_out() {
        let text = |generation: u8| {
            format!(
                "[ledger]\npath = \"\"\n[[hub.apps]]\nname = \"a\"\nkey = \"k\"\ngeneration = {generation}\norigins = [\"https://h.example\"]\n"
            )
        };
        let told = |generation| {
            let advice = Config::parse(&text(generation), Path::new("")).unwrap().advice();
            advice.iter().any(|line| line.contains("app a is of generation 1"))
        };
        assert_eq!((told(1), told(2)), (true, false));
    }

    #[test]
    fn a_rate_that_is_never_reached_is_pointed_out() {
        let text = format!("{}rate = 20001\n", minting("fast", "\"*\"", "\"*\""));
        let advice = Config::parse(&text, Path::new("")).unwrap().advice();
        assert!(advice.len() == 1 && advice[0].contains("limits.rate"), "{advice:?}");
    }
}
