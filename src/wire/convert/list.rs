//! Lists: what their requests have in common, and the two questions that are answered with one.

use doorward_engine::id::{IdError, MemberId, TenantId};

use super::check::{Asked, Naming, reason};
use super::{Context, Fields, PageFilter, timestamp};
use crate::keys::Keys;
use crate::proto;
use crate::resolver::Presented;
use crate::service::check::{Inquiry, Item};
use crate::service::list::{Accessible, Crowd, MemberWithAccess, Things};
use crate::service::{Backend, Error};
use crate::store::directory::Slice;

/// The most characters of a text to search for.
const TEXT_CHARS_MAX: usize = 200;

pub(in crate::wire) async fn list_accessible<B: Backend>(
    context: Context<B>,
    request: proto::ListAccessibleRequest,
) -> Result<proto::ListAccessibleResponse, Error> {
    let mut fields = Fields::default();
    let asked = Asked {
        tenant: request.tenant_id.clone(),
        subject: request.subject,
        context: request.context,
        consistency: None,
    };
    let inquiry = fields.inquiry(&context.keys, Naming::Screen, asked);
    let kind = named(&mut fields, "type", request.r#type, "`section` or a resource type");
    let action = named(&mut fields, "action", request.action, "an action of the type");
    let things = kind.zip(action).map(|(kind, action)| Things { kind, action });
    let filter = inquiry.as_ref().zip(things.as_ref()).map(|(inquiry, things)| {
        let (subject, country, domain) = inquiry_texts(inquiry);
        let texts = [&subject, &country, &domain, &things.kind, &things.action].map(String::as_str);
        PageFilter::new(context.operation, &request.tenant_id, &texts)
    });
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, filter.as_ref(), |text| Ok(text.to_owned()));
    let (inquiry, things, filter, slice) = fields.all((inquiry, things, filter, slice))?;
    let tenant = inquiry.tenant.clone();
    let found = context.service.list_accessible(&context.caller, inquiry, things, slice).await?;
    Ok(proto::ListAccessibleResponse {
        items: found.page.items.into_iter().map(accessible).collect(),
        next_page_token: next(&filter, &context.keys, found.page.next),
        revision_token: context.revision_token(tenant.as_str(), found.revision),
    })
}

pub(in crate::wire) async fn list_members_with_access<B: Backend>(
    context: Context<B>,
    request: proto::ListMembersWithAccessRequest,
) -> Result<proto::ListMembersWithAccessResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let reference = fields.reference("resource", request.resource);
    let action = named(&mut fields, "action", request.action, "an action of the resource's type");
    let origin = fields.origin(request.context);
    let item = reference.zip(action).map(|((kind, id), action)| Item::new(action, kind, id));
    let crowd =
        tenant.zip(origin).map(|(tenant, (country, email_domain))| Crowd { tenant, country, email_domain });
    let filter = crowd.as_ref().zip(item.as_ref()).map(|(crowd, item)| {
        let (country, domain) = (shown(crowd.country), shown(crowd.email_domain.as_ref()));
        let texts = [country.as_str(), &domain, item.kind(), item.id().as_str(), &item.action];
        PageFilter::new(context.operation, &request.tenant_id, &texts)
    });
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, filter.as_ref(), MemberId::parse);
    let (crowd, item, filter, slice) = fields.all((crowd, item, filter, slice))?;
    let tenant = crowd.tenant.clone();
    let service = &context.service;
    let found = service.list_members_with_access(&context.caller, crowd, item, slice).await?;
    Ok(proto::ListMembersWithAccessResponse {
        members: found.page.items.into_iter().map(member_with_access).collect(),
        next_page_token: next(&filter, &context.keys, found.page.next.map(String::from)),
        revision_token: context.revision_token(tenant.as_str(), found.revision),
    })
}

