//! From settings to an open database: its schema, made or waited for, and the catalogue of an empty one.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use super::StartError;
use crate::catalogue;
use crate::clock::Clock;
use crate::http::Readiness;
use crate::settings::Settings;
use crate::store::StoreError;
use crate::store::sql::{self, Sql};

/// How long is waited between two looks at a database that cannot be used yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is said of a database that gives no answer; the cause, which may name a host, is in the log.
pub(super) const SILENT: &str = "the database does not answer";

/// Opens the store. On SQLite the schema is brought up to date; on Postgres database and schema are waited for.
pub(super) async fn open(
    settings: &Settings,
    clock: Clock,
    runtime: Handle,
    readiness: &Readiness,
) -> Result<Sql, StartError> {
    let url = settings.database.url.expose_secret();
    let catalogue = catalogue_document(settings)?;
    if settings.database.is_postgres() {
        wait_for_schema(url, readiness).await?;
    } else {
        sql::migrate(url).await?.unfit().map_or(Ok(()), |unfit| Err(StartError::Schema(unfit)))?;
    }
    let options = sql::Options {
        url: url.to_owned(),
        direct_url: Some(settings.database.direct_url().expose_secret().to_owned()),
        clock,
        reads_max: settings.database.reads_max,
        writes_max: settings.database.writes_max,
        catalogue,
    };
    Ok(Sql::open(options, runtime).await?)
}

/// Waits until there is a schema that this binary can use, and says meanwhile why it waits.
async fn wait_for_schema(url: &str, readiness: &Readiness) -> Result<(), StoreError> {
    let mut told = None;
    loop {
        let (reason, cause) = match sql::migration_state(url).await {
            Ok(state) => match state.unfit() {
                Some(unfit) => (unfit.to_string(), None),
                None => {
                    if !state.newer.is_empty() {
                        tracing::info!(newer = ?state.newer, "the schema is newer than this version, which can use it");
                    }
                    return Ok(());
                }
            },
            Err(StoreError::Unavailable(cause)) => (SILENT.to_owned(), Some(cause)),
            Err(error) => return Err(error),
        };
        if told.as_ref() != Some(&reason) {
            tracing::warn!(reason, cause, "waiting for the database");
            readiness.set(reason.clone());
            told = Some(reason);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The catalogue that an empty database starts with.
pub(super) fn catalogue_document(settings: &Settings) -> Result<String, StartError> {
    let Some(file) = &settings.catalogue.file else {
        return Ok(catalogue::SHIPPED.to_owned());
    };
    let refused = |problem: String| StartError::Catalogue { file: file.clone(), problem };
    let document = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    catalogue::parse(&document).map_err(|problems| refused(problems.join("\n")))?;
    Ok(document)
}
