//! `policy check` and `policy test`: what the rules of a configuration decide, and why. Works on the file alone; no service
//! need run, and no key is read.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Failure, Output, print};
use crate::{
    config::{Config, Decision, Expected, Question, Rulebook, Target},
    hub::app::Ttl,
    policy::{Explanation, Lack, ObjectPattern, Rule},
};

/// Most rules that are shown as near misses.
const NEAREST: usize = 5;

#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Say whether a caller may do something, by which rule, and why not
    ///
    /// The order: exactly this caller, then the longest spiffe:// prefix, then shorter ones, then the peer's primary group,
    /// then *; under each, the object's name, then the longest pattern, then *. The first rule that grants the verb decides.
    ///
    /// Exit codes: 0 allowed, 3 denied, 2 bad usage or a configuration that is refused.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Compare decisions with those that a file expects
    ///
    /// The file is TOML: [[decisions]], each with caller, verb, object and expect ("allow" or "deny"), and if you like
    /// the rule and the longest lifetime. deploy/policy-tests.toml is an example.
    ///
    /// Exit codes: 0 all as expected, 1 not, 2 bad usage or a file that is refused.
    Test(TestArgs),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  countersign policy check spiffe://example.org/ns/web/sa/front mint domain:jobs.example.com
  countersign policy check uid:1001,gid:2000 open app:acme-contacts --config config.toml
  countersign policy check uid:990 admin key:acme-contacts";

#[derive(Args)]
pub(super) struct Rules {
    /// The configuration file whose rules are asked
    #[arg(long, value_name = "FILE", default_value = "/etc/countersign/config.toml")]
    config: PathBuf,
    /// How to print the result
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    #[arg(help = "spiffe://TRUST-DOMAIN/PATH, dns:NAME, uid:N, uid:N,gid:M or name:X")]
    caller: String,
    #[arg(
        help = "mint, verify, seal, open, reseal, revoke, login, renew, resolve, notify, portal_read, portal_login, portal_logout or admin"
    )]
    verb: String,
    /// domain:NAME, app:NAME or key:NAME; the bare name where only one of them can be meant
    object: String,
    #[command(flatten)]
    rules: Rules,
}

#[derive(Args)]
pub(super) struct TestArgs {
    /// The file of expected decisions
    file: PathBuf,
    #[command(flatten)]
    rules: Rules,
}

pub(super) fn run(command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Test(args) => test(args),
    }
}

fn rulebook(rules: &Rules) -> Result<Rulebook, Failure> {
    let config = Config::load(&rules.config).map_err(|error| Failure::usage(error.to_string()))?;
    Rulebook::new(&config).map_err(|problem| Failure::usage(format!("{}: {problem}", rules.config.display())))
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let rulebook = rulebook(&args.rules)?;
    let question = rulebook.question(&args.caller, &args.verb, &args.object).map_err(Failure::usage)?;
    let decision = rulebook.decide(&question);
    match args.rules.output {
        Output::Text => print(&explained(&question, &decision, "")),
        Output::Json => print(&format!("{}\n", as_json(&question, &decision))),
    }?;
    match decision.allowed {
        Some(_) => Ok(()),
        // Said already.
        None => Err(Failure { exit: 3, message: String::new() }),
    }
}

fn test(args: &TestArgs) -> Result<(), Failure> {
    let rulebook = rulebook(&args.rules)?;
    let all = Expected::load(&args.file, &rulebook).map_err(|error| Failure::usage(error.to_string()))?;
    let decided = all.iter().map(|expected| (expected, rulebook.decide(&expected.question)));
    let failed: Vec<_> =
        decided.filter_map(|(expected, found)| Some((expected.differs(&found)?, expected, found))).collect();
    let file = args.file.display();
    match args.rules.output {
        Output::Text => {
            let mut text = String::new();
            for (problem, expected, found) in &failed {
                let _ = writeln!(text, "{file}:{}: {problem}", expected.line);
                text.push_str(&explained(&expected.question, found, "  "));
                text.push('\n');
            }
            let _ = writeln!(text, "{} decisions, {} not as expected", all.len(), failed.len());
            print(&text)
        }
        Output::Json => {
            let failures: Vec<Value> = failed
                .iter()
                .map(|(problem, expected, found)| {
                    json!({ "line": expected.line, "problem": problem, "actual": as_json(&expected.question, found) })
                })
                .collect();
            print(&format!("{}\n", json!({ "ok": failed.is_empty(), "decisions": all.len(), "failures": failures })))
        }
    }?;
    if failed.is_empty() { Ok(()) } else { Err(Failure::verdict()) }
}

