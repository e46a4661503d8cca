//! What of the catalogue stored rows name, over all tenants that are not deleted, in one statement.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::api_key::Scopes;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::super::{Dialect, StoreError, corrupt};
use crate::store::state::Usage;

/// Of a key that is not revoked; an expired one is counted too.
const USAGE: &str = "\
    SELECT 'plan' AS used_as, plan AS used FROM tenant WHERE status <> 'DELETED' \
    UNION SELECT 'switches', switches FROM tenant WHERE status <> 'DELETED' \
    UNION SELECT 'defaults', section_defaults FROM tenant WHERE status <> 'DELETED' \
    UNION SELECT 'section', s.section FROM member_section s JOIN tenant t ON t.tenant_id = s.tenant_id \
        WHERE t.status <> 'DELETED' \
    UNION SELECT 'type', r.resource_type FROM resource r JOIN tenant t ON t.tenant_id = r.tenant_id \
        WHERE t.status <> 'DELETED' AND r.status <> 'DELETED' \
    UNION SELECT 'scopes', k.scopes FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id \
        WHERE t.status <> 'DELETED' AND k.revoked_us IS NULL";

pub(super) async fn read(dialect: Dialect, transaction: &DatabaseTransaction) -> Result<Usage, StoreError> {
    let mut usage = Usage::default();
    for row in transaction.query_all_raw(dialect.statement(USAGE, [])).await? {
        let used_as: String = row.try_get("", "used_as")?;
        note(&mut usage, &used_as, row.try_get("", "used")?)
            .map_err(|_| corrupt("what is used as", &used_as))?;
    }
    Ok(usage)
}

fn note(usage: &mut Usage, used_as: &str, used: String) -> Result<(), serde_json::Error> {
    match used_as {
        "plan" => drop(usage.plans.insert(used)),
        "section" => drop(usage.sections.insert(used)),
        "type" => drop(usage.types.insert(used)),
        "switches" => usage.switches.extend(serde_json::from_str::<BTreeSet<String>>(&used)?),
        "defaults" => {
            usage.sections.extend(serde_json::from_str::<BTreeMap<String, bool>>(&used)?.into_keys())
        }
        _ => scopes(usage, &serde_json::from_str(&used)?),
    }
    Ok(())
}

fn scopes(usage: &mut Usage, scopes: &Scopes) {
    for path in &scopes.sections {
        usage.sections.insert(path.section.to_string());
        usage.sections.insert(path.to_string());
    }
    for scope in &scopes.resources {
        usage.types.insert(scope.kind.to_string());
        usage.actions.insert(format!("{}.{}", scope.kind, scope.action));
    }
}
