//! The Unix sockets of `[listen]` as checked values.

use std::path::{Path, PathBuf};

/// A relative path is taken from the folder of the other socket, so that the two lie together wherever that is.
pub(super) fn admin_socket(text: &str, unix: &Path) -> Result<Option<PathBuf>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let admin = unix.parent().unwrap_or(Path::new("")).join(text);
    if admin == unix {
        return Err("listen.admin is the path of listen.unix; name another, or \"\" for none".into());
    }
    Ok(Some(admin))
}
