//! What goes through unchanged, and what comes with it.

use serde_json::{Value, json};

use crate::{
    desk::{USER, are_resealed, completes, parted, read, rotate, run, tokens, write},
    service::{CONFIG, Service, stderr, stdout},
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn fields_of_csv_go_through_with_their_content_and_their_order() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 5);
    rotate(&service);
    for (end, mark) in [("\n", ""), ("\r\n", ""), ("\n", "\u{feff}"), ("\r\n", "\u{feff}")] {
        let lines = [
            "id,\"note, or \"\"remark\"\"\",token,username,ß".to_owned(),
            format!("1,\"a, b\",{},{USER},", old[0]),
            format!("2,\"two\r\nlines\n\",{},{USER},日本語", old[1]),
            format!("3,\"say \"\"hi\"\"\",\"{}\",{USER},' ", old[2]),
            format!(",5\" pipe,{},{USER},\"\"", old[3]),
            format!("5,=1+1,{},\"{USER}\",\u{1f511}", old[4]),
        ];
        let input = format!("{mark}{}{end}", lines.join(end));
        write(&service, "in.csv", &input);
        write(&service, "out.csv", "");
        let out = completes(&service, "in.csv", "out.csv");
        let (new, rest) = parted(&out);
        are_resealed(&service, &old, &new);
        let expected = [
            "id,\"note, or \"\"remark\"\"\",token,username,ß,reseal_verdict,reseal_error".to_owned(),
            format!("1,\"a, b\",<token>,{USER},,VALID,"),
            format!("2,\"two\r\nlines\n\",<token>,{USER},日本語,VALID,"),
            format!("3,\"say \"\"hi\"\"\",<token>,{USER},' ,VALID,"),
            format!(",\"5\"\" pipe\",<token>,{USER},,VALID,"),
            format!("5,=1+1,<token>,{USER},\u{1f511},VALID,"),
        ];
        assert_eq!(text(&rest), format!("{mark}{}{end}", expected.join(end)));
        assert_eq!(text(&read(&service, "in.csv")), input, "the input is never written to");
    }
}

/// Each of them says why, keeps its token, and stops no other.
#[test]
fn bad_rows_of_csv_say_why_and_stop_no_other() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 3);
    rotate(&service);
    let mut input = Vec::new();
    let mut line = |bytes: &[u8]| {
        input.extend(bytes);
        input.push(b'\n');
    };
    line(b"auth,username,more,hub_login_token");
    line(format!("{},{USER},1,", old[0]).as_bytes());
    line(format!("{},mallory@example.com,2,", old[1]).as_bytes());
    line(format!("{},{USER}", old[1]).as_bytes());
    line(format!("{},{USER},4,,5,6", old[1]).as_bytes());
    line(b"no token,u,5,");
    line(b",u,6,");
    line(&[b"\xff,u,7,\xfe".as_slice()].concat());
    line(format!("{},\"a\u{1}b\",8,", old[1]).as_bytes());
    line(b"");
    line(&[format!("{},{USER},", old[2]).as_bytes(), b"\xff\xfe,"].concat());
    write(&service, "in.csv", &input);
    let output = run(&service, "in.csv", "out.csv", &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stdout(&output), "9 rows: 2 resealed, 7 failed (2 MALFORMED, 1 WRONG_CONTEXT, 4 errors)\n",);
    let (found, rest) = parted(&read(&service, "out.csv"));
    assert_ne!((&found[0], &found[5]), (&old[0], &old[2]));
    assert_eq!(found[1..5], [&old[1]; 4].map(Clone::clone), "a token that cannot be resealed stays");
    let lines: Vec<&[u8]> = rest.split(|b| *b == b'\n').collect();
    let starts = |at: usize, with: &[u8]| assert!(lines[at].starts_with(with), "{}", text(lines[at]));
    starts(0, b"auth,username,more,hub_login_token,reseal_verdict,reseal_error");
    starts(1, format!("<token>,{USER},1,,VALID,").as_bytes());
    starts(2, b"<token>,mallory@example.com,2,,WRONG_CONTEXT,");
    starts(3, format!("<token>,{USER},,,,\"has 2 fields, where the heading has 4\"").as_bytes());
    // What is over stands behind, so that all else stands under its name.
    starts(4, format!("<token>,{USER},4,,,\"has 6 fields, where the heading has 4\",5,6").as_bytes());
    starts(5, b"no token,u,5,,MALFORMED,");
    starts(6, b",u,6,,MALFORMED,");
    starts(7, b"\xff,u,7,\xfe,,the token is no UTF-8");
    starts(8, b"<token>,a\x01b,8,,,");
    assert!(text(lines[8]).contains("username"), "{}", text(lines[8]));
    starts(9, &[format!("<token>,{USER},").as_bytes(), b"\xff\xfe,,VALID,"].concat());
}

