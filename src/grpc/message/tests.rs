use std::collections::VecDeque;

use super::*;

// A status cannot be compared; what it shows can.
impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// Frames one after the other, and then the end or nothing for ever.
struct Parts(VecDeque<Vec<u8>>, bool);

impl Body for Parts {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.0.pop_front() {
            Some(part) => Poll::Ready(Some(Ok(Frame::data(part.into())))),
            None if self.1 => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty() && self.1
    }
}

/// A stream that is reset after its first frames.
struct Cancelled(Parts);

impl Body for Cancelled {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }
}

fn read(parts: &[&[u8]], ends: bool) -> Result<Bytes, Fault> {
    let parts = Parts(parts.iter().map(|part| part.to_vec()).collect(), ends);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { framed(parts, 8, Instant::now() + Duration::from_millis(20), &AtomicI64::new(0)).await })
}

const REFUSED: fn(Refusal) -> Result<Bytes, Fault> = |refusal| Err(Fault::Refused(refusal));

#[test]
fn a_message_is_read_however_it_is_cut() {
    let message = [0, 0, 0, 0, 3, 7, 8, 9];
    assert_eq!(read(&[&message], true).unwrap(), &message[..]);
    for cut in 0..message.len() {
        let (a, b) = message.split_at(cut);
        assert_eq!(read(&[a, b], true).unwrap(), &message[..], "{cut}");
    }
    let single: Vec<&[u8]> = message.chunks(1).collect();
    assert_eq!(read(&single, true).unwrap(), &message[..]);
    assert_eq!(read(&[&[0, 0, 0, 0, 0]], true).unwrap().len(), PREFIX);
}

#[test]
fn an_oversized_message_is_refused_by_its_prefix_alone() {
    assert_eq!(read(&[&[0, 0, 0, 0, 9]], false), REFUSED(Refusal::MessageTooLarge { limit: 8 }));
    assert_eq!(read(&[&[0, 0xff], &[0xff, 0xff, 0xff]], false), REFUSED(Refusal::MessageTooLarge { limit: 8 }));
    assert!(read(&[&[0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]], true).is_ok());
}

#[test]
fn a_torn_a_second_and_a_missing_message_do_not_decode() {
    for parts in [
        &[][..],
        &[&[0, 0, 0][..]],
        &[&[0, 0, 0, 0, 3, 1]],
        &[&[0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]],
        &[&[0, 0, 0, 0, 1, 1], &[0, 0, 0, 0, 1, 1]],
        &[&[2, 0, 0, 0, 0]],
    ] {
        assert_eq!(read(parts, true), REFUSED(Refusal::Undecodable), "{parts:?}");
    }
}

#[test]
fn a_message_cut_off_by_its_caller_is_nobodys_mistake() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let read = |part: &[u8]| {
        let body = Cancelled(Parts([part.to_vec()].into(), true));
        runtime.block_on(async { framed(body, 8, Instant::now() + Duration::from_secs(60), &AtomicI64::new(0)).await })
    };
    assert_eq!(read(&[0, 0, 0, 0, 3, 1]), Err(Fault::Broken));
    assert!(read(&[0, 0, 0, 0, 1, 1]).is_ok());
}

#[test]
fn a_compressed_message_is_not_implemented() {
    assert_eq!(read(&[&[1, 0, 0, 0, 1, 1]], true), Err(Fault::Rejected(Rejection::Compressed)));
}

#[test]
fn a_body_that_never_ends_is_cut_by_the_deadline() {
    assert_eq!(read(&[&[0, 0, 0, 0, 3, 7]], false), REFUSED(Refusal::DeadlineExceeded));
    assert_eq!(read(&[], false), REFUSED(Refusal::DeadlineExceeded));
}

#[test]
fn a_plain_body_over_the_limit_is_refused_as_soon_as_it_is_over() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let read = |parts: Vec<Vec<u8>>| {
        let deadline = Instant::now() + Duration::from_millis(20);
        runtime.block_on(async { plain(Parts(parts.into(), false), 4, deadline, &AtomicI64::new(0)).await })
    };
    assert_eq!(read(vec![vec![0; 5]]), REFUSED(Refusal::MessageTooLarge { limit: 4 }));
    assert_eq!(read(vec![vec![0; 2], vec![0; 2], vec![0; 1]]), REFUSED(Refusal::MessageTooLarge { limit: 4 }));
    assert_eq!(read(vec![vec![0; 4]]), REFUSED(Refusal::DeadlineExceeded));
}
