//! Takes one message off the wire before anything looks at it: never more bytes than its RPC takes, never longer
//! than its deadline. What comes out is whole, so that nothing behind this waits for the network.

use std::{
    convert::Infallible,
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicI64, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use tonic::{Code, Status};

use super::{limit::hold, status::Rejection};
use crate::authority::Refusal;

/// Bytes of the prefix of a gRPC message: a flag, and its length as a 32-bit big-endian number.
pub(super) const PREFIX: usize = 5;

/// Bytes of an overlong request that are read and dropped before it is answered.
const DISCARD_MAX: usize = 1024 * 1024;

/// What to say of a refusal in other words than its own. Quotes nothing of the request.
#[derive(Debug)]
pub(super) struct Explanation {
    pub(super) message: String,
    /// The field that it is about, as a path of names as in `proto/`.
    pub(super) field: Option<String>,
}

impl From<String> for Explanation {
    fn from(message: String) -> Self {
        Self { message, field: None }
    }
}

/// Why there is no message.
#[derive(Debug)]
pub(super) enum Fault {
    /// The call is refused.
    Refused(Refusal),
    /// The same, in words that fit better than the refusal's own.
    Explained(Refusal, Explanation),
    /// A use case's work ended with this status.
    Answered(Status),
    /// It is no call.
    Rejected(Rejection),
    /// The body broke off: the caller has gone, or does not keep to HTTP.
    Broken,
}

impl Fault {
    /// How long to hold it back, where it costs its caller nothing but time.
    pub(super) fn hold(&self) -> Option<Duration> {
        match self {
            Self::Refused(Refusal::RateLimited { .. } | Refusal::Overloaded { .. }) => Some(hold()),
            // By the rate of a rule, or of a batch.
            Self::Answered(status) if status.code() == Code::ResourceExhausted => Some(hold()),
            Self::Refused(_) | Self::Explained(..) | Self::Answered(_) | Self::Rejected(_) | Self::Broken => None,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Reads the one message of a gRPC request, and returns it with its prefix.
///
/// # Errors
/// Too large (as soon as the prefix says so, or more comes than it said), compressed, torn, more than one, or too slow.
pub(super) async fn framed<B>(body: B, limit: usize, deadline: Instant, late: &AtomicI64) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let read = read_framed(body.as_mut(), limit, deadline, late).await;
    discard_after(&read, body, deadline).await;
    read
}

/// Reads the body of a Connect request.
///
/// # Errors
/// Too large, or too slow.
pub(super) async fn plain<B>(body: B, limit: usize, deadline: Instant, late: &AtomicI64) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let read = read_plain(body.as_mut(), limit, deadline, late).await;
    discard_after(&read, body, deadline).await;
    read
}

/// Whether these are a gRPC request's one message with its prefix, and all of it.
///
/// # Errors
/// As of [`framed`].
pub(super) fn is_framed(bytes: &[u8], limit: usize) -> Result<(), Fault> {
    match prefix(bytes) {
        Some((0, length)) if length > limit => Err(Refusal::MessageTooLarge { limit }.into()),
        Some((0, length)) if bytes.len() == PREFIX + length => Ok(()),
        Some((1, _)) => Err(Rejection::Compressed.into()),
        Some(_) | None => Err(Refusal::Undecodable.into()),
    }
}

/// Whether these are few enough for the body of a Connect request.
///
/// # Errors
/// As of [`plain`].
pub(super) fn is_plain(bytes: &[u8], limit: usize) -> Result<(), Fault> {
    if bytes.len() > limit { Err(Refusal::MessageTooLarge { limit }.into()) } else { Ok(()) }
}

/// Reads and drops the body of a request that was refused before it was looked at, as far as `limit` and `deadline`
/// allow: an answer that comes before the end of a request resets its stream, which some clients (curl) take for a
/// broken connection and never read the answer.
pub(super) async fn discard<B>(body: B, limit: usize, deadline: Instant)
where
    B: Body<Data = Bytes>,
{
    let reading = async {
        let mut body = pin!(body);
        let mut left = limit;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = rest;
        }
    };
    // Late or not, the answer is the same.
    let _ = tokio::time::timeout_at(deadline.into(), reading).await;
}

/// The rest of a request that turned out too large is read too, if it is not much.
async fn discard_after<B>(read: &Result<Bytes, Fault>, body: B, deadline: Instant)
where
    B: Body<Data = Bytes>,
{
    if matches!(read, Err(Fault::Refused(Refusal::MessageTooLarge { .. }))) {
        discard(body, DISCARD_MAX, deadline).await;
    }
}

async fn read_framed<B>(body: B, limit: usize, deadline: Instant, late: &AtomicI64) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
{
    let bytes = collect(body, deadline, late, |bytes| match prefix(bytes) {
        None => Ok(PREFIX),
        Some((0, length)) if length <= limit => Ok(PREFIX + length),
        Some((0, _)) => Err(Refusal::MessageTooLarge { limit }.into()),
        Some((1, _)) => Err(Rejection::Compressed.into()),
        Some(_) => Err(Refusal::Undecodable.into()),
    });
    match bytes.await? {
        Collected::Whole { bytes, ended } => match prefix(&bytes) {
            Some((_, length)) if bytes.len() == PREFIX + length => Ok(bytes),
            _ if ended => Err(Refusal::Undecodable.into()),
            // hyper shows a cancelled stream as one that just ends.
            _ => Err(Fault::Broken),
        },
        Collected::Overlong => Err(Refusal::Undecodable.into()),
    }
}

async fn read_plain<B>(body: B, limit: usize, deadline: Instant, late: &AtomicI64) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::MessageTooLarge { limit }.into());
    }
    match collect(body, deadline, late, |_| Ok(limit)).await? {
        Collected::Whole { bytes, .. } => Ok(bytes),
        Collected::Overlong => Err(Refusal::MessageTooLarge { limit }.into()),
    }
}

