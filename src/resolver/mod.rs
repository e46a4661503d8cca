//! From a presented subject to one snapshot of facts: freshness and an API key's secret are judged here.

use doorward_engine::id::{KeyId, MemberId, ResourceRef, TenantId, UserId};
use doorward_engine::member::SecretHash;
use subtle::ConstantTimeEq;

use crate::store::{Ask, Epoch, Freshness, Snapshot, Snapshots, StoreError, SubjectFacts, SubjectRef};
use crate::telemetry::trace;

/// A subject as a caller presents it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// A member, by the person's user id.
    User(UserId),
    /// A member, by member id.
    Member(MemberId),
    /// An API key with the hash of the secret that came with it.
    Key(KeyId, SecretHash),
    /// An API key by its public id: for explanations and lists, never for a check.
    KeyId(KeyId),
    /// None: for facts of the tenant and of resources alone.
    Nobody,
}

/// Gathers snapshots from the layers below.
#[derive(Clone, Debug)]
pub struct Resolver<S> {
    snapshots: S,
}

impl<S: Snapshots> Resolver<S> {
    /// A resolver over the uppermost layer.
    pub const fn over(snapshots: S) -> Self {
        Self { snapshots }
    }

    /// The database's epoch, as far as it is known: revisions are of one.
    pub fn epoch(&self) -> Epoch {
        self.snapshots.epoch()
    }

    /// The facts for a question.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be had, or not as fresh as asked for.
    pub async fn snapshot(
        &self,
        tenant: TenantId,
        subject: &Presented,
        resources: Vec<ResourceRef>,
        freshness: Freshness,
    ) -> Result<Snapshot, StoreError> {
        let traced = trace::is_recorded().then(|| tenant.clone());
        let snapshot = self.snapshots.snapshot(subject.asked(tenant, resources, freshness)).await?;
        if let (Some(tenant), Some(_)) = (traced, &snapshot.tenant) {
            trace::tenant(tenant.as_str());
        }
        if let Freshness::AtLeast(seen) = freshness
            && snapshot.epoch == seen.epoch
            && snapshot.revision < seen.revision
        {
            return Err(StoreError::Unavailable(format!(
                "the tenant is at revision {}, and {} was asked for",
                snapshot.revision, seen.revision
            )));
        }
        Ok(proven(subject, snapshot))
    }

    /// The facts for those of many questions whose facts are at hand, all of one lease; `subjects` are the questions'
    /// own, in their order. The others are to be asked for one by one.
    pub async fn at_hand<'s>(
        &self,
        asks: &[Ask],
        subjects: impl Iterator<Item = &'s Presented> + Send,
    ) -> Vec<Option<Snapshot>> {
        let found = self.snapshots.at_hand(asks).await;
        let proven = |(found, subject): (Option<Snapshot>, _)| found.map(|found| proven(subject, found));
        found.into_iter().zip(subjects).map(proven).collect()
    }
}

/// Nobody, where a key's secret is another.
fn proven(subject: &Presented, mut snapshot: Snapshot) -> Snapshot {
    if let (Presented::Key(_, secret), SubjectFacts::Key(Some(key))) = (subject, &snapshot.subject)
        && !bool::from(key.secret.0.ct_eq(&secret.0))
    {
        snapshot.subject = SubjectFacts::Key(None);
    }
    snapshot
}

impl Presented {
    /// What the layers below are asked about it.
    #[must_use]
    pub fn asked(&self, tenant: TenantId, resources: Vec<ResourceRef>, freshness: Freshness) -> Ask {
        Ask { tenant, subject: self.reference(), resources, freshness }
    }

    fn reference(&self) -> SubjectRef {
        match self {
            Self::User(id) => SubjectRef::User(id.clone()),
            Self::Member(id) => SubjectRef::Member(id.clone()),
            Self::Key(id, _) | Self::KeyId(id) => SubjectRef::Key(id.clone()),
            Self::Nobody => SubjectRef::Nobody,
        }
    }
}
