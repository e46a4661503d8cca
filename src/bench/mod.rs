//! `doorward bench`: how fast a service is, beside what an empty call costs in the same minute. A client of the API, as
//! `cli` is; it starts services as processes of their own, and knows no layer of theirs.

mod call;
mod child;
mod connection;
mod drive;
mod figures;
mod fill;
mod floor;
mod load;
mod mode;
mod pace;
mod page;
mod plot;
mod report;
mod session;
mod shape;
mod stream;
mod suite;
mod tally;
mod target;
mod usage;

use std::path::PathBuf;
use std::time::Duration;

pub use self::child::end_with_parent;
pub use self::floor::{Layout, serve as serve_floor};
pub use self::mode::Mode;
pub use self::shape::{Choice, Shape};
pub use self::target::Whom;

/// Why nothing, or not all, was measured.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which service.
    pub whom: Whom,
    /// On which data.
    pub shape: Shape,
    /// About whom.
    pub choice: Choice,
    /// How long each round of each load takes.
    pub time: Duration,
    /// How many rounds; what is told is the median.
    pub rounds: usize,
    /// Threads that ask.
    pub threads: usize,
    /// Connections, over all threads.
    pub connections: usize,
    /// In a closed loop: calls outstanding on each connection.
    pub in_flight: usize,
    /// In an open loop: calls in a second. None: a closed loop.
    pub rate: Option<f64>,
    /// Questions of a batch.
    pub batch: u32,
    /// Writes, as a part of all calls.
    pub writes: f64,
    /// A program that serves the floor as tonic's examples do, with the system's allocator.
    pub plain_floor: Option<PathBuf>,
    /// Measures no floor.
    pub without_floor: bool,
}

/// What is wanted of a run.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The data alone, and how fast they were made.
    Data,
    /// One mode.
    Mode(Mode),
    /// Every measure that the project has set itself.
    Measures {
        /// The sizes of data that a single check is measured with besides, in members over all tenants.
        growth: Vec<u64>,
        /// Where the page with all figures goes, as Markdown; its plots go beside it.
        page: Option<PathBuf>,
        /// The command, as it is told there.
        command: String,
    },
}

/// Measures; the report, for people or as JSON.
///
/// # Errors
/// The service cannot be reached, started or filled; or the page cannot be written.
pub fn run(plan: &Plan, wanted: &Wanted, is_json: bool) -> Result<String, Error> {
    let mut session = session::Session::start(plan)?;
    let results = match wanted {
        Wanted::Data => suite::Results::default(),
        Wanted::Mode(mode) => {
            suite::Results { outcomes: vec![mode::run(&mut session, *mode)?], ..suite::Results::default() }
        }
        Wanted::Measures { growth, page, command } => {
            let results = suite::run(&mut session, growth);
            if let Some(file) = page {
                page::write(file, command, &session, &results)?;
            }
            results
        }
    };
    if is_json { report::json(&session, &results) } else { Ok(report::text(&session, &results)) }
}
