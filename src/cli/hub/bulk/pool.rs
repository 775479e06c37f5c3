//! Several batches under way at a time, each on a connection of its own. What the service puts off is tried again when it
//! says; what breaks off, for a while. Answers come in the order of the questions.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use super::sheet::Outcome;
use crate::{
    audit::Code,
    cli::{
        ClientArgs, Failure,
        client::{self, Target},
    },
    grpc::{
        client::{CallError, Client},
        proto::{
            BatchResealRequest, BatchResealResult, ItemError, ResealRequest, Verdict,
            batch_reseal_result::Result as Item,
        },
    },
};

/// Batches under way at a time, and those that are ready for the next one that ends.
const UNDER_WAY: usize = 4;
pub(super) const BATCHES: usize = UNDER_WAY + 2;

/// How long a service that is not there is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long at a time, where the service itself does not say.
const PAUSE: Duration = Duration::from_millis(500);

/// How often is looked for what was said, and whether all is over.
const LOOK: Duration = Duration::from_millis(50);

type Answer = Result<Vec<Outcome>, Failure>;

struct Job {
    requests: Vec<ResealRequest>,
    answer: Sender<Answer>,
}

/// The connections.
pub(super) struct Pool {
    target: Target,
    first: Client,
}

impl Pool {
    /// Makes the first connection, so that it shows early where there is none.
    pub(super) fn connect(service: &ClientArgs) -> Result<Self, Failure> {
        let target = Target::of(service)?;
        let first = target.connect().map_err(client::failed)?;
        Ok(Self { target, first })
    }

    /// Works with them.
    pub(super) fn run(self, work: impl FnOnce(&mut Crew<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (queue, gate) = (Mutex::new(queue), Gate::default());
        let mut first = Some(self.first);
        thread::scope(|scope| {
            for _ in 0..UNDER_WAY {
                let mut hand = Hand { target: &self.target, client: first.take(), gate: &gate };
                let queue = &queue;
                scope.spawn(move || {
                    // One waits at the queue; the others wait for the lock.
                    while let Ok(job) = { locked(queue).recv() } {
                        // Whoever asked may have stopped.
                        let _ = job.answer.send(hand.reseal(&job.requests));
                    }
                });
            }
            let mut crew = Crew { jobs, answers: VecDeque::new(), gate: &gate };
            let done = work(&mut crew);
            locked(&gate.0).is_over = true;
            done
        })
    }
}

/// Those who do the work.
pub(super) struct Crew<'g> {
    jobs: Sender<Job>,
    answers: VecDeque<Receiver<Answer>>,
    gate: &'g Gate,
}

impl Crew<'_> {
    /// Gives them a batch.
    pub(super) fn send(&mut self, requests: Vec<ResealRequest>) {
        let (answer, answers) = mpsc::channel();
        self.answers.push_back(answers);
        // Nobody there shows when the answer is asked for.
        let _ = self.jobs.send(Job { requests, answer });
    }

    /// The outcomes of the batch that was given longest ago, as soon as they are there; what there is to tell meanwhile
    /// is told.
    pub(super) fn answer(&mut self, tell: impl Fn(&str)) -> Answer {
        let gone = || Failure::ours("a batch was not worked on");
        let answer = self.answers.pop_front().ok_or_else(gone)?;
        loop {
            let answer = answer.recv_timeout(LOOK);
            for text in std::mem::take(&mut locked(&self.gate.0).words) {
                tell(&text);
            }
            match answer {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            }
        }
    }
}

/// What all of them pass before a call.
#[derive(Default)]
struct Gate(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Not before this moment.
    until: Option<Instant>,
    is_over: bool,
    /// Why they wait, to be told.
    words: Vec<String>,
    /// The last reason that was told.
    told: String,
}

