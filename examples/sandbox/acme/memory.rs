//! What the app remembers: who is signed in, and which of its users are connected to Hub. No token's content, and no key.

use std::collections::VecDeque;

use crate::{hub::memory::Generation, world::random};

/// Sessions kept; the oldest goes.
const SESSIONS: usize = 100;

/// A user who is connected to Hub.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) username: String,
    /// Names all tokens of this login; fit for a log.
    pub(crate) grant: String,
    /// Where generation 2 is told of a new token.
    pub(crate) callback: String,
    /// The `auth` that Hub last sent, which a renewal presents.
    pub(crate) seen: Option<String>,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Memory {
    /// Of cookies: their value, and who it is.
    sessions: VecDeque<(String, String)>,
    connected: [Option<Connected>; 2],
    /// What the desk says next.
    said: Option<String>,
}

impl Memory {
    /// The value of a new session's cookie.
    pub(crate) fn sign_in(&mut self, username: &str) -> String {
        let session = random::<16>();
        if self.sessions.len() == SESSIONS {
            self.sessions.pop_front();
        }
        self.sessions.push_back((session.clone(), username.to_owned()));
        session
    }

    pub(crate) fn who(&self, session: &str) -> Option<String> {
        self.sessions.iter().find(|(known, _)| known == session).map(|(_, username)| username.clone())
    }

    pub(crate) fn connected(&self, generation: Generation) -> Option<&Connected> {
        self.connected[generation.number() - 1].as_ref()
    }

    pub(crate) fn connect(&mut self, generation: Generation, user: Connected) {
        self.connected[generation.number() - 1] = Some(user);
    }

    /// A token that was found valid for the user.
    pub(crate) fn saw(&mut self, generation: Generation, username: &str, auth: &str) {
        if let Some(user) = &mut self.connected[generation.number() - 1]
            && user.username == username
        {
            user.seen = Some(auth.to_owned());
        }
    }

    pub(crate) fn say(&mut self, what: String) {
        self.said = Some(what);
    }

    pub(crate) fn said(&mut self) -> Option<String> {
        self.said.take()
    }
}
