//! The empty call as tonic's examples answer it: one runtime with several threads, and the system's allocator. `doorward
//! bench` starts it and compares with it.

use std::io::Write;
use std::process::ExitCode;

use doorward::bench::{Layout, end_with_parent, serve_floor};

fn main() -> ExitCode {
    end_with_parent();
    let listening = |address| {
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "listening grpc={address}").and_then(|()| stdout.flush());
    };
    match serve_floor(Layout::Threads, listening) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "floor: {error}");
            ExitCode::FAILURE
        }
    }
}
