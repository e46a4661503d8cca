//! The protobuf API as Rust, generated from `proto/`; knows nothing of the domain. Secrets are never printed.

use std::fmt::{Debug, Formatter, Result};

pub use generated::*;

/// Every file of the API with its imports and comments, encoded: for reflection and for tests that walk the RPCs.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

#[expect(clippy::allow_attributes, reason = "tonic writes such attributes")]
mod generated {
    tonic::include_proto!("doorward.v1");
}

/// What is printed in the place of a secret.
const SECRET: &str = "***";

impl Debug for Subject {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Subject").field("kind", &self.kind).finish()
    }
}

impl Debug for subject::Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::UserId(id) => f.debug_tuple("UserId").field(id).finish(),
            Self::MemberId(id) => f.debug_tuple("MemberId").field(id).finish(),
            Self::ApiKey(_) => f.debug_tuple("ApiKey").field(&SECRET).finish(),
            Self::ApiKeyId(id) => f.debug_tuple("ApiKeyId").field(id).finish(),
        }
    }
}

/// `Debug` for a message with a secret: the fields that may be seen, and the one that may not. A field that is in
/// neither list does not compile.
macro_rules! debug_without_secret {
    ($($message:ident { $secret:ident; $($seen:ident),+ })+) => {$(
        impl Debug for $message {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                let Self { $secret: _, $($seen),+ } = self;
                f.debug_struct(stringify!($message))
                    $(.field(stringify!($seen), $seen))+
                    .field(stringify!($secret), &SECRET)
                    .finish()
            }
        }
    )+};
}

debug_without_secret! {
    AcceptInvitationRequest {
        token; tenant_id, user_id, display_name, request_id, expected_revision, validate_only, wait
    }
    InviteMemberResponse {
        invitation_token; member, invitation_expire_time, revision, revision_token, enforced, replayed
    }
    InvitedMember { invitation_token; member, invitation_expire_time }
    ResendInvitationResponse {
        invitation_token; member, invitation_expire_time, revision, revision_token, enforced, replayed
    }
    CreateApiKeyResponse { secret; api_key, revision, revision_token, enforced, replayed }
    CreateServiceCredentialResponse { secret; credential, revision, revision_token, enforced, replayed }
    RotateServiceCredentialResponse { secret; credential, revision, revision_token, enforced, replayed }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::{DescriptorPool, MessageDescriptor};

    use super::*;

    fn pool() -> DescriptorPool {
        DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap()
    }

    fn messages_of(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> {
        pool.all_messages()
            .filter(|message| message.package_name() == "doorward.v1" && !message.is_map_entry())
    }

    fn is_redacted(field: &prost_reflect::FieldDescriptor) -> bool {
        field.options().get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
    }

    const CANARY: &str = "canary";

    macro_rules! printed {
        ($($message:ident.$secret:ident),+ $(,)?) => {[$((
            stringify!($message),
            format!("{:?}", $message { $secret: CANARY.to_owned(), ..$message::default() }),
        )),+]};
    }

    #[test]
    fn no_secret_is_printed() {
        let key = Subject { kind: Some(subject::Kind::ApiKey(CANARY.to_owned())) };
        let mut printed = vec![("Subject", format!("{key:?}"))];
        printed.extend(printed![
            AcceptInvitationRequest.token,
            InviteMemberResponse.invitation_token,
            InvitedMember.invitation_token,
            ResendInvitationResponse.invitation_token,
            CreateApiKeyResponse.secret,
            CreateServiceCredentialResponse.secret,
            RotateServiceCredentialResponse.secret,
        ]);
        for (message, text) in &printed {
            assert!(text.contains(SECRET) && !text.contains(CANARY), "{message} prints {text}");
        }
        let secret: BTreeSet<_> = messages_of(&pool())
            .filter(|message| message.fields().any(|field| is_redacted(&field)))
            .map(|message| message.name().to_owned())
            .collect();
        let redacted = printed.iter().map(|(message, _)| (*message).to_owned()).collect();
        assert_eq!(secret, redacted);
    }

    /// The common fields of mutations, by number.
    const REQUEST_TAIL: [(u32, &str); 4] =
        [(90, "request_id"), (91, "expected_revision"), (92, "validate_only"), (93, "wait")];
    const RESPONSE_TAIL: [(u32, &str); 4] =
        [(90, "revision"), (91, "revision_token"), (92, "enforced"), (93, "replayed")];

    fn tail(message: &MessageDescriptor) -> Vec<(u32, String)> {
        message
            .fields()
            .filter(|field| field.number() >= 90)
            .map(|field| (field.number(), field.name().to_owned()))
            .collect()
    }

    /// How the names of RPCs that change nothing begin.
    const QUESTIONS: [&str; 7] = ["Get", "List", "Check", "BatchCheck", "StreamCheck", "Explain", "Watch"];

    #[test]
    fn every_mutation_has_the_common_fields() {
        let pool = pool();
        let service = pool.get_service_by_name("doorward.v1.AccessService").unwrap();
        let owned =
            |fields: [(u32, &str); 4]| fields.map(|(number, name)| (number, name.to_owned())).to_vec();
        for method in service.methods() {
            let expected = if QUESTIONS.iter().any(|verb| method.name().starts_with(verb)) {
                (Vec::new(), Vec::new())
            } else {
                (owned(REQUEST_TAIL), owned(RESPONSE_TAIL))
            };
            assert_eq!((tail(&method.input()), tail(&method.output())), expected, "{}", method.name());
        }
    }
}
