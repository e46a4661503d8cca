//! What a process uses, as Linux tells: time of the processor and memory. Elsewhere nothing is known.

use std::time::Duration;

/// What a process has used by now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Of the processor, by the process and the system for it.
    pub(super) processor: Duration,
    /// Of memory, now.
    pub(super) rss_bytes: u64,
}

/// Of a process; none: it has ended, or the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn of(pid: u32) -> Option<Usage> {
    let ticks_per_second =
        u32::try_from(rustix::param::clock_ticks_per_second()).ok().filter(|ticks| *ticks > 0)?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let processor = Duration::from_secs(ticks(&stat)?) / ticks_per_second;
    Some(Usage { processor, rss_bytes: rss_bytes(&status)? })
}

/// Of a process; none: it has ended, or the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn of(_: u32) -> Option<Usage> {
    None
}

/// The name stands in parentheses, and may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(user + system)
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 25 17 0 0 20 0 3 0 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (x) S 1"), None);
        assert_eq!(rss_bytes("VmPeak:\t 9 kB\nVmRSS:\t    1024 kB\n"), Some(1024 * 1024));
    }
}
