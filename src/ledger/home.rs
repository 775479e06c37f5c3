//! What is kept, and what a place to keep it in has to do.

use super::binding::Binding;
use crate::{
    clock::UnixSeconds,
    hub::{
        app::Ttl,
        revocation::{Denied, Entry},
    },
    metrics::LedgerFault,
};

/// Something to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// This is cut off. `keyring` says whose digest the subject is, where it is one of a user.
    Revoke {
        /// What is cut off.
        entry: Entry,
        /// When it was asked for.
        made_at: UnixSeconds,
        /// The id of the keyring whose key made the digest of a user; else empty.
        keyring: String,
    },
    /// This generation of the keyring was seen; a lower one changes nothing.
    Generation {
        /// The keyring's id.
        keyring: String,
        /// The generation.
        generation: u64,
    },
    /// So long may tokens of the app live; less than before changes nothing.
    Longest {
        /// The app.
        app: Box<str>,
        /// Its longest lifetime.
        ttl: Ttl,
    },
    /// What this process knows of the use of a key version, in place of what it knew before. May be less: what was stored
    /// ahead is taken back so.
    Usage {
        /// The keyring's id.
        keyring: String,
        /// The row.
        row: UsageRow,
    },
    /// A hubLoginToken belongs to this user, or will once Hub has taken the token.
    Bind(Binding),
    /// Hub has taken the token of this grant: the binding holds, in the place of earlier ones of the same hubLoginToken.
    Deliver {
        /// The grant.
        grant_id: [u8; 16],
    },
    /// The binding of this grant is gone.
    Unbind {
        /// The grant.
        grant_id: [u8; 16],
    },
}

/// What one process, and those that had its place before it, know of the use of one key version. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UsageRow {
    /// The key's name.
    pub key: String,
    /// The version's number.
    pub version: u32,
    /// From when on its use is known.
    pub known_since: Option<i64>,
    /// When it first minted or sealed.
    pub first_mint: Option<i64>,
    /// When it last minted or sealed.
    pub last_mint: Option<i64>,
    /// When something of it was first verified or opened.
    pub first_verify: Option<i64>,
    /// When something of it was last verified or opened.
    pub last_verify: Option<i64>,
    /// How many tokens it sealed, at most.
    pub seals: u64,
    /// The latest expiry of what it made; `i64::MAX` for never.
    pub latest_expiry: Option<i64>,
}

/// What is known of the use of a keyring's versions. It adds up: a version's tokens are those of all its rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Use {
    /// By us, if we note use.
    pub own: Vec<UsageRow>,
    /// By other processes on this ledger, running or not.
    pub others: Vec<UsageRow>,
}

/// A revocation as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The number of the change that made it, or changed it last: rises with time, never given twice.
    pub change: u64,
    /// The entry.
    pub entry: Entry,
    /// When it was asked for.
    pub made_at: UnixSeconds,
}

/// All that is read at the start.
pub struct Loaded {
    /// What is cut off, ended or not.
    pub denied: Denied,
    /// Users that are cut off, by the id of the keyring whose key made their digests.
    pub users: Vec<(String, u64)>,
    /// The rest.
    pub known: Known,
}

/// What is small enough to be read whole whenever it may have changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// The highest generation seen of each keyring, by its id.
    pub generations: Vec<(String, u64)>,
    /// The longest lifetime that each app's tokens ever had.
    pub longest: Vec<(Box<str>, Ttl)>,
}

/// What was written since it was last asked, by this process or another.
#[derive(Default, Debug)]
pub struct News {
    /// Revocations.
    pub entries: Vec<Entry>,
    /// The rest, as it is now.
    pub known: Known,
}

/// A page of revocations, the newest first.
#[derive(Default, Debug)]
pub struct Page {
    /// What was found; may be empty although there is more.
    pub found: Vec<Kept>,
    /// Where to go on, as [`Home::list`] takes it; `None` at the end.
    pub next: Option<u64>,
}

/// Which of the revocations a page is to have.
pub type Wanted<'a> = &'a mut dyn FnMut(&Kept) -> bool;

/// Where it is all kept. Used by one thread at a time.
pub trait Home: Send {
    /// Makes all of it durable, or nothing.
    ///
    /// # Errors
    /// What keeps it from that.
    fn commit(&mut self, changes: &[Change]) -> Result<(), Trouble>;

    /// What is new, or some thousands of it, the rest when it is asked again; nothing where nothing was written since.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn news(&mut self) -> Result<Option<News>, Trouble>;

    /// Revocations below the change `before`, the newest first, at most `limit`; looks at no more than some thousands.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn list(&mut self, before: u64, limit: usize, wanted: Wanted<'_>) -> Result<Page, Trouble>;

    /// What is known of the use of a keyring's versions; `is_noting` says that this process is about to note use itself.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn usage(&mut self, keyring: &str, is_noting: bool) -> Result<Use, Trouble>;

    /// Bindings of a hubLoginToken whose token Hub has taken, the newest first.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn bindings(&mut self, app: &str, digest: &[u8; 16]) -> Result<Vec<Binding>, Trouble>;

    /// Bindings whose token was to be with Hub by `now`, and of which nobody knows whether it is; at most some thousands.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn overdue(&mut self, now: UnixSeconds) -> Result<Vec<Binding>, Trouble>;

    /// Removes revocations and bindings that ended by then, at most some thousands; gives how many.
    ///
    /// # Errors
    /// What keeps it from that.
    fn sweep(&mut self, ended_by: UnixSeconds) -> Result<u64, Trouble>;

    /// Whether something could be made durable now.
    ///
    /// # Errors
    /// Why not.
    fn probe(&mut self) -> Result<(), Trouble>;

    /// Where it is, for people.
    fn place(&self) -> String;

    /// Bytes that it takes.
    fn size(&self) -> u64;
}

/// Why something was not kept or read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// Which of the known kinds it is.
    pub fault: LedgerFault,
    /// What the system or the database says of it; holds nothing of what is kept.
    pub said: String,
}

impl Trouble {
    /// Trouble of a kind.
    #[must_use]
    pub fn new(fault: LedgerFault, said: impl Into<String>) -> Self {
        Self { fault, said: said.into() }
    }
}
