//! `countersign keys` killed while it changes a key, at random moments and at each system call: what was said to be done
//! is done, what was not is done whole or not at all, nothing piles up, and the next change works.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use countersign::{
    clock::Clock,
    keyring::{Key, Keyring, State},
};

use crate::run::{Done, Home, feed, say_skipped, skipped};

const KILLS: usize = 240;

/// What is known of the versions of key `k`, by number.
type Known = BTreeMap<u32, State>;

fn states(home: &Home) -> (u64, Known) {
    let loaded = home.load();
    let generation = loaded.generation;
    let keys = Keyring::new(loaded.keys).unwrap();
    let now = Clock::system().now();
    let of = |key: &Key| key.versions().iter().map(|v| (v.number, key.state(v, now))).collect();
    (generation, keys.keys().next().map(|key| of(key)).unwrap_or_default())
}

/// What is to be done next to a key with these versions, and what it has then. Which it is goes round, so that each act meets
/// each kill.
fn next(round: usize, known: &Known) -> (Vec<String>, Known) {
    let last_in = |states: &[State]| known.iter().rev().find(|(_, state)| states.contains(state)).map(|(&n, _)| n);
    let act = |act: &str, number: u32| -> Vec<String> {
        [act, "--key", "k", "--key-version", &number.to_string()].map(String::from).into()
    };
    let changed = |number: u32, state| {
        let mut known = known.clone();
        known.insert(number, state);
        known
    };
    let marked = match round % 6 {
        0 => last_in(&[State::Active]).map(|n| (act("suspend", n), changed(n, State::Suspended))),
        1 => last_in(&[State::Deactivated]).map(|n| (act("mark-compromised", n), changed(n, State::Compromised))),
        2 => last_in(&[State::Compromised, State::Deactivated])
            .map(|n| ([act("destroy", n), vec!["--force".into()]].concat(), changed(n, State::Destroyed))),
        _ => None,
    };
    marked.unwrap_or_else(|| {
        let mut known = known.clone();
        for state in known.values_mut().filter(|state| **state == State::Active) {
            *state = State::Deactivated;
        }
        let number = known.keys().last().unwrap() + 1;
        known.insert(number, State::Active);
        let now = Clock::system().now().to_string();
        (["rotate", "--key", "k", "--activate-at", &now].map(String::from).into(), known)
    })
}

fn command(home: &Home, act: &[String]) -> Command {
    let args: Vec<&str> = act[1..].iter().map(String::as_str).collect();
    home.command(&act[0], &args)
}

fn home() -> Home {
    let home = Home::new();
    home.keys("create", &["--key", "k", "--kind", "hat1"], b"").well();
    home
}

/// That the keyring is what it was or what the change makes it, the latter if it was said to be done; what it is.
fn judge(home: &Home, before: &(u64, Known), after: &Known, said_done: bool, what: &str) -> (u64, Known) {
    let there = states(home);
    let done = there == (before.0 + 1, after.clone());
    assert!(
        done || (!said_done && there == *before),
        "{what}: {before:?} became {there:?}, and said done: {said_done}"
    );
    there
}

