//! The `countersign` binary.

use std::process::ExitCode;

use countersign::crypto::heap::Wiping;

/// A call makes some twenty small allocations on one thread, for which glibc takes a sixth of its time. Without huge
/// pages, which would double the memory of an idle process. What carries a key through it is wiped as it is given back.
#[global_allocator]
static ALLOCATOR: Wiping<mimalloc::MiMalloc> = Wiping(mimalloc::MiMalloc);

fn main() -> ExitCode {
    countersign::cli::run()
}
