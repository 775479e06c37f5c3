//! `docs/clients.md` shows parts of the programs that are tested here; each part must be found in one of them, word for
//! word. Shell commands and what is printed are not quotes. What the programs are installed with is what is tested, too.

use std::fs;

use crate::root;

/// The languages that code is shown in, and the program that it is of, or the test that serves with it.
const PROGRAMS: &[(&str, &str)] = &[
    ("python", "examples/clients/python/client.py"),
    ("js", "examples/clients/node/client.js"),
    ("go", "examples/clients/go/client.go"),
    ("java", "examples/clients/java/src/main/java/example/Client.java"),
    ("rust", "examples/clients/rust/src/main.rs"),
    ("json", "examples/clients/go/client.go"),
    ("toml", "tests/client_examples/main.rs"),
];

#[test]
fn what_the_page_for_clients_shows_is_what_is_tested() {
    let page = fs::read_to_string(root().join("docs/clients.md")).unwrap();
    for (language, program) in PROGRAMS {
        let text = fs::read_to_string(root().join(program)).unwrap();
        let source = squeezed(&text);
        let quotes = quotes(&page, language);
        assert!(!quotes.is_empty(), "docs/clients.md shows nothing in {language}");
        for quote in quotes {
            assert!(
                source.contains(&squeezed(quote)),
                "{program} does not hold this part of docs/clients.md:\n{quote}"
            );
        }
    }
}

#[test]
fn the_versions_that_examples_pin_are_those_that_they_are_tested_with() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let tested = read("tests/clients/python/requirements.txt");
    for pin in read("examples/clients/python/requirements.txt").lines() {
        assert!(tested.lines().any(|line| line == pin), "tests/clients/python/requirements.txt has no {pin}");
    }
    let json = |path: &str| serde_json::from_str::<serde_json::Value>(&read(path)).unwrap();
    let tested = json("tests/clients/node/package-lock.json");
    let shown = json("examples/clients/node/package-lock.json");
    let shown = shown["packages"].as_object().unwrap();
    for (package, pin) in shown.iter().filter(|(package, _)| !package.is_empty()) {
        assert_eq!(tested["packages"][package]["version"], pin["version"], "{package}");
    }
}

/// The fenced blocks of a language.
fn quotes<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Without the white space that begins and ends lines: a quote may be indented less.
fn squeezed(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}
