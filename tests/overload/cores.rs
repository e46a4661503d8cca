//! Which cores serve and which ask, where there are several. Linux tells and pins; elsewhere nothing is pinned.

use std::process::{Command, Stdio};

/// The cores of the machine, shared out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cores {
    /// For the server and its database.
    served: Vec<usize>,
    /// For the load.
    asking: Vec<usize>,
    pinned: bool,
}

impl Cores {
    /// Half of them for each; the larger half serves.
    pub(crate) fn share_out() -> Self {
        let mut served = allowed();
        let asking = served.split_off(served.len().div_ceil(2));
        Self { served, asking, pinned: false }
    }

    /// What is started from now on serves.
    pub(crate) fn serve(&mut self) {
        self.pinned = !self.asking.is_empty() && pin(&self.served);
    }

    /// This process asks from now on.
    pub(crate) fn ask(&mut self) {
        self.pinned = self.pinned && pin(&self.asking);
    }

    /// How many threads ask.
    pub(crate) fn threads(&self) -> usize {
        self.asking.len().max(1)
    }

    /// For people.
    pub(crate) fn told(&self) -> String {
        let (served, asking) = (self.served.len(), self.asking.len());
        let cores = match served + asking {
            0 => {
                return "an unknown number of cores, all shared by the server, Postgres and the load"
                    .to_owned();
            }
            1 => "1 core".to_owned(),
            several => format!("{several} cores"),
        };
        if self.pinned {
            format!("{cores}: {served} for the server and Postgres, {asking} for the load")
        } else {
            format!("{cores}, shared by the server, Postgres and the load")
        }
    }
}

/// The cores that this process may use.
fn allowed() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    list.trim().split(',').filter_map(range).flatten().collect()
}

fn range(text: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// All threads of this process, and what they will start.
fn pin(cores: &[usize]) -> bool {
    let list: Vec<_> = cores.iter().map(ToString::to_string).collect();
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", &list.join(","), &std::process::id().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