/// Not a byte of a line changes but the token; numbers, spaces, escapes and order are nobody's business here.
#[test]
fn lines_of_json_change_in_the_token_alone() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 4);
    rotate(&service);
    let input = [
        format!("\u{feff}{{\"id\": 1.00, \"token\" : \"{}\" ,\"username\":\"{USER}\"}}", old[0]),
        format!("  {{\"username\":\"jane\\u0040example.com\",\"auth\":\"{}\",\"n\":123456789012345678901234567890}} \r", old[1]),
        String::new(),
        format!("{{\"x\":{{\"token\":\"hatless\",\"a\":[1,{{}}]}},\"x\":\"\\ud83d\\udd11 🔑\",\"hub_login_token\":null,\"token\":\"{}\",\"username\":\"{USER}\"}}", old[2]),
        format!("{{\"reseal_error\":\"of \\\"old\\\"\",\"token\":\"{}\",\"reseal_verdict\":7,\"username\":\"{USER}\"}}", old[3]),
    ]
    .join("\n");
    write(&service, "in.jsonl", &input);
    let out = completes(&service, "in.jsonl", "out.jsonl");
    let (new, rest) = parted(&out);
    are_resealed(&service, &old, &new);
    let well = ",\"reseal_verdict\":\"VALID\",\"reseal_error\":\"\"}";
    let expected = [
        format!("\u{feff}{{\"id\": 1.00, \"token\" : \"<token>\" ,\"username\":\"{USER}\"{well}\n"),
        format!(
            "  {{\"username\":\"jane\\u0040example.com\",\"auth\":\"<token>\",\"n\":123456789012345678901234567890{well} \r\n"
        ),
        format!(
            "{{\"x\":{{\"token\":\"hatless\",\"a\":[1,{{}}]}},\"x\":\"\\ud83d\\udd11 🔑\",\"hub_login_token\":null,\"token\":\"<token>\",\"username\":\"{USER}\"{well}\n"
        ),
        format!(
            "{{\"reseal_error\":\"\",\"token\":\"<token>\",\"reseal_verdict\":\"VALID\",\"username\":\"{USER}\"}}\n"
        ),
    ];
    assert_eq!(text(&rest), expected.concat());
}

#[test]
fn bad_lines_of_json_say_why_and_stop_no_other() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 1);
    rotate(&service);
    let token = &old[0];
    let long = format!("{{\"token\":\"{token}\",\"x\":\"{}\"}}", "x".repeat(600 << 10));
    let lines: Vec<(Vec<u8>, &str, &str)> = vec![
        (format!("{{\"token\":\"{token}\",\"username\":\"{USER}\"}}").into(), "VALID", ""),
        (format!("{{\"token\":\"{token}\"}}").into(), "WRONG_CONTEXT", ""),
        (format!("{{\"token\":\"{token}\",\"username\":7}}").into(), "", "username is no text"),
        (format!("{{\"token\":\"{token}\",\"auth\":\"{token}\"}}").into(), "", "has both token and auth"),
        (format!("{{\"token\":\"{token}\",\"token\":\"{token}\"}}").into(), "", "has token twice"),
        (b"{}".into(), "", "has no field token or auth"),
        (b"{\"token\":{\"a\":1}}".into(), "", "the token is no text"),
        (b"{\"token\":\"x\"".into(), "", "no JSON object: see column 12"),
        (b"[\"token\"]".into(), "", "no JSON object"),
        (b"{\"token\":\"\xff\"}".into(), "", "no UTF-8"),
        (long.into(), "", "line 11 is longer than 524288 bytes, and left out"),
        (format!("{{\"token\":\"{token}\",\"username\":\"{USER}\"}}").into(), "VALID", ""),
    ];
    write(&service, "in.jsonl", lines.iter().map(|(line, ..)| line.as_slice()).collect::<Vec<_>>().join(&b'\n'));
    let output = run(&service, "in.jsonl", "out.jsonl", &["--output", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected =
        json!({"rows": "12", "resealed": "2", "failed": "10", "verdicts": {"WRONG_CONTEXT": "1"}, "errors": "9"});
    assert_eq!(summary, expected);
    let out = read(&service, "out.jsonl");
    let found: Vec<Value> = text(&out).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), lines.len());
    for (row, (line, verdict, error)) in found.iter().zip(&lines) {
        assert_eq!(row["reseal_verdict"], *verdict, "{row}");
        let said = row["reseal_error"].as_str().unwrap();
        assert!(said.contains(error) && (*verdict == "VALID") == said.is_empty(), "{row}");
        assert!(
            *verdict == "VALID"
                || row.get("token").is_none()
                || text(line).contains(row["token"].as_str().unwrap_or_default())
        );
    }
    assert_eq!(found[7]["reseal_input"], "{\"token\":\"x\"");
    assert_eq!(found[10]["reseal_line"], 11);
    // A run over what is done says the same, and does nothing.
    let again = run(&service, "in.jsonl", "out.jsonl", &["--output", "json"]);
    assert_eq!((again.status.code(), &again.stdout), (Some(1), &output.stdout));
    assert_eq!(read(&service, "out.jsonl"), out);
}

/// What came out of one run can go into the next.
#[test]
fn an_output_is_an_input() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 2);
    let csv = format!("token,username\n{},{USER}\n{},somebody\n", old[0], old[1]);
    write(&service, "in.csv", csv);
    assert_eq!(run(&service, "in.csv", "out.csv", &[]).status.code(), Some(1));
    let mended = text(&read(&service, "out.csv")).replace("somebody", USER);
    write(&service, "mended.csv", mended);
    let out = completes(&service, "mended.csv", "out2.csv");
    let rest = text(&parted(&out).1);
    assert_eq!(rest.lines().next(), Some("token,username,reseal_verdict,reseal_error"));
    assert_eq!(rest.matches(&format!("<token>,{USER},VALID,\n")).count(), 2);
}

#[test]
fn nothing_comes_of_nothing() {
    let service = Service::start(CONFIG);
    write(&service, "in.jsonl", "\n\n");
    let output = run(&service, "in.jsonl", "out.jsonl", &[]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "0 rows: 0 resealed, 0 failed\n"));
    assert_eq!(read(&service, "out.jsonl"), b"");
    write(&service, "in.csv", "token,username\n");
    assert_eq!(run(&service, "in.csv", "out.csv", &[]).status.code(), Some(0));
    assert_eq!(read(&service, "out.csv"), b"token,username,reseal_verdict,reseal_error\n");
}
