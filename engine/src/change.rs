//! What a mutation changes, as a closed set: rows, invalidation, audit and watch each match it exhaustively.

use std::collections::BTreeSet;

use crate::api_key::ApiKey;
use crate::credential::ServiceCredential;
use crate::id::{KeyId, MemberId, ResourceId, ResourceRef, TypeKey, UserId};
use crate::member::{Grant, Invitation, Member, SecretHash};
use crate::resource::Resource;
use crate::tenant::Tenant;

/// One difference between the state before and after a mutation. `before` is none where the thing is new.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a handful lives for one transaction: a box would buy nothing")]
pub enum Change {
    /// A tenant, with its subscription, plan, switches, defaults and firewall. DELETED frees the slug.
    Tenant {
        /// As it was.
        before: Option<Tenant>,
        /// As it is.
        after: Tenant,
    },
    /// A member with the stored section values. DELETED removes those, the grants, and frees email and user id.
    Member {
        /// As they were.
        before: Option<Member>,
        /// As they are.
        after: Member,
    },
    /// A deleted member's personal data goes for good, wherever it is kept: every version of it, and what names their user.
    Erasure {
        /// Whose.
        member: MemberId,
    },
    /// A token sent to a member.
    Invitation {
        /// As it was.
        before: Option<Invitation>,
        /// As it is.
        after: Invitation,
    },
    /// A resource. DELETED removes its grants.
    Resource {
        /// As it was.
        before: Option<Resource>,
        /// As it is.
        after: Resource,
    },
    /// A member's grant on a resource.
    Grant {
        /// Whose.
        member: MemberId,
        /// On what.
        resource: ResourceRef,
        /// The grant as it was; none: absent.
        before: Option<Grant>,
        /// The grant as it is; none: absent.
        after: Option<Grant>,
    },
    /// An API key; the hash of its secret comes with its creation alone.
    ApiKey {
        /// As it was.
        before: Option<ApiKey>,
        /// As it is.
        after: ApiKey,
        /// The hash of its secret.
        secret: Option<SecretHash>,
    },
    /// The credential of a service, the hashes of its secrets in it. Of the platform.
    ServiceCredential {
        /// As it was.
        before: Option<ServiceCredential>,
        /// As it is.
        after: ServiceCredential,
    },
    /// The catalogue in force: digests of the documents, and the new document itself.
    Catalogue {
        /// The digest of the one that was in force.
        before: Option<String>,
        /// The digest of the one in force.
        after: String,
        /// The document.
        document: String,
    },
}

/// A part of a tenant's facts: what a cache holds as one entry and a change makes outdated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Status, plan, subscription, switches, defaults, firewall.
    Tenant,
    /// Role, status, toggles, grants.
    Member(MemberId),
    /// Which member a user is, or that they are none.
    User(UserId),
    /// An API key.
    Key(KeyId),
    /// A resource's status.
    Resource(ResourceRef),
    /// The platform's catalogue.
    Catalogue,
    /// The platform's service credentials, all of them.
    Credentials,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::Member(id) => write!(f, "member:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Resource(resource) => write!(f, "resource:{}/{}", resource.kind, resource.id),
            Self::Catalogue => f.write_str("catalogue"),
            Self::Credentials => f.write_str("credentials"),
        }
    }
}

impl Part {
    /// The part that a text names, as `Display` writes it; none: it names none that is known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "tenant" => Some(Self::Tenant),
            None if text == "catalogue" => Some(Self::Catalogue),
            None if text == "credentials" => Some(Self::Credentials),
            Some(("member", id)) => MemberId::parse(id).ok().map(Self::Member),
            Some(("user", id)) => UserId::parse(id).ok().map(Self::User),
            Some(("key", id)) => KeyId::parse(id).ok().map(Self::Key),
            Some(("resource", resource)) => {
                let (kind, id) = resource.split_once('/')?;
                let (kind, id) = (TypeKey::parse(kind).ok()?, ResourceId::parse(id).ok()?);
                Some(Self::Resource(ResourceRef { kind, id }))
            }
            _ => None,
        }
    }
}

