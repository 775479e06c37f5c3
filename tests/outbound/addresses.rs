//! Where calls may go: allowed origins, https, and addresses of the public internet.

use countersign::outbound::{Body, Method, Outbound, Problem, Request, Sent, Settings};

use super::{
    LONG, fails, get, send,
    server::{Server, answer},
    settings, started,
};

/// As a service has it that was not told otherwise.
fn careful() -> Settings {
    Settings { connect_timeout: LONG, timeout: LONG, ..Settings::default() }
}

#[test]
fn an_answer_is_read_whole_and_the_request_says_what_it_should_and_no_more() {
    let server = Server::answering(answer("200 OK", "{\"a\":1}"));
    let outbound: &'static Outbound = Box::leak(Box::new(started(settings())));
    let origin = server.origin();
    let mut request = Request::get(format!("{origin}/api/test?client=42&token=a%2Fb%20c"));
    request.referer = Some("https://jobs.example.com/".into());
    let got = send(outbound, request, &[&origin], LONG).unwrap();
    assert_eq!((got.status, got.body.as_slice(), got.is_success()), (200, b"{\"a\":1}".as_slice(), true));

    let post = Request::with_body(Method::Post, format!("{origin}/p"), Body::Json, b"{\"b\":2}".to_vec());
    assert_eq!(send(outbound, post, &[&origin], LONG).unwrap().status, 200);
    let put = Request::with_body(Method::Put, format!("{origin}/q"), Body::Form, b"c=3".to_vec());
    assert_eq!(send(outbound, put, &[&origin], LONG).unwrap().status, 200);
    let empty = Request::with_body(Method::Post, format!("{origin}/r"), Body::Json, Vec::new());
    assert_eq!(send(outbound, empty, &[&origin], LONG).unwrap().status, 200);

    let heard: Vec<(String, Vec<String>, String)> = server
        .heard()
        .iter()
        .map(|request| {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines().map(str::to_owned);
            let first = lines.next().unwrap();
            let mut headers: Vec<_> = lines.collect();
            headers.sort();
            (first, headers, body.to_owned())
        })
        .collect();
    let host = format!("host: 127.0.0.1:{}", server.port);
    let usual = |more: &[&str]| {
        let mut headers =
            vec!["accept: application/json".to_owned(), host.clone(), "user-agent: countersign".to_owned()];
        headers.extend(more.iter().map(ToString::to_string));
        headers.sort();
        headers
    };
    assert_eq!(
        heard[0],
        (
            "GET /api/test?client=42&token=a%2Fb%20c HTTP/1.1".into(),
            usual(&["referer: https://jobs.example.com/"]),
            String::new()
        )
    );
    let json = ["content-type: application/json", "content-length: 7"];
    assert_eq!(heard[1], ("POST /p HTTP/1.1".into(), usual(&json), "{\"b\":2}".into()));
    let form = ["content-type: application/x-www-form-urlencoded", "content-length: 3"];
    assert_eq!(heard[2], ("PUT /q HTTP/1.1".into(), usual(&form), "c=3".into()));
    let none = ["content-type: application/json", "content-length: 0"];
    assert_eq!(heard[3], ("POST /r HTTP/1.1".into(), usual(&none), String::new()));
    outbound.close(LONG);
}

