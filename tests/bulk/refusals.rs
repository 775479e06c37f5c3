//! What stops a run, with which exit code, and what it leaves.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use crate::{
    desk::{USER, arguments, completes, exists, read, run, tokens, write},
    service::{CONFIG, Service, stderr},
};

#[test]
fn an_output_that_is_not_ours_to_write_is_left_alone() {
    let service = Service::start(CONFIG);
    let at = service.dir.path();
    let old = tokens(&service, 3);
    let rows: Vec<String> = old.iter().map(|token| format!("{token},{USER}\n")).collect();
    write(&service, "in.csv", format!("token,username\n{}", rows.concat()));
    let refuses = |out: &str, word: &str| {
        let before = fs::read(at.join(out)).ok();
        let output = run(&service, "in.csv", out, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(word), "no {word:?} in {}", stderr(&output));
        assert_eq!(fs::read(at.join(out)).ok(), before);
    };
    refuses("in.csv", "is the input, which is never written to");
    fs::hard_link(at.join("in.csv"), at.join("link.csv")).unwrap();
    refuses("link.csv", "is the input");
    completes(&service, "in.csv", "whole.csv");
    symlink("whole.csv", at.join("symlink.csv")).unwrap();
    refuses("symlink.csv", "symbolic link");
    assert_eq!(fs::metadata(at.join("whole.csv")).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(at.join("whole.csv"), fs::Permissions::from_mode(0o640)).unwrap();
    refuses("whole.csv", "others may read it (mode 0640); chmod 0600");
    refuses("sock", "cannot be made");
    refuses("nowhere/out.csv", "cannot be made");
    for (name, content) in [("short", "tok"), ("notes", "dear diary,"), ("other", "token,username,reseal_verdict\n")] {
        write(&service, name, content);
        if name != "short" {
            refuses(name, "its heading is not the one that this input gives");
        }
    }
    // Another table's, and one with more rows.
    fs::set_permissions(at.join("whole.csv"), fs::Permissions::from_mode(0o600)).unwrap();
    let whole = read(&service, "whole.csv");
    write(&service, "in.csv", format!("token,username\n{}{}{}", rows[0], rows[1].replace("jane", "june"), rows[2]));
    refuses("whole.csv", "its row 2 is not the one that row 2 of the input gives");
    write(&service, "in.csv", format!("token,username\n{}", rows[0]));
    refuses("whole.csv", "has more rows than");
    assert_eq!(read(&service, "whole.csv"), whole);
    // Whose heading is not whole, but could be one: nothing is lost.
    write(&service, "in.csv", format!("token,username\n{}", rows[0]));
    completes(&service, "in.csv", "short");
}

#[test]
fn a_line_without_an_end_in_an_output_that_is_not_ours_is_left_alone() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 1);
    write(&service, "in.jsonl", format!("{{\"token\":\"{}\",\"username\":\"{USER}\"}}\n", old[0]));
    for content in ["dear diary", "{\"tokens\":1}", "{\"username\":\"x\"", "[", "\n"] {
        write(&service, "out.jsonl", content);
        let output = run(&service, "in.jsonl", "out.jsonl", &[]);
        assert_eq!(output.status.code(), Some(2), "{content} {}", stderr(&output));
        assert!(stderr(&output).contains("its row 1 is not the one"), "{}", stderr(&output));
        assert_eq!(read(&service, "out.jsonl"), content.as_bytes());
    }
}

#[test]
fn two_runs_do_not_share_an_output() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 1);
    write(&service, "in.csv", format!("token,username\n{},{USER}\n", old[0]));
    write(&service, "out.csv", "");
    let held = fs::File::open(service.dir.path().join("out.csv")).unwrap();
    held.lock().unwrap();
    let output = run(&service, "in.csv", "out.csv", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("another process writes it"), "{}", stderr(&output));
    drop(held);
    completes(&service, "in.csv", "out.csv");
}

#[test]
fn tables_that_cannot_be_read_are_named() {
    let service = Service::start(CONFIG);
    let refuses = |name: &str, content: &str, words: &[&str]| {
        write(&service, name, content);
        let output = run(&service, name, "out", &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        for word in words {
            assert!(stderr(&output).contains(word), "no {word:?} in {}", stderr(&output));
        }
        let _ = fs::remove_file(service.dir.path().join("out"));
    };
    refuses("empty.csv", "", &["is empty; its first line must name the columns"]);
    refuses("a.csv", "id;token;username\n", &["names no column token or auth, separated by commas"]);
    refuses("b.csv", "token,auth\n", &["has both columns, token and auth"]);
    refuses("c.csv", "token,username,username\n", &["has the column username twice"]);
    refuses("d.txt", "token\n", &["say --format jsonl or csv"]);
    // A quote without its partner takes all that follows into one field.
    let rows = "x,jane\n".repeat(200_000);
    refuses(
        "e.csv",
        &format!("token,username\nx,u\n\"x,u\n{rows}"),
        &[
            "the row from line 3 on is longer than 524288 bytes; is there a quote without its partner?",
            "1 row is done and in",
            "run the same again to go on",
        ],
    );
    let absent = run(&service, "absent.csv", "out", &[]);
    assert_eq!(absent.status.code(), Some(2));
    let folder = run(&service, "sock", "out", &["--format", "csv"]);
    assert!(stderr(&folder).contains("no regular file"), "{}", stderr(&folder));
    for more in [&["--username", "u"][..], &["--hub-login-token-file", "f"]] {
        assert_eq!(run(&service, "a.csv", "out", more).status.code(), Some(2));
    }
}

/// What would be so for every row is no row's fault: it ends the run, and what was done stays done.
#[test]
fn what_is_no_rows_fault_ends_the_run() {
    let service = Service::start(&CONFIG.replace("apps = [\"*\"]", "apps = [\"acme\", \"none\"]"));
    let old = tokens(&service, 1);
    write(&service, "in.csv", format!("token,username\n{},{USER}\n", old[0]));
    let with_app = |app: &str| {
        let mut args = arguments(&service, "in.csv", "out.csv", &[]);
        let at = args.iter().position(|arg| arg == "acme").unwrap();
        args[at] = app.into();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        crate::service::run(&args, b"")
    };
    for (app, code, reason) in [("none", 2, "UNKNOWN_APP"), ("foreign", 3, "NO_RULE"), ("Bad App", 2, "app")] {
        let output = with_app(app);
        let said = stderr(&output);
        assert!(output.status.code() == Some(code) && said.contains(reason), "{app}: {said}");
        assert_eq!(read(&service, "out.csv"), b"token,username,reseal_verdict,reseal_error\n");
    }
    completes(&service, "in.csv", "out.csv");
    let args = arguments(&service, "in.csv", "out2.csv", &[]);
    let dir = {
        service.signal("TERM");
        service.wait().2
    };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = crate::service::run(&args, b"");
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!exists(dir.path(), "out2.csv"), "an address that leads nowhere leaves nothing behind");
}
