//! Plants a known key, token, payload, username and login token, drives every RPC at the most talkative log level,
//! rightly and wrongly, and searches everything the process says for them.

use serde_json::{Value, json};

use crate::service::{CONFIG, HAT1, SECRET, Service, base64, run};

const PAYLOAD: &str = "planted-payload-5d1f";
const USERNAME: &str = "planted-user-77aa@example.com";
const LOGIN: &str = "s:planted-login-90bc.x+/";
const REFERER: &str = "https://jobs.example.com/planted-page-31c7?q=1";

#[test]
#[expect(clippy::too_many_lines, reason = "one story: plant, drive, search")]
fn nothing_planted_is_found_in_logs_metrics_errors_or_the_journal() {
    let service = Service::start(&format!(
        "[log]\nlevel = \"trace\"\n{}",
        CONFIG.trim_start().replace("[journal]\n", "[journal]\nverifications = \"all\"\n")
    ));
    let mut said = Vec::new();
    let sealed = service.ok(
        "Seal",
        &json!({"app": "acme", "username": USERNAME, "payload": base64(PAYLOAD.as_bytes()), "hubLoginToken": LOGIN}),
    );
    let auth = sealed["auth"].as_str().unwrap().to_owned();
    let minted = service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 424_242}));
    let hash = minted["hash"].as_str().unwrap().to_owned();

    let present =
        |app: &str, auth: &str, user: &str| json!({"app": app, "auth": auth, "username": user, "hubLoginToken": LOGIN});
    let judged = |hash: &str| json!({"domain": "jobs.example.com", "client": "424242", "expires": minted["expires"], "hash": hash});
    let tampered = format!("{}AAAA", &auth[..auth.len() - 4]);
    for method in ["Open", "Verify", "Reseal"] {
        for body in [
            present("acme", &auth, USERNAME),
            present("acme", &auth, "somebody-else"),
            present("acme", &tampered, USERNAME),
            present("nobody", &auth, USERNAME),
            present("acme", &auth, &format!("{USERNAME}\u{1}")),
            json!({"app": "acme", "auth": [auth, USERNAME, LOGIN]}),
            json!({"app": "acme", "auths": auth, USERNAME: LOGIN}),
        ] {
            note(&mut said, service.post(method, &body));
            note(&mut said, service.post(&format!("Batch{method}"), &json!({"items": [body]})));
        }
    }
    let by_referer = |referer: &str| json!({"referer": referer, "client": "424242", "expires": "1", "hash": hash});
    let mint = |client: i64| json!({"domain": "jobs.example.com", "client": client});
    for body in [mint(424_242), mint(0), json!({"domain": REFERER, "client": 1}), json!({"domain": [hash, LOGIN]})] {
        note(&mut said, service.post("MintHash", &body));
        note(&mut said, service.post("BatchMintHash", &json!({"items": [body]})));
    }
    for body in [
        by_referer(REFERER),
        by_referer(&format!("{REFERER}\u{1}")),
        judged(&hash),
        judged(&hash.to_uppercase()),
        judged(&format!("{hash}0")),
        json!({"hash": {"x": hash}}),
    ] {
        note(&mut said, service.post("VerifyHash", &body));
        note(&mut said, service.post("BatchVerifyHash", &json!({"items": [body]})));
    }
    for body in [
        json!({"app": "acme", "username": USERNAME, "payload": PAYLOAD}),
        json!({"app": "acme", "username": USERNAME, "payload": base64(PAYLOAD.repeat(300).as_bytes())}),
        json!({"app": "acme", "username": format!("{USERNAME}\n"), "payload": base64(PAYLOAD.as_bytes())}),
        json!({"app": "acme", "username": USERNAME, "ttl": PAYLOAD}),
        json!({"app": USERNAME, "username": USERNAME}),
    ] {
        note(&mut said, service.post("Seal", &body));
        note(&mut said, service.post("BatchSeal", &json!({"items": [body]})));
    }
    // Over gRPC as well, where messages pass through other code; the answers of these are the caller's own.
    for (command, input) in
        [("seal", PAYLOAD), ("open", &auth), ("verify", &auth), ("reseal", &auth), ("open", &tampered)]
    {
        let output = service.cli(&["hub", command, "--app", "acme", "--username", USERNAME], input.as_bytes());
        said.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let output = service.cli(&["hub", "revoke", "--app", "acme", "--username", USERNAME], auth.as_bytes());
    said.push(String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout));
    for body in [
        json!({"app": "acme", "username": USERNAME}),
        json!({"app": "acme", "auth": tampered}),
        json!({"app": "acme", "tokenId": PAYLOAD}),
        json!({"app": USERNAME, "all": true}),
    ] {
        note(&mut said, service.post("Revoke", &body));
    }
    note(&mut said, service.post("ListRevocations", &json!({"app": "acme"})));
    let expires = minted["expires"].as_str().unwrap();
    let output = service.cli(
        &[
            "liveauth",
            "verify",
            "--domain",
            "jobs.example.com",
            "--client",
            "424242",
            "--expires",
            expires,
            "--hash",
            &hash,
        ],
        b"",
    );
    said.push(String::from_utf8_lossy(&output.stderr).into_owned());
    service.signal("HUP");
    service.await_log("reloaded", 1);
    said.push(service.http("/metrics").1);
    said.push(service.http("/readyz?verbose").1);
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is not as talkative as it can be: {log}");
    said.push(log);
    let journal = std::fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
    assert!(journal.contains("\"op\":\"batch_reseal\"") && journal.contains("\"user\":\""), "{journal}");
    said.push(journal);
    said.push(std::fs::read_to_string(dir.path().join("keyring")).unwrap());
    let ledger = std::fs::read(dir.path().join("ledger.sqlite")).unwrap();
    assert!(ledger.len() > 4096);
    said.push(String::from_utf8_lossy(&ledger).into_owned());
    let list = run(&["keys", "list", "--config", dir.path().join("config.toml").to_str().unwrap()], b"");
    assert!(list.status.success());
    said.push(String::from_utf8_lossy(&list.stdout).into_owned());

    let body = &auth["hat1_".len()..];
    let key: Vec<u8> = (0..32).collect();
    let planted = [
        SECRET.to_owned(),
        base64(SECRET.as_bytes()),
        hex(SECRET.as_bytes()),
        format!("{:?}", SECRET.as_bytes()).trim_matches(['[', ']']).to_owned(),
        REFERER["https://jobs.example.com/".len()..].to_owned(),
        HAT1.to_owned(),
        base64(&key).trim_end_matches('=').to_owned(),
        format!("{key:?}").trim_matches(['[', ']']).to_owned(),
        PAYLOAD.to_owned(),
        base64(PAYLOAD.as_bytes()).trim_end_matches('=').to_owned(),
        hex(PAYLOAD.as_bytes()),
        USERNAME.to_owned(),
        LOGIN.to_owned(),
        hash.clone(),
        hash.to_uppercase(),
        body[..40].to_owned(),
        body[60..100].to_owned(),
    ];
    assert_eq!(found(&said, &planted), None);
}

