//! Runs that are cut off, at any byte and at any moment: the next one goes on, and no row is there twice or not at all.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    desk::{USER, are_resealed, arguments, completes, parted, read, rotate, run, table, tokens, write},
    service::{BINARY, CONFIG, PATIENCE, Service, stderr},
};

/// Every place where an output can end.
#[test]
fn an_output_that_ends_anywhere_is_gone_on_with() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 3);
    rotate(&service);
    let row = |n: usize| format!("\"{n}, a\r\nb\",{},{USER}\r\n", old[n]);
    let csv = format!("id,token,username\r\n{}{}{}", row(0), row(1), row(2));
    let line = |n: usize| format!("{{\"id\":{n},\"token\":\"{}\",\"username\":\"{USER}\"}}\n", old[n]);
    let json = format!("{}no object\n{}{}", line(0), line(1), line(2));
    for (input, out, content, code) in [("in.csv", "out.csv", csv, 0), ("in.jsonl", "out.jsonl", json, 1)] {
        write(&service, input, content);
        assert_eq!(run(&service, input, out, &[]).status.code(), Some(code));
        let whole = read(&service, out);
        let (_, expected) = parted(&whole);
        for end in (0..=whole.len()).step_by(11).chain([whole.len() - 1, whole.len()]) {
            write(&service, out, &whole[..end]);
            let output = run(&service, input, out, &[]);
            assert_eq!(output.status.code(), Some(code), "{end}: {}", stderr(&output));
            let found = read(&service, out);
            let (new, rest) = parted(&found);
            assert_eq!(String::from_utf8_lossy(&rest), String::from_utf8_lossy(&expected), "{end}");
            are_resealed(&service, &old, &new);
            // What was whole is left as it was.
            let kept = whole[..end].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let ends_a_row = input == "in.jsonl" || !whole[..kept].ends_with(b"a\r\n");
            assert!(!ends_a_row || found.starts_with(&whole[..kept]), "{end}");
        }
    }
}

/// Killed at moments that nobody chose until one run comes through. What is whole stays, run after run.
#[test]
fn a_run_that_is_killed_again_and_again_comes_to_its_end() {
    let service = Service::start(CONFIG);
    let count = 2_000;
    let old = tokens(&service, count);
    rotate(&service);
    let rows: Vec<String> = old.iter().enumerate().map(|(n, token)| format!("{n},{token},{USER}\n")).collect();
    write(&service, "in.csv", format!("id,token,username\n{}", rows.concat()));
    let expected = (0..count).map(|n| format!("{n},<token>,{USER},VALID,\n")).collect::<Vec<_>>().concat();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut before = Vec::new();
    let mut kills = 0;
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < 4 * PATIENCE, "{kills} kills, {} bytes", before.len());
        let mut child = Command::new(BINARY)
            .args(arguments(&service, "in.csv", "out.csv", &[]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Longer and longer, so that there is an end on a slow machine, too.
        sleep(Duration::from_millis(state >> 58) + Duration::from_millis(kills * 3));
        let _ = child.kill();
        let status = child.wait().unwrap();
        let found = if service.dir.path().join("out.csv").exists() { read(&service, "out.csv") } else { Vec::new() };
        let kept = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        assert!(found.starts_with(&before[..kept]), "what was whole is gone");
        before = found;
        if status.success() {
            break;
        }
        assert_eq!(status.signal(), Some(9), "{status}");
        kills += 1;
    }
    let (new, rest) = parted(&before);
    assert!(kills > 3, "{kills} kills");
    let text = String::from_utf8(rest).unwrap();
    assert_eq!(text.split_once('\n').unwrap(), ("id,token,username,reseal_verdict,reseal_error", expected.as_str()));
    are_resealed(&service, &old, &new);
}

/// The service goes away and comes back: the run waits for it.
#[test]
fn a_service_that_is_started_again_is_waited_for() {
    let service = Service::start(&format!("[limits]\nrate = 60\nburst = 60\n{CONFIG}"));
    let old = tokens(&service, 500);
    write(&service, "in.csv", table(old.iter().cycle().take(3_000)));
    let child = Command::new(BINARY)
        .args(arguments(&service, "in.csv", "out.csv", &[]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !service.dir.path().join("out.csv").metadata().is_ok_and(|found| found.len() > 1000) {
        assert!(begin.elapsed() < PATIENCE);
        sleep(Duration::from_millis(5));
    }
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    let service = Service::start_in(dir);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("waiting: "), "{}", stderr(&output));
    let (_, rest) = parted(&read(&service, "out.csv"));
    assert_eq!(String::from_utf8(rest).unwrap().matches("VALID").count(), 3_000);
}

/// A large table, its progress, and a run over what is done already.
#[test]
fn a_large_table_shows_how_far_it_is() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 500);
    let count = 6_000;
    write(&service, "in.csv", table(old.iter().cycle().take(count)));
    let output = run(&service, "in.csv", "out.csv", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("0 % of 1 MB, ") && said.contains(" rows, 0 failed\n"), "{said}");
    let out = completes(&service, "in.csv", "out.csv");
    let (new, rest) = parted(&out);
    assert_eq!(new.iter().collect::<std::collections::HashSet<_>>().len(), count);
    assert_eq!(String::from_utf8(rest).unwrap().lines().count(), count + 1);
}