fn accessible(accessible: Accessible) -> proto::Accessible {
    proto::Accessible {
        id: accessible.id,
        name: accessible.name.to_string(),
        reason: reason(accessible.allowed.reason).into(),
        valid_until: accessible.allowed.valid_until.map(timestamp),
    }
}

fn member_with_access(with: MemberWithAccess) -> proto::MemberWithAccess {
    let MemberWithAccess { member, allowed } = with;
    proto::MemberWithAccess {
        role: super::member::role(member.role).into(),
        member_id: member.id.into(),
        user_id: member.user_id.map(String::from).unwrap_or_default(),
        email: member.email.map(String::from).unwrap_or_default(),
        display_name: member.display_name.map(String::from).unwrap_or_default(),
        reason: reason(allowed.reason).into(),
        valid_until: allowed.valid_until.map(timestamp),
    }
}

/// What an inquiry is about, as texts that tell it from every other. A key's secret is not among them.
fn inquiry_texts(inquiry: &Inquiry) -> (String, String, String) {
    let subject = match &inquiry.subject {
        Presented::User(id) => format!("user {id}"),
        Presented::Member(id) => format!("member {id}"),
        Presented::Key(id, _) => format!("key {id}"),
        Presented::KeyId(id) => format!("key id {id}"),
        Presented::Nobody => String::new(),
    };
    (subject, shown(inquiry.country), shown(inquiry.email_domain.as_ref()))
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn named(fields: &mut Fields, field: &str, text: String, expected: &str) -> Option<String> {
    if text.is_empty() {
        fields.wrong(field, format!("is missing: expected {expected}"));
        return None;
    }
    Some(text)
}

/// What a request says about its page.
#[derive(Clone, Copy)]
pub(super) struct Paging<'r> {
    pub size: i32,
    pub token: &'r str,
}

impl Paging<'_> {
    /// The page's bounds. Without a filter, as some of its fields are wrong, the token cannot be looked at.
    pub(super) fn slice<K>(
        self,
        fields: &mut Fields,
        keys: &Keys,
        filter: Option<&PageFilter>,
        parse: impl Fn(&str) -> Result<K, IdError>,
    ) -> Option<Slice<K>> {
        let limit = fields.page_size(self.size);
        let after = fields.page_after(keys, filter?, self.token)?;
        let after = match after {
            Some(after) => Some(fields.parse("page_token", &after, parse)?),
            None => None,
        };
        Some(Slice { after, limit: limit? })
    }
}

/// The token of the next page; empty where there is none.
pub(super) fn next(filter: &PageFilter, keys: &Keys, after: Option<String>) -> String {
    after.map(|after| filter.token(keys, &after)).unwrap_or_default()
}

/// An enum's value that narrows a list; unspecified, it does not.
pub(super) fn narrowing<E: TryFrom<i32> + Into<i32>>(
    fields: &mut Fields,
    field: &str,
    value: i32,
    allowed: &str,
) -> Option<Option<E>> {
    if value == 0 { Some(None) } else { fields.choice(field, value, allowed).map(Some) }
}

/// A text to search for; empty, it does not narrow.
pub(super) fn search(fields: &mut Fields, field: &str, text: &str) -> Option<Option<String>> {
    if text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
        let allowed = format!("expected at most {TEXT_CHARS_MAX} characters, no control characters");
        fields.wrong(field, format!("is no text to search for: {allowed}"));
        return None;
    }
    Some(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// The paths of an update mask; none where it is absent or empty.
pub(super) fn paths(
    fields: &mut Fields,
    mask: Option<prost_types::FieldMask>,
    known: &[&str],
) -> Option<Option<Vec<String>>> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if let Some(unknown) = paths.iter().find(|path| !known.contains(&path.as_str())) {
        let unknown = super::fields::echo(unknown);
        let allowed: Vec<_> = known.iter().map(|path| format!("`{path}`")).collect();
        fields.wrong("update_mask", format!("{unknown}: expected {}", allowed.join(", ")));
        return None;
    }
    Some(Some(paths).filter(|paths| !paths.is_empty()))
}
