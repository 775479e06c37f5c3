//! One TLS library with one provider in what is built: Cargo unites features, so that any dependency could bring in another.
//! TLS 1.2 is there for calls to vendors; that the listeners have none is for handshakes to show.

use std::process::Command;

#[test]
fn the_tree_has_one_tls_library_with_one_provider() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p} {f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let of = |name: &str| -> Vec<&str> {
        let mut lines: Vec<&str> = tree.lines().filter(|line| line.split(' ').next() == Some(name)).collect();
        lines.sort_unstable();
        lines.dedup();
        lines.into_iter().map(|line| line.trim_end_matches(" (*)")).collect()
    };
    let rustls = of("rustls");
    assert!(!rustls.is_empty(), "{tree}");
    for line in &rustls {
        let features: Vec<&str> = line.split(' ').next_back().unwrap().split(',').collect();
        assert!(features.contains(&"aws_lc_rs"), "{line}");
        for unwanted in ["ring", "logging", "default"] {
            assert!(!features.contains(&unwanted), "{unwanted} is on: {line}");
        }
    }
    for stranger in ["ring", "openssl", "openssl-sys", "native-tls", "boring"] {
        assert!(of(stranger).is_empty(), "{stranger} is in the tree");
    }
}
