//! The `countersign` binary.

use std::process::ExitCode;

/// A call makes some twenty small allocations on one thread, for which glibc takes a sixth of its time. Without huge
/// pages, which would double the memory of an idle process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::run()
}
