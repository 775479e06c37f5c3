//! The same answers from programs that have nothing to do with us.

use std::{env, process::Command};

use countersign::crypto::{kdf, mac::MacKey};

use crate::desk::Counter;

/// What a program prints; `None` if it is absent, which is a failure where tools are required.
fn output(tool: &str, args: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(tool).args(args).output() else {
        assert!(env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref() != Ok("1"), "{tool} is required, and absent");
        crate::tell(&format!("skipped: needs {tool}"));
        return None;
    };
    assert!(output.status.success(), "{tool} failed: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn openssl_derives_the_same_keys() {
    let key: Vec<u8> = (0..32).collect();
    let material = MacKey::new(&key);
    for (label, bits, context) in [
        ("hat1/kid", 64_u32, vec![1]),
        ("hat1/seal", 512, (0..=255).collect()),
        ("countersign/probe", 256, b"context".to_vec()),
    ] {
        let hex = |bytes: &[u8]| base16ct::lower::encode_string(bytes);
        let Some(printed) = output(
            "openssl",
            &[
                "kdf",
                "-keylen",
                &(bits / 8).to_string(),
                "-kdfopt",
                "mac:HMAC",
                "-kdfopt",
                "digest:SHA256",
                "-kdfopt",
                "mode:counter",
                "-kdfopt",
                &format!("hexkey:{}", hex(&key)),
                "-kdfopt",
                &format!("hexsalt:{}", hex(label.as_bytes())),
                "-kdfopt",
                &format!("hexinfo:{}", hex(&context)),
                "KBKDF",
            ],
        ) else {
            return;
        };
        let theirs = base16ct::mixed::decode_vec(printed.trim().replace(':', "")).unwrap();
        let purpose = kdf::Purpose::new(label, bits);
        let ours: Vec<u8> =
            (1..=2).flat_map(|i| *kdf::block(&material, i, purpose, &context).expose()).take(theirs.len()).collect();
        assert_eq!((theirs.len(), ours), ((bits / 8) as usize, theirs), "{label}");
    }
}

#[test]
fn php_signs_the_same_hashes() {
    let script = r#"echo hash_hmac("sha256", "$argv[1]-$argv[2]", hex2bin($argv[3]));"#;
    let long_secret = "s".repeat(100);
    for (client, expires, secret) in [
        (42, 989_539_200, "whatissixtimesnine"),
        (1, 1, "x"),
        (i64::MAX, 253_402_300_799, "ключ-éü"),
        (4_711, 1_893_456_000, &long_secret),
    ] {
        let hex = base16ct::lower::encode_string(secret.as_bytes());
        let Some(theirs) = output("php", &["-r", script, "--", &client.to_string(), &expires.to_string(), &hex]) else {
            return;
        };
        assert_eq!(Counter::new(secret.as_bytes()).mint(client, expires).hash.as_str(), theirs);
    }
}
