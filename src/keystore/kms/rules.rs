//! What KMS v2 asks of a plugin's answers. A document that was edited is held to the same, before it is sent anywhere.

use super::{KmsProblem, Sealed};

/// Most bytes of a ciphertext, and of a key id.
const SEALED_MAX: usize = 1024;
/// Most bytes of all annotations, names and values.
const ANNOTATIONS_MAX: usize = 32 << 10;

pub(super) fn key_id(key_id: &str) -> Result<(), KmsProblem> {
    match key_id.len() {
        0 => Err(KmsProblem::Rule("its key_id is empty")),
        1..=SEALED_MAX => Ok(()),
        _ => Err(KmsProblem::Rule("its key_id is longer than 1024 bytes")),
    }
}

pub(super) fn sealed(sealed: &Sealed) -> Result<(), KmsProblem> {
    key_id(&sealed.key_id)?;
    if sealed.ciphertext.is_empty() {
        return Err(KmsProblem::Rule("its ciphertext is empty"));
    }
    if sealed.ciphertext.len() > SEALED_MAX {
        return Err(KmsProblem::Rule("its ciphertext is longer than 1024 bytes"));
    }
    if !sealed.annotations.keys().all(|name| is_full_name(name)) {
        return Err(KmsProblem::Rule("the name of an annotation is no fully qualified domain name"));
    }
    let size: usize = sealed.annotations.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > ANNOTATIONS_MAX {
        return Err(KmsProblem::Rule("its annotations are larger than 32 KiB"));
    }
    Ok(())
}

/// RFC 1123 as Kubernetes reads it: at least two labels of lower-case letters, digits and inner hyphens.
fn is_full_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let edges = [label.bytes().next(), label.bytes().next_back()];
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        (1..=63).contains(&label.len())
            && edges.into_iter().flatten().all(inner)
            && label.bytes().all(|byte| inner(byte) || byte == b'-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Sealed {
        let annotations = [("version.example.com".to_owned(), vec![1])].into();
        Sealed { ciphertext: vec![0; 1024], key_id: "k".repeat(1024), annotations }
    }

    #[test]
    fn answers_on_the_edge_are_taken_and_those_beyond_are_not() {
        assert!(sealed(&good()).is_ok());
        let value = |len: usize| [("a.b".to_owned(), vec![0; len])].into();
        assert!(sealed(&Sealed { annotations: value(ANNOTATIONS_MAX - 3), ..good() }).is_ok());
        for (bad, word) in [
            (Sealed { ciphertext: vec![], ..good() }, "ciphertext is empty"),
            (Sealed { ciphertext: vec![0; 1025], ..good() }, "longer than 1024"),
            (Sealed { key_id: String::new(), ..good() }, "key_id is empty"),
            (Sealed { key_id: "k".repeat(1025), ..good() }, "longer than 1024"),
            (Sealed { annotations: value(ANNOTATIONS_MAX - 2), ..good() }, "32 KiB"),
            (Sealed { annotations: [("plain".to_owned(), vec![])].into(), ..good() }, "domain name"),
        ] {
            assert!(sealed(&bad).unwrap_err().to_string().contains(word), "{word}");
        }
    }

    #[test]
    fn names_are_judged_as_kubernetes_judges_them() {
        for name in ["a.b", "a.b.", "version.aws.io", "x-1.example", "1.2", &format!("{}.b", "a".repeat(63))] {
            assert!(is_full_name(name), "{name}");
        }
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
        for name in ["", ".", "a", "a..b", "A.b", "a_b.c", "-a.b", "a-.b", "a b.c", &"a.".repeat(3), &long, "a/b.c"] {
            assert!(name == "a.a.a." || !is_full_name(name), "{name}");
        }
        assert!(!is_full_name(&format!("{}.b", "a".repeat(64))));
    }
}
