//! `countersign policy check` and `policy test`: what they say and how they end.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::service::{run, stderr, stdout};

const RULES: &str = r#"
[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs"
subdomains = true
max_ttl = "2h"
[[hub.apps]]
name = "acme"
key = "acme"
[[policy.rules]]
name = "web"
callers = ["spiffe://example.org/ns/web/*", "gid:50"]
verbs = ["mint", "verify"]
domains = ["*.example.com"]
max_ttl = "1h"
rate = 7
burst = 9
[[policy.rules]]
name = "contacts"
callers = ["dns:contacts.example.org"]
verbs = ["seal", "open"]
apps = ["acme", "other.*"]
"#;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.toml"), RULES).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `policy …` on this home's configuration: exit code and standard output.
    fn policy(&self, args: &[&str]) -> (i32, String, String) {
        let config = self.file("config.toml");
        let output = run(&[&["policy"], args, &["--config", config.to_str().unwrap()]].concat(), b"");
        (output.status.code().unwrap(), stdout(&output), stderr(&output))
    }

    fn check(&self, caller: &str, verb: &str, object: &str) -> (i32, String) {
        let (code, said, _) = self.policy(&["check", caller, verb, object]);
        (code, said)
    }

    fn test(&self, decisions: &str, more: &[&str]) -> (i32, String, String) {
        let file = self.file("decisions.toml");
        fs::write(&file, decisions).unwrap();
        self.policy(&[&["test", file.to_str().unwrap()], more].concat())
    }
}

