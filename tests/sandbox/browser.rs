//! The stories of `liveauth.py` and `hub.py`, each in a Chromium and a sandbox of its own; and the browser library.

use std::process::{Command, Stdio};

use crate::run::{Sandbox, root, screenshots, skipped, tools};

#[test]
fn the_documents_test_page_says_hello_world() {
    told("the_test_page");
}

#[test]
fn a_login_opens_the_pop_up_and_returns_credentials() {
    told("login");
}

#[test]
fn a_login_without_a_click_is_blocked_and_says_so() {
    told("a_login_without_a_click");
}

#[test]
fn an_expired_and_a_forged_hash_call_on_error() {
    told("bad_hashes");
}

#[test]
fn what_liveauth_does_wrong_calls_on_error() {
    told("faults");
}

#[test]
fn a_back_end_does_it_all_through_countersign() {
    told("liveauth_backend");
}

#[test]
fn generation_one_of_hub_from_the_settings_page_to_the_user_who_was_cut_off() {
    told("generation_one");
}

#[test]
fn generation_two_of_hub_from_the_settings_page_through_a_renewal_to_the_user_who_was_cut_off() {
    told("generation_two");
}

#[test]
fn a_user_who_says_no_hands_nothing_over() {
    told("a_user_who_says_no");
}

#[test]
fn what_hub_does_wrong_lets_nobody_in() {
    told("hub_faults");
}

#[test]
fn the_library_is_es5_and_adds_one_name() {
    let modules = tools().join("node/node_modules");
    let mut node = Command::new("node");
    node.env("NODE_PATH", &modules).stdin(Stdio::null()).current_dir(root());
    let there = node.args(["-e", "require('acorn')"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return skipped("node and npm's acorn");
    }
    let checked = Command::new("node")
        .env("NODE_PATH", &modules)
        .args(["tests/sandbox/es5.js", "examples/sandbox/liveauth/client.js"])
        .stdin(Stdio::null())
        .current_dir(root())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// Runs a story, if the programs for it are there.
fn told(story: &str) {
    let runs =
        |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    for program in ["chromium", "chromedriver"] {
        if !runs(program).is_ok_and(|status| status.success()) {
            return skipped(program);
        }
    }
    let own = tools().join("venv/bin/python");
    let imports = |python: &str| {
        let mut python = Command::new(python);
        python.args(["-c", "import selenium"]).stdin(Stdio::null()).stderr(Stdio::null()).status()
    };
    let candidates = [own.to_str().unwrap(), "python3"];
    let python = candidates.into_iter().find(|python| imports(python).is_ok_and(|status| status.success()));
    let Some(python) = python else { return skipped("Python's selenium") };
    let sandbox = Sandbox::start();
    let run = Command::new(python)
        .arg("-B")
        .arg(root().join("tests/sandbox/drive.py"))
        .args([story, &sandbox.front])
        .arg(screenshots())
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, why) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{story} ended with {}:\n{said}{why}", run.status);
}
