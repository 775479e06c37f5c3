//! A client process: it asks both replicas without a pause, lets the one judge what the other has made, and knows at any
//! time what has to come out.

use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use countersign::grpc::{
    client::{Address, CallError, Client},
    proto::{
        MintHashRequest, ResealRequest, RevokeRequest, SealRequest, Verdict, VerifyHashRequest, VerifyRequest,
        mint_hash_request::Validity, revoke_request::What, verify_hash_request::Origin,
    },
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::{
    schedule::{self, HUB, JOBS},
    service::{PATIENCE, now},
};

/// The first argument of a client process.
pub const ARGUMENT: &str = "--as-client";

const DOMAIN: &str = "jobs.example.com";
const APP: &str = "acme";

/// Tokens that are kept, to be shown again and again whatever becomes of their key.
const KEPT: usize = 300;

/// What a thread has seen.
#[derive(Default)]
struct Seen {
    minted: u64,
    sealed: u64,
    accepted: u64,
    refused: u64,
    revoked: u64,
    minted_by: BTreeSet<u32>,
    sealed_by: BTreeSet<u32>,
    accepted_of: BTreeSet<u32>,
    faults: Vec<String>,
}

pub fn run(args: &[String]) {
    let [number, schedule, addresses @ ..] = args else { panic!("{args:?}") };
    let is_over = AtomicBool::new(false);
    let seen = Mutex::new(Seen::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (is_over, seen) = (&is_over, &seen);
            let sockets: Vec<PathBuf> = addresses.iter().map(PathBuf::from).collect();
            let luck = number.parse::<u64>().unwrap() * 100 + thread as u64 + 1;
            scope.spawn(move || {
                let mut asker = Asker::new(&sockets, Path::new(schedule), luck);
                while !is_over.load(Ordering::Relaxed) {
                    asker.round();
                    asker.report();
                }
                asker.tell(&mut seen.lock().unwrap());
            });
        }
        // Until whoever started us has had enough, or is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        is_over.store(true, Ordering::Relaxed);
    });
    let seen = seen.into_inner().unwrap();
    let told = json!({
        "minted": seen.minted, "sealed": seen.sealed, "accepted": seen.accepted, "refused": seen.refused,
        "revoked": seen.revoked, "mintedBy": seen.minted_by, "sealedBy": seen.sealed_by,
        "acceptedOf": seen.accepted_of, "faults": seen.faults,
    });
    println!("{told}");
}

/// What a thread says when it has met a version in all ways.
pub fn has_met(version: u32) -> String {
    format!("met {version}")
}

/// Threads of a client.
pub const THREADS: usize = 2;

/// A token that must be good, or must not.
struct Kept {
    auth: String,
    id: String,
    username: String,
    version: u32,
}

struct Asker<'a> {
    replicas: Vec<Client>,
    schedule: &'a Path,
    chance: u64,
    rounds: u64,
    begin: i64,
    kept: Vec<Kept>,
    /// Where the last one of them was put.
    latest: usize,
    /// The last version that was met in all ways.
    met: u32,
    /// Those that both replicas know to be revoked.
    revoked: Vec<Kept>,
    seen: Seen,
    name: String,
}

impl<'a> Asker<'a> {
    fn new(sockets: &[PathBuf], schedule: &'a Path, luck: u64) -> Self {
        let connect = |socket: &PathBuf| Client::connect(&Address::Unix(socket.clone()), None, PATIENCE).unwrap();
        Self {
            replicas: sockets.iter().map(connect).collect(),
            schedule,
            chance: luck.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            rounds: 0,
            begin: now(),
            kept: Vec::new(),
            latest: 0,
            met: 0,
            revoked: Vec::new(),
            seen: Seen::default(),
            name: format!("user-{luck}"),
        }
    }

    /// A number below `bound`.
    fn chance(&mut self, bound: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % bound
    }

    fn fault(&mut self, what: String) {
        if self.seen.faults.len() < 10 {
            self.seen.faults.push(what);
        }
    }

    /// An answer; that there is none is a fault, whatever the reason.
    fn answered<T>(&mut self, what: &str, answer: Result<T, CallError>) -> Option<T> {
        answer.map_err(|error| self.fault(format!("{what}: {error} ({})", error.reason))).ok()
    }

    fn expect(&mut self, what: &str, found: Verdict, expected: Verdict) {
        match (found == expected, expected) {
            (true, Verdict::Valid) => self.seen.accepted += 1,
            (true, _) => self.seen.refused += 1,
            (false, _) => self.fault(format!("{what}: {} and not {}", found.as_str_name(), expected.as_str_name())),
        }
    }

