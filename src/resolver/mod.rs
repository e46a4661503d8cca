//! From a presented subject to one snapshot of facts: freshness and an API key's secret are judged here.

use doorward_engine::id::{KeyId, MemberId, ResourceRef, TenantId, UserId};
use doorward_engine::member::SecretHash;
use doorward_engine::snapshot::{KeyFacts, Subject};
use subtle::ConstantTimeEq;

use crate::store::{
    Ask, Asked, AtHand, Epoch, Freshness, Shown, Snapshot, Snapshots, StoreError, SubjectFacts, SubjectOf,
    SubjectRef,
};
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
        let mut snapshot = self.snapshots.snapshot(subject.asked(tenant, resources, freshness)).await?;
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
        prove(subject, &mut snapshot.subject);
        Ok(snapshot)
    }

    /// The facts for those of many questions whose facts are at hand, all of one lease. The others are to be asked for one
    /// by one.
    pub async fn at_hand<'a>(&self, asking: impl Iterator<Item = Asking<'a>> + Clone + Send) -> AtHand {
        let asked: Vec<_> = asking.clone().map(|asking| asking.asked()).collect();
        let mut at_hand = self.snapshots.at_hand(&asked).await;
        for (asking, own) in asking.zip(&mut at_hand.own) {
            if let Some(own) = own {
                prove(asking.subject, &mut own.subject);
            }
        }
        at_hand
    }

    /// Shows the facts for one question where they lie, if they are at hand. Changes wait for `see`.
    pub async fn one_at_hand<T: Send>(
        &self,
        asking: &Asking<'_>,
        see: impl FnOnce(&Shown<'_>) -> T + Send,
    ) -> Option<T> {
        let prove = |seen: &Shown<'_>| {
            if seen.tenant.is_some() {
                trace::tenant(asking.tenant.as_str());
            }
            match (asking.subject, seen.subject) {
                (Presented::Key(_, secret), Subject::Key(Some(key))) if !is_secret(key, secret) => {
                    see(&Shown { subject: Subject::Key(None), ..*seen })
                }
                _ => see(seen),
            }
        };
        self.snapshots.one_at_hand(&asking.asked(), prove).await
    }

    /// The same for questions about one tenant.
    pub async fn together<'a>(&self, mut asking: impl Iterator<Item = Asking<'a>> + Clone + Send) -> AtHand {
        let at_hand = self.at_hand(asking.clone()).await;
        let is_there = at_hand.shared.first().is_some_and(|shared| shared.tenant.is_some())
            && at_hand.own.iter().all(Option::is_some);
        if let Some(asking) = asking.next().filter(|_| is_there && trace::is_recorded()) {
            trace::tenant(asking.tenant.as_str());
        }
        at_hand
    }
}

/// One of many questions, in words that whoever asks keeps.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The subject.
    pub subject: &'a Presented,
    /// The resource; none: a section is asked about.
    pub resource: Option<&'a ResourceRef>,
    /// How fresh the facts must be.
    pub freshness: Freshness,
}

impl<'a> Asking<'a> {
    fn asked(&self) -> Asked<'a> {
        let subject = match self.subject {
            Presented::User(id) => SubjectOf::User(id),
            Presented::Member(id) => SubjectOf::Member(id),
            Presented::Key(id, _) | Presented::KeyId(id) => SubjectOf::Key(id),
            Presented::Nobody => SubjectOf::Nobody,
        };
        Asked { tenant: self.tenant, subject, resource: self.resource, freshness: self.freshness }
    }
}

/// Nobody, where a key's secret is another.
fn prove(subject: &Presented, facts: &mut SubjectFacts) {
    if let (Presented::Key(_, secret), SubjectFacts::Key(Some(key))) = (subject, &*facts)
        && !is_secret(key, secret)
    {
        *facts = SubjectFacts::Key(None);
    }
}

fn is_secret(key: &KeyFacts, presented: &SecretHash) -> bool {
    key.secret.0.ct_eq(&presented.0).into()
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
