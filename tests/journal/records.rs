//! What leaves a record, what does not, and what stands in it.

use std::fs;

use serde_json::{Value, json};

use crate::{
    service::{Service, base64, folder, run, stderr, stdout},
    tools::{Strace, config, holds, journal, metric, mint, of_kind, records, skipped, stop, until, verify},
};

#[test]
fn every_grant_and_every_refusal_leaves_a_record_before_it_is_answered() {
    let service = Service::start(&config(""));
    let path = journal(service.dir.path());
    let calls = || of_kind(&records(&path), "call");
    let mut count = 0;
    let mut next = |op: &str, outcome: &str| -> Value {
        // No waiting: the answer is there, so the record is.
        let all = calls();
        count += 1;
        assert_eq!(all.len(), count, "{op}: {all:?}");
        let last = all.last().unwrap().clone();
        assert_eq!((last["op"].as_str(), last["outcome"].as_str()), (Some(op), Some(outcome)), "{last}");
        assert!(last["caller"].as_str().unwrap().starts_with("uid:") && last["us"].as_u64().unwrap() > 0);
        assert!(!last["request"].as_str().unwrap().is_empty());
        last
    };
    let minted = mint(&service, 42).1;
    let record = next("mint_hash", "OK");
    assert_eq!((&record["object"], &record["rule"]), (&json!("jobs.example.com"), &json!("all")));
    assert_eq!((&record["key"], &record["version"]), (&json!("jobs"), &json!(1)));
    let client = record["client"].as_str().unwrap().to_owned();
    assert_eq!(client.len(), 32);
    assert_eq!(mint(&service, 0).0, 400);
    assert_eq!(next("mint_hash", "INVALID_ARGUMENT")["reason"], "INVALID_FIELD");
    assert_eq!(service.post("MintHash", &json!({"domain": "absent.example", "client": 42})).0, 404);
    assert_eq!(next("mint_hash", "NOT_FOUND")["client"], client.as_str());

    let auth = service.seal(b"payload", "jane@example.com");
    let sealed = next("seal", "OK");
    service.open(&auth, "jane@example.com");
    let opened = next("open", "VALID");
    assert_eq!((&sealed["token"], &sealed["user"]), (&opened["token"], &opened["user"]));
    service.open(&auth, "mallory@example.com");
    assert_ne!(next("open", "WRONG_CONTEXT")["user"], sealed["user"]);
    service.ok("Reseal", &json!({"app": "acme", "auth": auth, "username": "jane@example.com"}));
    assert_ne!(next("reseal", "VALID")["token"], sealed["token"]);

    // Judgements only where they fail.
    service.ok("Verify", &json!({"app": "acme", "auth": auth, "username": "jane@example.com"}));
    let judge = |client: &str| json!({"domain": "jobs.example.com", "client": client, "expires": minted["expires"], "hash": minted["hash"]});
    assert_eq!(service.ok("VerifyHash", &judge("42"))["verdict"], "VERDICT_VALID");
    service.ok("VerifyHash", &judge("43"));
    assert_ne!(next("verify_hash", "BAD_SIGNATURE")["client"], client.as_str());
    service.ok("Verify", &json!({"app": "acme", "auth": "x", "username": "jane@example.com"}));
    next("verify", "MALFORMED");

    // What never was a call leaves none.
    assert_eq!(service.post_raw("MintHash", b"{").0, 400);
    assert_eq!(service.post("NoSuchHash", &json!({})).0, 404);
    assert_eq!(calls().len(), 9);
    let dir = stop(service);
    holds(dir.path(), &["journal.jsonl"], &[]);
}

#[test]
fn refusals_without_a_rule_are_recorded_up_to_a_bound_and_grants_always() {
    // Each may seal, and nothing else.
    let service =
        Service::start(&config("").replace("\"mint\", \"verify\", \"seal\", \"open\", \"reseal\"", "\"seal\""));
    let path = journal(service.dir.path());
    let calls = || of_kind(&records(&path), "call");
    assert_eq!(mint(&service, 1).0, 403);
    assert_eq!(calls().len(), 1);
    // Two such batches empty the burst of 100.
    let item = json!({"domain": "jobs.example.com", "client": 1});
    let unrecorded = || metric(&service, "countersign_journal_unrecorded_refusals_total") as usize;
    let mut asked = 1;
    until("a refusal that is not recorded", || {
        service.ok("BatchMintHash", &json!({"items": vec![&item; 1000]}));
        asked += 1;
        unrecorded() > 0
    });
    assert_eq!(calls().len() + unrecorded(), asked);
    for n in 1..=150 {
        service.seal(b"p", "j");
        assert_eq!(calls().len() + unrecorded(), asked + n);
    }
    assert_eq!(calls().iter().filter(|call| call["op"] == "seal").count(), 150);
    holds(stop(service).path(), &["journal.jsonl"], &[]);
}