    fn round(&mut self) {
        self.rounds += 1;
        let one = self.chance(2);
        self.hash(one);
        self.token(one);
        for _ in 0..3 {
            self.old_token();
        }
        if self.rounds % 20 == 10 {
            self.revoke_token(one);
        }
        if self.rounds % 50 == 30 {
            self.revoke_user(one);
        }
    }

    /// Says when the next version has been met: minted by, sealed by, and accepted again from what was kept. What is not met
    /// long after its time is a fault.
    fn report(&mut self) {
        let next = self.met + 1;
        let is_in = |versions: &BTreeSet<u32>| versions.contains(&next);
        let all = is_in(&self.seen.minted_by) && is_in(&self.seen.sealed_by) && is_in(&self.seen.accepted_of);
        if !all {
            let staged = schedule::read(self.schedule, JOBS);
            let overdue = 2 * PATIENCE.as_secs().cast_signed();
            if !staged.iter().any(|staged| staged.version == next && now() > staged.at.max(self.begin) + overdue) {
                return;
            }
            self.fault(format!("version {next} was not met"));
        }
        self.met = next;
        println!("{}", has_met(next));
    }

    /// Minted here, judged there; and what nobody minted is refused.
    fn hash(&mut self, one: usize) {
        let client = i64::try_from(1 + self.chance(1_000_000)).unwrap();
        let begin = now();
        let request = MintHashRequest { domain: DOMAIN.into(), client, validity: Some(Validity::Ttl(600)) };
        let minted = self.replicas[one].mint_hash(request);
        let end = now();
        let Some(minted) = self.answered("mint", minted) else { return };
        let staged = schedule::read(self.schedule, JOBS);
        if !schedule::in_use(&staged, minted.key_version, begin, end) {
            self.fault(format!("minted by version {} between {begin} and {end}", minted.key_version));
            return;
        }
        // As the vendor computes it, with the secret that it uses at this time.
        let secret = &staged.iter().find(|staged| staged.version == minted.key_version).unwrap().secret;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{client}-{}", minted.expires).as_bytes());
        let expected = base16ct::lower::encode_string(&mac.finalize().into_bytes());
        if minted.hash != expected {
            self.fault(format!("the vendor would not take a hash of version {}", minted.key_version));
        }
        self.seen.minted += 1;
        self.seen.minted_by.insert(minted.key_version);
        let verify = |hash: &str| VerifyHashRequest {
            origin: Some(Origin::Domain(DOMAIN.into())),
            client: client.to_string(),
            expires: minted.expires.to_string(),
            hash: hash.to_owned(),
        };
        for (hash, verdict) in [(minted.hash.clone(), Verdict::Valid), (turned(&minted.hash), Verdict::BadSignature)] {
            let judged = self.replicas[1 - one].verify_hash(verify(&hash));
            if let Some(judged) = self.answered("verify a hash", judged) {
                self.expect(&format!("a hash of version {}", minted.key_version), judged.verdict(), verdict);
            }
        }
    }

    fn seal(&mut self, one: usize, username: &str) -> Option<Kept> {
        let request = SealRequest {
            app: APP.into(),
            username: Some(username.into()),
            payload: b"what is sealed".to_vec(),
            ..SealRequest::default()
        };
        let begin = now();
        let sealed = self.replicas[one].seal(request);
        let end = now();
        let sealed = self.answered("seal", sealed)?;
        if !schedule::in_use(&schedule::read(self.schedule, HUB), sealed.key_version, begin, end) {
            self.fault(format!("sealed by version {} between {begin} and {end}", sealed.key_version));
        }
        self.seen.sealed += 1;
        self.seen.sealed_by.insert(sealed.key_version);
        let (auth, id, version) = (sealed.auth.clone(), sealed.token_id.clone(), sealed.key_version);
        Some(Kept { auth, id, username: username.into(), version })
    }

    fn judge(&mut self, at: usize, auth: &str, username: &str) -> Option<Verdict> {
        let request = VerifyRequest {
            app: APP.into(),
            auth: auth.into(),
            username: Some(username.into()),
            hub_login_token: None,
        };
        let judged = self.replicas[at].verify(request);
        self.answered("verify a token", judged).map(|judged| judged.verdict())
    }

    /// Sealed here, judged there; for somebody else, and altered, it is refused. Then it is kept.
    fn token(&mut self, one: usize) {
        let username = self.name.clone();
        let Some(kept) = self.seal(one, &username) else { return };
        let altered = turned(&kept.auth);
        let cases = [
            (kept.auth.as_str(), username.as_str(), Verdict::Valid),
            (&kept.auth, "mallory@example.com", Verdict::WrongContext),
            (&altered, &username, Verdict::Malformed),
        ];
        for (auth, username, verdict) in cases {
            if let Some(found) = self.judge(1 - one, auth, username) {
                self.expect(&format!("a fresh token of version {}", kept.version), found, verdict);
            }
        }
        if self.kept.len() < KEPT {
            self.latest = self.kept.len();
            self.kept.push(kept);
        } else {
            self.latest = self.chance(KEPT);
            self.kept[self.latest] = kept;
        }
    }