/// What came of reading a body.
enum Collected {
    /// All of it; `ended` if the peer said that this was all.
    Whole { bytes: Bytes, ended: bool },
    /// More than its start allows; the rest was left.
    Overlong,
}

/// Reads to the end of the body; one that is not all there at once is counted in `late` meanwhile. `allowed` looks at what is there so far and says how much may come in all.
async fn collect<B>(
    body: B,
    deadline: Instant,
    late: &AtomicI64,
    allowed: impl Fn(&[u8]) -> Result<usize, Fault>,
) -> Result<Collected, Fault>
where
    B: Body<Data = Bytes>,
{
    let reading = async {
        let mut body = pin!(body);
        // Nearly every message arrives as one frame, which is then handed on as it is.
        let mut whole = Bytes::new();
        let mut parts = BytesMut::new();
        loop {
            let at_end = body.is_end_stream();
            let so_far: &[u8] = if parts.is_empty() { &whole } else { &parts };
            let allowed = allowed(so_far)?;
            if so_far.len() > allowed {
                return Ok(Collected::Overlong);
            }
            let next = if at_end { None } else { body.frame().await };
            let Some(frame) = next else {
                let bytes = if parts.is_empty() { whole } else { parts.freeze() };
                return Ok(Collected::Whole { bytes, ended: body.is_end_stream() });
            };
            let frame = frame.map_err(|_| Fault::Broken)?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.is_empty() && parts.is_empty() {
                whole = data;
            } else {
                if parts.is_empty() {
                    parts.reserve(allowed.min(whole.len() + 4 * data.len()));
                    parts.put_slice(&whole);
                }
                if parts.len() + data.len() > allowed.max(PREFIX) && parts.len() >= PREFIX {
                    return Ok(Collected::Overlong);
                }
                parts.put_slice(&data);
            }
        }
    };
    let mut reading = pin!(reading);
    // Nearly every message is there already, and needs no timer.
    if let Poll::Ready(read) = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
        return read;
    }
    let _late = Late::new(late);
    match tokio::time::timeout_at(deadline.into(), reading).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Refusal::DeadlineExceeded.into()),
    }
}

/// One more, for as long as it is there.
struct Late<'a>(&'a AtomicI64);

impl<'a> Late<'a> {
    fn new(count: &'a AtomicI64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Late<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The flag and the length, once they are there.
fn prefix(bytes: &[u8]) -> Option<(u8, usize)> {
    let (&[flag, a, b, c, d], _) = bytes.split_first_chunk::<PREFIX>()?;
    Some((flag, u32::from_be_bytes([a, b, c, d]) as usize))
}

/// A request body that is all there.
#[derive(Debug)]
pub(super) struct Whole(Option<Bytes>);

impl Whole {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(Some(bytes))
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests;
