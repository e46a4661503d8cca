//! Writes changes as rows: each kind in its turn, many rows a statement, every row accounted for.

mod credential;
mod grant;
mod member;
mod person;
mod section;
mod tenant;

use doorward_engine::api_key::ApiKey;
use doorward_engine::change::Change;
use doorward_engine::id::MemberId;
use doorward_engine::instant::Instant;
use doorward_engine::member::{Invitation, SecretHash};
use doorward_engine::resource::Resource;
use doorward_engine::status::ResourceStatus;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ConnectionTrait, DatabaseTransaction, DbErr, Insert, IntoActiveModel,
    Update, Value,
};

use super::entity::{self, Cells, Row, api_key, catalogue, invitation, resource};
use super::{Dialect, StoreError, corrupt, rows};

/// Rows of one INSERT: they are one parameter, of a megabyte or two.
const ROWS_MAX: usize = 10_000;

/// Where and when changes are written.
pub(super) struct Place<'a> {
    pub(super) transaction: &'a DatabaseTransaction,
    pub(super) dialect: Dialect,
    /// The tenant, or the platform.
    pub(super) tenant: &'a str,
    /// The revision that the changes make.
    pub(super) revision: i64,
    pub(super) now: Instant,
    /// The version of the catalogue in force.
    pub(super) catalogue: u64,
}

/// Why changes were not written.
pub(super) enum ApplyError {
    SlugTaken,
    Store(StoreError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Changes by their kind, each kind in the order in which it came.
#[derive(Default)]
struct Sorted<'a> {
    tenants: Vec<tenant::Difference<'a>>,
    members: Vec<member::Difference<'a>>,
    erased: Vec<&'a MemberId>,
    resources: Vec<(Option<&'a Resource>, &'a Resource)>,
    invitations: Vec<(Option<&'a Invitation>, &'a Invitation)>,
    grants: Vec<grant::Difference<'a>>,
    keys: Vec<(Option<&'a ApiKey>, &'a ApiKey, Option<SecretHash>)>,
    catalogues: Vec<(&'a str, &'a str)>,
    credentials: Vec<credential::Difference<'a>>,
}

impl<'a> Sorted<'a> {
    fn over(changes: &'a [Change]) -> Self {
        let mut sorted = Self::default();
        for change in changes {
            match change {
                Change::Tenant { before, after } => sorted.tenants.push((before.as_ref(), after)),
                Change::Member { before, after } => sorted.members.push((before.as_ref(), after)),
                Change::Erasure { member } => sorted.erased.push(member),
                Change::Resource { before, after } => sorted.resources.push((before.as_ref(), after)),
                Change::Invitation { before, after } => sorted.invitations.push((before.as_ref(), after)),
                Change::Grant { member, resource, before, after } => {
                    sorted.grants.push(grant::Difference {
                        member,
                        resource,
                        before: *before,
                        after: *after,
                    });
                }
                Change::ApiKey { before, after, secret } => {
                    sorted.keys.push((before.as_ref(), after, *secret))
                }
                Change::ServiceCredential { before, after } => {
                    sorted.credentials.push((before.as_ref(), after));
                }
                Change::Catalogue { before: _, after, document } => sorted.catalogues.push((after, document)),
            }
        }
        sorted
    }
}

/// Writes them. Rows come before rows that refer to them; what a deletion takes along goes last.
pub(super) async fn apply(place: &Place<'_>, changes: &[Change]) -> Result<(), ApplyError> {
    let sorted = Sorted::over(changes);
    tenant::write(place, &sorted.tenants).await?;
    member::write(place, &sorted.members).await?;
    place.resources(&sorted.resources).await?;
    place.invitations(&sorted.invitations).await?;
    grant::write(place, &sorted.grants, &sorted.members).await?;
    place.keys(&sorted.keys).await?;
    place.catalogues(&sorted.catalogues).await?;
    credential::write(place, &sorted.credentials).await?;
    member::clear(place, &sorted.members).await?;
    let gone = sorted.resources.iter().filter(|(_, after)| after.status == ResourceStatus::Deleted);
    grant::clear(place, gone.map(|(_, after)| &after.reference)).await?;
    person::erase(place, &sorted.erased).await?;
    Ok(())
}

impl Place<'_> {
    async fn resources(&self, differences: &[(Option<&Resource>, &Resource)]) -> Result<(), StoreError> {
        let mut new = Vec::new();
        for (before, after) in differences {
            let row = rows::resource_row(self.tenant, after, self.revision)?;
            match before {
                None => new.push(row),
                Some(_) => self.update::<resource::ActiveModel>(row.into_active_model().reset_all()).await?,
            }
        }
        self.insert(&new, "").await
    }

    /// The old ones first: a member has one LIVE invitation.
    async fn invitations(
        &self,
        differences: &[(Option<&Invitation>, &Invitation)],
    ) -> Result<(), StoreError> {
        let mut new = Vec::new();
        for (before, after) in differences {
            let row = rows::invitation_row(self.tenant, after);
            match before {
                None => new.push(row),
                Some(_) => {
                    self.update::<invitation::ActiveModel>(row.into_active_model().reset_all()).await?
                }
            }
        }
        self.insert(&new, "").await
    }

