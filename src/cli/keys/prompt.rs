//! Asks for a secret or a passphrase on a terminal, without echo.
//!
//! The terminal hands over each byte as it is typed and makes no signals of Ctrl-C and Ctrl-\, which are read as
//! what they are; so every way out of the prompt passes through one `drop` that puts the terminal back. Signals
//! from elsewhere (a closed session, `kill`) are waited for beside the typing, for the same reason.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use zeroize::Zeroizing;

use crate::{cli::Failure, crypto::secret::Secret};

/// Control characters, as a terminal sends them.
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_BACKSLASH: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// How typing ended.
enum Typed {
    /// With Enter, or the end of the input.
    Entered(Secret),
    /// With more bytes than are taken.
    TooLong,
    /// With Ctrl-C or Ctrl-\.
    GivenUp,
}

/// Asks for `what`, of at most `most` bytes; Enter ends it. `otherwise` says how else it can be given.
pub(super) fn ask(what: &str, most: usize, otherwise: &str) -> Result<Secret, Failure> {
    match terminal().and_then(|terminal| type_or_signal(what, most, terminal)) {
        Ok(Some(Typed::Entered(secret))) => Ok(secret),
        Ok(Some(Typed::TooLong)) => Err(Failure::usage(format!("that is too long: at most {most} characters"))),
        Ok(Some(Typed::GivenUp) | None) => Err(Failure::usage("given up: nothing was changed")),
        Err(error) => Err(Failure::usage(format!("cannot ask for it on a terminal ({error}): {otherwise}"))),
    }
}

/// The terminal that somebody sits at: standard input, where it is one.
pub(super) fn terminal() -> io::Result<OwnedFd> {
    if io::stdin().is_terminal() {
        return io::stdin().as_fd().try_clone_to_owned();
    }
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    opened.map(OwnedFd::from)
}

/// What was typed; nothing where a signal came first.
fn type_or_signal(what: &str, most: usize, terminal: OwnedFd) -> io::Result<Option<Typed>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        // Signals are caught before the echo goes, so that none finds the terminal without it.
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        let quiet = Quiet::new(terminal.try_clone()?)?;
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{what} (not shown; Enter ends it, Ctrl-C gives up): ");
        // A thread of its own, since reading a terminal cannot be given up; after a signal the process ends.
        let (send, receive) = oneshot::channel();
        thread::spawn(move || send.send(typed(&terminal, most)));
        let outcome = tokio::select! {
            typed = receive => typed.map_err(io::Error::other)?.map(Some),
            _ = terminated.recv() => Ok(None),
            _ = hung_up.recv() => Ok(None),
            _ = interrupted.recv() => Ok(None),
        };
        drop(quiet);
        let _ = writeln!(stderr);
        outcome
    })
}

fn typed(terminal: &OwnedFd, most: usize) -> io::Result<Typed> {
    let mut secret = Secret::with_room(most);
    let mut byte = Zeroizing::new([0; 1]);
    loop {
        match rustix::io::read(terminal, &mut *byte) {
            Ok(0) => return Ok(Typed::Entered(secret)),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match byte[0] {
            b'\n' | b'\r' | CTRL_D => return Ok(Typed::Entered(secret)),
            CTRL_C | CTRL_BACKSLASH => return Ok(Typed::GivenUp),
            CTRL_U => secret.clear(),
            // The whole of a character that takes several bytes in UTF-8.
            BACKSPACE | DELETE => while secret.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            other if secret.push(other) => {}
            _ => return Ok(Typed::TooLong),
        }
    }
}

/// The terminal without echo; put back on drop.
struct Quiet(OwnedFd, Termios);

impl Quiet {
    fn new(terminal: OwnedFd) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        quiet.local_modes.remove(LocalModes::ISIG | LocalModes::IEXTEN);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let guard = Self(terminal, before);
        tcsetattr(&guard.0, OptionalActions::Flush, &quiet)?;
        Ok(guard)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.0, OptionalActions::Now, &self.1);
    }
}