impl Change {
    /// Adds every part that the change makes outdated.
    ///
    /// A deleted resource's grants are not listed: no rule reads a grant on a resource that does not exist.
    pub fn touch(&self, parts: &mut BTreeSet<Part>) {
        match self {
            Self::Tenant { .. } => {
                parts.insert(Part::Tenant);
            }
            Self::Member { before, after } => {
                parts.insert(Part::Member(after.id.clone()));
                let users = |member: &Member| member.user_id.clone().map(Part::User);
                parts.extend(before.as_ref().and_then(users));
                parts.extend(users(after));
            }
            Self::Invitation { .. } => {}
            Self::Resource { after, .. } => {
                parts.insert(Part::Resource(after.reference.clone()));
            }
            Self::Erasure { member } | Self::Grant { member, .. } => {
                parts.insert(Part::Member(member.clone()));
            }
            Self::ApiKey { after, .. } => {
                parts.insert(Part::Key(after.id.clone()));
            }
            Self::ServiceCredential { .. } => {
                parts.insert(Part::Credentials);
            }
            Self::Catalogue { .. } => {
                parts.insert(Part::Catalogue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::Email;
    use crate::id::{Name, Revision};
    use crate::instant::Instant;
    use crate::role::Role;
    use crate::status::{MemberStatus, ResourceStatus};

    fn member(user_id: Option<&str>) -> Member {
        Member {
            id: MemberId::parse("m1").unwrap(),
            user_id: user_id.map(|user| UserId::parse(user).unwrap()),
            email: Some(Email::parse("m1@example.com").unwrap()),
            display_name: None,
            role: Role::User,
            status: MemberStatus::Active,
            sections: Default::default(),
            created_at: Instant::from_micros(0),
            invitation_expires_at: None,
            person_version: 1,
            revision: Revision(1),
        }
    }

    fn touched(change: &Change) -> Vec<String> {
        let mut parts = BTreeSet::new();
        change.touch(&mut parts);
        parts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_member_touches_themselves_and_the_users_that_they_were_and_are() {
        let change = |before: Option<&str>, after| Change::Member {
            before: Some(member(before)),
            after: member(after),
        };
        assert_eq!(touched(&change(None, Some("new"))), ["member:m1", "user:new"]);
        assert_eq!(touched(&change(Some("old"), Some("new"))), ["member:m1", "user:new", "user:old"]);
        assert_eq!(touched(&change(Some("old"), None)), ["member:m1", "user:old"]);
        assert_eq!(
            touched(&Change::Member { before: None, after: member(Some("new")) }),
            ["member:m1", "user:new"]
        );
    }

    #[test]
    fn a_grant_touches_its_member_and_a_resource_itself() {
        let reference =
            ResourceRef { kind: TypeKey::parse("agent").unwrap(), id: ResourceId::parse("a1").unwrap() };
        let grant = Change::Grant {
            member: MemberId::parse("m1").unwrap(),
            resource: reference.clone(),
            before: None,
            after: Some(Grant { expires_at: None }),
        };
        assert_eq!(touched(&grant), ["member:m1"]);
        assert_eq!(touched(&Change::Erasure { member: MemberId::parse("m1").unwrap() }), ["member:m1"]);
        let after = Resource {
            reference,
            name: Name::parse("Agent").unwrap(),
            tags: Default::default(),
            status: ResourceStatus::Inactive,
            created_at: Instant::from_micros(0),
            revision: Revision(2),
        };
        assert_eq!(touched(&Change::Resource { before: None, after }), ["resource:agent/a1"]);
    }

    #[test]
    fn an_invitation_touches_nothing_and_a_catalogue_itself() {
        let invitation = Invitation {
            token: SecretHash([0; 32]),
            member: MemberId::parse("m1").unwrap(),
            expires_at: Instant::MAX,
            status: crate::status::InvitationStatus::Live,
        };
        assert!(touched(&Change::Invitation { before: None, after: invitation }).is_empty());
        let catalogue = Change::Catalogue { before: None, after: "digest".into(), document: String::new() };
        assert_eq!(touched(&catalogue), ["catalogue"]);
    }

    #[test]
    fn a_part_is_understood_as_it_is_written() {
        let resource = |kind, id| {
            Part::Resource(ResourceRef {
                kind: TypeKey::parse(kind).unwrap(),
                id: ResourceId::parse(id).unwrap(),
            })
        };
        let parts = [
            Part::Tenant,
            Part::Catalogue,
            Part::Credentials,
            Part::Member(MemberId::parse("m:1@x|y").unwrap()),
            Part::User(UserId::parse("auth0|a:b/c").unwrap()),
            Part::Key(KeyId::parse("k1").unwrap()),
            resource("agent", "a:1"),
        ];
        for part in parts {
            assert_eq!(Part::parse(&part.to_string()), Some(part));
        }
    }

    #[test]
    fn a_text_that_names_no_part_is_not_understood() {
        let texts = [
            "",
            "tenants",
            "Tenant",
            "tenant:",
            "tenant:x",
            "catalogue:1",
            "credentials:x",
            "member",
            "member:",
            "member:a b",
            "user:",
            "user:\"",
            "key:",
            "group:g1",
            "resource:agent",
            "resource:/a1",
            "resource:agent/",
            "resource:agent/a/b",
            "resource:Agent/a1",
        ];
        for text in texts {
            assert_eq!(Part::parse(text), None, "{text}");
        }
    }
}
