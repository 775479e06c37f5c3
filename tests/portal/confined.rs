//! What Landlock leaves open: the vendor's port where a rule has it called, and nothing where none does. A rule that comes
//! later needs a restart.

use std::fs;

use serde_json::json;

use crate::desk::{Desk, asked};

fn has_landlock(desk: &Desk) -> bool {
    let holds = desk.service.http("/readyz?verbose").1.contains("Landlock ABI");
    if !holds {
        eprintln!("skipped: needs Landlock");
        assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs Landlock");
    }
    holds
}

#[test]
fn a_rule_that_is_the_first_to_call_a_vendor_needs_a_restart_and_so_does_another_port() {
    let desk = Desk::with("\"mint\"", &[]);
    if !has_landlock(&desk) {
        return;
    }
    let file = desk.service.dir.path().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("verbs = [\"mint\"]", "verbs = [\"mint\", \"portal_read\"]")).unwrap();
    desk.service.signal("HUP");
    desk.service.await_log("restart needed: TCP port", 1);
    desk.fails("Test", &asked(json!({})), "permission_denied", "NO_RULE");
    assert_eq!(desk.vendor.heard(), []);

    let desk = Desk::open();
    desk.ok("Test", &asked(json!({})));
    let file = desk.service.dir.path().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    let other = config.replace(&format!("localhost:{}", desk.vendor.port), "localhost:1");
    fs::write(&file, &other).unwrap();
    desk.service.signal("HUP");
    desk.service.await_log("restart needed: TCP port 1 ", 1);
    desk.ok("Test", &asked(json!({})));
    // What needs no other port is taken up.
    fs::write(&file, config.replace("private_addresses = true", "private_addresses = false")).unwrap();
    desk.service.signal("HUP");
    desk.service.await_log("reloaded configuration", 1);
    desk.fails("Test", &asked(json!({})), "failed_precondition", "OUTBOUND_REFUSED");
}
