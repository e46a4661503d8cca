//! Wakes a thread again and again, on time: the timers of a runtime are a millisecond apart, which is longer than a call.

use std::io;
use std::time::Duration;

/// Shorter periods would only wake the thread while it is at work.
const SHORTEST: Duration = Duration::from_micros(20);

/// A timer that goes off once in each period.
pub(super) struct Pacer(Timer);

impl Pacer {
    /// Begins now, in a runtime.
    pub(super) fn every(period: Duration) -> io::Result<Self> {
        Timer::every(period.max(SHORTEST)).map(Self)
    }

    /// Waits until it has gone off since the last time.
    pub(super) async fn tick(&mut self) -> io::Result<()> {
        self.0.tick().await
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    /// A file that can be read whenever the timer has gone off. The runtime is told that it is a pipe, and waits for it as it
    /// does for one.
    pub(super) struct Timer(Receiver);

    impl Timer {
        pub(super) fn every(period: Duration) -> io::Result<Self> {
            let timer: OwnedFd =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            let period =
                Timespec { tv_sec: period.as_secs() as i64, tv_nsec: i64::from(period.subsec_nanos()) };
            let times = Itimerspec { it_interval: period, it_value: period };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
            Ok(Self(Receiver::from_owned_fd_unchecked(timer)?))
        }

        pub(super) async fn tick(&mut self) -> io::Result<()> {
            loop {
                self.0.readable().await?;
                match self.0.try_read(&mut [0_u8; 8]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read.map(drop),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::io;
    use std::time::Duration;

    pub(super) struct Timer(tokio::time::Interval);

    impl Timer {
        pub(super) fn every(period: Duration) -> io::Result<Self> {
            Ok(Self(tokio::time::interval(period)))
        }

        pub(super) async fn tick(&mut self) -> io::Result<()> {
            self.0.tick().await;
            Ok(())
        }
    }
}

use timer::Timer;
