//! One HTTP/2 connection (RFC 9113), on h2 itself. A call that has arrived whole is worked on where it is taken off the
//! connection, all calls of one turn one after the other, and their answers leave with one write: a task for each, as
//! hyper makes one, costs more than a mint does. What has to wait for something else gets a task; what waits only for the
//! journal does not, for it is decided in the order in which it came.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderValue, Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep},
};

use super::{
    answer::{self, Answer, AnswerBody},
    front::{self, Begun, Held},
    later::Later,
    limit::Limits,
    route::Route,
    session::Session,
    worker::took_request,
};

/// Bytes that a peer may send ahead on one stream: any unary message, and a good part of a batch.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes that a peer may send ahead on one connection, and so the most that one can make us hold.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of streamed answers that wait for a peer that does not read, per stream.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that a peer may open and reset before we look at them (CVE-2023-44487), and those we may have to reset
/// for its errors, until it is sent away.
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 128;

/// How long a call may take to arrive before it gets a task, and with it a deadline of its own. Longer than a worker
/// sleeps at most, so that the timer costs no system call.
const LINGER: Duration = Duration::from_millis(150);

/// A connection that is being served; resolves when it has ended.
pub(super) struct Connection<I> {
    h2: server::Connection<I, Bytes>,
    session: Arc<Session>,
    /// What was just taken off the connection.
    arrived: Vec<Coming>,
    /// What is not all there yet.
    coming: Vec<Coming>,
    /// When to give up waiting for the rest of those.
    linger: Option<Pin<Box<Sleep>>>,
    /// What waits for the journal, in the order in which it came.
    held: VecDeque<(Held, SendResponse<Bytes>)>,
    /// What is held back.
    later: Later,
}

/// A request on its way in.
struct Coming {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    /// What there is of its content: nearly always all, in one piece.
    content: Option<Bytes>,
    arrived: Instant,
    /// Whether it is one message, for which there is one answer.
    is_call: bool,
}

/// How much of a request is there.
enum Extent {
    Whole,
    Part,
    /// It has broken off, or comes in pieces, or does not end by itself.
    Other,
}

impl Coming {
    /// Takes in what has come.
    fn poll(&mut self, context: &mut Context<'_>) -> Extent {
        let stream = self.request.body_mut();
        loop {
            match stream.poll_data(context) {
                Poll::Ready(Some(Ok(data))) => {
                    // What was read is no longer ours to bound: the message is, which it becomes a part of.
                    let _ = stream.flow_control().release_capacity(data.len());
                    let whole = stream.is_end_stream();
                    match &self.content {
                        None => self.content = Some(data),
                        Some(_) if data.is_empty() => {}
                        Some(before) => {
                            self.content = Some([before, &data[..]].concat().into());
                            return if whole { Extent::Whole } else { Extent::Other };
                        }
                    }
                    if whole {
                        return Extent::Whole;
                    }
                }
                // Trailers may still come, which callers have no use for.
                Poll::Ready(None) => {
                    return if stream.is_end_stream() { Extent::Whole } else { Extent::Other };
                }
                Poll::Pending if self.is_call => return Extent::Part,
                Poll::Pending | Poll::Ready(Some(Err(_))) => return Extent::Other,
            }
        }
    }
}

/// Begins a connection whose preface was seen.
///
/// # Errors
/// The peer does not keep to HTTP/2, or has gone.
pub(super) async fn begin<I>(
    io: I,
    session: Arc<Session>,
    limits: &Limits,
    streams: u32,
) -> Result<Connection<I>, h2::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let h2 = server::Builder::new()
        .max_concurrent_streams(streams)
        .max_header_list_size(limits.header_list_bytes)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(ERROR_RESETS))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake(io)
        .await?;
    Ok(Connection {
        h2,
        session,
        arrived: Vec::new(),
        coming: Vec::new(),
        linger: None,
        held: VecDeque::new(),
        later: Later::new(),
    })
}

