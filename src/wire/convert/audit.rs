//! History, between wire and domain.

use doorward_engine::id::{IdError, MemberId, Revision, TenantId};
use serde_json::Value;

use super::list::{Paging, next};
use super::{Context, Fields, PageFilter, timestamp};
use crate::proto;
use crate::service::{Backend, Error, Operation};
use crate::store::directory::{LogFilter, LogRow, Slice};

pub(in crate::wire) async fn list_audit_events<B: Backend>(
    context: Context<B>,
    request: proto::ListAuditEventsRequest,
) -> Result<proto::ListAuditEventsResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.optional("tenant_id", &request.tenant_id, TenantId::parse);
    let filter = fields.log_filter(&request);
    let list = list_of(context.operation, &request);
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, Some(&list), parse_revision);
    let (tenant, filter, slice) = fields.all((tenant, filter, slice))?;
    let first = request.from_revision.checked_sub(1).map(Revision);
    let slice = Slice { after: slice.after.max(first), ..slice };
    let scope = tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    let page = context.service.list_audit_events(&context.caller, tenant, filter, slice).await?;
    Ok(proto::ListAuditEventsResponse {
        events: page.items.into_iter().map(|row| event_message(&scope, row)).collect(),
        next_page_token: next(&list, &context.keys, page.next.map(|key| key.to_string())),
    })
}

fn list_of(operation: Operation, request: &proto::ListAuditEventsRequest) -> PageFilter {
    let time = |time: &Option<prost_types::Timestamp>| {
        time.map(|time| format!("{}.{}", time.seconds, time.nanos)).unwrap_or_default()
    };
    let (from, to) = (time(&request.from_time), time(&request.to_time));
    let revision = request.from_revision.to_string();
    let narrowed = [&*request.actor, &request.operation, &request.member_id, &from, &to, &revision];
    PageFilter::new(operation, &request.tenant_id, &narrowed)
}

impl Fields {
    fn log_filter(&mut self, request: &proto::ListAuditEventsRequest) -> Option<LogFilter> {
        let actor = self.optional("actor", &request.actor, MemberId::parse);
        let member = self.optional("member_id", &request.member_id, MemberId::parse);
        let operation = self.optional("operation", &request.operation, parse_operation);
        let from = self.instant("from_time", request.from_time);
        let to = self.instant("to_time", request.to_time);
        Some(LogFilter { actor: actor?, operation: operation?, member: member?, from: from?, to: to? })
    }
}

fn parse_operation(text: &str) -> Result<String, IdError> {
    let error = IdError { kind: "RPC", allowed: "the name of an RPC, as in SetGrants" };
    Operation::parse(text).map(|operation| operation.name().to_owned()).ok_or(error)
}

fn parse_revision(text: &str) -> Result<Revision, IdError> {
    let error = IdError { kind: "page token", allowed: "one of this list" };
    text.parse().map(Revision).map_err(|_| error)
}

fn event_message(tenant: &str, row: LogRow) -> proto::AuditEvent {
    proto::AuditEvent {
        tenant_id: tenant.to_owned(),
        revision: row.revision.0,
        time: Some(timestamp(row.at)),
        operation: row.operation,
        caller: row.caller,
        actor: row.actor.unwrap_or_default(),
        request_id: row.request_id.unwrap_or_default(),
        peer: row.peer.unwrap_or_default(),
        trace_id: row.trace_id.unwrap_or_default(),
        changes: row.changes.as_array().into_iter().flatten().map(change_message).collect(),
        prev_hash: row.prev_hash.to_vec(),
        hash: row.hash.to_vec(),
    }
}

fn change_message(change: &Value) -> proto::AuditChange {
    let text = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let json = |key: &str| {
        change.get(key).filter(|value| !value.is_null()).map(ToString::to_string).unwrap_or_default()
    };
    proto::AuditChange { kind: text("kind"), id: text("id"), before: json("before"), after: json("after") }
}
