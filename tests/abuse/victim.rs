//! What all these tests want of the service under attack.

use std::time::Instant;

use serde_json::json;

use crate::service::{PATIENCE, Service};

/// KiB that an attack may cost at most: several times what the service holds for peers within their limits, and a small
/// part of what each of these attacks sends or asks for.
const MOST_GROWTH: u64 = 128 * 1024;

pub trait Victim {
    /// Others are served.
    fn serves_others(&self);
    /// KiB of memory.
    fn resident(&self) -> u64;
    /// The memory is not much more than it was.
    fn has_not_grown_since(&self, before: u64);
    /// A metric's value; `series` is its name with its labels.
    fn metric(&self, series: &str) -> u64;
    /// Waits until a metric is at least so much.
    fn await_metric(&self, series: &str, least: u64);
    /// Every line of the log is a JSON object, and none holds this word at its beginning.
    fn log_is_sound(&self);
}

impl Victim for Service {
    fn serves_others(&self) {
        let minted = self.ok("MintHash", &json!({"domain": "jobs.example.com", "client": "42"}));
        assert_eq!(minted["client"], "42");
    }

    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn has_not_grown_since(&self, before: u64) {
        let now = self.resident();
        assert!(now < before + MOST_GROWTH, "{before} KiB before, {now} KiB now");
    }

    fn metric(&self, series: &str) -> u64 {
        let (status, text) = self.http("/metrics");
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    }

    fn await_metric(&self, series: &str, least: u64) {
        let begin = Instant::now();
        while self.metric(series) < least {
            assert!(begin.elapsed() < PATIENCE, "{series} stays at {}", self.metric(series));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn log_is_sound(&self) {
        for line in self.log().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line:?}"));
            assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
            assert!(line.get("injected").is_none(), "{line}");
        }
    }
}

pub const FLOODED: &str = "countersign_connections_total{result=\"flooded\"}";
pub const FAILED: &str = "countersign_connections_total{result=\"failed\"}";
pub const TIMED_OUT: &str = "countersign_connections_total{result=\"timed_out\"}";
pub const OVER_CALLER_LIMIT: &str = "countersign_connections_total{result=\"over_caller_limit\"}";
pub const OPEN: &str = "countersign_connections_open";
