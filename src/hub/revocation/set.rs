//! Many ids with their times, for fast questions and cheap additions: a large sorted table that is made anew now and
//! then, and a small one with what came since. Ids are random, so that the first bits of one say nearly where it is; where
//! somebody chose them, there is still only a binary search to do.

use std::sync::Arc;

use crate::clock::UnixSeconds;

/// Fresh rows that may be, whatever the size of the table; above this it depends on that.
const FRESH_LEAST: usize = 512;
/// What part of the table the fresh rows may be: each addition copies them, and each merger copies the table.
const FRESH_PART: usize = 64;
/// Rows that share one place of the index, about.
const PER_PLACE: usize = 4;

/// One id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) id: [u8; 16],
    /// Unix seconds.
    pub(super) until: i64,
    /// Unix seconds; the latest there are for no end.
    pub(super) ends: i64,
}

impl Row {
    /// What two rows about one id say together.
    pub(super) fn with(self, other: Self) -> Self {
        Self { id: self.id, until: self.until.max(other.until), ends: self.ends.max(other.ends) }
    }

    pub(super) fn lasts(&self, now: UnixSeconds) -> bool {
        now.0 < self.ends
    }
}

/// Ids with their times. A clone shares all of them.
#[derive(Clone, Default)]
pub(super) struct Set {
    table: Arc<Table>,
    /// Sorted.
    fresh: Arc<Vec<Row>>,
}

impl Set {
    /// A set of these, of which two may be about one id.
    pub(super) fn of(rows: Vec<Row>) -> Self {
        Self { table: Arc::new(Table::new(sorted(rows))), fresh: Arc::default() }
    }

    /// The same with these.
    pub(super) fn with(&self, rows: Vec<Row>) -> Self {
        if rows.is_empty() {
            return self.clone();
        }
        let fresh = merged(&self.fresh, &sorted(rows));
        if fresh.len() <= FRESH_LEAST.max(self.table.rows.len() / FRESH_PART) {
            return Self { table: Arc::clone(&self.table), fresh: Arc::new(fresh) };
        }
        Self { table: Arc::new(Table::new(merged(&self.table.rows, &fresh))), fresh: Arc::default() }
    }

    /// The same without what has ended. Shares everything where nothing has.
    pub(super) fn without_ended(&self, now: UnixSeconds) -> Self {
        let lasting = |rows: &[Row]| rows.iter().filter(|row| row.lasts(now)).count();
        let (in_table, in_fresh) = (lasting(&self.table.rows), lasting(&self.fresh));
        if in_table == self.table.rows.len() && in_fresh == self.fresh.len() {
            return self.clone();
        }
        // What one of two rows about an id says may have ended, and the other's not: they are made one first.
        let mut rows = merged(&self.table.rows, &self.fresh);
        rows.retain(|row| row.lasts(now));
        rows.shrink_to_fit();
        Self { table: Arc::new(Table::new(rows)), fresh: Arc::default() }
    }

    /// The time of an id, if it is there.
    pub(super) fn until(&self, id: &[u8; 16]) -> Option<i64> {
        let fresh = if self.fresh.is_empty() { None } else { find(&self.fresh, id) };
        fresh.max(self.table.until(id))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.table.rows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.table.rows.len() + self.fresh.iter().filter(|row| self.table.until(&row.id).is_none()).count()
    }
}

/// Sorted rows, and where in them the ids begin that share their first bits.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    /// One more than there are values of the first bits; none for an empty table.
    starts: Vec<u32>,
    /// 64 less how many bits those are.
    shift: u32,
}

impl Table {
    /// `rows` is sorted, and no id is in it twice.
    fn new(rows: Vec<Row>) -> Self {
        if rows.is_empty() {
            return Self::default();
        }
        let bits = (rows.len() / PER_PLACE).max(2).ilog2();
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for place in 0..1_u64 << bits {
            let from = starts.last().map_or(0, |&start| start as usize);
            let skipped = rows[from..].iter().take_while(|row| first(&row.id) >> shift < place).count();
            starts.push(u32::try_from(from + skipped).expect("so many entries fit in no memory"));
        }
        starts.push(u32::try_from(rows.len()).expect("so many entries fit in no memory"));
        Self { rows, starts, shift }
    }

    fn until(&self, id: &[u8; 16]) -> Option<i64> {
        if self.rows.is_empty() {
            return None;
        }
        let place = usize::try_from(first(id) >> self.shift).expect("an index of a table in memory");
        find(&self.rows[self.starts[place] as usize..self.starts[place + 1] as usize], id)
    }
}

fn first(id: &[u8; 16]) -> u64 {
    let (first, _) = id.split_first_chunk().expect("16 bytes hold 8");
    u64::from_be_bytes(*first)
}

fn find(rows: &[Row], id: &[u8; 16]) -> Option<i64> {
    rows.binary_search_by(|row| row.id.cmp(id)).ok().map(|at| rows[at].until)
}

/// Sorted, and those about one id made one.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_unstable_by_key(|row| row.id);
    rows.dedup_by(|later, earlier| {
        let same = later.id == earlier.id;
        if same {
            *earlier = earlier.with(*later);
        }
        same
    });
    rows
}

fn merged(one: &[Row], other: &[Row]) -> Vec<Row> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    loop {
        let next = match (one.peek(), other.peek()) {
            (Some(a), Some(b)) => match a.id.cmp(&b.id) {
                std::cmp::Ordering::Less => one.next(),
                std::cmp::Ordering::Greater => other.next(),
                std::cmp::Ordering::Equal => one.next().zip(other.next()).map(|(a, b)| a.with(b)),
            },
            (Some(_), None) => one.next(),
            (None, _) => other.next(),
        };
        match next {
            Some(row) => all.push(row),
            None => return all,
        }
    }
}
