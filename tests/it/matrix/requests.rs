//! A good request of every RPC, made from the descriptor set: each field has a value by its name, and one that is not
//! listed fails the test.

use std::collections::HashMap;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};

/// Whose things a request names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) tenant: &'static str,
    /// What the ids of members, resources and keys begin with: all of one length.
    pub(crate) prefix: &'static str,
}

impl Ids {
    fn of(self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }
}

/// What is done with a field.
enum Filled {
    Text(String),
    Number(i64),
    Flag(bool),
    /// The value of an enum, by its number.
    Choice(i32),
    /// A message, filled in its turn.
    Inside,
    /// A map of one entry.
    Entry(&'static str, Value),
    /// An instant, in seconds.
    At(i64),
    Nothing,
}

/// A request of that type.
pub(crate) fn request(message: &MessageDescriptor, ids: Ids, validate_only: bool) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = match value(message.name(), field.name(), ids, validate_only) {
            Filled::Nothing => continue,
            Filled::Text(text) => Value::String(text),
            Filled::Number(number) => integer(&field, number),
            Filled::Flag(flag) => Value::Bool(flag),
            Filled::Choice(number) => Value::EnumNumber(number),
            Filled::Inside => inside(&field, ids, validate_only),
            Filled::Entry(key, value) => Value::Map(HashMap::from([(MapKey::String(key.to_owned()), value)])),
            Filled::At(seconds) => timestamp(&field, seconds),
        };
        let value = if field.is_list() { Value::List(vec![value]) } else { value };
        filled.set_field(&field, value);
    }
    filled
}

fn inside(field: &FieldDescriptor, ids: Ids, validate_only: bool) -> Value {
    let Kind::Message(message) = field.kind() else { panic!("{} is no message", field.full_name()) };
    Value::Message(request(&message, ids, validate_only))
}

fn integer(field: &FieldDescriptor, number: i64) -> Value {
    match field.kind() {
        Kind::Int32 => Value::I32(number.try_into().unwrap()),
        Kind::Uint64 => Value::U64(number.try_into().unwrap()),
        other => panic!("{} is a {other:?}", field.full_name()),
    }
}

fn timestamp(field: &FieldDescriptor, seconds: i64) -> Value {
    let Kind::Message(message) = field.kind() else { panic!("{} is no time", field.full_name()) };
    let mut time = DynamicMessage::new(message);
    time.set_field_by_name("seconds", Value::I64(seconds));
    assert_eq!(time.descriptor().full_name(), "google.protobuf.Timestamp");
    Value::Message(time)
}

/// In the future of every test's clock.
const LATER: i64 = 1_800_000_000;

// reason for length: one row for each field that there is; a table is read best in one piece.
fn value(message: &str, field: &str, ids: Ids, validate_only: bool) -> Filled {
    use Filled::{At, Choice, Entry, Flag, Inside, Nothing, Number, Text};
    let text = |text: &str| Text(text.to_owned());
    match (message, field) {
        // What a creation names is new; leaving it out makes it so.
        ("CreateTenantRequest", "tenant_id") => Nothing,
        ("CreateTenantRequest", "slug") => text("fresh-slug"),
        ("InviteMemberRequest" | "Invitee" | "TenantOwner", "member_id") => Nothing,
        ("RegisterResourceRequest" | "NewResource", "resource_id") => Nothing,
        ("CreateApiKeyRequest", "key_id") => Nothing,
        ("InviteMemberRequest" | "Invitee", "user_id") => Nothing,
        ("CreateServiceCredentialRequest", "credential_id") => Nothing,
        ("CreateServiceCredentialRequest", "tenant_ids") => Nothing,
        ("ApplySectionDefaultsRequest", "all") => Nothing,
        ("ListMembersWithAccessRequest" | "CheckAccessRequest" | "Check", "action") => text("view"),
        ("ListAccessibleRequest", "type") => text("agent"),
        ("Subject", "user_id") => Text(ids.of("user")),
        ("Subject", _) => Nothing,
        ("ApiKeyScope", "admin") => Inside,
        ("ApiKeyScope", _) => Nothing,
        ("SetFirewallRuleRequest", "domain") => Nothing,
        ("CountryRule", "countries") => text("IN"),
        ("CountryRule", "mode") => Choice(1),
        ("CountryRule", "on_missing") => Choice(1),
        ("TenantOwner", "user_id") => text("fresh-owner"),
        ("ActivateMemberRequest" | "AcceptInvitationRequest", "user_id") => text("fresh-user"),
        ("ApplyCatalogueRequest", "document") => text(doorward::catalogue::SHIPPED),
        (
            "ListAuditEventsRequest" | "ListMembersRequest" | "ListTenantsRequest" | "ListResourcesRequest",
            name,
        ) if name != "tenant_id" => Nothing,
        ("ListApiKeysRequest" | "GetAccessMatrixRequest" | "ListServiceCredentialsRequest", name)
            if !["tenant_id", "type", "resource_ids"].contains(&name) =>
        {
            Nothing
        }
        (_, "tenant_id") => text(ids.tenant),
        (_, "member_id" | "member_ids" | "from_member_id" | "to_member_id") => Text(ids.of(match field {
            "to_member_id" => "boss",
            _ => "user",
        })),
        (_, "resource_id" | "resource_ids") => Text(ids.of("bot")),
        ("Resource", "id") => Text(ids.of("bot")),
        (_, "key_id") => Text(ids.of("key")),
        (_, "credential_id") => text("a-service"),
        (_, "type") => text("agent"),
        (_, "action") => text("view"),
        (_, "name" | "display_name") => text("A name"),
        (_, "email") => text("fresh@example.com"),
        (_, "token") => text("dwi_0000"),
        (_, "slug" | "confirm_slug") => text(ids.tenant),
        (_, "role") => Choice(2),
        (_, "state") => Choice(2),
        (_, "kind" | "mode") => Choice(1),
        (_, "scopes") if message == "CreateServiceCredentialRequest" => Choice(1),
        (_, "plan") => text("standard"),
        (_, "switch") => text("agentguard"),
        (_, "enabled" | "complimentary" | "granted") => Flag(true),
        (_, "sections") if message == "ResetSectionAccessRequest" => text("logs"),
        (_, "sections") if message == "InviteMemberRequest" || message == "Invitee" => Nothing,
        (_, "sections" | "defaults") => Entry("logs", Value::Bool(false)),
        (_, "tags") => Entry("team", Value::String("blue".to_owned())),
        (_, "period_end") => At(LATER),
        (_, "sequence") => Number(1),
        (_, "validate_only") => Flag(validate_only),
        (
            _,
            "owner" | "subject" | "resource" | "checks" | "check" | "changes" | "invitees" | "resources"
            | "country" | "scopes",
        ) => {
            if message == "Context" {
                Nothing
            } else {
                Inside
            }
        }
        (
            _,
            "page_size"
            | "page_token"
            | "context"
            | "consistency"
            | "update_mask"
            | "grants"
            | "expires_at"
            | "previous_expires_at"
            | "trial_end"
            | "grace_end"
            | "access_until"
            | "revoke_keys"
            | "erase"
            | "after_revision"
            | "request_id"
            | "expected_revision"
            | "wait"
            | "include_revoked",
        ) => Nothing,
        _ => panic!("{message}.{field} is new: say in this table what a good request has there"),
    }
}
