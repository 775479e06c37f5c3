//! Whether files have new content. They are read each time, so that nothing depends on clocks or on how a file is replaced:
//! in place, by renaming, or as Kubernetes does it, by swapping the link `..data` under a mounted folder. What lies behind
//! one such link is read through one descriptor of the folder it leads to, and so from one version of the volume.
//!
//! What is kept is a MAC under a key that this process drew, not the content: some of the files are secret.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    crypto::{
        arena::Slot,
        frame::Frame,
        mac::{MacKey, TAG_LEN},
    },
    grpc::tls::Folder,
};

/// Bytes that are read at a time.
const CHUNK: usize = 16 << 10;

/// Bytes of stack that are wiped after files went through it.
const READ_STACK: usize = 16 << 10;

/// Bytes of a file that are looked at; none that is watched may be as long.
const MOST: u64 = 16 << 20;

/// What a list of files held at one time: content, owner and mode of each, or why it could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fingerprint([u8; TAG_LEN]);

/// Takes fingerprints that can be compared with each other.
pub(super) struct Watch(MacKey);

impl Watch {
    /// Draws a key.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key)?;
        Ok(Self(MacKey::new(&*key)))
    }

    /// Reads the files. Their order does not matter, and one that is named twice counts once.
    pub(super) fn fingerprint(&self, files: &[PathBuf]) -> Fingerprint {
        let print = self.read(files);
        // The hash leaves its last block there, and one of the files is the KEK.
        zeroize::zeroize_stack::<READ_STACK>();
        print
    }

    #[inline(never)]
    fn read(&self, files: &[PathBuf]) -> Fingerprint {
        let mut by_folder: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
        for file in files {
            by_folder.entry(file.parent().unwrap_or(Path::new(""))).or_default().push(file);
        }
        let mut print = [0; TAG_LEN];
        for (folder, mut files) in by_folder {
            files.sort_unstable();
            files.dedup();
            let folder = Folder::open(folder);
            for file in files {
                self.add(&mut print, file.as_os_str().as_bytes());
                let name = file.file_name().unwrap_or_default();
                let read = match &folder {
                    Ok(folder) => {
                        folder.file(name).and_then(|file| self.add_file(&mut print, file)).map_err(|error| told(&error))
                    }
                    Err(error) => Err(told(error)),
                };
                if let Err(told) = read {
                    self.add(&mut print, told.as_bytes());
                }
            }
        }
        Fingerprint(print)
    }

    fn add_file(&self, print: &mut [u8; TAG_LEN], mut file: fs::File) -> io::Result<()> {
        let about = file.metadata()?;
        // A refusal for the file's mode ends with another mode.
        self.add(print, format!("{:o} {} {}", about.mode(), about.uid(), about.gid()).as_bytes());
        if !about.is_file() {
            return Ok(());
        }
        // One of the files is the KEK.
        let mut chunk = Slot::zeroed(CHUNK);
        let mut left = MOST;
        while left > 0 {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => {
                    self.add(print, &chunk[..read]);
                    left = left.saturating_sub(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add(&self, print: &mut [u8; TAG_LEN], part: &[u8]) {
        *print = *self.0.tag(&Frame::fixed(print).digest_part(part)).expose();
    }
}

/// An error so that it differs from others.
fn told(error: &io::Error) -> String {
    format!("{:?} {:?}", error.kind(), error.raw_os_error())
}

/// Those of the files that are mount points of their own, as the kernel lists them: Kubernetes' `subPath`, or a single
/// file bound into a container. They go on showing the file that was mounted, whatever replaces it where it comes from.
pub(super) fn mounted_alone(files: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(mounts) = fs::read("/proc/self/mountinfo") else { return Vec::new() };
    let points = mount_points(&mounts);
    let is_one = |file: &&PathBuf| fs::canonicalize(file).is_ok_and(|real| points.contains(&real));
    files.iter().filter(is_one).cloned().collect()
}

/// The fifth field of each line, in which the kernel writes blanks, newlines and backslashes in octal (`proc_pid_mountinfo(5)`).
fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|&b| b == b'\n');
    let fields = lines.filter_map(|line| line.split(|&b| b == b' ').nth(4));
    fields.map(|field| PathBuf::from(OsStr::from_bytes(&unescaped(field)))).collect()
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|b| matches!(b, b'0'..=b'7')));
        let code = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn write(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
    }

    #[test]
    fn new_content_shows_however_it_comes_and_the_same_content_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let files = [one.clone(), other.clone()];
        let watch = Watch::new().unwrap();
        let mut prints = vec![watch.fingerprint(&files)];
        let mut now = |what: &str, changed: bool| {
            let print = watch.fingerprint(&files);
            assert_eq!(!prints.contains(&print), changed, "{what}");
            prints.push(print);
        };
        write(&one, "aaaa");
        now("made", true);
        write(&other, "bbbb");
        now("another made", true);
        write(&one, "aaaa");
        now("written again", false);
        write(&one, "aaab");
        now("other content of the same length", true);
        write(&dir.path().join("new"), "aaac");
        fs::rename(dir.path().join("new"), &one).unwrap();
        now("renamed into place", true);
        fs::set_permissions(&one, fs::Permissions::from_mode(0o604)).unwrap();
        now("another mode", true);
        write(&one, &"x".repeat(3 * CHUNK));
        now("long", true);
        write(&one, &("x".repeat(3 * CHUNK - 1) + "y"));
        now("another end", true);
        fs::remove_file(&one).unwrap();
        fs::create_dir(&one).unwrap();
        now("a folder in its place", true);
        let backwards = [files[1].clone(), files[0].clone(), files[1].clone()];
        assert_eq!(watch.fingerprint(&backwards), watch.fingerprint(&files));
        assert_ne!(Watch::new().unwrap().fingerprint(&files), watch.fingerprint(&files), "another key");
    }

    #[test]
    fn content_cannot_move_from_one_file_to_the_next_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let files = [dir.path().join("a"), dir.path().join("b")];
        let watch = Watch::new().unwrap();
        let print = |a: &str, b: &str| {
            write(&files[0], a);
            write(&files[1], b);
            watch.fingerprint(&files)
        };
        let first = print("12", "3");
        assert_ne!(print("1", "23"), first);
        assert_ne!(print("3", "12"), first);
        assert_eq!(print("12", "3"), first);
    }

    /// As kubelet's atomic writer does it.
    #[test]
    fn a_swap_of_the_data_link_shows_and_is_read_from_one_version() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        for version in ["..1", "..2"] {
            fs::create_dir(at.join(version)).unwrap();
            write(&at.join(version).join("config.toml"), version);
        }
        symlink("..1", at.join("..data")).unwrap();
        symlink("..data/config.toml", at.join("config.toml")).unwrap();
        let watch = Watch::new().unwrap();
        let files = [at.join("config.toml")];
        let first = watch.fingerprint(&files);

        let held = Folder::open(at).unwrap();
        symlink("..2", at.join("..data_tmp")).unwrap();
        fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
        let mut read = String::new();
        held.file(OsStr::new("config.toml")).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "..1", "what was opened before the swap is the version before it");
        assert_ne!(watch.fingerprint(&files), first);

        symlink("..1", at.join("..data_tmp")).unwrap();
        fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
        assert_eq!(watch.fingerprint(&files), first);
    }

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let mountinfo = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
            51 36 8:1 /a /etc/my\\040folder/config.toml ro - ext4 /dev/sda1 rw\n\n";
        let expected = ["/mnt2", "/etc/my folder/config.toml"].map(PathBuf::from);
        assert_eq!(mount_points(mountinfo), expected);
        assert_eq!(unescaped(b"\\134x\\9\\04"), b"\\x\\9\\04");
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("f"), "");
        assert!(mounted_alone(&[dir.path().join("f"), dir.path().join("absent")]).is_empty());
        assert_eq!(mounted_alone(&[PathBuf::from("/proc")]), [PathBuf::from("/proc")]);
    }
}
