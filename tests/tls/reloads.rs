//! Certificates that change under a running service: new connections get the new ones, open ones go on, and bad files
//! change nothing.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use crate::{
    guarded::{Guarded, LISTENER, config, config_with, put},
    issuer::{Authority, CALLER, Wanted},
    peer::{Peer, client},
    service::Service,
};

const POLLED: &str = "\n[reload]\npoll = \"1s\"\n";

/// The certificate that the service shows to a caller who connects now.
fn shown(guarded: &Guarded) -> Vec<u8> {
    Peer::connect(guarded.port(), &Arc::new(client(&guarded.tls(), "caller"))).unwrap().negotiated().2
}

#[test]
fn a_poll_takes_up_a_new_pair_and_an_open_connection_goes_on() {
    let guarded = Guarded::start_with(&config_with(LISTENER, POLLED));
    let mut open = Peer::connect(guarded.port(), &Arc::new(client(&guarded.tls(), "caller"))).unwrap();
    assert_eq!(open.mint().unwrap(), 200);
    let before = shown(&guarded);
    // Half of a pair is not taken; with the other half it is.
    let pair = guarded.ca.service();
    fs::write(guarded.tls().join("tls.crt"), &pair.certificate).unwrap();
    guarded.service.await_log("TLS files refused", 1);
    assert!(guarded.service.log().contains("is not the key of certificate"));
    assert_eq!(shown(&guarded), before);
    let (status, detail) = guarded.service.http("/readyz?verbose");
    assert!(status == 200 && detail.contains("tls: files refused"), "{detail}");
    put(&guarded.tls(), "tls", &pair);
    guarded.service.await_log("TLS files reloaded", 1);
    assert_ne!(shown(&guarded), before);
    assert!(guarded.service.http("/readyz?verbose").1.contains("tls: ok"));
    assert_eq!(open.mint().unwrap(), 200);
    guarded.await_metric("countersign_reload_last_successful 1");
    let journal = fs::read_to_string(guarded.service.dir.path().join("journal.jsonl")).unwrap();
    assert!(journal.contains("\"kind\":\"reload\",\"result\":\"swapped\",\"tls\":\"127.0.0.1:0\""), "{journal}");
}