/// The first planted text that somebody said, with what stands around it.
fn found(said: &[String], planted: &[String]) -> Option<String> {
    let mut pairs = said.iter().flat_map(|text| planted.iter().map(move |secret| (text, secret)));
    pairs.find(|(text, secret)| text.contains(*secret)).map(|(text, secret)| around(text, secret))
}

/// The search finds what it looks for, in each of the forms it looks for.
#[test]
fn the_search_can_fail() {
    let planted = [base64(PAYLOAD.as_bytes()).trim_end_matches('=').to_owned()];
    let said = ["nothing".to_owned(), format!("{{\"answer\": \"{}\"}}", base64(PAYLOAD.as_bytes()))];
    assert_eq!(found(&said[..1], &planted), None);
    assert!(found(&said, &planted).is_some());
    assert_eq!(hex(b"\x00\xff"), "00ff");
}

/// Keeps what an error says; an answer is the caller's own.
fn note(said: &mut Vec<String>, (status, answer): (u16, Value)) {
    if status != 200 {
        said.push(answer.to_string());
        let details = answer["details"].as_array().cloned().unwrap_or_default();
        let bytes = details.iter().flat_map(|detail| crate::service::unbase64(detail["value"].as_str().unwrap()));
        said.push(String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned());
    }
    for result in answer["results"].as_array().into_iter().flatten() {
        said.push(result["error"].to_string());
    }
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn around(text: &str, word: &str) -> String {
    let at = text.find(word).unwrap();
    text.chars().skip(at.saturating_sub(200)).take(500).collect()
}
