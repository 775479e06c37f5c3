//! What is read, for how long, and what is not followed.

use std::{io::Write as _, net::TcpListener, sync::mpsc, thread, time::Duration};

use countersign::outbound::{Body, Method, Outbound, Problem, Request, Sent, Settings, Vendor};

use super::{
    LONG, fails, get, get_within, send,
    server::{Server, answer},
    settings, started,
};

/// A limit that is meant to be reached.
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Server::answering(answer("200 OK", "here"));
    for status in
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent", "300 Choices", "304 Same"]
    {
        let head = format!("HTTP/1.1 {status}\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n", elsewhere.origin());
        let server = Server::answering(head);
        fails(get(settings(), &server.origin(), "/"), Sent::Answered, Problem::Redirect);
    }
    assert_eq!(elsewhere.heard(), [""; 0]);
}

#[test]
fn an_error_is_an_answer() {
    let server = Server::answering(answer("500 Broken", "so"));
    let got = get(settings(), &server.origin(), "/").unwrap();
    assert_eq!((got.status, got.body.as_slice(), got.is_success()), (500, b"so".as_slice(), false));
}

#[test]
fn what_is_longer_than_the_bound_is_cut_off_announced_or_not() {
    let small = Settings { response_bytes: 1024, ..settings() };
    let fits = Server::answering(answer("200 OK", &"x".repeat(1024)));
    assert_eq!(get(small.clone(), &fits.origin(), "/").unwrap().body.len(), 1024);
    let announced = Server::answering(answer("200 OK", &"x".repeat(1025)));
    fails(get(small.clone(), &announced.origin(), "/"), Sent::Answered, Problem::TooLarge);
    let (tell, told) = mpsc::channel();
    let endless = Server::handling(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream
            .write_all(b"100\r\n")
            .and_then(|()| stream.write_all(&[b'x'; 256]))
            .and_then(|()| stream.write_all(b"\r\n"))
            .is_ok()
        {}
        let _ = tell.send(());
    });
    fails(get(small, &endless.origin(), "/"), Sent::Answered, Problem::TooLarge);
    told.recv_timeout(LONG).expect("the connection is closed, so that an endless answer ends");
}

#[test]
fn a_server_that_says_nothing_or_not_all_is_left_in_time() {
    let silent = Server::handling(|_| thread::sleep(LONG));
    fails(get_within(settings(), &silent.origin(), "/", SHORT), Sent::Uncertain, Problem::Timeout);
    let slow = Server::handling(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
        thread::sleep(LONG);
    });
    // Long enough for the beginning to come on a busy machine.
    fails(get_within(settings(), &slow.origin(), "/", 10 * SHORT), Sent::Answered, Problem::Timeout);
}

#[test]
fn a_server_that_breaks_off_may_have_heard_all() {
    let mute = Server::handling(|_| {});
    fails(get(settings(), &mute.origin(), "/"), Sent::Uncertain, Problem::Broken);
    let cut = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    fails(get(settings(), &cut.origin(), "/"), Sent::Answered, Problem::Broken);
    let other = Server::answering("220 smtp.example.com ESMTP\r\n");
    fails(get(settings(), &other.origin(), "/"), Sent::Uncertain, Problem::Broken);
    // Nothing is sent twice.
    assert_eq!((mute.heard().len(), cut.heard().len(), other.heard().len()), (1, 1, 1));
}

/// A listener whose queue is full takes no more connections: the system goes on trying.
#[test]
fn a_connection_that_is_not_made_in_time_has_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Larger than any backlog that std asks for.
    let filling: Vec<_> =
        (0..).map_while(|_| std::net::TcpStream::connect_timeout(&address, SHORT).ok()).take(5000).collect();
    assert!(filling.len() < 5000);
    let short = Settings { connect_timeout: SHORT, ..settings() };
    fails(get(short, &format!("http://{address}"), "/"), Sent::Nothing, Problem::ConnectTimeout);
}

#[test]
fn one_vendor_that_hangs_takes_no_place_from_the_other_and_what_is_begun_ends() {
    let server = Server::handling(|stream| {
        thread::sleep(Duration::from_millis(50));
        let _ = stream.write_all(answer("200 OK", "").as_bytes());
    });
    let outbound: &'static Outbound = Box::leak(Box::new(started(settings())));
    let origin = server.origin();
    let (tell, told) = mpsc::channel();
    let mut begun = 0;
    while let Some(slot) = outbound.enter(Vendor::LiveAuth) {
        let (tell, origin) = (tell.clone(), origin.clone());
        begun += 1;
        outbound.run(slot, async move {
            let request = Request::with_body(Method::Post, format!("{origin}/"), Body::Json, Vec::new());
            let sent = outbound.send(request, &[origin], LONG).await;
            tell.send(sent.map(|answer| answer.status)).unwrap();
        });
    }
    assert_eq!(begun, 64);
    assert!(outbound.enter(Vendor::Hub).is_some());
    // Nobody waits for them, and the way out is closed: they are done all the same.
    outbound.close(LONG);
    drop(tell);
    assert_eq!(told.iter().filter(|sent| *sent == Ok(200)).count(), begun);
    assert_eq!(server.heard().len(), begun);
}

#[test]
fn other_settings_hold_for_what_is_sent_from_then_on() {
    let server = Server::answering(answer("200 OK", &"x".repeat(2000)));
    let outbound: &'static Outbound = Box::leak(Box::new(started(settings())));
    let origin = server.origin();
    let ask = || send(outbound, Request::get(format!("{origin}/")), &[&origin], LONG);
    assert_eq!(ask().unwrap().status, 200);
    let small = Settings { response_bytes: 1024, ..settings() };
    outbound.take_up(small.clone(), countersign::outbound::Roots::read(&small).unwrap());
    fails(ask(), Sent::Answered, Problem::TooLarge);
    outbound.close(LONG);
}
