//! A request's fields: parsed one by one, the mistakes collected, the values handed out only if there are none.

use std::fmt::Display;

use doorward_engine::id::{IdError, ResourceId, ResourceRef, Revision, TypeKey};
use doorward_engine::instant::Instant;
use prost::Message;
use uuid::Uuid;

use crate::proto;
use crate::service::{Control, Error, Operation, Violation};
use crate::store::{RequestKey, Wait};

/// The most entries of a list in a request.
pub(in crate::wire) const LIST_MAX: usize = 1_000;
/// The most bytes of a caller's text that an error repeats.
const ECHO_BYTES_MAX: usize = 64;

/// The most mistakes that an answer names: it must fit into the headers that clients take.
const VIOLATIONS_MAX: usize = 20;

/// Collects what is wrong with a request. Each method answers the value, or none and remembers why.
#[derive(Debug, Default)]
pub(in crate::wire) struct Fields {
    violations: Vec<Violation>,
    /// How many more there are than are named.
    more: usize,
}

impl Fields {
    /// Remembers a mistake.
    pub(in crate::wire) fn wrong(&mut self, field: impl Display, problem: impl Display) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation::new(field.to_string(), problem));
        } else {
            self.more += 1;
        }
    }

    /// A field that must be there.
    pub(in crate::wire) fn parse<T>(
        &mut self,
        field: impl Display,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        if text.is_empty() {
            let wanted = parse(text).err().map_or("a value", |error| error.allowed);
            self.wrong(field, format!("is missing: expected {wanted}"));
            return None;
        }
        parse(text).map_err(|error| self.wrong(field, format!("{}: {error}", echo(text)))).ok()
    }

    /// A field that must be there, whose text becomes the value's own.
    pub(in crate::wire) fn own<T>(
        &mut self,
        field: impl Display,
        text: String,
        own: impl FnOnce(String) -> Result<T, (String, IdError)>,
    ) -> Option<T> {
        if text.is_empty() {
            return self.parse(field, "", |_| own(text).map_err(|(_, error)| error));
        }
        own(text).map_err(|(text, error)| self.wrong(field, format!("{}: {error}", echo(&text)))).ok()
    }

    /// A field that may be left empty: `Some(None)` then.
    pub(in crate::wire) fn optional<T>(
        &mut self,
        field: impl Display,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { self.parse(field, text, parse).map(Some) }
    }

    /// An enum's value, anything but UNSPECIFIED.
    pub(in crate::wire) fn choice<E: TryFrom<i32> + Into<i32>>(
        &mut self,
        field: impl Display,
        value: i32,
        allowed: &str,
    ) -> Option<E> {
        let parsed = E::try_from(value).ok().filter(|_| value != 0);
        if parsed.is_none() {
            self.wrong(field, format!("has no value of its enum ({value}): expected {allowed}"));
        }
        parsed
    }

    /// A message that must be there.
    pub(in crate::wire) fn message<T>(&mut self, field: impl Display, message: Option<T>) -> Option<T> {
        if message.is_none() {
            self.wrong(field, "is missing");
        }
        message
    }

    /// A list of one to [`LIST_MAX`] entries.
    pub(in crate::wire) fn list<T>(&mut self, field: impl Display, entries: Vec<T>) -> Option<Vec<T>> {
        let fits = (1..=LIST_MAX).contains(&entries.len());
        if !fits {
            self.wrong(field, format!("has {} entries: expected 1 to {LIST_MAX}", entries.len()));
        }
        fits.then_some(entries)
    }

    /// An instant that may be left out: `Some(None)` then.
    pub(in crate::wire) fn instant(
        &mut self,
        field: impl Display,
        time: Option<prost_types::Timestamp>,
    ) -> Option<Option<Instant>> {
        let Some(time) = time else { return Some(None) };
        let micros = time
            .seconds
            .checked_mul(1_000_000)
            .and_then(|micros| micros.checked_add(i64::from(time.nanos / 1_000)));
        let range = Instant::MIN.micros()..=Instant::MAX.micros();
        let fits =
            (0..1_000_000_000).contains(&time.nanos) && micros.is_some_and(|micros| range.contains(&micros));
        if !fits {
            self.wrong(field, "is no time: expected one of the years 0001 to 9999, nanos 0 to 999,999,999");
            return None;
        }
        Some(micros.map(Instant::from_micros))
    }

    /// The type and id of what a question or a grant is about; the type is the catalogue's to know.
    pub(in crate::wire) fn reference(
        &mut self,
        field: impl Display,
        resource: Option<proto::Resource>,
    ) -> Option<(String, ResourceId)> {
        let resource = self.message(&field, resource)?;
        let id = self.own(format_args!("{field}.id"), resource.id, ResourceId::own);
        if resource.r#type.is_empty() {
            self.wrong(format_args!("{field}.type"), "is missing: expected `section` or a resource type");
            return None;
        }
        id.map(|id| (resource.r#type, id))
    }

    /// A resource that is registered, or that a grant is for: its type is one that can be.
    pub(in crate::wire) fn resource(
        &mut self,
        field: impl Display,
        resource: Option<proto::Resource>,
    ) -> Option<ResourceRef> {
        let resource = self.message(&field, resource)?;
        let kind = self.parse(format_args!("{field}.type"), &resource.r#type, TypeKey::parse);
        let id = self.parse(format_args!("{field}.id"), &resource.id, ResourceId::parse);
        Some(ResourceRef { kind: kind?, id: id? })
    }

    /// What every mutation says about how it is to be done. The digest covers operation and body.
    pub(in crate::wire) fn control<M: Mutation>(
        &mut self,
        operation: Operation,
        request: &M,
    ) -> Option<Control> {
        let common = request.common();
        let request_id = match common.request_id {
            "" => None,
            text => match Uuid::try_parse(text) {
                Ok(id) => Some(id.hyphenated().to_string()),
                Err(_) => {
                    self.wrong("request_id", format!("{}: expected a UUID", echo(text)));
                    return None;
                }
            },
        };
        let wait = match proto::Wait::try_from(common.wait) {
            Ok(proto::Wait::Committed) => Wait::Committed,
            Ok(_) => Wait::Enforced,
            Err(_) => {
                self.wrong("wait", "has no value of its enum: expected WAIT_ENFORCED or WAIT_COMMITTED");
                return None;
            }
        };
        let digest = || {
            let body = [operation.name().as_bytes(), b"\0", &request.encode_to_vec()].concat();
            *blake3::hash(&body).as_bytes()
        };
        Some(Control {
            request: request_id.map(|id| RequestKey { id, digest: digest() }),
            expected_revision: Some(Revision(common.expected_revision)).filter(|revision| revision.0 != 0),
            validate_only: common.validate_only,
            wait,
        })
    }

    /// As [`Self::control`], for a creation: there is nothing yet to compare.
    pub(in crate::wire) fn creation<M: Mutation>(
        &mut self,
        operation: Operation,
        request: &M,
    ) -> Option<Control> {
        if request.common().expected_revision != 0 {
            self.wrong("expected_revision", "is given: a creation has nothing to compare, leave it 0");
            return None;
        }
        self.control(operation, request)
    }

    /// The values, if nothing was wrong; else every mistake, or the first ones and how many more there are.
    pub(in crate::wire) fn all<T: All>(mut self, values: T) -> Result<T::Values, Error> {
        match values.all() {
            Some(values) if self.violations.is_empty() => Ok(values),
            // A value can only be missing where a mistake was remembered; an empty list would teach nothing.
            _ if self.violations.is_empty() => Err(Violation::new("request", "cannot be understood").into()),
            _ => {
                if self.more > 0 {
                    let problem = format!("has {} more mistakes: correct these first", self.more);
                    self.violations.push(Violation::new("request", problem));
                }
                Err(Error::Invalid(self.violations))
            }
        }
    }
}

/// A caller's text as an error may repeat it.
pub(in crate::wire) fn echo(text: &str) -> String {
    let mut end = text.len().min(ECHO_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < text.len() { "…" } else { "" };
    format!("`{}{cut}`", text.get(..end).unwrap_or_default().escape_debug())
}

/// Several optional values at once.
pub(in crate::wire) trait All {
    /// The values themselves.
    type Values;
    /// All of them, or none.
    fn all(self) -> Option<Self::Values>;
}

macro_rules! all {
    ($($($name:ident)+;)+) => {$(
        impl<$($name),+> All for ($(Option<$name>,)+) {
            type Values = ($($name,)+);
            #[expect(non_snake_case, reason = "the type parameters name the values")]
            fn all(self) -> Option<Self::Values> {
                let ($($name,)+) = self;
                Some(($($name?,)+))
            }
        }
    )+};
}

all! { A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H; A B C D E F G H I; A B C D E F G H I J; }

/// What every mutation's request has.
pub(in crate::wire) struct Common<'r> {
    request_id: &'r str,
    expected_revision: u64,
    validate_only: bool,
    wait: i32,
}

/// A mutation's request.
pub(in crate::wire) trait Mutation: Message {
    /// What every mutation's request has.
    fn common(&self) -> Common<'_>;
}

macro_rules! mutations {
    ($($message:ident)+) => {$(
        impl Mutation for proto::$message {
            fn common(&self) -> Common<'_> {
                Common {
                    request_id: &self.request_id,
                    expected_revision: self.expected_revision,
                    validate_only: self.validate_only,
                    wait: self.wait,
                }
            }
        }
    )+};
}

mutations! {
    CreateTenantRequest UpdateTenantRequest DeleteTenantRequest SuspendTenantRequest ResumeTenantRequest
    InviteMemberRequest BatchInviteMembersRequest ResendInvitationRequest CancelInvitationRequest
    AcceptInvitationRequest ActivateMemberRequest ChangeMemberRoleRequest DisableMemberRequest EnableMemberRequest
    DeleteMemberRequest UpdateMemberRequest SetSectionAccessRequest ResetSectionAccessRequest
    SetSectionDefaultsRequest ApplySectionDefaultsRequest RegisterResourceRequest BatchRegisterResourcesRequest
    UpdateResourceRequest ActivateResourceRequest DeactivateResourceRequest DeleteResourceRequest SetGrantsRequest CopyAccessRequest
    SetSubscriptionRequest CancelSubscriptionRequest RenewSubscriptionRequest SetComplimentaryRequest SetPlanRequest
    SetFeatureSwitchRequest SetFirewallRuleRequest DeleteFirewallRuleRequest CreateApiKeyRequest RevokeApiKeyRequest
    ApplyCatalogueRequest CreateServiceCredentialRequest RotateServiceCredentialRequest RevokeServiceCredentialRequest
}
