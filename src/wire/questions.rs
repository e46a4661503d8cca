//! The stream of questions: what is there to be read is decided as one pass, and nothing more is read while it waits.
//!
//! The transport asks for an answer when it can send one: who takes none holds up itself alone, and keeps the server from
//! reading on. A pass looks its caller up again, and answers what facts in memory answer; the others wait for the
//! database beside later passes, a few at a time. A stream has no task and no queue but these.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Turn, Poll};
use std::time::Duration;

use doorward_engine::decide::Decision;
use doorward_engine::id::{Revision, TenantId};
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::convert::{Context, check};
use super::rpcs::Streamed;
use super::watch::Identify;
use super::{Rates, decline, status};
use crate::caller::Caller;
use crate::clock::Stopwatch;
use crate::proto;
use crate::proto::stream_check_access_response::Result as Said;
use crate::service::check::{AtOnce, Checked, Inquiry, Item};
use crate::service::{Backend, Error, Service, authority};
use crate::store::{Epoch, Tier};
use crate::telemetry::Class;

/// How many questions are decided as one pass. A worker serves others before the next one.
const PASS_MAX: usize = 128;
/// How many questions of one stream are with the database at once. When there are more, no more are read.
const LATE_MAX: usize = 32;
/// How many tenants' tokens a stream remembers.
const TOKENS_MAX: usize = 256;
/// After how long without a pass the caller is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(4);

type Asked = proto::StreamCheckAccessRequest;
type Answer = proto::StreamCheckAccessResponse;
type Decided = Result<Checked<Decision>, Error>;

/// A question that waits for the database.
struct Late {
    sequence: u64,
    question: (Inquiry, Item),
    doubted: bool,
    caller: Arc<Caller>,
    /// When its time is over; none: later than there are instants.
    until: Option<Instant>,
}

/// What ends a stream, when all that was asked before is answered.
enum End {
    /// The caller asks nothing more, or the server is about to stop.
    Good,
    /// What came is no question.
    Bad(Status),
}

/// What there is to do.
enum Work {
    /// Answers to send, or questions to decide.
    Pass,
    /// Nothing was asked for a time.
    Idle,
    /// Nothing more.
    Over(End),
}

/// One stream.
struct Questions<B: Backend> {
    context: Context<B>,
    rates: Arc<Rates>,
    identify: Identify,
    /// The longest that a question may take.
    patience: Duration,
    input: Streaming<Asked>,
    end: Option<End>,
    /// The connection is asked to end.
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Read, and not looked at yet.
    asked: Vec<Asked>,
    /// Of those that are with the database, and those that wait until fewer are.
    late: FuturesUnordered<BoxFuture<'static, (u64, TenantId, Decided)>>,
    later: VecDeque<Late>,
    /// To be sent.
    answers: Vec<Result<Answer, Status>>,
    tokens: HashMap<TenantId, Token>,
    idle: Pin<Box<Sleep>>,
    /// Whether a pass looked the caller up since `idle` began.
    is_known: bool,
    /// Whether the last pass left something unread, most likely.
    is_full: bool,
}

/// A tenant's newest revision token: many answers of a stream are of one revision.
struct Token {
    revision: Revision,
    epoch: Epoch,
    text: String,
}

/// Answers the questions of `input` until it ends, or `ending` is cancelled.
pub(super) fn answers<B: Backend>(
    context: Context<B>,
    rates: Arc<Rates>,
    identify: Identify,
    patience: Duration,
    (input, ending): (Streaming<Asked>, CancellationToken),
) -> Streamed<Answer> {
    let questions = Box::new(Questions {
        context,
        rates,
        identify,
        patience,
        input,
        end: None,
        ending: Box::pin(ending.cancelled_owned()),
        asked: Vec::new(),
        late: FuturesUnordered::new(),
        later: VecDeque::new(),
        answers: Vec::new(),
        tokens: HashMap::new(),
        idle: Box::pin(sleep(ASK_AGAIN)),
        is_known: true,
        is_full: false,
    });
    let passes = stream::unfold(Some(questions), |questions| async {
        let mut questions = questions?;
        match questions.next().await {
            Ok(Some(answers)) => Some((answers, Some(questions))),
            Ok(None) => None,
            Err(status) => {
                let mut answers = std::mem::take(&mut questions.answers);
                answers.push(Err(status));
                Some((answers, None))
            }
        }
    });
    Box::pin(passes.map(stream::iter).flatten())
}