#[test]
fn a_swapped_data_link_is_followed_and_never_mixes_two_pairs() {
    let listener = LISTENER.replace("tls/tls.", "mount/tls.").replace("tls/ca.crt", "mount/ca.crt");
    let (dir, ca) = crate::guarded::folder(&config_with(&listener, POLLED));
    // As kubelet mounts a Secret: names are links by way of `..data`, which is swapped by a rename.
    let mount = dir.path().join("mount");
    let swap = |ca: &Authority, name: &str| {
        let new = mount.join(name);
        fs::create_dir_all(&new).unwrap();
        put(&new, "tls", &ca.service());
        fs::write(new.join("ca.crt"), &ca.pem).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    swap(&ca, "..2026_01");
    for file in ["tls.crt", "tls.key", "ca.crt"] {
        symlink(Path::new("..data").join(file), mount.join(file)).unwrap();
    }
    let guarded = Guarded { service: Service::start_in(dir), ca };
    let mut open = Peer::connect(guarded.port(), &Arc::new(client(&guarded.tls(), "caller"))).unwrap();
    let mut before = shown(&guarded);
    for (round, (new, old)) in [("..2026_02", "..2026_01"), ("..2026_03", "..2026_02")].iter().enumerate() {
        swap(&guarded.ca, new);
        fs::remove_dir_all(mount.join(old)).unwrap();
        guarded.service.await_log("TLS files reloaded", round + 1);
        let now = shown(&guarded);
        assert_ne!(now, before);
        before = now;
        assert_eq!(open.mint().unwrap(), 200);
    }
    assert!(!guarded.service.log().contains("refused"), "{}", guarded.service.log());
}

#[test]
fn a_sighup_takes_up_another_ca_and_those_of_the_old_one_stay_out() {
    let guarded = Guarded::start();
    let caller = Arc::new(client(&guarded.tls(), "caller"));
    let mut open = Peer::connect(guarded.port(), &caller).unwrap();
    assert_eq!(open.mint().unwrap(), 200);
    let second = Authority::new("second CA");
    fs::write(guarded.tls().join("ca.crt"), &second.pem).unwrap();
    guarded.service.signal("HUP");
    guarded.service.await_log("\"reloaded", 1);
    // The refusal comes after the client has finished: it shows in the first answer.
    let refused = Peer::connect(guarded.port(), &caller).and_then(|mut peer| peer.mint());
    assert!(refused.unwrap_err().to_string().contains("UnknownCA"));
    guarded.await_handshake("unknown_ca");
    assert_eq!(open.mint().unwrap(), 200, "what is open lives on until its age");
    put(&guarded.tls(), "second", &second.issue(&Wanted::default()));
    fs::write(guarded.tls().join("ca.crt"), &guarded.ca.pem).unwrap();
    let new = Arc::new(client(&guarded.tls(), "second"));
    assert_eq!(Peer::connect(guarded.port(), &new).unwrap().mint().unwrap(), 200);
}

#[test]
fn a_new_revocation_list_keeps_out_who_was_let_in_before() {
    let (dir, ca) = crate::guarded::folder(&config_with(&format!("{LISTENER}crls = [\"tls/ca.crl\"]\n"), POLLED));
    fs::write(dir.path().join("tls/ca.crl"), ca.list(&[], 2090)).unwrap();
    let guarded = Guarded { service: Service::start_in(dir), ca };
    assert!(guarded.mint_as("caller", &[]).status.success());
    fs::write(guarded.tls().join("ca.crl"), guarded.ca.list(&[1], 2091)).unwrap();
    guarded.service.await_log("TLS files reloaded", 1);
    assert_eq!(guarded.mint_as("caller", &[]).status.code(), Some(4));
    guarded.await_handshake("revoked");
    // 2091-01-01T00:00:00Z
    guarded.await_metric("countersign_tls_crl_next_update_timestamp_seconds{listener=\"127.0.0.1:0\"} 3818448000");
    // One that is not its issuer's changes nothing.
    fs::write(guarded.tls().join("ca.crl"), Authority::new("test CA").list(&[], 2090)).unwrap();
    guarded.service.await_log("is not signed by its key", 1);
    assert_eq!(guarded.mint_as("caller", &[]).status.code(), Some(4));
}

/// What lies on disk is bad in one place, and a caller is to lose its rights.
#[test]
fn a_bad_certificate_keeps_no_rule_from_being_taken_away() {
    let guarded = Guarded::start_with(&config_with(LISTENER, POLLED));
    assert!(guarded.mint_as("caller", &[]).status.success());
    fs::write(guarded.tls().join("tls.crt"), "").unwrap();
    guarded.service.await_log("TLS files refused", 1);
    let path = guarded.service.dir.path().join("config.toml");
    let without = fs::read_to_string(&path).unwrap().replace(CALLER, "spiffe://example.org/somebody/else");
    fs::write(&path, without).unwrap();
    guarded.service.await_log("\"reloaded configuration", 1);
    assert_eq!(guarded.mint_as("caller", &[]).status.code(), Some(3));
    guarded.await_metric("countersign_reload_last_successful 0");
}

#[test]
fn bad_files_at_a_sighup_leave_everything_as_it_was() {
    let guarded = Guarded::start();
    let before = shown(&guarded);
    let file = |name: &str| guarded.tls().join(name);
    for (round, (name, text)) in [("tls.crt", ""), ("ca.crt", ""), ("tls.key", "none")].into_iter().enumerate() {
        let good = fs::read(file(name)).unwrap();
        fs::write(file(name), text).unwrap();
        guarded.service.signal("HUP");
        guarded.service.await_log("reload refused", round + 1);
        fs::write(file(name), good).unwrap();
        assert_eq!(shown(&guarded), before);
    }
    assert!(guarded.service.log().contains(&guarded.file("tls.key")));
    // A listener that moved needs another process.
    let moved = config(&LISTENER.replace("127.0.0.1:0", "127.0.0.1:1"));
    fs::write(guarded.service.dir.path().join("config.toml"), moved).unwrap();
    guarded.service.signal("HUP");
    guarded.service.await_log("restart needed: listen.tls", 1);
    assert_eq!(shown(&guarded), before);
}