#[test]
fn what_is_allowed_names_the_rule_how_it_matched_and_its_limits() {
    let home = Home::new();
    let (code, said) = home.check("spiffe://example.org/ns/web/sa/front", "mint", "domain:jobs.example.com");
    assert_eq!(code, 0, "{said}");
    for part in [
        "allowed: spiffe://example.org/ns/web/sa/front may mint domain:jobs.example.com",
        "\"web\"",
        "spiffe://example.org/ns/web/* (the longest prefix",
        "*.example.com (the longest pattern)",
        "3600 s, by the rule",
        "7 units a second, 9 at once",
        "yes, it is configured",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let (code, said) = home.check("uid:1,gid:50", "mint", "a.jobs.example.com");
    assert!(code == 0 && said.contains("its primary group") && said.contains("below the configured domain"), "{said}");
    let (code, said) = home.check("dns:contacts.example.org", "open", "app:other.one");
    assert!(code == 0 && said.contains("other.* ") && said.contains("NOT_FOUND"), "{said}");
}

#[test]
fn what_is_denied_names_the_rules_that_come_near() {
    let home = Home::new();
    let (code, said) = home.check("spiffe://example.org/ns/website/a", "mint", "jobs.example.com");
    assert!(code == 3 && said.starts_with("denied: ") && said.contains("NO_RULE"), "{said}");
    assert!(said.contains("rule \"web\" allows it to spiffe://example.org/ns/web/*, gid:50"), "{said}");
    let (code, said) = home.check("dns:contacts.example.org", "reseal", "acme");
    assert!(code == 3 && said.contains("rule \"contacts\" lets this caller seal, open it"), "{said}");
    let (code, said) = home.check("dns:contacts.example.org", "seal", "nobody");
    assert!(code == 3 && said.contains("do so on acme, other.*") && said.contains("shows to nobody"), "{said}");
    let (code, said) = home.check("uid:1", "mint", "jobs.example.com");
    assert!(code == 3 && said.contains("no gid was given"), "{said}");
}

#[test]
fn programs_get_the_same_as_json() {
    let home = Home::new();
    let json = |args: &[&str]| {
        let (code, said, _) = home.policy(&[&["check"], args, &["--output", "json"]].concat());
        (code, serde_json::from_str::<Value>(&said).unwrap_or_else(|_| panic!("{said}")))
    };
    let (code, allowed) = json(&["uid:1,gid:50", "mint", "domain:x.jobs.example.com"]);
    assert_eq!((code, &allowed["allowed"], &allowed["rule"]), (0, &Value::Bool(true), &"web".into()));
    assert_eq!((&allowed["callerPattern"], &allowed["objectPattern"]), (&"gid:50".into(), &"*.example.com".into()));
    assert_eq!((&allowed["configured"], &allowed["maxTtl"]["seconds"]), (&"jobs.example.com".into(), &"3600".into()));
    assert_eq!(allowed["rate"]["perSecond"], 7);
    let (code, denied) = json(&["uid:1,gid:50", "open", "app:acme"]);
    assert_eq!((code, &denied["allowed"]), (3, &Value::Bool(false)));
    assert_eq!((&denied["nearest"][0]["rule"], &denied["nearest"][0]["lacks"]), (&"contacts".into(), &"caller".into()));
}

#[test]
fn bad_usage_ends_with_2_and_a_line_that_helps() {
    let home = Home::new();
    for (args, word) in [
        (["root", "mint", "domain:jobs.example.com"], "uid:N"),
        (["spiffe://example.org", "mint", "domain:jobs.example.com"], "path is missing"),
        (["uid:1", "sign", "domain:jobs.example.com"], "reseal"),
        (["uid:1", "mint", "app:acme"], "domains only"),
        (["uid:1", "open", "domain:jobs.example.com"], "apps only"),
        (["uid:1", "verify", "nothing"], "domain:nothing or app:nothing"),
        (["uid:1", "mint", "domain:*.example.com"], "host name"),
        (["uid:1", "mint", "host:jobs.example.com"], "domain:NAME"),
    ] {
        let (code, said, error) = home.policy(&[&["check"], &args[..]].concat());
        assert!(
            code == 2 && said.is_empty() && error.lines().count() == 1 && error.contains(word),
            "{args:?}: {error}"
        );
    }
    fs::write(home.file("config.toml"), RULES.replace("verbs = [\"mint\"", "verbs = [\"sign\"")).unwrap();
    assert_eq!(home.check("uid:1", "mint", "jobs.example.com").0, 2, "a configuration that is refused");
    fs::remove_file(home.file("config.toml")).unwrap();
    assert_eq!(home.check("uid:1", "mint", "jobs.example.com").0, 2, "no configuration");
}

const AS_EXPECTED: &str = r#"
[[decisions]]
caller = "uid:1,gid:50"
verb = "mint"
object = "domain:jobs.example.com"
expect = "allow"
rule = "web"
max_ttl = "1h"
[[decisions]]
caller = "uid:1,gid:51"
verb = "mint"
object = "domain:jobs.example.com"
expect = "deny"
"#;

#[test]
fn a_file_of_expected_decisions_passes_or_says_what_was_found_instead() {
    let home = Home::new();
    let (code, said, _) = home.test(AS_EXPECTED, &[]);
    assert_eq!((code, said.as_str()), (0, "2 decisions, 0 not as expected\n"));

    let wrong = AS_EXPECTED.replace("gid:51", "gid:50").replace("\"1h\"", "\"2h\"");
    let (code, said, error) = home.test(&wrong, &[]);
    assert!(code == 1 && error.is_empty(), "{said}{error}");
    for part in
        ["decisions.toml:2: expected a max_ttl of 7200 s", "decisions.toml:9: expected to be denied", "2 not as"]
    {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(said.contains("  allowed: uid:1,gid:50 may mint") && said.contains("gid:50 (its primary group)"), "{said}");

    let (code, said, _) = home.test(&wrong, &["--output", "json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["ok"], &json["decisions"]), (1, &Value::Bool(false), &2.into()));
    assert_eq!((&json["failures"][1]["line"], &json["failures"][1]["actual"]["rule"]), (&9.into(), &"web".into()));
    let (code, said, _) = home.test(AS_EXPECTED, &["--output", "json"]);
    assert!(code == 0 && serde_json::from_str::<Value>(&said).unwrap()["ok"] == true, "{said}");
}

#[test]
fn a_file_that_cannot_be_meant_ends_with_2() {
    let home = Home::new();
    for (decisions, word) in [
        (AS_EXPECTED.replace("expect = \"deny\"", "expected = \"deny\""), "`expect`"),
        (AS_EXPECTED.replace("verb = \"mint\"", "verb = \"sign\""), "\"sign\" is no verb"),
        (String::new(), "[[decisions]]"),
    ] {
        let (code, said, error) = home.test(&decisions, &[]);
        assert!(code == 2 && said.is_empty() && error.lines().count() == 1 && error.contains(word), "{error}");
    }
    assert_eq!(home.policy(&["test", "/nonexistent/decisions.toml"]).0, 2);
}

/// The example that is shipped, on the examples in the configuration that is shipped.
#[test]
fn the_shipped_example_passes() {
    let home = Home::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    let config = fs::read_to_string(format!("{shipped}/config.toml")).unwrap().replace("#| ", "");
    fs::write(home.file("config.toml"), config).unwrap();
    let (code, said, error) = home.policy(&["test", &format!("{shipped}/policy-tests.toml")]);
    assert_eq!(code, 0, "{said}{error}");
}
