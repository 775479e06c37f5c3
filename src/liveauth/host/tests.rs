//! Host names as callers, browsers and configurations write them.

use super::{HostProblem as P, *};

fn asked(text: &str) -> Result<String, HostProblem> {
    HostName::from_request(text).map(|name| name.to_string())
}

fn referred(text: &str) -> Result<String, HostProblem> {
    HostName::from_referer(text).map(|name| name.to_string())
}

#[test]
fn the_short_way_accepts_only_what_the_long_way_leaves_as_it_is() {
    let long = "a".repeat(64);
    let many = ["a"; 127].join(".");
    let texts = [
        "a",
        "jobs.example.com",
        "a-b.c",
        "xn--bcher-kva.example",
        "1.a",
        "a.1b",
        "a.0x1f",
        "a.0x",
        "a.0xg",
        "a.12",
        "1.2.3.4",
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a.-b",
        "a-.b",
        "A.b",
        "a_b",
        "a b",
        "a/b",
        "a:1",
        "a@b",
        "é",
        &long,
        &long[..63],
        &many,
        &format!("{many}.ab"),
    ];
    let mut short = 0;
    for text in texts {
        let the_long_way = refuse_before_parsing(text).and_then(|()| HostName::from_authority(text));
        if is_canonical(text) {
            assert_eq!(the_long_way.as_ref().map(HostName::as_str), Ok(text), "{text:?}");
            short += 1;
        }
    }
    assert_eq!(short, 8, "a, jobs…, a-b.c, xn--…, 1.a, a.1b, 63 letters, 253 characters");
}

#[test]
fn case_a_trailing_dot_and_a_port_make_no_difference() {
    for text in
        ["jobs.example.com", "JOBS.Example.COM", "jobs.example.com.", "jobs.example.com:8443", "jobs.example.com.:1"]
    {
        assert_eq!(asked(text).as_deref(), Ok("jobs.example.com"), "{text}");
    }
    assert_eq!(asked("localhost").as_deref(), Ok("localhost"));
    assert_eq!(asked("xn--bcher-kva.example").as_deref(), Ok("xn--bcher-kva.example"));
    assert_eq!(asked("r3---sn.example").as_deref(), Ok("r3---sn.example"));
}

#[test]
fn what_a_url_parser_would_repair_is_refused() {
    let long_label = "a".repeat(64);
    let long_name = format!("{}a", "abcdefg.".repeat(32));
    for (text, problem) in [
        ("", P::Empty),
        (".", P::Empty),
        (":80", P::Empty),
        (" jobs.example.com", P::Forbidden),
        ("jobs.example.com\n", P::Forbidden),
        ("jobs\t.example.com", P::Forbidden),
        ("jobs\0.example.com", P::Forbidden),
        ("jobs.example.com\\x", P::Forbidden),
        ("jobs.example.com\u{3000}", P::Forbidden),
        ("user@jobs.example.com", P::Userinfo),
        ("127.0.0.1", P::IpLiteral),
        ("2130706433", P::IpLiteral),
        ("0x7f.0x1", P::IpLiteral),
        ("0X7F000001", P::IpLiteral),
        ("a.example.1", P::IpLiteral),
        ("[::1]", P::IpLiteral),
        ("::1", P::IpLiteral),
        ("jobs..example.com", P::EmptyLabel),
        (".example.com", P::EmptyLabel),
        ("example.com..", P::EmptyLabel),
        ("jobs_x.example.com", P::Underscore),
        ("-jobs.example.com", P::Hyphen),
        ("jobs-.example.com", P::Hyphen),
        ("bücher.example", P::NotAscii),
        ("jobs。example.com", P::NotAscii),
        ("jobs%2eexample.com", P::NotLdh),
        ("*.example.com", P::NotLdh),
        ("jobs.example.com:", P::Port),
        ("jobs.example.com:65536", P::Port),
        ("jobs.example.com:+80", P::Port),
        ("https://jobs.example.com/", P::Url),
        (&long_label, P::LabelTooLong),
        (&long_name, P::TooLong),
    ] {
        assert_eq!(asked(text), Err(problem), "{text:?}");
    }
}

#[test]
fn a_referer_names_its_host_and_nothing_else() {
    for text in [
        "https://jobs.example.com/",
        "http://jobs.example.com",
        "HTTPS://Jobs.Example.Com.:443/a/b?c=http://evil.example/#d",
        "https://jobs.example.com?@evil.example",
        "https://jobs.example.com#@evil.example",
    ] {
        assert_eq!(referred(text).as_deref(), Ok("jobs.example.com"), "{text}");
    }
    for (text, problem) in [
        ("", P::Empty),
        ("https:///path", P::Empty),
        ("jobs.example.com", P::NotUrl),
        ("//jobs.example.com/", P::NotUrl),
        ("about:blank", P::NotUrl),
        ("ftp://jobs.example.com/", P::NotUrl),
        ("https:/jobs.example.com/", P::NotUrl),
        ("https://jobs.example.com@evil.example/", P::Userinfo),
        ("https://evil.example\\@jobs.example.com/", P::Forbidden),
        ("https://jobs.example.com /", P::Forbidden),
        ("https://[::1]/", P::IpLiteral),
    ] {
        assert_eq!(referred(text), Err(problem), "{text:?}");
    }
}

#[test]
fn the_configuration_may_be_in_any_script() {
    let configured = |text| HostName::from_config(text).map(|name| name.to_string());
    assert_eq!(configured("Bücher.example").as_deref(), Ok("xn--bcher-kva.example"));
    assert_eq!(configured("straße.example").as_deref(), Ok("xn--strae-oqa.example"));
    assert_eq!(configured("jobs。example.com").as_deref(), Ok("jobs.example.com"));
    assert_eq!(configured("Jobs.Example.com.").as_deref(), Ok("jobs.example.com"));
    for bad in
        ["", "a_b.example", "https://jobs.example.com", "jobs.example.com:80", "ü_b.example", "ü .example", "10.0.0.1"]
    {
        assert!(configured(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn problems_say_what_to_do_and_quote_nothing() {
    let text = HostName::from_request("se cret.example").unwrap_err().to_string();
    assert!(!text.contains("cret") && text.contains("remove"));
}
