//! Asks for a secret on a terminal, without echo.
//!
//! The terminal hands over each byte as it is typed and makes no signals of Ctrl-C and Ctrl-\, which are read as
//! what they are; so every way out of the prompt passes through one `drop` that puts the terminal back. Signals
//! from elsewhere (a closed session, `kill`) are waited for beside the typing, for the same reason.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use zeroize::Zeroizing;

use crate::{cli::Failure, crypto::secret::Secret, keyring::KeyName};

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

/// Asks for the secret of `name`, of at most `most` bytes; Enter ends it.
pub(super) fn secret(name: &KeyName, most: usize) -> Result<Secret, Failure> {
    match type_or_signal(name, most) {
        Ok(Some(Typed::Entered(secret))) => Ok(secret),
        Ok(Some(Typed::TooLong)) => Err(refused(format!("the secret is too long: at most {most} characters"))),
        Ok(Some(Typed::GivenUp) | None) => Err(refused("given up: nothing was changed".to_owned())),
        Err(error) => Err(refused(format!(
            "cannot ask for the secret on this terminal ({error}): give it on standard input or with --from"
        ))),
    }
}

/// What was typed; nothing where a signal came first.
fn type_or_signal(name: &KeyName, most: usize) -> io::Result<Option<Typed>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        // Signals are caught before the echo goes, so that none finds the terminal without it.
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        let quiet = Quiet::new()?;
        let mut stderr = io::stderr();
        let _ = write!(stderr, "Secret for key {name} (not shown; Enter ends it, Ctrl-C gives up): ");
        // A thread of its own, since reading a terminal cannot be given up; after a signal the process ends.
        let (send, receive) = oneshot::channel();
        thread::spawn(move || send.send(typed(most)));
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

fn typed(most: usize) -> io::Result<Typed> {
    let mut secret = Secret::with_room(most);
    let mut byte = Zeroizing::new([0; 1]);
    loop {
        match rustix::io::read(io::stdin().as_fd(), &mut *byte) {
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
struct Quiet(Termios);

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        quiet.local_modes.remove(LocalModes::ISIG | LocalModes::IEXTEN);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let guard = Self(before);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(guard)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn refused(message: String) -> Failure {
    Failure { exit: 2, message }
}