impl<I: AsyncRead + AsyncWrite + Unpin> Connection<I> {
    /// Takes no more streams; resolves when those that are open have ended.
    pub(super) fn graceful_shutdown(&mut self) {
        self.h2.graceful_shutdown();
    }

    /// What pings the peer, and hears it answer.
    pub(super) fn ping_pong(&mut self) -> Option<h2::PingPong> {
        self.h2.ping_pong()
    }

    /// Takes off the connection whatever has come; `Pending` while it is open.
    fn accept(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let mut now = None;
        loop {
            match ready!(self.h2.poll_accept(context)) {
                Some(Ok((request, respond))) => {
                    took_request();
                    let arrived = *now.get_or_insert_with(Instant::now);
                    let is_call = Route::of(request.uri().path(), self.session.gate.reach()).is_call();
                    self.arrived.push(Coming { request, respond, content: None, arrived, is_call });
                }
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Works on what has arrived; whether there is something to send.
    fn work(&mut self, context: &mut Context<'_>) -> bool {
        let mut sent = false;
        let (mut coming, mut arrived) = (mem::take(&mut self.coming), mem::take(&mut self.arrived));
        for mut coming in coming.drain(..).chain(arrived.drain(..)) {
            match coming.poll(context) {
                Extent::Whole => sent |= self.begin(coming),
                Extent::Part => self.coming.push(coming),
                Extent::Other => self.spawn(coming),
            }
        }
        if self.coming.is_empty() {
            self.coming = coming;
        }
        self.arrived = arrived;
        sent
    }

    /// Works on a request that is all there; whether there is something to send.
    fn begin(&mut self, coming: Coming) -> bool {
        let Coming { request, respond, content, arrived, .. } = coming;
        let is_head = request.method() == Method::HEAD;
        let request = request.map(|_| content.unwrap_or_default());
        match front::begin_whole(&self.session, request, arrived) {
            Begun::Answered(answer) => {
                send(answer, respond, is_head);
                return true;
            }
            Begun::Held(held) => self.held.push_back((held, respond)),
            Begun::Later(hold, answer) => self.later.keep(hold, (answer, respond, is_head)),
            Begun::Waiting(answer) => drop(tokio::spawn(finish(answer, respond, is_head))),
        }
        false
    }

    /// Gives a request a task of its own.
    fn spawn(&self, coming: Coming) {
        let Coming { request, respond, content, arrived, .. } = coming;
        let is_head = request.method() == Method::HEAD;
        let request = request.map(|stream| Content { ahead: content, stream });
        let session = Arc::clone(&self.session);
        let answer = async move { front::begin(session, request, arrived).await.finish().await };
        tokio::spawn(finish(Box::pin(answer), respond, is_head));
    }

    /// Sees to it that nothing lingers.
    fn hurry(&mut self, context: &mut Context<'_>) {
        if self.coming.is_empty() {
            return;
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if linger.as_mut().poll(context).is_pending() {
            return;
        }
        self.linger = None;
        let now = Instant::now();
        for coming in
            self.coming.extract_if(.., |coming| now.duration_since(coming.arrived) >= LINGER / 2).collect::<Vec<_>>()
        {
            self.spawn(coming);
        }
        if !self.coming.is_empty() {
            let linger = self.linger.insert(Box::pin(sleep(LINGER)));
            let _ = linger.as_mut().poll(context);
        }
    }

    /// Sends what the journal has decided, and what has been held back for long enough; whether there is something to send.
    fn release(&mut self, context: &mut Context<'_>) -> bool {
        let mut sent = false;
        // One that waits behind another is decided after it, so to be woken for the first will do.
        while let Some((held, _)) = self.held.front_mut()
            && let Poll::Ready(answer) = Pin::new(held).poll(context)
        {
            if let Some((_, respond)) = self.held.pop_front() {
                sent = true;
                send(answer, respond, false);
            }
        }
        for (answer, respond, is_head) in self.later.take(context) {
            sent = true;
            send(answer, respond, is_head);
        }
        sent
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Future for Connection<I> {
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // What is sent leaves when the connection is next looked at, so it is looked at until there is no more to send.
        loop {
            let accepted = self.accept(context);
            let mut sent = self.work(context);
            if let Poll::Ready(ended) = accepted {
                // They find that they have broken off, and leave a record of it.
                for coming in mem::take(&mut self.coming) {
                    self.spawn(coming);
                }
                return Poll::Ready(ended);
            }
            sent |= self.release(context);
            if !sent {
                self.hurry(context);
                self.session.end_turn();
                return Poll::Pending;
            }
        }
    }
}

/// The content of a request: what was taken off already, and the rest. A peer that resets its stream has broken it off.
struct Content {
    ahead: Option<Bytes>,
    stream: RecvStream,
}

impl Body for Content {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(data) = self.ahead.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(data) = ready!(self.stream.poll_data(context)) else {
            // Callers have no use for trailers, but the end comes after them.
            return Poll::Ready(ready!(self.stream.poll_trailers(context)).err().map(Err));
        };
        Poll::Ready(Some(data.map(|data| {
            let _ = self.stream.flow_control().release_capacity(data.len());
            Frame::data(data)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Waits for an answer and sends it, unless the peer gives it up before.
async fn finish(answer: Pin<Box<dyn Future<Output = Answer> + Send>>, mut respond: SendResponse<Bytes>, is_head: bool) {
    let answer = tokio::select! {
        biased;
        _ = poll_fn(|context| respond.poll_reset(context)) => return,
        answer = answer => answer,
    };
    send(answer, respond, is_head);
}

/// Sends an answer. An error means that the peer, or its stream, has gone, and then there is nothing to do.
fn send(answer: Answer, mut respond: SendResponse<Bytes>, is_head: bool) {
    let (mut parts, body) = answer.into_parts();
    let length = match &body {
        AnswerBody::Plain(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len)),
        AnswerBody::Message(_) | AnswerBody::Trailers(_) | AnswerBody::Stream(_) => None,
    };
    if let Some(length) = length {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    // gRPC knows an answer without a message by its headers being all there is.
    let is_empty = length == Some(0) || matches!(&body, AnswerBody::Stream(body) if body.is_end_stream());
    let has_body = !is_head && !is_empty;
    let Ok(mut stream) = respond.send_response(Response::from_parts(parts, ()), !has_body) else { return };
    match body {
        _ if !has_body => {}
        AnswerBody::Plain(bytes) => drop(stream.send_data(bytes.unwrap_or_default(), true)),
        AnswerBody::Message(message) => {
            // Its size is bounded, and where it is large it counts until it is gone: it need not wait for room.
            if stream.send_data(message.unwrap_or_default(), false).is_ok() {
                let _ = stream.send_trailers(answer::trailers());
            }
        }
        AnswerBody::Trailers(_) => drop(stream.send_trailers(answer::trailers())),
        AnswerBody::Stream(body) => drop(tokio::spawn(pump(body, stream))),
    }
}

/// Sends a stream of a streaming service, as fast as the peer takes it.
async fn pump(mut body: tonic::body::Body, mut stream: h2::SendStream<Bytes>) {
    loop {
        let frame = tokio::select! {
            biased;
            _ = poll_fn(|context| stream.poll_reset(context)) => return,
            frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => frame,
        };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            None => return drop(stream.send_data(Bytes::new(), true)),
            Some(Err(_)) => return stream.send_reset(Reason::INTERNAL_ERROR),
            Some(Ok(Ok(mut data))) => {
                while !data.is_empty() {
                    stream.reserve_capacity(data.len());
                    let Some(Ok(room)) = poll_fn(|context| stream.poll_capacity(context)).await else { return };
                    if stream.send_data(data.split_to(room.min(data.len())), false).is_err() {
                        return;
                    }
                }
            }
            Some(Ok(Err(other))) => {
                if let Ok(trailers) = other.into_trailers() {
                    return drop(stream.send_trailers(trailers));
                }
            }
        }
    }
}