impl<B: Backend> Questions<B> {
    /// The next answers, of one pass and of what has come from the database; none: that was all.
    async fn next(&mut self) -> Result<Option<Vec<Result<Answer, Status>>>, Status> {
        if std::mem::take(&mut self.is_full) {
            yield_now().await;
        }
        while self.answers.is_empty() {
            match poll_fn(|turn| self.poll(turn)).await {
                Work::Pass => self.pass().await?,
                Work::Idle => self.look_again().await?,
                Work::Over(End::Good) => return Ok(None),
                Work::Over(End::Bad(status)) => return Err(status),
            }
        }
        Ok(Some(std::mem::take(&mut self.answers)))
    }

    fn poll(&mut self, turn: &mut Turn<'_>) -> Poll<Work> {
        while self.answers.len() < PASS_MAX
            && let Poll::Ready(Some((sequence, tenant, decided))) = self.late.poll_next_unpin(turn)
        {
            self.answer(sequence, &tenant, decided);
            self.send_later();
        }
        self.read(turn);
        if !self.answers.is_empty() || !self.asked.is_empty() {
            return Poll::Ready(Work::Pass);
        }
        if self.late.is_empty()
            && let Some(end) = self.end.take()
        {
            return Poll::Ready(Work::Over(end));
        }
        self.idle.as_mut().poll(turn).map(|()| Work::Idle)
    }

    /// Takes in what there is, as far as there is room.
    fn read(&mut self, turn: &mut Turn<'_>) {
        if self.end.is_none() && self.ending.poll_unpin(turn).is_ready() {
            self.end = Some(End::Good);
        }
        while self.end.is_none() && self.later.is_empty() && self.asked.len() < PASS_MAX {
            match self.input.poll_next_unpin(turn) {
                Poll::Ready(Some(Ok(asked))) => self.asked.push(asked),
                Poll::Ready(Some(Err(status))) => self.end = Some(End::Bad(status)),
                Poll::Ready(None) => self.end = Some(End::Good),
                Poll::Pending => return,
            }
        }
    }

    /// Decides what was read: who asks is looked up after it has come, and before anything is decided.
    async fn pass(&mut self) -> Result<(), Status> {
        let mut asked = std::mem::take(&mut self.asked);
        if asked.is_empty() {
            return Ok(());
        }
        self.is_full = asked.len() == PASS_MAX;
        let until = Stopwatch::start().after(self.patience).map(Instant::from_std);
        match self.caller().await {
            Ok(caller) => self.decide(&Arc::new(caller), &mut asked, until).await,
            Err(error) => {
                self.go_on(&error)?;
                asked.drain(..).for_each(|asked| self.refuse(asked.sequence, &error));
            }
        }
        self.asked = asked;
        Ok(())
    }

    async fn decide(&mut self, caller: &Arc<Caller>, asked: &mut Vec<Asked>, until: Option<Instant>) {
        let mut sequences = Vec::with_capacity(asked.len());
        let mut questions = Vec::with_capacity(asked.len());
        for Asked { sequence, check } in asked.drain(..) {
            match self.question(caller, check.unwrap_or_default()) {
                Ok(question) => {
                    sequences.push(sequence);
                    questions.push(question);
                }
                Err(error) => self.refuse(sequence, &error),
            }
        }
        let decided = self.context.service.check_at_once(caller, &questions).await;
        let reason = |decided: &AtOnce| match decided {
            AtOnce::Answered(Ok(checked)) => Some(checked.answer.reason),
            AtOnce::Answered(Err(_)) | AtOnce::Later { .. } => None,
        };
        self.context.metrics.checks(decided.iter().filter_map(reason), Tier::Near.name());
        for ((sequence, question), decided) in sequences.into_iter().zip(questions).zip(decided) {
            match decided {
                AtOnce::Answered(Ok(checked)) => self.tell(sequence, &question.0.tenant, &checked),
                AtOnce::Answered(Err(error)) => self.refuse(sequence, &error),
                AtOnce::Later { doubted } => {
                    let caller = Arc::clone(caller);
                    self.later.push_back(Late { sequence, question, doubted, caller, until });
                }
            }
        }
        self.send_later();
    }

