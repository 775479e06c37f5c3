//! What a TLS listener is refused for, at the start and by `config check` alike, each with its remedy.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    guarded::{LISTENER, config, folder, put},
    issuer::{Authority, Wanted},
    service::{run, stderr, stdout},
};

/// Both refuse with exit code 2 and one line that holds every one of `words`.
fn refuses(at: &Path, words: &[&str]) {
    let config = at.join("config.toml").display().to_string();
    for args in [&["serve", "--allow-root", "--config", &config][..], &["config", "check", &config]] {
        let output = run(args, b"");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        let last = said.trim_end().lines().last().unwrap_or_default();
        for word in words {
            assert!(last.contains(word), "{word:?} is not in: {said}");
        }
        assert!(!said.contains("PRIVATE KEY-----"), "{said}");
    }
}

/// What `spoil` does to the folder of certificates is refused with these words.
fn spoilt(words: &[&str], spoil: impl FnOnce(&Path, &Authority)) {
    let (dir, ca) = folder(&config(LISTENER));
    spoil(&dir.path().join("tls"), &ca);
    refuses(dir.path(), words);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_that_others_can_read() {
    spoilt(&["listen.tls 127.0.0.1:0", "tls.key", "0604", "chmod 0600"], |tls, _| mode(&tls.join("tls.key"), 0o604));
}

#[test]
fn a_ca_file_that_others_can_write() {
    for loose in [0o666, 0o602, 0o660] {
        spoilt(&["ca.crt", "chmod go-w"], |tls, _| mode(&tls.join("ca.crt"), loose));
    }
}

#[test]
fn a_missing_file() {
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        spoilt(&[name, "cannot be read", "check the path"], |tls, _| fs::remove_file(tls.join(name)).unwrap());
    }
}

#[test]
fn a_folder_in_the_place_of_a_file() {
    spoilt(&["tls.key", "no regular file"], |tls, _| {
        fs::remove_file(tls.join("tls.key")).unwrap();
        fs::create_dir(tls.join("tls.key")).unwrap();
    });
}

#[test]
fn a_key_of_another_certificate() {
    spoilt(&["tls.key", "is not the key of certificate", "tls.crt"], |tls, ca| {
        fs::write(tls.join("tls.key"), ca.service().key).unwrap();
    });
}

#[test]
fn files_in_which_there_is_nothing_of_the_kind() {
    spoilt(&["tls.crt", "holds no certificate"], |tls, _| fs::write(tls.join("tls.crt"), "").unwrap());
    spoilt(&["ca.crt", "holds no certificate"], |tls, _| fs::write(tls.join("ca.crt"), "# none\n").unwrap());
    spoilt(&["tls.key", "no unencrypted private key"], |tls, _| fs::write(tls.join("tls.key"), "hunter2\n").unwrap());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    spoilt(&["tls.key", "no unencrypted private key"], |tls, _| fs::write(tls.join("tls.key"), encrypted).unwrap());
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    spoilt(&["ca.crt", "malformed"], |tls, _| fs::write(tls.join("ca.crt"), garbage).unwrap());
    spoilt(&["tls.crt", "malformed"], |tls, _| fs::write(tls.join("tls.crt"), garbage).unwrap());
}

#[test]
fn a_revocation_list_that_cannot_count() {
    let refused = |words: &[&str], list: &dyn Fn(&Authority) -> Vec<u8>| {
        let (dir, ca) = folder(&config(&format!("{LISTENER}crls = [\"tls/ca.crl\"]\n")));
        fs::write(dir.path().join("tls/ca.crl"), list(&ca)).unwrap();
        refuses(dir.path(), words);
    };
    refused(&["ca.crl", "holds no revocation list"], &|_| b"\n".to_vec());
    refused(&["malformed", "fetch it again"], &|_| vec![0x30, 0x82]);
    refused(&["CN=another CA", "ca.crt does not hold"], &|_| Authority::new("another CA").list(&[1], 2090).into());
    refused(&["CN=test CA", "is not signed by its key"], &|_| Authority::new("test CA").list(&[1], 2090).into());
}

#[test]
fn settings_that_do_not_fit_together() {
    for (from, to, words) in [
        ("127.0.0.1:0", "localhost:1", &["localhost:1", "is no address", "IP:PORT"][..]),
        ("trust_domain = \"example.org\"", "", &["trust_domain is missing"]),
        ("\"example.org\"", "\"spiffe://example.org\"", &["trust_domain", "without spiffe://"]),
        ("trust_domain", "identity = \"dns\"\ntrust_domain", &["take one of the two away"]),
        ("trust_domain", "identity = \"cn\"\ntrust_domain", &["identity \"cn\" is unknown"]),
        ("client_ca", "ca", &["unknown field `ca`"]),
        ("\"tls/tls.key\"", "\"\"", &["key is empty"]),
    ] {
        let (dir, _ca) = folder(&config(&LISTENER.replace(from, to)));
        refuses(dir.path(), words);
    }
    let twice = LISTENER.replace("127.0.0.1:0", "127.0.0.1:50051");
    let (dir, _ca) = folder(&config(&format!("{twice}{twice}")));
    refuses(dir.path(), &["127.0.0.1:50051 is there twice"]);
}

#[test]
fn an_occupied_port_and_an_address_of_another_machine() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    for (address, words) in [(taken.as_str(), &["is in use"][..]), ("192.0.2.1:0", &["no address of this machine"])] {
        let (dir, _ca) = folder(&config(&LISTENER.replace("127.0.0.1:0", address)));
        let config = dir.path().join("config.toml").display().to_string();
        let output = run(&["serve", "--allow-root", "--config", &config], b"");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        for word in words.iter().chain(&[address]) {
            assert!(stderr(&output).contains(word), "{}", stderr(&output));
        }
    }
}

/// An expired certificate of our own is the callers' to refuse; we say so and go on.
#[test]
fn an_expired_certificate_of_our_own_is_an_alarm_and_no_refusal() {
    let (dir, ca) = folder(&config(LISTENER));
    let wanted = Wanted { names: &["127.0.0.1"], years: (2020, 2021), ..Wanted::default() };
    put(&dir.path().join("tls"), "tls", &ca.issue(&wanted));
    let output = run(&["config", "check", &dir.path().join("config.toml").display().to_string()], b"");
    assert!(output.status.success() && stdout(&output).contains("ok"), "{}", stderr(&output));
    assert!(stderr(&output).contains("tls.crt expired at") && stderr(&output).contains("renew it"));
    let guarded = crate::guarded::Guarded { service: crate::service::Service::start_in(dir), ca };
    guarded.service.await_log("tls.crt expired at", 1);
    // 2021-01-01T00:00:00Z
    guarded
        .await_metric("countersign_tls_certificate_not_after_timestamp_seconds{listener=\"127.0.0.1:0\"} 1609459200");
    assert_eq!(guarded.mint_as("caller", &[]).status.code(), Some(4));
}
