//! `[keyring] kek_…`: what opens the keyring. Exactly one source is named.

use super::{raw, typed::span};
use crate::keystore::{KekSource, Kms, Passphrase};

/// The settings with the default source taken out where the file names another and leaves the default alone.
pub(super) fn settled(mut raw: raw::Raw, text: &str) -> raw::Raw {
    let file: toml::Table = toml::from_str(text).unwrap_or_default();
    let names_a_file = file.get("keyring").is_some_and(|keyring| keyring.get("kek_file").is_some());
    if !names_a_file && named(&raw.keyring).len() > 1 {
        raw.keyring.kek_file.clear();
    }
    raw
}

/// The source that is named.
pub(super) fn source(
    raw: &raw::Keyring,
    path: impl Fn(&str, &str) -> Result<std::path::PathBuf, String>,
) -> Result<KekSource, String> {
    match named(raw)[..] {
        ["keyring.kek_file"] => Ok(KekSource::File(path(&raw.kek_file, "keyring.kek_file")?)),
        ["keyring.kek_credential"] => KekSource::credential(&raw.kek_credential)
            .map_err(|problem| format!("keyring.kek_credential {:?}: {problem}", raw.kek_credential)),
        ["keyring.kek_passphrase_fd"] if raw.kek_passphrase_fd >= 3 => {
            Ok(KekSource::Passphrase(Passphrase::from_descriptor(raw.kek_passphrase_fd)))
        }
        ["keyring.kek_kms_socket"] => {
            // Kubernetes' own configuration writes unix:///path.
            let socket = raw.kek_kms_socket.strip_prefix("unix://").unwrap_or(&raw.kek_kms_socket);
            let timeout = span(&raw.kek_kms_timeout, "keyring.kek_kms_timeout")?;
            Ok(KekSource::Kms(Kms::new(path(socket, "keyring.kek_kms_socket")?, timeout)))
        }
        ["keyring.kek_passphrase_fd"] => Err(format!(
            "keyring.kek_passphrase_fd is {}; a file descriptor from 3 on is needed, or 0 for none",
            raw.kek_passphrase_fd
        )),
        [] => Err("keyring names no source of the KEK; write one of the kek_ settings".into()),
        ref several => Err(format!(
            "{} name more than one source of the KEK; keep one, and leave the others out or empty",
            several.join(", ")
        )),
    }
}

fn named(raw: &raw::Keyring) -> Vec<&'static str> {
    [
        ("keyring.kek_file", !raw.kek_file.is_empty()),
        ("keyring.kek_credential", !raw.kek_credential.is_empty()),
        ("keyring.kek_passphrase_fd", raw.kek_passphrase_fd != 0),
        ("keyring.kek_kms_socket", !raw.kek_kms_socket.is_empty()),
    ]
    .into_iter()
    .filter_map(|(setting, named)| named.then_some(setting))
    .collect()
}