fn names(home: &Home) -> Vec<String> {
    fs::read_dir(home.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A keyring at rest is so many files and no more.
fn tidy(home: &Home) {
    home.keys("rotate", &["--key", "k", "--activate-at", &Clock::system().now().to_string()], b"").well();
    let known = ["keyring", "kek", "keyring.lock", "keyring.generation", "keyring.previous"];
    let others: Vec<_> = names(home).into_iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn what_was_done_before_a_kill_at_any_moment_stays_done() {
    let home = home();
    let mut known = states(&home);
    let begin = Instant::now();
    home.keys("list", &[], b"").well();
    // Kills are spread over what a change takes and some more.
    let span = u64::try_from(begin.elapsed().as_micros()).unwrap() * 3 + 20_000;
    let (mut done, mut most) = (0, 0);
    for round in 0..KILLS {
        let (act, after) = next(round, &known.1);
        let mut writer = command(&home, &act);
        let mut writer = writer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // By a multiple of the golden ratio, which leaves no part of the span out.
        let part = (round as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        thread::sleep(Duration::from_micros((span * part) >> 32));
        let _ = writer.kill();
        let said_done = writer.wait().unwrap().success();
        known = judge(&home, &known, &after, said_done, &act.join(" "));
        done += usize::from(said_done);
        most = most.max(names(&home).len());
    }
    assert!(done > 0 && done < KILLS, "{done} of {KILLS} were done: the kills all came too soon or too late");
    // Each writer clears away what the one before it left: at most two temporary files, whatever was killed.
    assert!(most <= 5 + 2, "{most} files");
    tidy(&home);
}

#[test]
fn every_act_survives_a_kill_at_each_of_its_system_calls() {
    let Ok(probe) = Command::new("strace").args(["-o", "/dev/null", "true"]).output() else { return skipped("strace") };
    if !probe.status.success() {
        say_skipped("ptrace");
        return;
    }
    let home = home();
    let mut known = states(&home);
    let mut killed = 0;
    for call in ["write", "fsync", "linkat,link", "rename,renameat,renameat2", "unlink,unlinkat"] {
        for kind in [3, 0, 1, 2] {
            for when in 1..=8 {
                let (act, after) = next(kind, &known.1);
                let plain = command(&home, &act);
                let mut traced = Command::new("strace");
                traced.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
                traced.args(["-e", &format!("inject={call}:signal=SIGKILL:when={when}")]);
                let traced: Done = feed(traced.arg(plain.get_program()).args(plain.get_args()), b"");
                let what = format!("{call} {when} of {}", act.join(" "));
                known = judge(&home, &known, &after, traced.exit == 0, &what);
                if traced.exit == 0 {
                    break;
                }
                killed += 1;
            }
        }
    }
    assert!(killed > 40, "only {killed} were killed");
    tidy(&home);
}

#[test]
fn processes_that_do_different_things_to_one_keyring_at_once_lose_nothing() {
    let home = home();
    for number in 2..=5 {
        home.keys("rotate", &["--key", "k", "--activate-at", &Clock::system().now().to_string()], b"").well();
        assert_eq!(states(&home).1[&number], State::Active);
    }
    let generation = states(&home).0;
    let acts = [["destroy", "1"], ["mark-compromised", "2"], ["suspend", "3"], ["suspend", "5"], ["destroy", "4"]];
    let start = |[act, number]: [&str; 2]| {
        let mut writer = home.command(act, &["--key", "k", "--key-version", number]);
        // By no ledger: it would say that nothing is known.
        writer.args((act == "destroy").then_some("--force"));
        writer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    // The same twice: one of the two does it, and the other is told that it is done.
    let writers: Vec<_> = acts.into_iter().chain(acts).map(start).collect();
    let exits: Vec<_> = writers.into_iter().map(|mut writer| writer.wait().unwrap().code().unwrap()).collect();
    assert_eq!(exits.iter().filter(|exit| **exit == 0).count(), acts.len(), "{exits:?}");
    let (now, known) = states(&home);
    assert_eq!(now, generation + acts.len() as u64);
    let expected =
        [State::Destroyed, State::Compromised, State::Suspended, State::Destroyed, State::Suspended].into_iter();
    assert_eq!(known, (1..).zip(expected).collect());
    tidy(&home);
}

#[test]
fn a_backup_killed_at_each_step_is_whole_or_not_there_and_so_is_what_is_restored_from_it() {
    let Ok(probe) = Command::new("strace").args(["-o", "/dev/null", "true"]).output() else { return skipped("strace") };
    if !probe.status.success() {
        say_skipped("ptrace");
        return;
    }
    let home = home();
    let traced = |call: &str, when: usize, command: &Command| -> Done {
        let mut traced = Command::new("strace");
        traced.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        traced.args(["-e", &format!("inject={call}:signal=SIGKILL:when={when}")]);
        feed(traced.arg(command.get_program()).args(command.get_args()), b"")
    };
    let kept = tempfile::tempdir().unwrap();
    let good = kept.path().join("good");
    home.keys("backup", &["--to", good.to_str().unwrap()], b"").well();
    for call in ["write", "fsync", "linkat,link", "rename,renameat,renameat2", "unlink,unlinkat"] {
        for when in 1..=8 {
            let to = kept.path().join(format!("{}-{when}", call.split(',').next().unwrap()));
            let done = traced(call, when, &home.command("backup", &["--to", to.to_str().unwrap()]));
            assert!(to.exists() || done.exit != 0);
            if to.exists() {
                home.keys("restore", &["--from", to.to_str().unwrap(), "--dry-run"], b"").well();
            }
            let before = states(&home);
            let restored = traced(call, when, &home.command("restore", &["--from", good.to_str().unwrap()]));
            judge(&home, &before, &before.1.clone(), restored.exit == 0, &format!("restore, {call} {when}"));
            if done.exit == 0 && restored.exit == 0 {
                break;
            }
        }
    }
    home.keys("backup", &["--to", kept.path().join("after").to_str().unwrap()], b"").well();
    let left = |folder: &std::path::Path| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("keyring.tmp-")).count()
    };
    assert_eq!(left(home.dir.path()), 0);
}
