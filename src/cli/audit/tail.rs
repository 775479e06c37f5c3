//! Following a journal: what is at its end, and what comes, also in the file that follows after a rotation.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _, stdout},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    thread,
    time::Duration,
};

use clap::Args;

use super::{cannot, open, records};
use crate::{
    audit::LINE_MAX,
    cli::{
        Failure, Output,
        lines::{Found, Lines},
        remark,
    },
};

/// How often is looked whether there is more.
const LOOK: Duration = Duration::from_millis(200);

/// Bytes before the end among which the last records are looked for.
const BACK: u64 = 64 << 10;

#[derive(Args)]
pub(in crate::cli) struct TailArgs {
    /// The journal
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Records to begin with
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N")]
    lines: usize,
    /// A table, or the records as they are, a line each
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn follow(args: &TailArgs) -> Result<(), Failure> {
    let said = |error: io::Error| cannot(&args.file, &error);
    let file = open(&args.file)?;
    let mut id = id_of(&file).map_err(said)?;
    let mut out = stdout().lock();
    if args.output == Output::Text {
        out.write_all(records::HEADING.as_bytes())?;
    }
    let mut reader = at_the_last(file, args.lines).map_err(said)?;
    let mut lines = Lines::new(LINE_MAX);
    loop {
        // Asked before reading: what an old file got until it was replaced is read before the new one.
        let successor = fs::metadata(&args.file).is_ok_and(|there| (there.dev(), there.ino()) != id);
        loop {
            match lines.next(&mut reader).map_err(said)? {
                Found::Line(line) => {
                    if let Some((line, record)) = records::parsed(line) {
                        records::print_one(&mut out, line, &record, args.output)?;
                    }
                }
                Found::TooLong => remark(&format!("a line longer than a record can be ({LINE_MAX} bytes) is skipped")),
                Found::End(_) => break,
            }
        }
        out.flush()?;
        if successor && let Ok(next) = File::open(&args.file) {
            id = id_of(&next).map_err(said)?;
            reader = BufReader::new(next);
            lines.restart();
        } else {
            thread::sleep(LOOK);
        }
    }
}

/// A reader that stands before the last so many lines.
fn at_the_last(mut file: File, lines: usize) -> io::Result<BufReader<File>> {
    let size = file.metadata()?.len();
    let from = size.saturating_sub(BACK);
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(file);
    let (mut at, mut starts) = (from, Vec::new());
    let mut line = Vec::new();
    if from > 0 {
        at += reader.skip_until(b'\n')? as u64;
    }
    while at < size {
        starts.push(at);
        line.clear();
        match reader.by_ref().take(size - at).read_until(b'\n', &mut line)? {
            0 => break,
            read => at += read as u64,
        }
    }
    let start = starts.len().checked_sub(lines).map_or_else(|| starts.first(), |n| starts.get(n)).copied();
    reader.seek(SeekFrom::Start(start.unwrap_or(size)))?;
    Ok(reader)
}

fn id_of(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}
