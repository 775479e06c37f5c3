//! The page that the LiveAuth document prints, held against the document's own text.

use crate::run::{Sandbox, get};

/// As the document prints it.
const DOCUMENT: &str = include_str!("document-test-page.html");

#[test]
fn the_first_link_with_test_in_it_leads_to_the_documents_page_with_four_things_put_in() {
    let sandbox = Sandbox::start();
    let front = get(&sandbox.front, "/", &[]);
    assert_eq!(front.status, 200);
    let links = front.body.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    let link = links.map(|(link, _)| link).find(|link| link.contains("test")).unwrap();
    let served = get(&sandbox.front, link, &[]).body;

    let [client, expires, hash] = sandbox.minted();
    assert_eq!(client, "42");
    assert!(expires.parse::<i64>().unwrap() > 1_700_000_000 && hash.len() == 64, "{expires} {hash}");
    // Each request has a hash of its own: the values of this page, not of the one that `minted` asked for.
    let value = |name: &str| {
        let rest = served.split_once(&format!("x-liveauth-{name}\" content=\"")).unwrap().1;
        format!("\"{}\"", rest.split_once('"').unwrap().0)
    };
    let as_printed = served
        .replace(&sandbox.liveauth, "https://www.idibu.com")
        .replace(&value("expires"), "\"989539200\"")
        .replace(&value("hash"), "\"f4a04f87cabf65ed55a2db9da2159cd7\"");
    assert_eq!(as_printed, DOCUMENT);

    // The variant has this page and a script more.
    let on_load = get(&sandbox.front, "/liveauth/test-on-load", &[]).body;
    let rest_of = |page: &str| page.lines().filter(|line| !line.contains("<meta")).collect::<Vec<_>>().join("\n");
    assert!(rest_of(&on_load).starts_with(&rest_of(&served)), "{on_load}");
}