impl Gate {
    fn pass(&self) -> Result<(), Failure> {
        loop {
            let left = {
                let waiting = locked(&self.0);
                if waiting.is_over {
                    return Err(Failure::ours("stopped"));
                }
                waiting.until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default()
            };
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(LOOK));
        }
    }

    /// Lets nobody pass for a while.
    fn close(&self, pause: Duration, error: &CallError) {
        let mut waiting = locked(&self.0);
        let until = Instant::now() + pause;
        waiting.until = Some(waiting.until.map_or(until, |other| other.max(until)));
        let why = if error.reason.is_empty() { &error.message } else { &error.reason };
        if waiting.told != *why {
            waiting.told.clone_from(why);
            waiting.words.push(format!("waiting: {} ({why})", error.message));
        }
    }
}

/// One who does the work.
struct Hand<'a> {
    target: &'a Target,
    client: Option<Client>,
    gate: &'a Gate,
}

impl Hand<'_> {
    fn reseal(&mut self, items: &[ResealRequest]) -> Answer {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let mut since = None;
        loop {
            self.gate.pass()?;
            let error = match self.call(items) {
                Ok(results) if results.len() != items.len() => return Err(Failure::ours("an answer lacks items")),
                Ok(results) => match results.into_iter().map(outcome).collect::<Result<_, _>>() {
                    Ok(outcomes) => return Ok(outcomes),
                    Err(error) => error,
                },
                // The service takes less than is usual, or has not the time for so many.
                Err(error) if is_too_much(&error) && items.len() > 1 => {
                    let (one, other) = items.split_at(items.len() / 2);
                    let mut outcomes = self.reseal(one)?;
                    outcomes.extend(self.reseal(other)?);
                    return Ok(outcomes);
                }
                Err(error) => error,
            };
            let is = |codes: &[Code]| codes.iter().any(|code| code.number() == error.code);
            if error.unreachable {
                self.client = None;
            }
            if let Some(pause) = error.retry_after.filter(|_| is(&[Code::ResourceExhausted])) {
                // It is there, and will let us in.
                self.gate.close(pause, &error);
                continue;
            }
            if !error.unreachable && !is(&[Code::Unavailable, Code::DeadlineExceeded]) {
                return Err(client::failed(error));
            }
            if since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                return Err(client::failed(error));
            }
            self.gate.close(error.retry_after.unwrap_or(PAUSE), &error);
        }
    }

    fn call(&mut self, items: &[ResealRequest]) -> Result<Vec<BatchResealResult>, CallError> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(self.target.connect()?),
        };
        client.batch_reseal(BatchResealRequest { items: items.to_vec() }).map(|response| response.results)
    }
}

fn is_too_much(error: &CallError) -> bool {
    // A deadline that only we noticed says nothing of the batch: the service hangs, or is gone.
    error.reason == "MESSAGE_TOO_LARGE" || error.code == Code::DeadlineExceeded.number() && !error.unreachable
}

/// What became of one item; an error that is not about it ends the batch.
fn outcome(result: BatchResealResult) -> Result<Outcome, CallError> {
    match result.result {
        Some(Item::Response(response)) if response.verdict() == Verdict::Valid => Ok(Outcome::Resealed(response.auth)),
        Some(Item::Response(response)) => {
            let hints: Vec<String> = client::hint_names(&response.hints).collect();
            Ok(Outcome::Failed { verdict: client::verdict_name(response.verdict()).to_owned(), error: hints.join(" ") })
        }
        // The app is the same for all.
        Some(Item::Error(ItemError { code, reason, message, field }))
            if code == Code::InvalidArgument.number() && field != "app" =>
        {
            Ok(Outcome::unread(format!("{message} ({reason})")))
        }
        Some(Item::Error(ItemError { code, reason, message, .. })) => {
            Err(CallError { code, reason, message, unreachable: false, retry_after: None })
        }
        None => Err(CallError {
            code: Code::Internal.number(),
            reason: String::new(),
            message: "an item has no answer".into(),
            unreachable: false,
            retry_after: None,
        }),
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