#[test]
fn a_batch_is_one_record_with_an_entry_for_each_item() {
    let service = Service::start(&config("verifications = \"all\""));
    let item = |client: i64| json!({"domain": "jobs.example.com", "client": client});
    service
        .ok("BatchMintHash", &json!({"items": [item(1), item(0), item(1), {"domain": "absent.example", "client": 1}]}));
    let last = records(&journal(service.dir.path())).pop().unwrap();
    assert_eq!(last["grounds"], json!([["jobs.example.com", "all", "jobs"], ["", "", ""]]));
    let items = last["items"].as_array().unwrap();
    let client = items[0][2].as_str().unwrap();
    assert_eq!(items[0], json!([0, 1, client, "", "OK"]));
    assert_eq!(items[1], json!([0, 0, "", "", "INVALID_ARGUMENT", "INVALID_FIELD"]));
    assert_eq!(items[2], items[0]);
    assert_eq!(items[3], json!([1, 0, client, "", "NOT_FOUND", "UNKNOWN_DOMAIN"]));
    let auth = service.seal(b"p", "j");
    service.ok("BatchVerify", &json!({"items": [{"app": "acme", "auth": auth, "username": "j"}]}));
    let last = records(&journal(service.dir.path())).pop().unwrap();
    assert_eq!((&last["op"], &last["items"][0][4]), (&json!("batch_verify"), &json!("VALID")));
}

#[test]
fn a_start_a_reload_and_a_stop_leave_records() {
    let service = Service::start(&config(""));
    let path = journal(service.dir.path());
    let opening = records(&path).remove(0);
    assert_eq!(
        (&opening["kind"], &opening["why"], &opening["clean"]),
        (&json!("opening"), &json!("start"), &json!(true))
    );
    assert_eq!((opening["seq"].as_u64(), opening["prev"].as_str()), (Some(1), Some("0".repeat(64).as_str())));
    let text = fs::read(service.dir.path().join("config.toml")).unwrap();
    let digest = base16ct::lower::encode_string(&countersign::crypto::digest::of_file(&text));
    assert_eq!((&opening["config"], &opening["generation"]), (&json!(digest), &json!(3)));
    service.signal("HUP");
    service.await_log("reloaded", 1);
    fs::write(service.dir.path().join("config.toml"), "[nonsense]").unwrap();
    service.signal("HUP");
    service.await_log("reload refused", 1);
    until("the refusal's record", || of_kind(&records(&path), "reload").len() == 2);
    let reloads = of_kind(&records(&path), "reload");
    assert_eq!((&reloads[0]["result"], &reloads[0]["config"]), (&json!("swapped"), &json!(digest)));
    assert_eq!(reloads[1]["result"], "refused");
    assert!(reloads[1]["problem"].as_str().unwrap().contains("nonsense"));
    fs::write(service.dir.path().join("config.toml"), config("")).unwrap();
    let dir = stop(service);
    let all = records(&path);
    assert_eq!((&all.last().unwrap()["kind"], &all.last().unwrap()["why"]), (&json!("closing"), &json!("stop")));
    let again = Service::start_in(dir);
    let opening = of_kind(&records(&path), "opening").pop().unwrap();
    assert_eq!((opening["seq"].as_u64().unwrap(), &opening["clean"]), (all.len() as u64 + 1, &json!(true)));
    let dir = stop(again);
    holds(dir.path(), &["journal.jsonl"], &[]);
}

