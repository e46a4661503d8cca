//! A world is everything that is administered, as records, and a question is what a caller would send.

use std::collections::BTreeMap;

use doorward_engine::api_key::ApiKey;
use doorward_engine::catalogue::Document;
use doorward_engine::id::ResourceRef;
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Member};
use doorward_engine::resource::Resource;
use doorward_engine::tenant::Tenant;

/// Everything there is, and the time.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) catalogue: Document,
    pub(crate) workspaces: Vec<Workspace>,
}

/// A tenant with all that is its own.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) tenant: Tenant,
    pub(crate) seats: Vec<Seat>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) keys: Vec<Key>,
}

/// A member with their grants.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) member: Member,
    pub(crate) grants: BTreeMap<ResourceRef, Grant>,
}

/// An API key with its secret in clear: whoever stores it hashes it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) key: ApiKey,
    pub(crate) secret: String,
}

/// A question in a caller's words.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) tenant: String,
    pub(crate) subject: Who,
    pub(crate) action: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) country: Option<String>,
    pub(crate) email_domain: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    User(String),
    Member(String),
    Key { id: String, secret: String },
}

impl World {
    pub(crate) fn workspace(&self, id: &str) -> Option<&Workspace> {
        self.workspaces.iter().find(|workspace| workspace.tenant.id.as_str() == id)
    }
}

impl Workspace {
    pub(crate) fn seat(&self, id: &str) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.member.id.as_str() == id)
    }

    /// The live member that a user is.
    pub(crate) fn seat_of_user(&self, user_id: &str) -> Option<&Seat> {
        self.seats.iter().find(|seat| {
            seat.member.status.is_live()
                && seat.member.user_id.as_ref().is_some_and(|user| user.as_str() == user_id)
        })
    }

    /// The key of that id, where the secret is right.
    pub(crate) fn key(&self, id: &str, secret: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.key.id.as_str() == id && key.secret == secret)
    }

    pub(crate) fn resource(&self, kind: &str, id: &str) -> Option<&Resource> {
        let found = |resource: &&Resource| {
            resource.reference.kind.as_str() == kind && resource.reference.id.as_str() == id
        };
        self.resources.iter().find(found)
    }
}
