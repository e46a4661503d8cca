//! Layers with nothing in them: what a request comes to before anything is looked up. They answer at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{
    CredentialId, KeyId, MemberId, ResourceId, ResourceRef, Revision, TenantId, TypeKey, UserId,
};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Member, SecretHash};
use doorward_engine::resource::Resource;
use doorward_engine::snapshot::MemberFacts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::service::Backend;
use crate::store::credentials::{Known, Roster, Use};
use crate::store::directory::{
    AccessRow, LogFilter, LogHead, LogRow, MemberFilter, ResourceFilter, Slice, TenantFilter, TenantRows,
    TenantUsage, TenantView, Told,
};
use crate::store::{
    Act, Ask, CommitError, Commits, Credentials, Directory, Epoch, InForce, Needs, Planned, Receipt,
    Snapshot, Snapshots, State, StoreError, SubjectFacts, Tier,
};

/// Has the shipped catalogue and no tenant; reads and writes are UNAVAILABLE.
#[derive(Clone, Debug)]
pub(super) struct Empty(Arc<InForce>);

impl Empty {
    pub(super) fn new() -> Option<Self> {
        let document = crate::catalogue::SHIPPED.to_owned();
        let catalogue = crate::catalogue::parse(&document).ok()?;
        let digest = crate::catalogue::digest(&document);
        Some(Self(Arc::new(InForce { version: 1, digest, document, catalogue })))
    }
}

impl Backend for Empty {
    type Snapshots = Self;
    type Directory = Self;
    type Commits = Self;
    type Credentials = Self;
}

fn nothing<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("there is nothing".to_owned()))
}

impl Snapshots for Empty {
    async fn snapshot(&self, _: Ask) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            in_force: Arc::clone(&self.0),
            tenant: None,
            subject: SubjectFacts::Member(None),
            resources: Vec::new(),
            revision: Revision(0),
            epoch: self.epoch(),
            now: Instant::from_micros(1),
            tier: Tier::Store,
            degraded: false,
        })
    }

    fn epoch(&self) -> Epoch {
        Epoch([5; 16])
    }
}

impl Commits for Empty {
    async fn commit<A, R, P>(&self, _: Act, _: Needs, _: P) -> Result<Receipt<A>, CommitError<R>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Send + 'static,
        P: FnOnce(&State) -> Result<Planned<A>, R> + Send + 'static,
    {
        nothing().map_err(CommitError::Store)
    }
}

/// Nobody is stored.
impl Credentials for Empty {
    async fn roster(&self) -> Result<Known, StoreError> {
        let (roster, now, epoch) = (Arc::new(Roster::default()), Instant::from_micros(1), self.epoch());
        Ok(Known { roster, now, epoch })
    }

    async fn key_by_secret(&self, _: KeyId, _: SecretHash) -> Result<Option<(TenantId, ApiKey)>, StoreError> {
        Ok(None)
    }

    async fn used(&self, _: Vec<Use>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Every method takes what it takes, and has nothing.
macro_rules! directory {
    ($($method:ident($($argument:ty),*) -> $answer:ty;)+) => {
        impl Directory for Empty {
            $(directory! { $method($($argument),*) -> $answer })+
        }
    };
    ($method:ident($one:ty) -> $answer:ty) => {
        async fn $method(&self, _: $one) -> Result<$answer, StoreError> { nothing() }
    };
    ($method:ident($one:ty, $two:ty) -> $answer:ty) => {
        async fn $method(&self, _: $one, _: $two) -> Result<$answer, StoreError> { nothing() }
    };
    ($method:ident($one:ty, $two:ty, $three:ty) -> $answer:ty) => {
        async fn $method(&self, _: $one, _: $two, _: $three) -> Result<$answer, StoreError> { nothing() }
    };
    ($method:ident($one:ty, $two:ty, $three:ty, $four:ty) -> $answer:ty) => {
        async fn $method(&self, _: $one, _: $two, _: $three, _: $four) -> Result<$answer, StoreError> {
            nothing()
        }
    };
}

directory! {
    tenants(TenantFilter, Slice<TenantId>) -> TenantRows;
    tenant(TenantId) -> Option<TenantView>;
    usage(TenantId, Instant) -> TenantUsage;
    member(TenantId, MemberId) -> Option<Member>;
    member_by_user(TenantId, UserId) -> Option<Member>;
    members(TenantId, MemberFilter, Slice<MemberId>) -> Vec<Member>;
    resource(TenantId, ResourceRef) -> Option<Resource>;
    resources(TenantId, ResourceFilter, Slice<ResourceRef>) -> Vec<Resource>;
    resources_of(TenantId, BTreeSet<ResourceRef>) -> Vec<Resource>;
    keys(TenantId, Slice<KeyId>) -> Vec<ApiKey>;
    credentials(bool, Slice<CredentialId>) -> Vec<ServiceCredential>;
    access_rows(TenantId, TypeKey, BTreeSet<ResourceId>, Slice<MemberId>) -> Vec<AccessRow>;
    candidates(TenantId, Option<ResourceRef>, Slice<MemberId>) -> Vec<(Member, MemberFacts)>;
    log(String, LogFilter, Slice<Revision>) -> Vec<LogRow>;
    log_head(String) -> LogHead;
    told(String, Revision, u64) -> Vec<Told>;
}
