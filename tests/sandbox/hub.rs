//! The stand-in for Hub, and the app that it opens, request by request.

use serde_json::{Value, json};
use url::Url;

use crate::run::{Answer, Sandbox, ask, get};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const USER: &str = "jodonnell@broadsoft.com";

/// Where Hub sends the browser to connect the app.
fn opened(sandbox: &Sandbox, generation: u8) -> Url {
    let sent = get(&sandbox.hub, &format!("/connect/{generation}"), &[]);
    assert_eq!(sent.status, 303, "{sent:?}");
    Url::parse(sent.header("location").unwrap()).unwrap()
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned()
}

fn path(url: &Url) -> String {
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

fn stored(sandbox: &Sandbox, generation: u8) -> Option<Value> {
    let session = get(&sandbox.hub, &format!("/session.json?generation={generation}"), &[]);
    (session.status == 200).then(|| session.json())
}

fn deliver(sandbox: &Sandbox, path: &str, body: &Value) -> Answer {
    ask("POST", &sandbox.hub, path, &[JSON], &body.to_string())
}

#[test]
fn hub_opens_generation_one_with_its_origin_and_a_token_in_signed_cookie_form() {
    let sandbox = Sandbox::start();
    let url = opened(&sandbox, 1);
    assert_eq!(url.origin().ascii_serialization(), sandbox.acme);
    assert_eq!(url.path(), "/acme-contacts/authenticate");
    assert_eq!(parameter(&url, "hubUrl"), sandbox.hub);
    let token = parameter(&url, "hubLoginToken");
    let (login, signature) = token.strip_prefix("s:").unwrap().split_once('.').unwrap();
    assert_eq!((login.len(), signature.len(), token.len()), (32, 43, 78), "{token}");
    assert!(token.contains('+') && token.contains('/'), "{token}");
    assert!(!url.query().unwrap().contains('+'), "a plus sign in a query is a space to some");
    assert_ne!(token, parameter(&opened(&sandbox, 1), "hubLoginToken"));
}

#[test]
fn hub_takes_a_delivery_of_generation_one_only_as_the_document_has_it() {
    let sandbox = Sandbox::start();
    let token = parameter(&opened(&sandbox, 1), "hubLoginToken");
    let right = "/v1/acme-contacts/jodonnell@broadsoft.com/auth";
    let good = json!({ "hubLoginToken": token, "auth": "sealed" });
    for (path, body) in [
        ("/v1/another-app/jodonnell@broadsoft.com/auth", good.clone()),
        (right, json!({ "hubLoginToken": token.replace('+', " "), "auth": "sealed" })),
        (right, json!({ "hubLoginToken": format!("{token}x"), "auth": "sealed" })),
        (right, json!({ "hubLoginToken": "s:made-up.signature", "auth": "sealed" })),
        (right, json!({ "hubLoginToken": token, "auth": "" })),
        (right, json!({ "hubLoginToken": token, "auth": { "not": "a string" } })),
        (right, json!({ "hubLoginToken": token, "auth": "sealed", "more": 1 })),
        (right, json!({ "auth": "sealed" })),
    ] {
        assert_eq!(deliver(&sandbox, path, &body).status, 403, "{path} {body}");
    }
    assert_eq!(ask("POST", &sandbox.hub, right, &[FORM], &good.to_string()).status, 403);
    assert_eq!(stored(&sandbox, 1), None);

    let answer = deliver(&sandbox, right, &good);
    assert_eq!((answer.status, answer.json()), (200, json!({ "url": format!("{}/success/1", sandbox.hub) })));
    let session = stored(&sandbox, 1).unwrap();
    assert_eq!((&session["auth"], &session["username"]), (&json!("sealed"), &json!(USER)));
    assert_eq!(session["hubLoginToken"], json!(token));
    assert_eq!(stored(&sandbox, 2), None);
    // A phone number, percent-encoded.
    assert_eq!(deliver(&sandbox, "/v1/acme-contacts/%2B1%20555%200100/auth", &good).status, 200);
    assert_eq!(stored(&sandbox, 1).unwrap()["username"], json!("+1 555 0100"));
}

#[test]
fn hub_takes_what_comes_by_the_callback_of_generation_two_and_renews_it_once() {
    let sandbox = Sandbox::start();
    let url = opened(&sandbox, 2);
    assert_eq!(url.path(), "/gen2/authenticate");
    let callback = Url::parse(&parameter(&url, "callback")).unwrap();
    assert_eq!(callback.origin().ascii_serialization(), sandbox.hub);
    let back = |auth: &str| {
        get(&sandbox.hub, &format!("{}&auth={auth}&username=jodonnell%40broadsoft.com", path(&callback)), &[])
    };
    assert_eq!(back("sealed").status, 403, "no JSON text");
    assert_eq!(back("%22%22").status, 403, "an empty one");
    let elsewhere = "/acme-contacts/callback?session=made-up&auth=%22sealed%22&username=x";
    assert_eq!(get(&sandbox.hub, elsewhere, &[]).status, 403);
    assert_eq!(stored(&sandbox, 2), None);
    let answer = back("%22sealed%22");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/success/2")));
    assert_eq!(stored(&sandbox, 2).unwrap()["auth"], json!("sealed"));

    let renew = |old: &str, new: &str, username: &str| {
        let body = json!({ "auth": old, "newAuth": new, "username": username });
        ask("PUT", &sandbox.hub, &path(&callback), &[JSON], &body.to_string()).status
    };
    assert_eq!(renew("another", "new", USER), 403);
    assert_eq!(renew("sealed", "new", "mallory@example.com"), 403);
    assert_eq!(renew("sealed", "new", USER), 200);
    assert_eq!(renew("sealed", "newer", USER), 403, "that is the old one by now");
    assert_eq!(stored(&sandbox, 2).unwrap()["auth"], json!("new"));
}

#[test]
fn hub_takes_pushes_of_both_generations_that_say_nothing() {
    let sandbox = Sandbox::start();
    let token = parameter(&opened(&sandbox, 1), "hubLoginToken");
    let body = json!({ "hubLoginToken": token, "auth": "sealed" });
    assert_eq!(deliver(&sandbox, &format!("/v1/acme-contacts/{USER}/auth"), &body).status, 200);
    let callback = Url::parse(&parameter(&opened(&sandbox, 2), "callback")).unwrap();
    get(&sandbox.hub, &format!("{}&auth=%22sealed%22&username=jodonnell%40broadsoft.com", path(&callback)), &[]);
    for (generation, way) in
        [(1, "/v1/acme-contacts/jodonnell@broadsoft.com/push"), (2, "/jodonnell@broadsoft.com/push")]
    {
        let push = |path: &str, body: &str| ask("POST", &sandbox.hub, path, &[], body).status;
        assert_eq!(push(way, ""), 200, "{way}");
        assert_eq!(push(way, "{}"), 403, "{way}");
        assert_eq!(push(&way.replace("jodonnell", "mallory"), ""), 403, "{way}");
        assert_eq!(stored(&sandbox, generation).unwrap()["pushes"], json!(1));
    }
}

#[test]
fn preflights_are_answered_to_hub_alone() {
    let sandbox = Sandbox::start();
    for path in ["/acme-contacts/notifications", "/acme-contacts/timeline", "/gen2/notifications", "/gen2/timeline"] {
        let preflight = |origin: &str| {
            let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
            ask("OPTIONS", &sandbox.acme, path, &headers, "")
        };
        let answer = preflight(&sandbox.hub);
        assert_eq!(answer.status, 204, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(&*sandbox.hub));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        for other in ["https://evil.example", "null", &sandbox.front] {
            let answer = preflight(other);
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None), "{path} {other}");
        }
    }
}

