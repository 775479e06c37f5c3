//! What can be found at a path, and what can become of it.

use super::*;

fn opened(path: &Path) -> (JournalFile, Tail) {
    JournalFile::open(path).unwrap()
}

#[test]
fn an_unfinished_line_is_cut_off_and_the_last_whole_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let long = "x".repeat(3 * usize::try_from(STEP).unwrap());
    for (content, last, torn) in [
        ("", None, 0),
        ("a\n", Some("a"), 0),
        ("a\nb\n", Some("b"), 0),
        ("a\nb", Some("a"), 1),
        ("a", None, 1),
        (&format!("a\n{long}\n"), Some(&*long), 0),
        (&format!("a\n{long}"), Some("a"), long.len() as u64),
    ] {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let (mut file, tail) = opened(&path);
        assert_eq!((tail.last.as_deref(), tail.torn), (last.map(str::as_bytes), torn));
        assert_eq!(file.place(), Place::There);
        file.append(b"next\n").unwrap();
        let kept = &content[..content.len() - usize::try_from(torn).unwrap()];
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{kept}next\n"));
    }
}

#[test]
fn what_happens_to_the_file_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("j"), dir.path().join("j.1"));
    let (mut file, _) = opened(&path);
    file.append(b"a\n").unwrap();
    fs::rename(&path, &aside).unwrap();
    assert_eq!(file.place(), Place::Renamed);
    fs::write(&path, "other").unwrap();
    assert_eq!(file.place(), Place::Wrong(Fault::Replaced));
    fs::remove_file(&aside).unwrap();
    assert_eq!(file.place(), Place::Wrong(Fault::Replaced));
    fs::remove_file(&path).unwrap();
    assert_eq!(file.place(), Place::Wrong(Fault::Deleted));
    let (mut file, _) = opened(&path);
    file.append(b"a\n").unwrap();
    for text in ["", "a\nforeign\n"] {
        fs::write(&path, text).unwrap();
        assert_eq!(file.place(), Place::Wrong(Fault::Altered));
    }
}

#[test]
fn links_loose_modes_and_folders_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("j"), dir.path().join("link"));
    opened(&path);
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(JournalFile::open(&link).unwrap_err().contains("symbolic link"));
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(JournalFile::open(&path).unwrap_err().contains("chmod"));
    assert!(JournalFile::open(dir.path()).is_err());
    assert!(JournalFile::open(&dir.path().join("no/j")).unwrap_err().contains("journal.enabled"));
}

#[test]
fn a_journal_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let held = lock(&path).unwrap();
    assert!(lock(&path).unwrap_err().contains("another process"));
    drop(held);
    assert!(lock(&path).is_ok());
}
