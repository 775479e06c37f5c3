//! The journal: a grant is on record before LiveAuth hears of it, whatever becomes of the call afterwards.

use std::{fs, process::Command, sync::mpsc};

use serde_json::{Value, json};

use crate::{
    desk::{Desk, config, each, records},
    service::{self, PATIENCE, SECRET, Service},
    vendor::{Plan, Vendor},
};

/// Has the stand-in read the journal when it is asked; gives the calls that stood there then.
fn watched(desk: &Desk) -> mpsc::Receiver<Vec<Value>> {
    let journal = desk.service.dir.path().join("journal.jsonl");
    let (tell, told) = mpsc::channel();
    desk.vendor.watch(move |_| {
        let _ = tell.send(records(&fs::read_to_string(&journal).unwrap()));
    });
    told
}

#[test]
fn the_record_is_there_before_the_vendor_hears_of_it() {
    let desk = Desk::open();
    let told = watched(&desk);
    for (at, (method, request)) in each().iter().enumerate() {
        desk.ok(method, request);
        let seen = told.recv().unwrap();
        assert_eq!(seen.len(), at + 1, "{method}: {seen:?}");
        let record = &seen[at];
        let op = ["portal_test", "portal_get_status", "portal_login", "portal_complete_info", "portal_logout"][at];
        assert_eq!((&record["op"], &record["outcome"]), (&json!(op), &json!("OK")));
        assert_eq!(
            (&record["object"], &record["rule"], &record["key"]),
            (&json!("jobs.example.com"), &json!("all"), &json!("jobs"))
        );
        assert!(record["version"] == 1 && record["client"].as_str().unwrap().len() == 32, "{record}");
    }
    assert_eq!(desk.journal().len(), 5, "one call that goes well leaves one record");
    let (_, metrics) = desk.service.http("/metrics");
    for op in ["portal_test", "portal_login"] {
        let line = format!("countersign_requests_total{{key=\"jobs\",op=\"{op}\",outcome=\"OK\"}} 1\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn what_ends_otherwise_than_granted_is_on_record_a_second_time_under_the_same_id() {
    let desk = Desk::open();
    desk.vendor.plan(Plan::Answer(500, Vec::new()));
    desk.fails("Login", &each()[2].1, "unavailable", "VENDOR_FAILED");
    let journal = desk.journal();
    let of = |at: usize| (journal[at]["outcome"].as_str().unwrap(), journal[at]["reason"].as_str().unwrap_or_default());
    assert_eq!((journal.len(), of(0), of(1)), (2, ("OK", ""), ("UNAVAILABLE", "VENDOR_FAILED")));
    assert_eq!(journal[0]["request"], journal[1]["request"]);
    let (_, metrics) = desk.service.http("/metrics");
    assert!(
        metrics.contains("countersign_requests_total{key=\"jobs\",op=\"portal_login\",outcome=\"UNAVAILABLE\"} 1\n")
    );
    assert!(!metrics.contains("op=\"portal_login\",outcome=\"OK\""), "a call is counted once");
}

#[test]
fn a_refusal_is_on_record_and_nobody_is_asked() {
    let desk = Desk::with("\"portal_read\"", &[]);
    desk.fails("Logout", &each()[4].1, "permission_denied", "NO_RULE");
    let journal = desk.journal();
    assert_eq!(
        (journal.len(), &journal[0]["op"], &journal[0]["reason"]),
        (1, &json!("portal_logout"), &json!("NO_RULE"))
    );
}

#[test]
fn without_a_record_nobody_is_asked() {
    let vendor = Vendor::start(SECRET);
    let dir = service::folder(&config(&vendor, "\"portal_login\", \"mint\"", ""));
    // A pipe whose reader reads nothing: it is full after some records.
    let pipe = dir.path().join("journal.jsonl");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn(move || fs::File::open(pipe).unwrap());
    let desk = Desk { service: Service::start_in(dir), vendor };
    let _reader = reader.join().unwrap();
    let items: Vec<Value> = (0..1000).map(|_| json!({"domain": "jobs.example.com", "client": 1})).collect();
    let batch = json!({ "items": items });
    let refused = (0..50).map(|_| desk.service.post("BatchMintHash", &batch)).find(|(status, _)| *status != 200);
    assert_eq!(service::reason_of(&refused.unwrap().1), "JOURNAL_UNAVAILABLE");
    desk.fails("Login", &each()[2].1, "unavailable", "JOURNAL_UNAVAILABLE");
    assert_eq!(desk.vendor.heard(), []);
}

#[test]
fn what_was_begun_is_finished_and_counted_when_the_caller_leaves_and_when_the_service_stops() {
    let desk = Desk::open();
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    desk.vendor.watch(move |_| {
        arrived.send(()).unwrap();
        let _ = released.recv_timeout(PATIENCE);
    });
    desk.vendor.plan(Plan::Answer(500, Vec::new()));
    let stream = desk.begin("Login", &each()[2].1);
    arrivals.recv_timeout(PATIENCE).unwrap();
    drop(stream);
    desk.service.signal("TERM");
    desk.service.await_log("draining", 1);
    release.send(()).unwrap();
    let Desk { service, vendor: _vendor } = desk;
    let (status, _, dir) = service.wait();
    assert!(status.success());
    let journal = records(&fs::read_to_string(dir.path().join("journal.jsonl")).unwrap());
    let ends: Vec<&Value> = journal.iter().map(|record| &record["outcome"]).collect();
    assert_eq!(ends, [&json!("OK"), &json!("UNAVAILABLE")]);
}

#[test]
fn a_caller_whose_deadline_is_nearer_is_told_so_and_the_call_goes_on() {
    let desk = Desk::open();
    let (release, released) = mpsc::channel::<()>();
    desk.vendor.watch(move |_| {
        let _ = released.recv_timeout(PATIENCE);
    });
    let (status, answer) = desk.call_within("Login", &each()[2].1, 300);
    assert!(status != 200 && answer["code"] == "deadline_exceeded", "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("look what became of it"), "{answer}");
    release.send(()).unwrap();
    // It is counted when it has ended.
    let begin = std::time::Instant::now();
    while !desk.service.http("/metrics").1.contains("op=\"portal_login\",outcome=\"OK\"} 1\n") {
        assert!(begin.elapsed() < PATIENCE, "{}", desk.service.http("/metrics").1);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
