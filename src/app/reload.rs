//! SIGHUP: the settings are read again, and what may change while the service runs is taken. New settings that cannot be
//! used change nothing. The files of TLS have a watch of their own (`tls`), which the signal wakes too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::caches::LayersGuard;
use crate::settings::{self, Limits, Settings};
use crate::telemetry::{LogLevel, Metrics};
use crate::wire::Rates;

/// How a process reads its settings again, and where its log's level goes.
pub struct Sources {
    /// Reads them from where they came from.
    pub read: Box<dyn Fn() -> Result<Settings, settings::Error> + Send + Sync>,
    /// The log's level.
    pub level: LogLevel,
}

/// Who keeps the limits.
pub(super) struct Keepers {
    pub(super) guard: LayersGuard,
    pub(super) rates: Arc<Rates>,
    pub(super) loads_max: Arc<AtomicUsize>,
}

impl Keepers {
    fn limit(&self, limits: &Limits) {
        self.guard.limit(limits);
        self.rates.limit(limits);
        self.loads_max.store(limits.loads, Ordering::Relaxed);
    }
}

/// Reads the settings again when it is asked to.
pub(super) struct Reload {
    sources: Sources,
    keepers: Keepers,
    metrics: Arc<Metrics>,
    started: Settings,
    taken: Settings,
}

impl Reload {
    pub(super) fn new(sources: Sources, keepers: Keepers, metrics: Arc<Metrics>, started: &Settings) -> Self {
        Self { sources, keepers, metrics, started: started.clone(), taken: started.clone() }
    }

    pub(super) async fn watch(self, mut asked: Signal, stop: CancellationToken) {
        let mut reload = self;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = asked.recv() => {}
            }
            // The file may lie on a slow disk.
            let looked = tokio::task::spawn_blocking(move || {
                reload.look();
                reload
            });
            match looked.await {
                Ok(back) => reload = back,
                Err(error) => return tracing::error!(%error, "the settings are not read again any more"),
            }
        }
    }

    fn look(&mut self) {
        let read = self.read();
        let is_done = read.is_ok();
        match read {
            Ok(new) => self.take(new),
            Err(problem) => tracing::error!(problem, "the settings before stay in effect"),
        }
        // Last: who sees it counted finds it done.
        self.metrics.reloads.count(is_done);
    }

    fn take(&mut self, new: Settings) {
        self.keepers.limit(&new.limits);
        let taken = self.taken.changed(&new).live;
        tracing::info!(?taken, "the settings were read again");
        let restart = self.started.changed(&new).restart;
        if !restart.is_empty() {
            tracing::warn!(?restart, "settings have changed that need a restart");
        }
        self.taken = new;
    }

    /// Settings with which the service would start.
    fn read(&self) -> Result<Settings, String> {
        let new = (self.sources.read)().map_err(|error| error.to_string())?;
        new.require_for_serving().map_err(|error| error.to_string())?;
        self.sources.level.set(&new.log.level).map_err(|error| error.to_string())?;
        Ok(new)
    }
}