    /// A question weighs what a check does, whatever it is.
    fn question(&self, caller: &Caller, check: proto::CheckAccessRequest) -> Result<(Inquiry, Item), Error> {
        self.rates.take(self.context.operation, caller, &check.tenant_id, 1)?;
        check::question(&self.context.keys, check)
    }

    /// Who calls, as of now, if they may ask anything at all.
    async fn caller(&mut self) -> Result<Caller, Error> {
        let looked = timeout(self.patience, (self.identify)()).await;
        let caller = looked.unwrap_or(Err(Error::DeadlineExceeded { may_be_applied: false }))?;
        authority::permits(&caller, self.context.operation)?;
        Ok(caller)
    }

    /// Nothing was asked for a time: who may not ask any more does not keep a place.
    async fn look_again(&mut self) -> Result<(), Status> {
        self.idle.set(sleep(ASK_AGAIN));
        if std::mem::take(&mut self.is_known) {
            return Ok(());
        }
        self.caller().await.map_or_else(|error| self.go_on(&error), |_| Ok(()))
    }

    /// Whoever is nobody ends the stream; who that is cannot be known now, and the stream goes on.
    fn go_on(&self, error: &Error) -> Result<(), Status> {
        match error {
            Error::Unavailable(_) | Error::Overloaded { .. } | Error::DeadlineExceeded { .. } => Ok(()),
            _ => Err(status::of(self.context.operation, error)),
        }
    }

    fn send_later(&mut self) {
        while self.late.len() < LATE_MAX
            && let Some(late) = self.later.pop_front()
        {
            self.late.push(Box::pin(late.decided(Arc::clone(&self.context.service))));
        }
    }

    fn answer(&mut self, sequence: u64, tenant: &TenantId, decided: Decided) {
        match decided {
            Ok(checked) => {
                self.context.metrics.check(checked.answer.reason, checked.tier.name());
                self.tell(sequence, tenant, &checked);
            }
            Err(error) => self.refuse(sequence, &error),
        }
    }

    /// What was decided, and is counted.
    fn tell(&mut self, sequence: u64, tenant: &TenantId, checked: &Checked<Decision>) {
        let response = check::told(checked, self.token(tenant, checked.revision));
        self.answers.push(Ok(Answer { sequence, result: Some(Said::Response(response)) }));
    }

    fn refuse(&mut self, sequence: u64, error: &Error) {
        if let Some(decline) = decline(error) {
            self.context.metrics.admissions.refused(Class::Checks, decline);
        }
        let error = status::of_question(self.context.operation, error);
        self.answers.push(Ok(Answer { sequence, result: Some(Said::Error(error)) }));
    }

    fn token(&mut self, tenant: &TenantId, revision: Revision) -> String {
        let epoch = self.context.service.epoch();
        let is_same = |token: &&Token| (token.revision, token.epoch) == (revision, epoch);
        if let Some(token) = self.tokens.get(tenant).filter(is_same) {
            return token.text.clone();
        }
        let text = self.context.revision_token(tenant.as_str(), revision);
        if self.tokens.len() >= TOKENS_MAX {
            self.tokens.clear();
        }
        self.tokens.insert(tenant.clone(), Token { revision, epoch, text: text.clone() });
        text
    }
}

impl Late {
    async fn decided<B: Backend>(self, service: Arc<Service<B>>) -> (u64, TenantId, Decided) {
        let decided = service.check_later(&self.caller, &self.question, self.doubted);
        let decided = match self.until {
            Some(until) => timeout_at(until, decided)
                .await
                .unwrap_or(Err(Error::DeadlineExceeded { may_be_applied: false })),
            None => decided.await,
        };
        (self.sequence, self.question.0.tenant, decided)
    }
}
