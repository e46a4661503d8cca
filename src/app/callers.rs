//! Who may call: composed of the settings and the store, and kept up with the file of services while the service runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::caller::oidc::Oidc;
use crate::caller::{Callers, Configured};
use crate::clock::{Clock, Steady};
use crate::settings::Settings;
use crate::store::Credentials;
use crate::telemetry::Metrics;

/// How often the file of services is looked at.
const LOOKED: Duration = Duration::from_secs(2);
/// After so many looks it is remembered which secrets were used.
const USES_EVERY: u32 = 15;

/// The file of services, as it was when it was read last.
#[derive(Debug)]
struct ServicesFile {
    path: PathBuf,
    document: String,
}

/// What keeps the callers while the service runs.
pub(super) struct Keeping {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// Everybody who may call, and what keeps them.
pub(super) fn start<C: Credentials>(
    settings: &Settings,
    stored: C,
    (clock, metrics, runtime): (Clock, &Arc<Metrics>, &Handle),
) -> Result<(Arc<Callers<C>>, Keeping), StartError> {
    let (file, configured) = configured(settings)?;
    let people = settings.auth.oidc()?.map(|options| {
        Oidc::open(options.into(), clock, Steady::real(), Arc::clone(metrics), runtime.clone())
    });
    let people = people.transpose()?;
    let callers = Arc::new(Callers::over(&settings.auth.operator_token, configured, people, stored));
    let stop = CancellationToken::new();
    let task = runtime.spawn(keep(Arc::clone(&callers), file, stop.clone()));
    Ok((callers, Keeping { task, stop }))
}

/// How many services the file names that may call.
pub(super) fn services(settings: &Settings) -> Result<usize, StartError> {
    Ok(configured(settings)?.1.len())
}

fn configured(settings: &Settings) -> Result<(Option<ServicesFile>, Configured), StartError> {
    let file = settings.auth.services_file.clone().map(ServicesFile::read).transpose()?;
    let configured = match &file {
        Some(file) => file.understand()?,
        None => Configured::default(),
    };
    if let (Some(file), true) = (&file, configured.is_empty() && settings.auth.is_file_alone()) {
        return Err(file.unusable("it names no service, and nobody else could call"));
    }
    Ok((file, configured))
}

impl Keeping {
    /// Ends it; what is known of used secrets is remembered first.
    pub(super) async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the callers were not kept to the end");
        }
    }
}

async fn keep<C: Credentials>(
    callers: Arc<Callers<C>>,
    mut file: Option<ServicesFile>,
    stop: CancellationToken,
) {
    let mut ticks = interval(LOOKED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return remember(&callers).await,
        }
        if let Some(file) = &mut file
            && let Some(configured) = file.reread()
        {
            callers.configure(configured);
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(USES_EVERY) {
            remember(&callers).await;
        }
    }
}

async fn remember<C: Credentials>(callers: &Callers<C>) {
    if let Err(error) = callers.remember_uses().await {
        tracing::debug!(%error, "when secrets were used was not remembered");
    }
}

impl ServicesFile {
    fn read(path: PathBuf) -> Result<Self, StartError> {
        match std::fs::read_to_string(&path) {
            Ok(document) => Ok(Self { path, document }),
            Err(error) => Err(StartError::Services { file: path, problem: error.to_string() }),
        }
    }

    fn understand(&self) -> Result<Configured, StartError> {
        Configured::parse(&self.document).map_err(|problem| self.unusable(problem))
    }

    fn unusable(&self, problem: impl std::fmt::Display) -> StartError {
        StartError::Services { file: self.path.clone(), problem: problem.to_string() }
    }

    /// What it says now, where it has changed. One that cannot be used changes nothing, and is told once.
    fn reread(&mut self) -> Option<Configured> {
        let read = Self::read(self.path.clone()).ok().filter(|read| read.document != self.document)?;
        self.document = read.document;
        match self.understand() {
            Ok(configured) => {
                tracing::info!(file = %self.path.display(), services = configured.len(), "services read again");
                Some(configured)
            }
            Err(error) => {
                tracing::error!(%error, "the services stay as they were");
                None
            }
        }
    }
}
