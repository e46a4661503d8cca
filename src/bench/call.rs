//! Calls, ready to be sent: the message's bytes, and whether the answer can be told in advance. It knows protobuf messages
//! and no socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message;
use tonic::codegen::Bytes;

use super::shape::{ACTION, Choice, Draw, SECTIONS, Shape, TYPE, What, Who, resource_id};
use crate::proto;

/// How many calls are made ready: so many that neighbours differ, and so few that they can be held.
const READY_MAX: u64 = 1 << 17;
const READY_MIN: u64 = 1 << 10;
/// How many of them are about a member, where everybody has a part.
const EACH: u64 = 8;

fn ready(shape: &Shape) -> usize {
    (shape.people() * EACH).clamp(READY_MIN, READY_MAX) as usize
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rpc {
    /// The empty call of the floor.
    Floor,
    /// `CheckAccess`.
    Check,
    /// `BatchCheckAccess`.
    Batch,
    /// `StreamCheckAccess`.
    Stream,
    /// `SetGrants`.
    Write,
    /// `ListAccessible`.
    List,
    /// `ListMembersWithAccess`.
    Holders,
    /// `GetAccessMatrix`.
    Matrix,
}

impl Rpc {
    pub(super) const ALL: [Self; 8] = [
        Self::Floor,
        Self::Check,
        Self::Batch,
        Self::Stream,
        Self::Write,
        Self::List,
        Self::Holders,
        Self::Matrix,
    ];

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Floor => "/doorward.bench.Floor/Ask",
            Self::Check => "/doorward.v1.AccessService/CheckAccess",
            Self::Batch => "/doorward.v1.AccessService/BatchCheckAccess",
            Self::Stream => "/doorward.v1.AccessService/StreamCheckAccess",
            Self::Write => "/doorward.v1.AccessService/SetGrants",
            Self::List => "/doorward.v1.AccessService/ListAccessible",
            Self::Holders => "/doorward.v1.AccessService/ListMembersWithAccess",
            Self::Matrix => "/doorward.v1.AccessService/GetAccessMatrix",
        }
    }

    /// Whether it is asked with the operator's token; all else is asked as a service that may change nothing.
    pub(super) const fn is_operators(self) -> bool {
        matches!(self, Self::Write)
    }
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) rpc: Rpc,
    /// In its gRPC frame.
    pub(super) message: Bytes,
    /// Whether access is allowed, where that can be known: another answer is an error.
    pub(super) allowed: Option<bool>,
    /// How many questions it asks.
    pub(super) checks: u32,
}

impl Call {
    /// The empty call.
    pub(super) fn floor() -> Self {
        Self { rpc: Rpc::Floor, message: framed(&()), allowed: None, checks: 1 }
    }

    /// One question.
    pub(super) fn check(shape: &Shape, who: Who, what: What) -> Self {
        let message = framed(&question(shape, who, what));
        Self { rpc: Rpc::Check, message, allowed: Some(shape.is_allowed(who, what)), checks: 1 }
    }

    /// Whether an answer is the one that the data give, where that is known.
    pub(super) fn judge(&self, allowed: bool) -> Result<(), String> {
        match self.allowed {
            Some(expected) if expected != allowed => Err("another answer than the data give".to_owned()),
            _ => Ok(()),
        }
    }

    fn batch(shape: &Shape, draw: &mut Draw, size: u32) -> Self {
        let who = draw.who();
        let checks = (0..size)
            .map(|_| proto::Check { action: ACTION.to_owned(), resource: Some(resource(draw.what())) });
        let message = framed(&proto::BatchCheckAccessRequest {
            tenant_id: shape.tenant_id(who.tenant),
            subject: Some(subject(shape, who)),
            checks: checks.collect(),
            ..Default::default()
        });
        Self { rpc: Rpc::Batch, message, allowed: None, checks: size }
    }

    /// One grant, set or taken.
    pub(super) fn write(shape: &Shape, who: Who, number: u64, granted: bool) -> Self {
        let change = proto::GrantChange {
            member_id: shape.member_id(who),
            resource: Some(resource(What::Resource(number))),
            granted,
            expires_at: None,
        };
        let message = framed(&proto::SetGrantsRequest {
            tenant_id: shape.tenant_id(who.tenant),
            changes: vec![change],
            ..Default::default()
        });
        Self { rpc: Rpc::Write, message, allowed: None, checks: 0 }
    }

    fn list(shape: &Shape, who: Who) -> Self {
        let message = framed(&proto::ListAccessibleRequest {
            tenant_id: shape.tenant_id(who.tenant),
            subject: Some(subject(shape, who)),
            r#type: TYPE.to_owned(),
            action: ACTION.to_owned(),
            page_size: 1_000,
            ..Default::default()
        });
        Self { rpc: Rpc::List, message, allowed: None, checks: 1 }
    }

