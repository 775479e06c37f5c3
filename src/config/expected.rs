//! A file of decisions that somebody expects of the rules, for their continuous integration.

use std::{fs, path::Path};

use serde::Deserialize;

use super::{
    ConfigError,
    decision::{Decision, Question, Rulebook},
    duration::{Lifetime, parse_lifetime},
};
use crate::hub::app::Ttl;

/// One expected decision.
#[derive(Debug)]
pub struct Expected {
    /// Where it stands in the file.
    pub line: usize,
    /// What is asked.
    pub question: Question,
    /// Whether it shall be allowed.
    pub allowed: bool,
    /// The rule that shall decide.
    rule: Option<String>,
    /// The longest lifetime that it shall be possible to ask for.
    max_ttl: Option<Ttl>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    decisions: Vec<toml::Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    caller: String,
    verb: String,
    object: String,
    expect: String,
    rule: Option<String>,
    max_ttl: Option<String>,
}

impl Expected {
    /// Reads a file of `[[decisions]]`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its line.
    pub fn load(path: &Path, rulebook: &Rulebook) -> Result<Vec<Self>, ConfigError> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{shown}: cannot be read ({error}); check the path and its mode")))?;
        Self::parse(&text, rulebook).map_err(|problem| ConfigError(format!("{shown}: {problem}")))
    }

    /// Reads the text of one.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its line.
    pub fn parse(text: &str, rulebook: &Rulebook) -> Result<Vec<Self>, String> {
        let line_at = |place: usize| text[..place].matches('\n').count() + 1;
        let file: RawFile = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_at(span.start));
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        if file.decisions.is_empty() {
            return Err("it expects nothing; write [[decisions]] with caller, verb, object and expect".into());
        }
        let read = |raw: &toml::Spanned<Raw>| {
            let line = line_at(raw.span().start);
            Self::read(raw.get_ref(), line, rulebook).map_err(|problem| format!("line {line}: {problem}"))
        };
        file.decisions.iter().map(read).collect()
    }

    fn read(raw: &Raw, line: usize, rulebook: &Rulebook) -> Result<Self, String> {
        let allowed = match raw.expect.as_str() {
            "allow" => true,
            "deny" => false,
            other => return Err(format!("expect {other:?} is unknown; write \"allow\" or \"deny\"")),
        };
        if !allowed && (raw.rule.is_some() || raw.max_ttl.is_some()) {
            return Err("what is denied has neither rule nor max_ttl; take them out, or expect \"allow\"".into());
        }
        let max_ttl = match raw.max_ttl.as_deref().map(parse_lifetime) {
            None => None,
            Some(Ok(Lifetime::Seconds(seconds))) => Some(Ttl::Seconds(seconds)),
            Some(Ok(Lifetime::Never)) => Some(Ttl::Never),
            Some(Err(problem)) => return Err(format!("max_ttl: {problem}")),
        };
        let question = rulebook.question(&raw.caller, &raw.verb, &raw.object)?;
        Ok(Self { line, question, allowed, rule: raw.rule.clone(), max_ttl })
    }

    /// What is not as expected; `None`: all is.
    #[must_use]
    pub fn differs(&self, found: &Decision<'_>) -> Option<String> {
        let Some(why) = &found.allowed else {
            return self.allowed.then(|| "expected to be allowed, and is denied".into());
        };
        if !self.allowed {
            return Some("expected to be denied, and is allowed".into());
        }
        if let Some(rule) = self.rule.as_ref().filter(|rule| **rule != why.rule.name) {
            return Some(format!("expected to be allowed by rule {rule:?}, and is by {:?}", why.rule.name));
        }
        let actual = found.max_ttl.map(|limit| limit.ttl);
        let expected = self.max_ttl.filter(|_| self.max_ttl != actual)?;
        let said = actual.map_or("none".to_owned(), text_of);
        Some(format!("expected a max_ttl of {}, and it is {said}", text_of(expected)))
    }
}

fn text_of(ttl: Ttl) -> String {
    match ttl {
        Ttl::Seconds(seconds) => format!("{seconds} s"),
        Ttl::Never => "never".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Config, *};

    const SHIPPED: &str = include_str!("../../deploy/config.toml");
    const EXAMPLE: &str = include_str!("../../deploy/policy-tests.toml");

    fn rulebook(config: &str) -> Rulebook {
        Rulebook::new(&Config::parse(config, Path::new("")).unwrap()).unwrap()
    }

    fn problem(text: &str) -> String {
        let problem = Expected::parse(text, &rulebook("")).unwrap_err();
        assert!(!problem.contains('\n'), "{problem}");
        problem
    }

    /// The examples in the shipped configuration are lines that start with `#| `.
    #[test]
    fn the_example_file_holds_for_the_examples_of_the_shipped_configuration() {
        let rulebook = rulebook(&SHIPPED.replace("#| ", ""));
        let all = Expected::parse(EXAMPLE, &rulebook).unwrap();
        assert!(all.iter().any(|expected| expected.allowed) && all.iter().any(|expected| !expected.allowed));
        for expected in &all {
            assert_eq!(expected.differs(&rulebook.decide(&expected.question)), None, "line {}", expected.line);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        let one = |more: &str| {
            problem(&format!("\n[[decisions]]\ncaller = \"uid:1\"\nverb = \"mint\"\nobject = \"a.example\"\n{more}"))
        };
        assert!(one("").contains("missing field `expect`"));
        let unknown = one("expect = \"allow\"\nmax_tll = \"1h\"");
        assert!(unknown.starts_with("line 7: unknown field `max_tll`") && unknown.contains("`max_ttl`"), "{unknown}");
        let said = one("expect = \"yes\"");
        assert!(said.starts_with("line 2: expect \"yes\"") && said.contains("\"deny\""), "{said}");
        assert!(one("expect = \"deny\"\nrule = \"r\"").contains("what is denied"));
        assert!(one("expect = \"allow\"\nmax_ttl = \"long\"").contains("max_ttl"));
        assert!(problem("").contains("[[decisions]]"));
        assert!(problem("[[decision]]").contains("`decisions`"));
    }

    #[test]
    fn each_way_to_differ_is_told() {
        let rules = "[[liveauth.domains]]\nname = \"a.example\"\nkey = \"k\"\n\
                     [[policy.rules]]\nname = \"r\"\ncallers = [\"uid:1\"]\nverbs = [\"mint\"]\ndomains = [\"*\"]\nmax_ttl = \"10m\"";
        let rulebook = rulebook(rules);
        let differs = |caller: &str, more: &str| {
            let text = format!("[[decisions]]\ncaller = \"{caller}\"\nverb = \"mint\"\nobject = \"a.example\"\n{more}");
            let all = Expected::parse(&text, &rulebook).unwrap();
            all[0].differs(&rulebook.decide(&all[0].question))
        };
        assert_eq!(differs("uid:1", "expect = \"allow\"\nrule = \"r\"\nmax_ttl = \"600\""), None);
        assert_eq!(differs("uid:2", "expect = \"deny\""), None);
        for (caller, more, word) in [
            ("uid:2", "expect = \"allow\"", "is denied"),
            ("uid:1", "expect = \"deny\"", "is allowed"),
            ("uid:1", "expect = \"allow\"\nrule = \"s\"", "is by \"r\""),
            ("uid:1", "expect = \"allow\"\nmax_ttl = \"1h\"", "it is 600 s"),
            ("uid:1", "expect = \"allow\"\nmax_ttl = \"never\"", "it is 600 s"),
        ] {
            let said = differs(caller, more).unwrap();
            assert!(said.contains(word), "{said}");
        }
    }
}
