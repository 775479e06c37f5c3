//! A systemd credential: a folder named in the environment, and in it a file that root owns.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
};

use rustix::fs::{XattrFlags, setxattr};

use crate::{
    place::{By, PASSPHRASE, Place, feed, refused, well, works},
    service::{BINARY, stdout},
    skip,
};

const KEK: By = By::Credential("kek");

#[test]
fn a_keyring_opens_with_a_credential_here_and_in_a_service() {
    let place = Place::new();
    place.fill(&KEK);
    let service = place.serve(&KEK);
    works(&service);
    // Read again at each reload.
    service.signal("HUP");
    service.await_log("reloaded configuration", 1);
    works(&service);
}

#[test]
fn a_credential_and_a_file_of_the_same_content_open_the_same_keyring() {
    let place = Place::new();
    place.fill(&KEK);
    fs::copy(place.credentials().join("kek"), place.path("kek")).unwrap();
    well(&place.keys(&By::File("kek"), &["create", "--key", "more", "--kind", "hat1"], b""));
}

#[test]
fn what_is_missing_is_said_with_what_to_add_to_the_unit() {
    let place = Place::new();
    place.fill(&KEK);
    let create = ["create", "--key", "more", "--kind", "hat1"];
    refused(&place.keys(&By::Credential("other"), &create, b""), 2, "LoadCredential=other:PATH");
    refused(&place.keys(&By::Credential("../kek"), &create, b""), 2, "LoadCredential=");
    place.give_credential("wrong", &[b'w'; 32]);
    refused(&place.keys(&By::Credential("wrong"), &create, b""), 2, "the credential wrong does not open");
    refused(&place.keys(&By::Passphrase(PASSPHRASE), &create, b""), 2, "wrapped by a systemd credential");

    let mut bare = place.command("", "");
    bare.env_remove("CREDENTIALS_DIRECTORY").arg("keys").args(create).arg("--keyring").arg(place.path("keyring"));
    bare.args(["--kek-credential", "kek"]);
    refused(&feed(bare, b""), 2, "$CREDENTIALS_DIRECTORY is not set");

    let empty = Place::new();
    refused(&empty.keys(&By::Credential("none"), &["init"], b""), 2, "init makes none");
    assert!(!empty.path("keyring").exists());
    place.configure(&KEK, "");
    let mut bare = place.serving(&KEK);
    bare.env_remove("CREDENTIALS_DIRECTORY");
    assert_eq!(bare.status().unwrap().code(), Some(2));
    assert!(fs::read_to_string(place.path("log")).unwrap().contains("$CREDENTIALS_DIRECTORY is not set"));
}

/// What systemd does for a unit with `User=`: root's file, and a list that lets one user read it, which shows as 0440.
#[test]
fn an_access_control_list_may_let_this_user_read_it_and_nobody_else() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return skip("root");
    }
    let place = Place::new();
    place.fill(&KEK);
    let at = place.dir.path();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
    let binary = at.join("countersign");
    fs::copy(BINARY, &binary).unwrap();
    fs::create_dir(at.join("own")).unwrap();
    for name in ["keyring", "keyring.generation"] {
        fs::rename(place.path(name), at.join("own").join(name)).unwrap();
        chown(at.join("own").join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(at.join("own"), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(place.credentials(), fs::Permissions::from_mode(0o755)).unwrap();

    let credential = place.credentials().join("kek");
    let list = |users: &[u32]| {
        let named = users.iter().map(|user| (2u16, 4u16, *user));
        let others = [(4, 0, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)];
        let mut list = 2u32.to_le_bytes().to_vec();
        for (tag, rights, id) in [(1, 4, u32::MAX)].into_iter().chain(named).chain(others) {
            list.extend(tag.to_le_bytes());
            list.extend(rights.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        list
    };
    let create = |name: &str| {
        let mut command = std::process::Command::new(&binary);
        command.args(["keys", "create", "--key", name, "--kind", "hat1", "--keyring", "own/keyring"]);
        command.args(["--kek-credential", "kek"]).env("CREDENTIALS_DIRECTORY", place.credentials());
        command.current_dir(at).uid(NOBODY).gid(NOBODY);
        feed(command, b"")
    };
    let set = |users: &[u32]| setxattr(&credential, "system.posix_acl_access", &list(users), XattrFlags::empty());
    refused(&create("a"), 2, "cannot be read");
    if set(&[NOBODY]).is_err() {
        return skip("access control lists");
    }
    assert_eq!(fs::metadata(&credential).unwrap().permissions().mode() & 0o777, 0o440);
    assert!(stdout(&well(&create("b"))).contains("created"));
    set(&[1, NOBODY]).unwrap();
    refused(&create("c"), 2, "open to others");
    // A group's right to read is not a list.
    rustix::fs::removexattr(&credential, "system.posix_acl_access").unwrap();
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o444)).unwrap();
    refused(&create("d"), 2, "open to others");
}