    async fn keys(
        &self,
        differences: &[(Option<&ApiKey>, &ApiKey, Option<SecretHash>)],
    ) -> Result<(), StoreError> {
        for (before, after, secret) in differences {
            let row = rows::api_key_row(self.tenant, after, *secret, self.revision)?;
            match (before, secret) {
                (None, Some(_)) => self.insert_one(row.into_active_model()).await?,
                (None, None) => {
                    return Err(corrupt("no secret came with the new api_key", &after.id));
                }
                (Some(_), _) => {
                    let mut row = row.into_active_model().reset_all();
                    row.secret_hash = ActiveValue::NotSet;
                    self.update::<api_key::ActiveModel>(row).await?;
                }
            }
        }
        Ok(())
    }

    /// Only under the platform's lock is no other mutation planned on the catalogue that was in force.
    async fn catalogues(&self, differences: &[(&str, &str)]) -> Result<(), StoreError> {
        for (digest, document) in differences {
            if self.tenant != crate::store::act::PLATFORM {
                return Err(corrupt("a catalogue was changed by an act on", self.tenant));
            }
            let row = catalogue::Model {
                version: i64::try_from(self.catalogue).unwrap_or(i64::MAX).saturating_add(1),
                digest: (*digest).to_owned(),
                document: (*document).to_owned(),
                applied_us: self.now.micros(),
            };
            self.insert_one(row.into_active_model()).await?;
        }
        Ok(())
    }

    /// Inserts rows of one kind, [`ROWS_MAX`] a statement.
    ///
    /// `on_conflict`: what is to happen where a row is there already; empty: that is an error.
    pub(super) async fn insert<M: Row>(&self, rows: &[M], on_conflict: &str) -> Result<(), StoreError> {
        let sql = entity::insert::<M>(self.dialect, on_conflict);
        for rows in rows.chunks(ROWS_MAX) {
            let cells = Cells::of(rows).map_err(|error| corrupt("no JSON can be made of rows of", error))?;
            let written = self.execute_any(&sql, std::iter::once(cells.into())).await?;
            hit_all(M::TABLE, rows.len(), written)?;
        }
        Ok(())
    }

    /// Inserts one row, whose values may be long.
    pub(super) async fn insert_one<A: ActiveModelTrait>(&self, row: A) -> Result<(), StoreError> {
        let written = Insert::one(row).exec_without_returning(self.transaction).await.map_err(write_error)?;
        exactly::<A>(1, written)
    }

    /// Updates the row of that primary key.
    pub(super) async fn update<A: ActiveModelTrait>(&self, row: A) -> Result<(), StoreError> {
        match Update::one(row).exec_without_returning(self.transaction).await {
            Ok(updated) => exactly::<A>(1, updated.rows_affected),
            Err(DbErr::RecordNotUpdated) => exactly::<A>(1, 0),
            Err(error) => Err(write_error(error)),
        }
    }

    /// Executes a statement whose first parameter is the tenant, and says how many rows it hit.
    pub(super) async fn execute<const N: usize>(
        &self,
        sql: &str,
        values: [Value; N],
    ) -> Result<u64, StoreError> {
        self.execute_any(sql, std::iter::once(Value::from(self.tenant)).chain(values)).await
    }

    /// Executes a statement on one row of a table of the platform's.
    async fn execute_on_one<const N: usize>(
        &self,
        table: &'static str,
        sql: &str,
        values: [Value; N],
    ) -> Result<(), StoreError> {
        let hit = self.execute_any(sql, values.into_iter()).await?;
        hit_all(table, 1, hit)
    }

    async fn execute_any(&self, sql: &str, values: impl Iterator<Item = Value>) -> Result<u64, StoreError> {
        let statement = self.dialect.statement(sql, values);
        Ok(self.transaction.execute_raw(statement).await.map_err(write_error)?.rows_affected())
    }
}

/// The plan saw the rows under the lock: one that is not there, or there already, is not as we wrote it.
fn exactly<A: ActiveModelTrait>(wanted: usize, hit: u64) -> Result<(), StoreError> {
    use sea_orm::EntityName;
    hit_all(A::Entity::default().table_name(), wanted, hit)
}

fn hit_all(table: &str, wanted: usize, hit: u64) -> Result<(), StoreError> {
    if u64::try_from(wanted) == Ok(hit) {
        Ok(())
    } else {
        Err(StoreError::Corrupt(format!("{wanted} rows of {table} were to be written, {hit} were")))
    }
}

/// A broken constraint is a row that the plan did not see, not a database that is away.
fn write_error(error: DbErr) -> StoreError {
    match error.sql_err() {
        Some(broken) => StoreError::Corrupt(broken.to_string()),
        None => error.into(),
    }
}