    /// A first page of the members who have access to a resource.
    fn holders(shape: &Shape, tenant: u64, number: u64) -> Self {
        let message = framed(&proto::ListMembersWithAccessRequest {
            tenant_id: shape.tenant_id(tenant),
            resource: Some(resource(What::Resource(number))),
            action: ACTION.to_owned(),
            ..Default::default()
        });
        Self { rpc: Rpc::Holders, message, allowed: None, checks: 1 }
    }

    /// A first page of the matrix of members and resources.
    fn matrix(shape: &Shape, tenant: u64) -> Self {
        let message = framed(&proto::GetAccessMatrixRequest {
            tenant_id: shape.tenant_id(tenant),
            r#type: TYPE.to_owned(),
            ..Default::default()
        });
        Self { rpc: Rpc::Matrix, message, allowed: None, checks: 1 }
    }
}

/// Calls that are taken in turn, by several threads.
#[derive(Debug)]
pub(super) struct Calls {
    all: Arc<[Call]>,
    next: AtomicUsize,
    /// Each is sent once; otherwise they begin again.
    is_once: bool,
    /// How many members they are about, where each has the same part.
    members: u64,
}

impl Calls {
    fn new(all: impl Iterator<Item = Call>, is_once: bool) -> Self {
        Self { all: all.collect(), next: AtomicUsize::new(0), is_once, members: 0 }
    }

    /// The next call; none: each has been sent, once.
    pub(super) fn next(&self) -> Option<&Call> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        if self.is_once { self.all.get(at) } else { self.all.get(at % self.all.len().max(1)) }
    }

    /// The same calls, each once.
    pub(super) fn once(&self) -> Self {
        Self { all: Arc::clone(&self.all), next: AtomicUsize::new(0), is_once: true, members: self.members }
    }

    /// Of writes that turn a grant and turn it back, those that turn it back: a load may be cut off between the two.
    pub(super) fn turned_back(&self) -> Self {
        let writes = self.all.iter().filter(|call| call.rpc == Rpc::Write);
        Self::new(writes.skip(1).step_by(2).cloned(), true)
    }

    pub(super) fn members(&self) -> u64 {
        self.members
    }

    /// A call of the floor, for ever.
    pub(super) fn floor() -> Self {
        Self::new(std::iter::once(Call::floor()), false)
    }

    /// Single questions.
    pub(super) fn single(shape: &Shape, choice: Choice) -> Self {
        let mut draw = Draw::new(*shape, choice);
        let calls = (0..ready(shape)).map(|_| {
            let (who, what) = (draw.who(), draw.what());
            Call::check(shape, who, what)
        });
        Self::new(calls, false)
    }

    /// A first question about everybody, or about so many, each once.
    pub(super) fn everybody(shape: &Shape, most: u64) -> Self {
        Self::herd(shape, most, 1)
    }

    /// The same question so many times about a member, then about another one, until so many members had their turn.
    pub(super) fn herd(shape: &Shape, members: u64, times: usize) -> Self {
        let mut draw = Draw::new(*shape, Choice::Uniform);
        let members = 0..shape.people().min(members);
        let each = members.clone().flat_map(|number| {
            std::iter::repeat_n(Call::check(shape, shape.who(number), draw.what()), times.max(1))
        });
        Self { members: members.end, ..Self::new(each, true) }
    }

    /// Batches of a size.
    pub(super) fn batches(shape: &Shape, choice: Choice, size: u32) -> Self {
        let mut draw = Draw::new(*shape, choice);
        let count = (ready(shape) / size.max(1) as usize).max(64);
        Self::new((0..count).map(|_| Call::batch(shape, &mut draw, size)), false)
    }

    /// Lists of what members have access to.
    pub(super) fn lists(shape: &Shape, choice: Choice) -> Self {
        let mut draw = Draw::new(*shape, choice);
        Self::new((0..ready(shape) / 8).map(|_| Call::list(shape, draw.who())), false)
    }

    /// First pages of the members who have access to a resource.
    pub(super) fn holders(shape: &Shape, choice: Choice) -> Self {
        let mut draw = Draw::new(*shape, choice);
        let calls = (0..ready(shape) / 8).map(|_| {
            let (who, number) = (draw.who(), draw.resource().unwrap_or_default());
            Call::holders(shape, who.tenant, number)
        });
        Self::new(calls, false)
    }

    /// First pages of matrices.
    pub(super) fn matrices(shape: &Shape, choice: Choice) -> Self {
        let mut draw = Draw::new(*shape, choice);
        Self::new((0..ready(shape) / 8).map(|_| Call::matrix(shape, draw.who().tenant)), false)
    }

    /// So many writes and nothing else, each once: one turns a grant, and the next one turns it back.
    pub(super) fn writes(shape: &Shape, choice: Choice, count: u64) -> Self {
        let mut draw = Draw::new(*shape, choice);
        let pairs = (0..count.div_ceil(2)).flat_map(|_| {
            let (who, number) = (draw.who(), draw.resource().unwrap_or_default());
            let granted = shape.is_granted(who, number);
            [!granted, granted].map(|granted| Call::write(shape, who, number, granted))
        });
        Self::new(pairs, true)
    }

    /// Single questions with so many writes among them, as a part of all calls. Each write turns a grant, and the next
    /// one turns it back: the data stay as they are.
    pub(super) fn mixed(shape: &Shape, choice: Choice, writes: f64) -> Self {
        let mut draw = Draw::new(*shape, choice);
        let (mut due, mut turned) = (0.0, None);
        let mut calls: Vec<_> = (0..ready(shape))
            .map(|_| {
                due += writes;
                if due < 1.0 {
                    let (who, what) = (draw.who(), draw.what());
                    return Call { allowed: None, ..Call::check(shape, who, what) };
                }
                due -= 1.0;
                let (who, number) = turned.take().unwrap_or_else(|| {
                    let new = (draw.who(), draw.resource().unwrap_or_default());
                    turned = Some(new);
                    new
                });
                Call::write(shape, who, number, shape.is_granted(who, number) != turned.is_some())
            })
            .collect();
        calls.extend(
            turned.map(|(who, number)| Call::write(shape, who, number, shape.is_granted(who, number))),
        );
        Self::new(calls.into_iter(), false)
    }
}