#[test]
fn a_seal_comes_after_so_many_records_or_so_much_time_and_is_told() {
    let service = Service::start(&config("seal_records = 3\nseal_every = \"1s\""));
    let path = journal(service.dir.path());
    for n in 1..=4 {
        mint(&service, n);
    }
    // One by number, one by time.
    until("two seals", || of_kind(&records(&path), "seal").len() == 2);
    let last = of_kind(&records(&path), "seal").pop().unwrap()["seq"].as_u64().unwrap();
    until("the metric", || metric(&service, "countersign_journal_sealed_sequence") as u64 == last);
    let ready = service.http("/readyz?verbose").1;
    let head = ready.split("sealed to ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(head.starts_with(&format!("{last}:")), "{ready}");
    service.await_log(&format!("\"head\":\"{head}\""), 1);
    assert!((metric(&service, &format!("countersign_journal_sealed_head_info{{head=\"{head}\"}}")) - 1.0).abs() < 1e-9);
    let shown = service.http("/metrics").1;
    assert_eq!(shown.lines().filter(|line| line.starts_with("countersign_journal_sealed_head_info{")).count(), 1);
    assert!(metric(&service, "countersign_journal_records_total") >= 7.0);
    assert!(metric(&service, "countersign_journal_bytes_total") as u64 == fs::metadata(&path).unwrap().len());
    let dir = stop(service);
    holds(dir.path(), &["journal.jsonl"], &["--head", &head]);
    let other = verify(dir.path(), &["journal.jsonl"], &["--head", &format!("{last}:{}", "0".repeat(64))]);
    assert_eq!(other.status.code(), Some(1), "{}", stdout(&other));
}

#[test]
fn without_a_journal_serve_must_be_told_so() {
    let dir = folder(&config("").replace("journal.jsonl", "absent/journal.jsonl"));
    let file = dir.path().join("config.toml");
    let output = run(&["serve", "--allow-root", "--config", file.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).trim_end().lines().last().unwrap().contains("journal.enabled = false"),
        "{}",
        stderr(&output)
    );
    fs::write(&file, config("enabled = false")).unwrap();
    let service = Service::start_in(dir);
    assert_eq!(mint(&service, 1).0, 200);
    assert!(!journal(service.dir.path()).exists());
    service.await_log("journal.enabled is false", 1);
    assert!(service.http("/readyz?verbose").1.contains("journal: off"));
}

#[test]
fn two_processes_do_not_share_a_journal() {
    let first = Service::start(&config(""));
    let other = folder(&config("").replace("journal.jsonl", journal(first.dir.path()).to_str().unwrap()));
    let file = other.path().join("config.toml");
    let output = run(&["serve", "--allow-root", "--config", file.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("another process writes this journal"), "{}", stderr(&output));
    mint(&first, 1);
    let dir = stop(first);
    holds(dir.path(), &["journal.jsonl"], &[]);
}

#[test]
fn the_file_is_for_its_owner_and_links_are_not_followed() {
    use std::os::unix::fs::PermissionsExt;
    let service = Service::start(&config(""));
    let path = journal(service.dir.path());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let dir = stop(service);
    let refused = |word: &str| {
        let file = dir.path().join("config.toml");
        let output = run(&["serve", "--allow-root", "--config", file.to_str().unwrap()], b"");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    refused("chmod 0600");
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
    refused("symbolic link");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "something else\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    refused("no record");
    assert_eq!(fs::read_to_string(&path).unwrap(), "something else\n");
}

#[test]
fn people_read_it_as_a_table_and_look_for_users_by_name() {
    let service = Service::start(&config(""));
    mint(&service, 42);
    service.seal(b"p", "jane@example.com");
    service.seal(b"p", "mallory@example.com");
    service
        .ok("BatchSeal", &json!({"items": [{"app": "acme", "username": "jane@example.com", "payload": base64(b"p")}]}));
    let dir = stop(service);
    let file = journal(dir.path()).display().to_string();
    let config = dir.path().join("config.toml").display().to_string();
    let show = |args: &[&str]| {
        let output = run(&[&["audit", "show", &file, "--config", &config], args].concat(), b"");
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let all = show(&[]);
    assert!(all.contains("mint_hash") && all.contains("opening") && !all.contains("jane"), "{all}");
    assert_eq!(show(&["--user", "jane@example.com", "--output", "json"]).lines().count(), 2);
    assert_eq!(show(&["--client", "42", "--output", "json"]).lines().count(), 1);
    assert_eq!(show(&["--op", "seal", "--object", "acme", "--output", "json"]).lines().count(), 2);
    assert_eq!(show(&["--caller", "uid:1,gid:1", "--output", "json"]), "");
    assert_eq!(show(&["--until", "5", "--output", "json"]), "");
    let unkeyed = run(&["audit", "show", &file, "--user", "jane@example.com"], b"");
    assert_eq!(unkeyed.status.code(), Some(2));
}

/// What somebody put into the file is not read whole because it has no end.
#[test]
fn a_line_that_is_longer_than_a_record_is_skipped_and_told() {
    let service = Service::start(&config(""));
    mint(&service, 42);
    let dir = stop(service);
    let path = journal(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let long = "x".repeat(3 << 20);
    fs::write(&path, format!("{first}\n{long}\n{rest}{long}")).unwrap();
    let shown = path.display().to_string();
    let output = run(&["audit", "show", &shown, "--output", "json"], b"");
    assert!(output.status.success());
    assert_eq!(stdout(&output), text);
    let last = text.lines().count() + 2;
    let told =
        |line: usize| format!("{shown}: line {line} is longer than a record can be (1048576 bytes), and skipped\n");
    assert_eq!(stderr(&output), told(2) + &told(last));
}

/// Acknowledged with `durability = "sync"`, the record was flushed before.
#[test]
fn sync_flushes_before_it_answers() {
    let service = Service::start(&config("durability = \"sync\"\nwait_ms = 1900"));
    let trace = service.dir.path().join("trace");
    let calls = "trace=write,fdatasync,writev,sendto,sendmsg";
    let Some(strace) = Strace::on(&service, &["-y", "-e", calls, "-o", trace.to_str().unwrap()]) else {
        return skipped("strace");
    };
    let traced = || fs::read_to_string(&trace).unwrap_or_default();
    until("the trace", || service.http("/livez").0 == 200 && !traced().is_empty());
    assert_eq!(mint(&service, 4242).0, 200);
    until("the answer in the trace", || traced().matches("HTTP/1.1 200").count() > 1 && traced().contains("4242"));
    strace.end();
    let text = traced();
    let from = |at: usize, word: &str, file: &str| {
        let found = text.lines().skip(at).position(|line| line.contains(word) && line.contains(file));
        at + found.unwrap_or_else(|| panic!("no {word} on {file}: {text}"))
    };
    let written = from(0, "write(", "journal.jsonl");
    let flushed = from(written, "fdatasync(", "journal.jsonl");
    let answered = from(0, "4242", "socket");
    assert!(written < flushed && flushed < answered, "{text}");
}