    /// One of those that were kept, of whichever version: still good, or still refused; and it can be resealed.
    fn old_token(&mut self) {
        let at = self.chance(2);
        if !self.revoked.is_empty() && self.chance(3) == 0 {
            let place = self.chance(self.revoked.len());
            let (auth, username) = (self.revoked[place].auth.clone(), self.revoked[place].username.clone());
            if let Some(found) = self.judge(at, &auth, &username) {
                self.expect("a revoked token", found, Verdict::Revoked);
            }
            return;
        }
        if self.kept.is_empty() {
            return;
        }
        // Those of the newest version are few at first.
        let place = if self.chance(3) == 0 { self.latest } else { self.chance(self.kept.len()) };
        let place = place.min(self.kept.len() - 1);
        let (auth, username, version) =
            (self.kept[place].auth.clone(), self.kept[place].username.clone(), self.kept[place].version);
        if self.chance(4) > 0 {
            if let Some(found) = self.judge(at, &auth, &username) {
                self.expect(&format!("an old token of version {version}"), found, Verdict::Valid);
                self.seen.accepted_of.insert(version);
            }
            return;
        }
        let request = ResealRequest { app: APP.into(), auth, username: Some(username.clone()), hub_login_token: None };
        let begin = now();
        let resealed = self.replicas[at].reseal(request);
        let end = now();
        let Some(resealed) = self.answered("reseal", resealed) else { return };
        self.expect(&format!("a token of version {version} to reseal"), resealed.verdict(), Verdict::Valid);
        if !schedule::in_use(&schedule::read(self.schedule, HUB), resealed.key_version, begin, end) {
            self.fault(format!("resealed by version {} between {begin} and {end}", resealed.key_version));
        }
        if let Some(found) = self.judge(1 - at, &resealed.auth, &username) {
            self.expect("a resealed token", found, Verdict::Valid);
        }
    }

    fn revoke(&mut self, one: usize, what: What) -> bool {
        let request = RevokeRequest { app: APP.into(), what: Some(what), ..RevokeRequest::default() };
        let revoked = self.replicas[one].revoke(request);
        self.answered("revoke", revoked).is_some()
    }

    /// Refused here at once, and there as soon as it is known; never accepted again by who has refused it once.
    fn is_refused(&mut self, one: usize, kept: Kept) {
        if let Some(found) = self.judge(one, &kept.auth, &kept.username) {
            self.expect("a token just revoked", found, Verdict::Revoked);
        }
        let begin = Instant::now();
        while self.judge(1 - one, &kept.auth, &kept.username) != Some(Verdict::Revoked) {
            if begin.elapsed() > PATIENCE {
                return self.fault("the other replica does not hear of a revocation".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.seen.revoked += 1;
        self.revoked.push(kept);
    }

    fn revoke_token(&mut self, one: usize) {
        if self.kept.is_empty() {
            return;
        }
        let place = self.chance(self.kept.len());
        let kept = self.kept.swap_remove(place);
        if self.revoke(one, What::TokenId(kept.id.clone())) {
            self.is_refused(one, kept);
        }
    }

    /// What a user had is refused, and a fresh login is good at once, on both.
    fn revoke_user(&mut self, one: usize) {
        let username = format!("{}-{}", self.name, self.rounds);
        let Some(before) = self.seal(one, &username) else { return };
        if !self.revoke(one, What::Username(username.clone())) {
            return;
        }
        let Some(after) = self.seal(one, &username) else { return };
        for at in [one, 1 - one] {
            if let Some(found) = self.judge(at, &after.auth, &username) {
                self.expect("a login after a revocation", found, Verdict::Valid);
            }
        }
        self.is_refused(one, before);
        self.kept.push(after);
    }

    fn tell(mut self, all: &mut Seen) {
        all.minted += self.seen.minted;
        all.sealed += self.seen.sealed;
        all.accepted += self.seen.accepted;
        all.refused += self.seen.refused;
        all.revoked += self.seen.revoked;
        all.minted_by.append(&mut self.seen.minted_by);
        all.sealed_by.append(&mut self.seen.sealed_by);
        all.accepted_of.append(&mut self.seen.accepted_of);
        all.faults.append(&mut self.seen.faults);
    }
}

/// With another last character.
fn turned(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}
