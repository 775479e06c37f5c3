//! A thousand reloads while two clients mint and verify: no call fails, none is judged wrongly, and no memory is lost.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use countersign::{
    clock::Clock,
    grpc::{
        client::{Address, Client},
        proto::{
            BatchVerifyHashRequest, MintHashRequest, OpenRequest, ResealRequest, SealRequest, Verdict,
            VerifyHashRequest, batch_verify_hash_result, verify_hash_request::Origin,
        },
    },
    keyring::KeyName,
    keystore,
};

use crate::{
    Log, location, put,
    service::{CONFIG, Service, keys},
};

const RELOADS: usize = 1000;
/// After so many, memory is what it is.
const WARM: usize = 100;
/// What the process may have grown by from then on, bytes: caches of the allocator and of threads. A state that was not
/// given back would be some 10 KiB each time.
const MARGIN: u64 = 3 << 20;

/// What a client does all the time: it makes hashes and tokens, has each judged, and has forgeries judged too.
fn client(service: &Service, stop: &AtomicBool, calls: &AtomicU64, number: i64) {
    let address = Address::parse(&service.address()).unwrap();
    let client = Client::connect(&address, None, Duration::from_secs(30)).unwrap();
    let (domain, app, username) = ("jobs.example.com".to_owned(), "acme".to_owned(), format!("user-{number}"));
    let count = |n| calls.fetch_add(n, Ordering::Relaxed);
    while !stop.load(Ordering::Relaxed) {
        let minted = client.mint_hash(MintHashRequest { domain: domain.clone(), client: number, ..Default::default() });
        let minted = minted.unwrap();
        let hash = |client: i64| VerifyHashRequest {
            origin: Some(Origin::Domain(domain.clone())),
            client: client.to_string(),
            expires: minted.expires.to_string(),
            hash: minted.hash.clone(),
        };
        assert_eq!(client.verify_hash(hash(number)).unwrap().verdict(), Verdict::Valid);
        let both = BatchVerifyHashRequest { items: vec![hash(number), hash(number + 1)] };
        let results = client.batch_verify_hash(both).unwrap().results;
        let verdict = |place: usize| match results[place].result.as_ref().unwrap() {
            batch_verify_hash_result::Result::Response(judged) => judged.verdict(),
            batch_verify_hash_result::Result::Error(error) => panic!("{error:?}"),
        };
        assert_eq!((verdict(0), verdict(1)), (Verdict::Valid, Verdict::BadSignature));

        let seal = SealRequest {
            app: app.clone(),
            username: Some(username.clone()),
            payload: b"payload".to_vec(),
            ..Default::default()
        };
        let mut auth = client.seal(seal).unwrap().auth;
        let reseal = ResealRequest {
            app: app.clone(),
            auth: auth.clone(),
            username: Some(username.clone()),
            ..Default::default()
        };
        let resealed = client.reseal(reseal).unwrap();
        assert_eq!(resealed.verdict(), Verdict::Valid);
        for (auth, username, expected) in [
            (std::mem::replace(&mut auth, resealed.auth.clone()), username.as_str(), Verdict::Valid),
            (resealed.auth.clone(), username.as_str(), Verdict::Valid),
            (resealed.auth, "somebody else", Verdict::WrongContext),
        ] {
            let open = OpenRequest { app: app.clone(), auth, username: Some(username.into()), ..Default::default() };
            let opened = client.open(open).unwrap();
            assert_eq!(opened.verdict(), expected);
            assert_eq!(opened.payload, if expected == Verdict::Valid { b"payload".to_vec() } else { Vec::new() });
        }
        count(8);
    }
}

/// Memory that is the process' own, bytes.
fn resident(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Memory for keys, bytes: mapped, and taken once calls that are under way have let go of the state before.
fn key_memory(service: &Service) -> (u64, u64) {
    let looks = (0..5).map(|_| {
        thread::sleep(Duration::from_millis(20));
        key_memory_now(service)
    });
    looks.min().unwrap()
}

fn key_memory_now(service: &Service) -> (u64, u64) {
    let metrics = service.http("/metrics").1;
    let of = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        line.trim().parse().unwrap()
    };
    (of("countersign_key_memory_bytes{kind=\"mapped\"}"), of("countersign_key_memory_bytes{kind=\"taken\"}"))
}

#[test]
fn a_thousand_reloads_under_load_harm_no_call_and_cost_no_memory() {
    let service = Service::start(CONFIG);
    let at = service.dir.path();
    keys(at, &["create", "--key", "spare", "--kind", "hat1"], b"");
    let (mut log, place, config) = (Log::of(&service), location(at), at.join("config.toml"));
    let spare = KeyName::new("spare").unwrap();
    let more = "[[liveauth.domains]]\nname = \"new.example.com\"\nkey = \"jobs\"\n[[hub.apps]]";
    let configs = [CONFIG.replace("[[hub.apps]]", more), CONFIG.to_owned()];
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut warm, mut mapped) = (0, (0, 0));
    let mut busy = 0;
    thread::scope(|scope| {
        let clients: Vec<_> = (1..=2)
            .map(|n| {
                scope.spawn({
                    let (service, stop, calls) = (&service, &stop, &calls);
                    move || client(service, stop, calls, n)
                })
            })
            .collect();
        for round in 0..RELOADS {
            let before = calls.load(Ordering::Relaxed);
            let now = Clock::system().now();
            // Keyring and configuration in turn, each there and back again.
            match round % 4 {
                0 => drop(keystore::suspend(&place, &spare, 1, now).unwrap()),
                2 => drop(keystore::resume(&place, &spare, 1, now, now).unwrap()),
                odd => put(&config, &configs[odd / 2]),
            }
            service.signal("HUP");
            assert_eq!(log.outcome(), None, "reload {round}");
            busy += usize::from(calls.load(Ordering::Relaxed) > before);
            if round + 1 == WARM {
                (warm, mapped) = (resident(&service), key_memory(&service));
            }
            if clients.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    });
    let (end, mapped_at_end) = (resident(&service), key_memory(&service));
    eprintln!(
        "{} calls; resident {} KiB after {WARM} reloads, {} KiB after {RELOADS}; keys {mapped:?} and {mapped_at_end:?} bytes",
        calls.load(Ordering::Relaxed),
        warm >> 10,
        end >> 10
    );
    assert!(busy > RELOADS / 2, "there was no load: in {busy} reloads only calls were made");
    assert!(end <= warm + MARGIN, "it grew from {warm} to {end} bytes");
    assert_eq!(mapped_at_end, mapped, "memory for keys");
    let metrics = service.http("/metrics").1;
    assert!(metrics.contains(&format!("countersign_reloads_total{{result=\"swapped\"}} {RELOADS}\n")), "{metrics}");
}
