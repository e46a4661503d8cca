//! History, between wire and domain.

use doorward_engine::id::{IdError, MemberId, Revision, TenantId, is_id};
use prost::Message;
use serde_json::Value;

use super::list::{Paging, next};
use super::{Context, Fields, PageFilter, timestamp};
use crate::proto;
use crate::service::{Backend, Error, Operation};
use crate::store::act::PLATFORM;
use crate::store::audit::hashed_parts;
use crate::store::directory::{LogFilter, LogRow};

/// The most bytes of a page's events, unless the first alone has more.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

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
    let scope = tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    let (page, head) = context.service.list_audit_events(&context.caller, tenant, filter, slice).await?;
    let mut events: Vec<_> = page.items.into_iter().map(|row| event_message(&scope, row)).collect();
    let cut = cut(&mut events).or(page.next);
    Ok(proto::ListAuditEventsResponse {
        events,
        next_page_token: next(&list, &context.keys, cut.map(|key| key.to_string())),
        head_revision: head.revision.0,
        head_hash: head.hash.to_vec(),
    })
}

/// Leaves what fits into a page, one event at the least; answers after which revision the next page goes on then.
fn cut(events: &mut Vec<proto::AuditEvent>) -> Option<Revision> {
    let mut bytes = 0_usize;
    let fits = |event: &proto::AuditEvent| {
        bytes = bytes.saturating_add(event.encoded_len());
        bytes <= PAGE_BYTES_MAX
    };
    let fitting = events.iter().map(fits).take_while(|fits| *fits).count().max(1);
    if fitting >= events.len() {
        return None;
    }
    events.truncate(fitting);
    events.last().map(|event| Revision(event.revision))
}

fn list_of(operation: Operation, request: &proto::ListAuditEventsRequest) -> PageFilter {
    let time = |time: &Option<prost_types::Timestamp>| {
        time.map(|time| format!("{}.{}", time.seconds, time.nanos)).unwrap_or_default()
    };
    let (from, to) = (time(&request.from_time), time(&request.to_time));
    let revision = request.from_revision.to_string();
    let order = if request.newest_first { "newest first" } else { "" };
    let narrowed = [
        &*request.actor,
        &request.operation,
        &request.member_id,
        &from,
        &to,
        &revision,
        &request.caller,
        order,
    ];
    PageFilter::new(operation, &request.tenant_id, &narrowed)
}

impl Fields {
    fn log_filter(&mut self, request: &proto::ListAuditEventsRequest) -> Option<LogFilter> {
        let actor = self.optional("actor", &request.actor, MemberId::parse);
        let member = self.optional("member_id", &request.member_id, MemberId::parse);
        let operation = self.optional("operation", &request.operation, parse_operation);
        let from = self.instant("from_time", request.from_time);
        let to = self.instant("to_time", request.to_time);
        let caller = self.optional("caller", &request.caller, parse_caller);
        Some(LogFilter {
            actor: actor?,
            operation: operation?,
            caller: caller?,
            member: member?,
            from: from?,
            to: to?,
            from_revision: Some(Revision(request.from_revision)).filter(|revision| revision.0 > 0),
            newest_first: request.newest_first,
        })
    }
}

fn parse_operation(text: &str) -> Result<String, IdError> {
    let error = IdError { kind: "RPC", allowed: "the name of an RPC, as in SetGrants" };
    Operation::parse(text).map(|operation| operation.name().to_owned()).ok_or(error)
}

fn parse_caller(text: &str) -> Result<String, IdError> {
    let error = IdError { kind: "caller", allowed: "`operator`, `person`, `service:<id>` or `key:<id>`" };
    let kinds = ["service:", "key:"];
    let named = kinds.iter().any(|kind| text.strip_prefix(kind).is_some_and(is_id));
    if ["operator", "person"].contains(&text) || named { Ok(text.to_owned()) } else { Err(error) }
}

fn parse_revision(text: &str) -> Result<Revision, IdError> {
    let error = IdError { kind: "page token", allowed: "one of this list" };
    text.parse().map(Revision).map_err(|_| error)
}

fn event_message(tenant: &str, row: LogRow) -> proto::AuditEvent {
    let scope = if tenant.is_empty() { PLATFORM } else { tenant };
    proto::AuditEvent {
        parts: hashed_parts(&row, scope),
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
