//! The `okta-connector` binary: everything is in the library, this only starts it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    okta_connector::cli::main()
}