/// A question, as a message.
pub(super) fn question(shape: &Shape, who: Who, what: What) -> proto::CheckAccessRequest {
    proto::CheckAccessRequest {
        tenant_id: shape.tenant_id(who.tenant),
        subject: Some(subject(shape, who)),
        action: ACTION.to_owned(),
        resource: Some(resource(what)),
        ..Default::default()
    }
}

/// People are known by the same id to the tenant and the identity provider.
fn subject(shape: &Shape, who: Who) -> proto::Subject {
    proto::Subject { kind: Some(proto::subject::Kind::UserId(shape.member_id(who))) }
}

pub(super) fn resource(what: What) -> proto::Resource {
    match what {
        What::Section(section) => proto::Resource {
            r#type: "section".to_owned(),
            id: SECTIONS.get(section).copied().unwrap_or_default().to_owned(),
        },
        What::Resource(number) => proto::Resource { r#type: TYPE.to_owned(), id: resource_id(number) },
    }
}

/// A message behind the five bytes of gRPC: not compressed, so long.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(5 + length);
    bytes.push(0);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    // A vector takes what it is given.
    let _ = message.encode(&mut bytes);
    bytes.into()
}

/// Whether a framed `CheckAccessResponse` allows: its first field, which is left out where it is false.
pub(super) fn allows(frame: &[u8]) -> bool {
    frame.get(5..7) == Some(&[0x08, 0x01])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { tenants: 2, members: 10, resources: 5, granted: 0.3, seed: 7 };

    #[test]
    fn an_answer_is_read_from_its_first_bytes() {
        for allowed in [true, false] {
            let answer = proto::CheckAccessResponse { allowed, reason: 3, ..Default::default() };
            assert_eq!(allows(&framed(&answer)), allowed);
        }
        assert!(!allows(&[]));
    }

    #[test]
    fn writes_have_their_part_and_leave_all_as_it_is() {
        let calls = Calls::mixed(&SHAPE, Choice::Uniform, 0.1);
        let writes: Vec<_> = calls.all.iter().filter(|call| call.rpc == Rpc::Write).collect();
        let part = writes.len() as f64 / calls.all.len() as f64;
        assert!((0.099..0.101).contains(&part), "{part}");
        for pair in writes.chunks_exact(2) {
            let changes = pair.iter().map(|call| {
                let request = proto::SetGrantsRequest::decode(&call.message[5..]).unwrap();
                let change = request.changes.into_iter().next().unwrap();
                (request.tenant_id, change.member_id, change.resource.unwrap().id, change.granted)
            });
            let changes: Vec<_> = changes.collect();
            let (one, other) = (&changes[0], &changes[1]);
            assert_eq!((&one.0, &one.1, &one.2), (&other.0, &other.1, &other.2));
            assert_ne!(one.3, other.3);
        }
        let back: Vec<_> = calls.turned_back().all.iter().map(|call| call.message.clone()).collect();
        let second: Vec<_> = writes.iter().skip(1).step_by(2).map(|call| call.message.clone()).collect();
        assert!(writes.len().is_multiple_of(2) && back == second, "{}", writes.len());
    }

    #[test]
    fn everybody_is_asked_about_once() {
        let calls = Calls::everybody(&SHAPE, u64::MAX);
        let mut asked = Vec::new();
        while let Some(call) = calls.next() {
            let request = proto::CheckAccessRequest::decode(&call.message[5..]).unwrap();
            asked.push(format!("{:?}", request.subject));
        }
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), 20);
    }
}