/// For people: the decision in a line, then what it rests on.
fn explained(question: &Question, decision: &Decision<'_>, indent: &str) -> String {
    let Question { caller, verb, target } = question;
    let mut lines = Vec::new();
    if let Some(why) = &decision.allowed {
        lines.push(format!("allowed: {caller} may {verb} {target}"));
        lines.push(format!("  rule     {:?}", why.rule.name));
        lines.push(format!("  caller   {} ({})", why.caller, caller_match(why)));
        lines.push(format!("  object   {} ({})", why.object, object_match(why)));
        if let Some(limit) = decision.max_ttl {
            let length = match limit.ttl {
                Ttl::Seconds(seconds) => format!("{seconds} s"),
                Ttl::Never => "never".into(),
            };
            lines.push(format!("  max_ttl  {length}, by the {}", limit.whose));
        }
        if let Some(rate) = why.rule.limits.rate {
            lines.push(format!("  rate     {rate}, for each identity"));
        }
    } else {
        lines.push(format!("denied: no rule lets {caller} {verb} {target} (PERMISSION_DENIED, NO_RULE)"));
        lines.extend(decision.nearest.iter().take(NEAREST).map(|near| format!("  nearest  {}", miss(*near))));
        if decision.nearest.len() > NEAREST {
            lines.push(format!("           and {} more rules", decision.nearest.len() - NEAREST));
        }
    }
    if decision.groups_not_asked {
        lines.push("  note     no gid was given, so no rule for a group fits; write uid:N,gid:M".into());
    }
    lines.push(match decision.configured {
        _ if matches!(target, Target::Key(_)) => {
            "  exists   `countersign keys list` knows: keys are in the keyring".into()
        }
        Some(name) if target.to_string().ends_with(&format!(":{name}")) => "  exists   yes, it is configured".into(),
        Some(name) => format!("  exists   yes, as a name below the configured domain {name}, whose rules hold"),
        None if decision.allowed.is_some() => "  exists   no, it is not configured: the answer is NOT_FOUND".into(),
        None => "  exists   no, it is not configured; without a rule that shows to nobody".into(),
    });
    lines.iter().fold(String::new(), |text, line| text + indent + line + "\n")
}

fn caller_match(why: &Explanation<'_>) -> &'static str {
    use crate::policy::CallerPattern as P;
    match why.caller {
        P::Spiffe(_) | P::Dns(_) | P::Uid(_) | P::Named(_) => "exactly this caller",
        P::SpiffePrefix(_) => "the longest prefix that grants it",
        P::Gid(_) => "its primary group",
        P::Any => "every caller",
    }
}

fn object_match(why: &Explanation<'_>) -> &'static str {
    match why.object {
        ObjectPattern::Exact(_) => "exactly this name",
        ObjectPattern::Glob(_) => "the longest pattern",
        ObjectPattern::Any => "every name",
    }
}

/// What a rule lacks, in a line.
fn miss((lack, rule): (Lack, &Rule)) -> String {
    let name = &rule.name;
    match lack {
        Lack::Caller => format!("rule {name:?} allows it to {}", list(&rule.callers)),
        Lack::Verb => format!("rule {name:?} lets this caller {} it", list(&rule.verbs)),
        Lack::Object => {
            format!(
                "rule {name:?} lets this caller do so on {}",
                list(rule.domains.iter().chain(&rule.apps).chain(&rule.keys))
            )
        }
    }
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match all.len() {
        0..=NEAREST => all.join(", "),
        n => format!("{} and {} more", all[..NEAREST].join(", "), n - NEAREST),
    }
}

/// For programs. 64-bit numbers are text, as in proto3 JSON.
fn as_json(question: &Question, decision: &Decision<'_>) -> Value {
    let mut value = json!({
        "allowed": decision.allowed.is_some(),
        "caller": question.caller.to_string(),
        "verb": question.verb.name(),
        "object": question.target.to_string(),
        "configured": decision.configured,
    });
    if let Some(why) = &decision.allowed {
        value["rule"] = json!(why.rule.name);
        value["callerPattern"] = json!(why.caller.to_string());
        value["objectPattern"] = json!(why.object.to_string());
        value["rate"] = json!(why.rule.limits.rate.map(|r| json!({ "perSecond": r.per_second, "burst": r.burst })));
        value["maxTtl"] = match decision.max_ttl {
            None => Value::Null,
            Some(limit) => match limit.ttl {
                Ttl::Seconds(seconds) => json!({ "seconds": seconds.to_string(), "by": limit.whose }),
                Ttl::Never => json!({ "seconds": "never", "by": limit.whose }),
            },
        };
    } else {
        let lacks = |lack| match lack {
            Lack::Caller => "caller",
            Lack::Verb => "verb",
            Lack::Object => "object",
        };
        let nearest = decision.nearest.iter();
        value["nearest"] = nearest.map(|(lack, rule)| json!({ "rule": rule.name, "lacks": lacks(*lack) })).collect();
    }
    value
}