#[test]
fn without_auth_nobody_is_known() {
    let sandbox = Sandbox::start();
    for body in
        ["", "{}", "not JSON", "{\"auth\":\"hat1.nonsense\",\"username\":\"x\"}", "{\"auth\":{},\"username\":[]}"]
    {
        for path in ["/acme-contacts/notifications", "/gen2/timeline"] {
            let answer = ask("POST", &sandbox.acme, path, &[JSON], body);
            assert_eq!(
                (answer.status, answer.json()),
                (200, json!({ "message": "you are not authenticated" })),
                "{body}"
            );
        }
    }
    let markup = "%3Cscript%3Ealert(1)%3C/script%3E";
    for path in ["microapp", "contextual"] {
        let page = get(&sandbox.acme, &format!("/gen2/{path}?auth={markup}&username={markup}&context={markup}"), &[]);
        assert!(
            page.body.contains("you are not authenticated") && !page.body.contains("<script>alert"),
            "{}",
            page.body
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.ends_with(&format!("frame-ancestors {}", sandbox.hub)), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    }
}

/// A login by hand, without a browser: a jar of cookies.
struct Login<'a> {
    sandbox: &'a Sandbox,
    cookies: Vec<String>,
}

impl Login<'_> {
    fn send(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let cookies = self.cookies.join("; ");
        let headers = [FORM, ("Origin", self.sandbox.acme.as_str()), ("Cookie", &cookies)];
        let answer = ask(method, &self.sandbox.acme, path, &headers, body);
        if let Some(cookie) = answer.header("set-cookie") {
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            self.cookies.push(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }

    /// Up to the consent, which is given.
    fn through(sandbox: &Sandbox, authenticate: &str, username: &str) -> Answer {
        let mut login = Login { sandbox, cookies: Vec::new() };
        let began = login.send("GET", authenticate, "");
        assert_eq!((began.status, began.header("location")), (303, Some("/login")), "{began:?}");
        let encoded: String = url::form_urlencoded::byte_serialize(username.as_bytes()).collect();
        let signed_in = login.send("POST", "/login", &format!("username={encoded}&password=x"));
        assert_eq!(signed_in.header("location"), Some("/consent"), "{signed_in:?}");
        login.send("POST", "/consent", "decision=allow")
    }
}

#[test]
fn a_login_of_each_generation_ends_where_hub_says() {
    let sandbox = Sandbox::start();
    let ended = Login::through(&sandbox, &path(&opened(&sandbox, 1)), USER);
    assert_eq!(ended.header("location"), Some(&*format!("{}/success/1", sandbox.hub)), "{ended:?}");
    let session = stored(&sandbox, 1).unwrap();
    assert!(session["auth"].as_str().unwrap().len() > 180, "{session}");
    assert_eq!(session["username"], json!(USER));

    let url = opened(&sandbox, 2);
    let ended = Login::through(&sandbox, &path(&url), USER);
    let location = ended.header("location").unwrap_or_else(|| panic!("{ended:?}"));
    assert!(location.starts_with(&parameter(&url, "callback")), "{location}");
    let location = Url::parse(location).unwrap();
    let auth: String = serde_json::from_str(&parameter(&location, "auth")).unwrap();
    assert_eq!(parameter(&location, "username"), USER);
    assert_eq!(ended.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(get(&sandbox.hub, &path(&location), &[]).status, 303);
    assert_eq!(stored(&sandbox, 2).unwrap()["auth"], json!(auth));
}

#[test]
fn a_login_that_names_another_hub_does_not_begin() {
    let sandbox = Sandbox::start();
    let one = opened(&sandbox, 1);
    let token = one.query().unwrap().split_once("hubLoginToken=").unwrap().1.to_owned();
    let refused = |path: &str| {
        let answer = get(&sandbox.acme, path, &[]);
        assert_eq!((answer.status, answer.header("set-cookie")), (400, None), "{path}: {answer:?}");
    };
    let port = sandbox.hub.rsplit(':').next().unwrap();
    for hub in [
        "https%3A%2F%2Fevil.example".to_owned(),
        "evil.example".to_owned(),
        "http%3A%2F%2F127.0.0.1%3A1".to_owned(),
        format!("http%3A%2F%2F127.0.0.1%3A{port}%40evil.example"),
        format!("http%3A%2F%2Fevil.example%2F127.0.0.1%3A{port}"),
        format!("http%3A%2F%2F127.0.0.1%3A{port}%2F..%2F"),
        format!("http%3A%2F%2F127.0.0.1%3A{port}%0d%0aX%3A%20y"),
        format!("http%3A%2F%2F127.0.0.1%3A{port}%3Fa%3D"),
        format!("javascript%3A%2F%2F127.0.0.1%3A{port}"),
        String::new(),
    ] {
        refused(&format!("/acme-contacts/authenticate?hubUrl={hub}&hubLoginToken={token}"));
    }
    refused("/acme-contacts/authenticate");
    refused(&format!("/acme-contacts/authenticate?hubUrl=http%3A%2F%2F127.0.0.1%3A{port}"));
    for callback in [
        "https%3A%2F%2Fevil.example%2F".to_owned(),
        "javascript%3Aalert(1)".to_owned(),
        format!("http%3A%2F%2F127.0.0.1%3A{port}%40evil.example%2F"),
        format!("http%3A%2F%2F127.0.0.1%3A{port}%2Fcb%3Fauth%3Dmine"),
        format!("http%3A%2F%2F127.0.0.1%3A{port}%2Fcb%0d%0aX%3A%20y"),
        "%2F%2Fevil.example%2F".to_owned(),
    ] {
        refused(&format!("/gen2/authenticate?callback={callback}"));
    }
}

#[test]
fn hostile_usernames_reach_no_other_path() {
    let sandbox = Sandbox::start();
    for username in [".", "..", "a\r\nX: y", "a\u{0}b"] {
        let ended = Login::through(&sandbox, &path(&opened(&sandbox, 1)), username);
        assert_eq!((ended.status, ended.header("location")), (400, None), "{username:?}: {ended:?}");
        assert_eq!(stored(&sandbox, 1), None, "{username:?}");
    }
    // These are names like others, once they are encoded: what Hub hears is what was said.
    for username in
        ["../../admin", "a/b?c#d", "a%2e%2e%2fb", "jürgen@example.com", "+1 555 0100", "<script>alert(1)</script>"]
    {
        let ended = Login::through(&sandbox, &path(&opened(&sandbox, 1)), username);
        assert_eq!(ended.header("location"), Some(&*format!("{}/success/1", sandbox.hub)), "{username:?}: {ended:?}");
        assert_eq!(stored(&sandbox, 1).unwrap()["username"], json!(username));
    }
    let desk = get(&sandbox.acme, "/", &[]).body + &get(&sandbox.hub, "/", &[]).body;
    assert!(desk.contains("&lt;script&gt;") && !desk.contains("<script>alert"), "{desk}");
}

#[test]
fn what_hub_does_wrong_to_a_renewal_leaves_the_user_connected() {
    let sandbox = Sandbox::start();
    let switch = |fault: &str| {
        let body = json!({ "hub": fault }).to_string();
        assert_eq!(ask("PUT", &sandbox.front, "/faults.json", &[JSON], &body).status, 200);
    };
    let ended = Login::through(&sandbox, &path(&opened(&sandbox, 2)), USER);
    let location = Url::parse(ended.header("location").unwrap()).unwrap();
    assert_eq!(get(&sandbox.hub, &path(&location), &[]).status, 303);
    let auth = || stored(&sandbox, 2).unwrap()["auth"].as_str().unwrap().to_owned();
    let is_known = |auth: &str| {
        let body = json!({ "csrf": "x", "auth": auth, "username": USER }).to_string();
        ask("POST", &sandbox.acme, "/gen2/notifications", &[JSON], &body).json()["for"] == json!(USER)
    };
    let desk = |button: &str| {
        let own = [FORM, ("Origin", sandbox.acme.as_str())];
        assert_eq!(ask("POST", &sandbox.acme, button, &own, "").status, 303);
        get(&sandbox.acme, "/", &[]).body
    };
    let first = auth();
    assert!(is_known(&first));
    // What Hub did is not known: it may have the old token or the new one, and either is good.
    for fault in ["error500", "redirect", "slow"] {
        switch(fault);
        let said = desk("/renew/2");
        assert!(said.contains("Not renewed: ") && said.contains("RENEWAL_UNCERTAIN"), "{fault}: {said}");
        switch("none");
        assert!(is_known(&first) && is_known(&auth()), "{fault}");
    }
    switch("error500");
    let said = desk("/push/2");
    assert!(said.contains("Hub was not told: ") && said.contains("VENDOR_FAILED"), "{said}");
    switch("slow");
    let said = desk("/push/2");
    assert!(said.contains("VENDOR_TIMEOUT"), "{said}");
    switch("none");
    let latest = auth();
    assert!(is_known(&latest));
    let said = desk("/renew/2");
    assert!(said.contains("Renewed: Hub has the new token"), "{said}");
    assert!(auth() != latest && is_known(&auth()) && !is_known(&latest));
}

#[test]
fn other_sites_send_no_forms() {
    let sandbox = Sandbox::start();
    let evil = [FORM, ("Origin", "https://evil.example")];
    assert_eq!(ask("POST", &sandbox.hub, "/forget/1", &evil, "").status, 403);
    assert_eq!(ask("POST", &sandbox.acme, "/login", &evil, "username=x&password=x").status, 400);
    assert_eq!(ask("POST", &sandbox.acme, "/consent", &evil, "decision=allow").status, 400);
    let ended = Login::through(&sandbox, &path(&opened(&sandbox, 1)), USER);
    assert_eq!(ended.status, 303);
    for what in ["revoke", "push", "renew"] {
        ask("POST", &sandbox.acme, &format!("/{what}/1"), &evil, "");
        assert!(get(&sandbox.acme, "/", &[]).body.contains("Nothing was done"), "{what}");
    }
    let portal = "action=login&portal=4&link=none&id=1";
    assert_eq!(ask("POST", &sandbox.front, "/liveauth/backend", &evil, portal).status, 403);
}
