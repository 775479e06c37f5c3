//! A systemd credential: a file in a folder of the unit's own, which systemd names in `$CREDENTIALS_DIRECTORY`.
//!
//! systemd leaves the file with root, mode 0400, and lets the unit's user read it by an access control list (ACL); the
//! file then shows as 0440, where the group's place stands for the mask of the list. So the list is read.

use std::{
    env,
    fs::{File, Metadata},
    path::{Path, PathBuf},
};

use rustix::{fs::fgetxattr, process::geteuid};

use crate::{
    crypto::secret::Secret,
    keystore::{KekProblem, KeystoreError, Part, file},
};

/// The variable in which systemd names the folder. It holds no secret.
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Most bytes of a credential's name.
const NAME_MAX: usize = 255;

/// Most bytes of an access control list that is read.
const LIST_MAX: usize = 1024;

/// Refuses what systemd would not take for a name, and so anything that leads out of the folder.
pub(super) fn check_name(name: &str) -> Result<(), KekProblem> {
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'));
    if plain && (1..=NAME_MAX).contains(&name.len()) && !matches!(name, "." | "..") {
        Ok(())
    } else {
        Err(KekProblem::CredentialName)
    }
}

/// Where the credential lies.
pub(super) fn path(name: &str) -> Result<PathBuf, KekProblem> {
    let absent = || KekProblem::NoCredentials(name.to_owned());
    let folder = env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from).filter(|folder| folder.is_absolute());
    Ok(folder.ok_or_else(absent)?.join(name))
}

/// Reads the credential in place into the key arena, without its one trailing newline.
pub(super) fn read(name: &str) -> Result<Secret, KeystoreError> {
    let path = path(name)?;
    file::read_kek_by(&path, check).map_err(|error| match error {
        KeystoreError::Missing(_, path) => KekProblem::NoCredential(name.to_owned(), path).into(),
        other => other,
    })
}

/// The rules for a secret file, but that an access control list may let us read it.
fn check(path: &Path, file: &File, metadata: &Metadata) -> Result<(), KeystoreError> {
    let judged = file::check(Part::Kek, path, metadata);
    if !matches!(judged, Err(KeystoreError::Loose(_, _, mode)) if mode & 0o777 & !0o740 == 0) {
        return judged;
    }
    let mut list = [0; LIST_MAX];
    match fgetxattr(file, "system.posix_acl_access", &mut list) {
        Ok(len) if lets_only(geteuid().as_raw(), &list[..len]) => Ok(()),
        _ => judged,
    }
}

/// Whether the list lets nobody read but the owner and `user`.
///
/// The kernel gives it as `u32(2)`, then entries `u16(tag) u16(rights) u32(id)`, all little-endian.
fn lets_only(user: u32, list: &[u8]) -> bool {
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    const MASK: u16 = 0x10;
    let Some(entries) = list.strip_prefix(&2u32.to_le_bytes()) else { return false };
    let (entries, rest) = entries.as_chunks::<8>();
    let harmless = |entry: &[u8; 8]| {
        let [tag, rights] = [0, 2].map(|at| u16::from_le_bytes([entry[at], entry[at + 1]]));
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        rights == 0 || matches!(tag, OWNER | MASK) || (tag == USER && id == user)
    };
    rest.is_empty() && !entries.is_empty() && entries.iter().all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(rights.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_list_that_lets_anybody_else_read_is_seen() {
        const NOBODY: u32 = u32::MAX;
        let of_systemd = [(1, 4, NOBODY), (2, 4, 1000), (4, 0, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY)];
        assert!(lets_only(1000, &list(&of_systemd)));
        assert!(!lets_only(1001, &list(&of_systemd)));
        for (at, entry) in [(1, (2, 4, 1001)), (2, (4, 4, NOBODY)), (2, (8, 4, 1000)), (4, (0x20, 4, NOBODY))] {
            let mut other = of_systemd;
            other[at] = entry;
            assert!(!lets_only(1000, &list(&other)), "{entry:?}");
        }
        assert!(!lets_only(1000, &list(&of_systemd)[..43]) && !lets_only(1000, &[]) && !lets_only(1000, &list(&[])));
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["kek", "countersign.kek", "a-b_c", "...", &"k".repeat(255)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "../kek", "/kek", "a:b", "a b", "a\n", "\u{e9}", &"k".repeat(256)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
