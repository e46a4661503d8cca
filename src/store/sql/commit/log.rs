//! The log row of a mutation, the tenant's new revision, and the letters that go out with it.

use doorward_engine::change::Change;
use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::lock::Head;
use crate::clock;
use crate::store::audit::{self, Link};
use crate::store::sql::StoreError;
use crate::store::sql::apply::Place;
use crate::store::sql::entity::{change_log, outbox, tenant_rev};
use crate::store::{Act, Letter, State};

/// Writes the row that is chained to the head, and makes it the head.
pub(super) async fn append(
    place: &Place<'_>,
    act: &Act,
    state: &State,
    head: Head,
    changes: &[Change],
) -> Result<(), StoreError> {
    let actor = state.actor.as_ref().map(|actor| actor.id.to_string());
    let parts = audit::parts(changes);
    let changes = audit::changes(changes).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let link = Link {
        tenant: place.tenant,
        revision: state.next().0,
        at_micros: state.now.micros(),
        operation: act.operation,
        caller: &act.caller,
        actor: actor.as_deref(),
        request_id: act.request.as_ref().map(|request| &*request.id),
        peer: act.peer.as_deref(),
        trace_id: act.trace_id.as_deref(),
        parts: &audit::parts_text(&audit::impersonal(&parts)),
        changes: &changes,
    };
    let hash = audit::hash(&head.hash, &link).to_vec();
    let row = change_log::Model {
        tenant_id: link.tenant.to_owned(),
        rev: place.revision,
        at_us: link.at_micros,
        operation: link.operation.to_owned(),
        caller: link.caller.to_owned(),
        actor: link.actor.map(str::to_owned),
        request_id: link.request_id.map(str::to_owned),
        peer: link.peer.map(str::to_owned),
        trace_id: link.trace_id.map(str::to_owned),
        prev_hash: head.hash.to_vec(),
        hash: hash.clone(),
        parts: audit::parts_text(&parts),
        changes,
    };
    place.insert_one(row.into_active_model()).await?;
    let head = tenant_rev::Model { tenant_id: place.tenant.to_owned(), rev: place.revision, hash };
    place.update::<tenant_rev::ActiveModel>(head.into_active_model().reset_all()).await
}

/// Puts letters into the outbox.
pub(super) async fn post(place: &Place<'_>, letters: &[Letter]) -> Result<(), StoreError> {
    let row = |letter: &Letter| outbox::Model {
        tenant_id: place.tenant.to_owned(),
        outbox_id: clock::unique_id(),
        kind: letter.kind.to_owned(),
        payload: letter.payload.clone(),
        created_us: place.now.micros(),
        member_id: Some(letter.member.to_string()),
    };
    place.insert(&letters.iter().map(row).collect::<Vec<_>>(), "").await
}
