//! The ledger of the real service at its start.

use std::{
    fs,
    io::{Seek, Write},
    os::unix::fs::PermissionsExt,
};

use crate::{
    service::{CONFIG, Service, folder, keys},
    startup::refuses,
};

#[test]
fn a_keyring_that_is_put_back_together_with_its_record_is_refused_by_the_ledger() {
    let dir = folder(CONFIG);
    let at = dir.path().to_owned();
    let names = ["keyring", "keyring.generation"];
    let older = names.map(|name| fs::read(at.join(name)).unwrap());
    keys(&at, &["import", "--key", "more", "--kind", "liveauth", "--encoding", "raw"], &[b'm'; 24]);
    let service = Service::start_in(dir);
    let dir = stop(service);
    for (name, bytes) in names.iter().zip(&older) {
        fs::write(at.join(name), bytes).unwrap();
    }
    refuses(dir.path(), &["--allow-root"], &["generation 3", "generation 4", "ledger"]);
}

#[test]
fn a_ledger_that_cannot_be_trusted_keeps_the_service_from_starting_and_says_so() {
    let dir = stop(Service::start(CONFIG));
    let path = dir.path().join("ledger.sqlite");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    refuses(dir.path(), &["--allow-root"], &["ledger: ", "chmod 0600"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    // The schema's version, where the format of the file has it.
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(std::io::SeekFrom::Start(60)).unwrap();
    file.write_all(&7_u32.to_be_bytes()).unwrap();
    drop(file);
    refuses(dir.path(), &["--allow-root"], &["schema 7", "later one"]);
}

fn stop(service: Service) -> tempfile::TempDir {
    service.signal("TERM");
    let (status, _, dir) = service.wait();
    assert!(status.success());
    dir
}
