//! The rows of a service's credential: itself, and its secrets.

use doorward_engine::credential::{ServiceCredential, ServiceSecret};
use sea_orm::ActiveModelTrait;
use sea_orm::IntoActiveModel;

use super::Place;
use crate::store::act::PLATFORM;
use crate::store::sql::entity::{service_credential, service_secret};
use crate::store::sql::rows::json;
use crate::store::sql::{StoreError, corrupt};

/// Where its secrets are.
const TABLE: &str = "service_secret";

/// What a credential was and is.
pub(super) type Difference<'a> = (Option<&'a ServiceCredential>, &'a ServiceCredential);

pub(super) async fn write(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), StoreError> {
    for (before, after) in differences {
        if place.tenant != PLATFORM {
            return Err(corrupt("a service credential was changed by an act on", place.tenant));
        }
        let row = service_credential::Model {
            credential_id: after.id.to_string(),
            name: after.name.to_string(),
            scopes: json(&after.scopes)?,
            tenants: json(&after.tenants)?,
            created_us: after.created_at.micros(),
            revoked_us: after.revoked_at.map(|at| at.micros()),
            changed_rev: place.revision,
        };
        match before {
            None => place.insert_one(row.into_active_model()).await?,
            Some(_) => {
                place.update::<service_credential::ActiveModel>(row.into_active_model().reset_all()).await?;
            }
        }
        secrets(place, *before, after).await?;
    }
    Ok(())
}

/// When a secret was last used is not ours to write here: the column is left as it is.
async fn secrets(
    place: &Place<'_>,
    before: Option<&ServiceCredential>,
    after: &ServiceCredential,
) -> Result<(), StoreError> {
    let id = after.id.as_str();
    let old = before.map_or(&[][..], |before| &before.secrets);
    let is_among =
        |secrets: &[ServiceSecret], one: &ServiceSecret| secrets.iter().any(|s| s.hash == one.hash);
    for gone in old.iter().filter(|secret| !is_among(&after.secrets, secret)) {
        let sql = "DELETE FROM service_secret WHERE credential_id = $1 AND secret_hash = $2";
        place.execute_on_one(TABLE, sql, [id.into(), gone.hash.0.to_vec().into()]).await?;
    }
    for kept in after.secrets.iter().filter(|secret| is_among(old, secret)) {
        let sql = "UPDATE service_secret SET expires_us = $3 WHERE credential_id = $1 AND secret_hash = $2";
        let expires = kept.expires_at.map(|end| end.micros());
        place.execute_on_one(TABLE, sql, [id.into(), kept.hash.0.to_vec().into(), expires.into()]).await?;
    }
    let new = after.secrets.iter().filter(|secret| !is_among(old, secret));
    let row = |secret: &ServiceSecret| service_secret::Model {
        credential_id: id.to_owned(),
        secret_hash: secret.hash.0.to_vec(),
        created_us: secret.created_at.micros(),
        expires_us: secret.expires_at.map(|end| end.micros()),
        last_used_us: None,
    };
    place.insert(&new.map(row).collect::<Vec<_>>(), "").await
}
