//! How far long work is, on standard error: in place on a terminal, else a line for every tenth.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use super::remark;

/// Work on so many bytes.
pub(super) struct Progress {
    size: u64,
    read: u64,
    told: u64,
    began: Instant,
    terminal: bool,
    worth_it: bool,
}

impl Progress {
    /// Of `size` bytes, which are worth a word from `least` on.
    pub(super) fn new(size: u64, least: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { size, read: 0, told: 0, began: Instant::now(), terminal, worth_it: size >= least }
    }

    /// So many more bytes are done.
    pub(super) fn add(&mut self, bytes: usize) {
        self.reach(self.read + bytes as u64, String::new);
    }

    /// So many bytes are done in all, which is as much as `meaning` says.
    pub(super) fn reach(&mut self, read: u64, meaning: impl FnOnce() -> String) {
        self.read = read;
        let step = if self.terminal { 100 } else { 10 };
        if self.worth_it && self.read.saturating_sub(self.told) * step >= self.size {
            self.told = self.read;
            let percent = self.read * 100 / self.size.max(1);
            let text = format!("{percent} % of {} MB{}", self.size / 1_000_000, meaning());
            if self.terminal {
                let _ = write!(std::io::stderr().lock(), "\r{text}\x1b[K");
            } else {
                remark(&text);
            }
        }
    }

    /// Says something meanwhile.
    pub(super) fn remark(&self, text: &str) {
        self.clear();
        remark(text);
    }

    /// The end of the work.
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub(super) fn end(&self) {
        self.clear();
        if self.worth_it {
            let (mb, seconds) = (self.read as f64 / 1e6, self.began.elapsed().as_secs_f64());
            remark(&format!("{mb:.0} MB in {seconds:.1} s, {:.0} MB/s", mb / seconds.max(1e-9)));
        }
    }

    fn clear(&self) {
        if self.worth_it && self.terminal {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}