#[test]
fn an_origin_that_is_not_allowed_is_not_called() {
    let server = Server::answering(answer("200 OK", ""));
    let outbound: &'static Outbound = Box::leak(Box::new(started(settings())));
    let to = |url: String, allowed: &str| send(outbound, Request::get(url), &[allowed], LONG);
    let origin = server.origin();
    for allowed in ["https://127.0.0.1", "http://127.0.0.1", &format!("{origin}0"), &format!("{origin}/"), "null", ""] {
        fails(to(format!("{origin}/"), allowed), Sent::Nothing, Problem::Origin);
    }
    let with_user = format!("http://user:pass@127.0.0.1:{}/", server.port);
    fails(to(with_user, &origin), Sent::Nothing, Problem::Url);
    for wrong in ["", "/", "http://", "http://127.0.0.1:99999/", "file:///etc/passwd", "data:text/plain,x"] {
        let fault = to(wrong.into(), &origin).unwrap_err();
        assert!(matches!(fault.problem, Problem::Url | Problem::Insecure) && fault.sent == Sent::Nothing, "{wrong}");
    }
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn http_is_spoken_to_this_machine_in_development_alone() {
    let server = Server::answering(answer("200 OK", ""));
    fails(get(careful(), &server.origin(), "/"), Sent::Nothing, Problem::Insecure);
    let any_address = Settings { private_addresses: true, ..careful() };
    fails(get(any_address, &server.origin(), "/"), Sent::Nothing, Problem::Insecure);
    let development = Settings { insecure_loopback: true, ..careful() };
    assert_eq!(get(development.clone(), &server.origin(), "/").unwrap().status, 200);
    let by_name = format!("http://localhost:{}", server.port);
    assert_eq!(get(development.clone(), &by_name, "/").unwrap().status, 200);
    // Not even where private addresses are dialled: they are not this machine's.
    let both = Settings { private_addresses: true, ..development };
    for elsewhere in ["http://10.0.0.1", "http://192.0.2.1", "http://[fe80::1]"] {
        fails(get(both.clone(), elsewhere, "/"), Sent::Nothing, Problem::Insecure);
    }
    assert_eq!(server.heard().len(), 2);
}

/// However an address is spelt, what counts is what would be dialled.
#[test]
fn an_address_inside_is_not_dialled_however_it_is_spelt() {
    let server = Server::answering(answer("200 OK", ""));
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "[::]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "[ff02::1]",
        "１２７.0.0.1",
    ] {
        let url = format!("https://{host}:{}/", server.port);
        let outbound: &'static Outbound = Box::leak(Box::new(started(careful())));
        // Whoever allows an origin allows what the parser makes of it.
        let origin = url::Url::parse(&url).unwrap().origin().ascii_serialization();
        fails(send(outbound, Request::get(url), &[&origin], LONG), Sent::Nothing, Problem::Address);
        outbound.close(LONG);
    }
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn a_name_that_leads_inside_is_not_dialled() {
    let server = Server::answering(answer("200 OK", ""));
    for name in ["localhost", "LOCALHOST"] {
        let url = format!("https://{name}:{}/", server.port);
        let origin = url::Url::parse(&url).unwrap().origin().ascii_serialization();
        let outbound: &'static Outbound = Box::leak(Box::new(started(careful())));
        fails(send(outbound, Request::get(url), &[&origin], LONG), Sent::Nothing, Problem::Address);
        outbound.close(LONG);
    }
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn a_name_that_is_none_and_a_port_where_nobody_listens_are_told_apart() {
    fails(get(careful(), "https://no-such-host.invalid", "/"), Sent::Nothing, Problem::Name);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fails(get(settings(), &format!("http://127.0.0.1:{closed}"), "/"), Sent::Nothing, Problem::Unreachable);
}

/// The variables that other clients heed would send calls anywhere.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let server = Server::answering(answer("200 OK", "direct"));
    let proxy = Server::answering(answer("200 OK", "by a proxy"));
    let this = std::env::current_exe().unwrap();
    let child = std::process::Command::new(this)
        .args(["--exact", "addresses::says_what_it_got", "--nocapture"])
        .env("SERVER", server.origin())
        .envs(["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"].map(|name| (name, proxy.origin())))
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(said.contains("got: direct"), "{said}");
    assert_eq!(proxy.heard(), [""; 0]);
}

/// The other half of the test above, in a process of its own.
#[test]
fn says_what_it_got() {
    let Ok(origin) = std::env::var("SERVER") else { return };
    let got = get(settings(), &origin, "/").unwrap();
    println!("got: {}", String::from_utf8_lossy(&got.body));
}
