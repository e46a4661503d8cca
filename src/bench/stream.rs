//! A stream of questions that stays open: what lanes ask at the same time goes out together, and each gets its own answer,
//! by its number.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use h2::{RecvStream, SendStream};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tonic::codegen::Bytes;

use super::call::Call;
use super::connection::{Connection, Tokens, refusal};
use super::load::Answers;
use crate::proto::{StreamCheckAccessResponse, stream_check_access_response::Result as Answer};

/// The most bytes of questions that wait to be sent: lanes are far fewer than that.
const OUT_MAX: usize = 8 * 1024 * 1024;

/// An open stream.
pub(super) struct Stream {
    state: Arc<State>,
    _tasks: JoinSet<()>,
    _connection: Connection,
}

#[derive(Default)]
struct State {
    board: Mutex<Board>,
    /// Something waits to be sent.
    due: Notify,
}

#[derive(Default)]
struct Board {
    next: u64,
    out: Vec<u8>,
    waiting: HashMap<u64, oneshot::Sender<Result<bool, String>>>,
    /// Why the stream has ended.
    end: Option<String>,
}

impl Stream {
    /// Opens one, in a runtime, on a connection of its own.
    pub(super) async fn open(address: SocketAddr, tokens: &Tokens) -> Result<Self, String> {
        let connection = Connection::open(address, tokens).await?;
        let (answer, questions) =
            connection.stream().await.map_err(|error| format!("connection: {error}"))?;
        let state = Arc::<State>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(send(Arc::clone(&state), questions));
        let receiving = Arc::clone(&state);
        tasks.spawn(async move {
            let end = match answer.await {
                Ok(answer) => {
                    let (parts, body) = answer.into_parts();
                    receive(&receiving, body).await.unwrap_or_else(|| refusal(&parts.headers))
                }
                Err(error) => format!("connection: {error}"),
            };
            receiving.end(end);
        });
        Ok(Self { state, _tasks: tasks, _connection: connection })
    }
}

impl Answers for Stream {
    async fn ask(&self, call: &Call) -> Result<(), String> {
        let answer = self.state.put(call)?;
        call.judge(answer.await.unwrap_or_else(|_| Err("the stream ended".to_owned()))?)
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question to those that wait to be sent.
    fn put(&self, call: &Call) -> Result<oneshot::Receiver<Result<bool, String>>, String> {
        let mut board = self.lock();
        if let Some(end) = &board.end {
            return Err(end.clone());
        }
        if board.out.len() > OUT_MAX {
            return Err("the service takes no questions".to_owned());
        }
        let (number, check) = (board.next, call.message.get(5..).unwrap_or_default());
        board.next += 1;
        encode(number, check, &mut board.out);
        let (sender, receiver) = oneshot::channel();
        board.waiting.insert(number, sender);
        self.due.notify_one();
        Ok(receiver)
    }

    fn answered(&self, frame: &[u8]) {
        let Ok(message) = StreamCheckAccessResponse::decode(frame) else { return };
        let answer = match message.result {
            Some(Answer::Response(response)) => Ok(response.allowed),
            Some(Answer::Error(error)) => Err(format!("code {}: {}", error.code, error.message)),
            None => Err("an answer without a result".to_owned()),
        };
        if let Some(sender) = self.lock().waiting.remove(&message.sequence) {
            // Who has gone needs no answer.
            let _ = sender.send(answer);
        }
    }

    fn end(&self, why: String) {
        let mut board = self.lock();
        for (_, sender) in board.waiting.drain() {
            let _ = sender.send(Err(why.clone()));
        }
        board.end = Some(why);
    }
}

/// `StreamCheckAccessRequest` in its gRPC frame, over a question that is encoded already.
fn encode(number: u64, check: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 5]);
    encode_key(1, WireType::Varint, out);
    encode_varint(number, out);
    encode_key(2, WireType::LengthDelimited, out);
    encode_varint(check.len() as u64, out);
    out.extend_from_slice(check);
    let length = u32::try_from(out.len() - start - 5).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(head) = out.get_mut(start + 1..start + 5) {
        head.copy_from_slice(&length);
    }
}

async fn send(state: Arc<State>, mut questions: SendStream<Bytes>) {
    loop {
        state.due.notified().await;
        let out = std::mem::take(&mut state.lock().out);
        if !out.is_empty() && questions.send_data(out.into(), false).is_err() {
            // The receiver hears why.
            return;
        }
    }
}

/// Hands out answers until the stream ends; how, where trailers tell.
async fn receive(state: &State, mut body: RecvStream) -> Option<String> {
    let mut rest = Vec::new();
    while let Some(data) = body.data().await {
        let data = match data {
            Ok(data) => data,
            Err(error) => return Some(format!("connection: {error}")),
        };
        let _ = body.flow_control().release_capacity(data.len());
        rest.extend_from_slice(&data);
        let mut used = 0;
        while let Some((frame, length)) = first(rest.get(used..).unwrap_or_default()) {
            state.answered(frame);
            used += length;
        }
        rest.drain(..used);
    }
    let trailers = body.trailers().await.ok().flatten();
    trailers.as_ref().map(refusal)
}

/// The first message, and the length of its frame; none: it is not there yet.
fn first(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length = u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize;
    Some((bytes.get(5..5 + length)?, 5 + length))
}

#[cfg(test)]
mod tests {
    use super::super::call::framed;
    use super::*;
    use crate::proto;

    #[test]
    fn a_question_on_a_stream_is_what_protobuf_makes_of_it() {
        let check = proto::CheckAccessRequest { tenant_id: "acme".to_owned(), ..Default::default() };
        for sequence in [1, 300] {
            let mut out = vec![9];
            encode(sequence, &check.encode_to_vec(), &mut out);
            let message = proto::StreamCheckAccessRequest { sequence, check: Some(check.clone()) };
            assert_eq!(&out[1..], &framed(&message)[..]);
        }
    }

    #[test]
    fn answers_find_who_asked_however_they_are_cut() {
        let state = State::default();
        let call = Call::floor();
        let mut asked: Vec<_> = (0..2).map(|_| state.put(&call).unwrap()).collect();
        let answer = |sequence, allowed| {
            let response = proto::CheckAccessResponse { allowed, ..Default::default() };
            framed(&StreamCheckAccessResponse { sequence, result: Some(Answer::Response(response)) })
        };
        let bytes = [answer(1, true), answer(0, false)].concat();
        assert_eq!(first(&bytes[..8]), None);
        let (frame, length) = first(&bytes).unwrap();
        state.answered(frame);
        state.answered(first(&bytes[length..]).unwrap().0);
        assert_eq!(asked[1].try_recv().unwrap(), Ok(true));
        assert_eq!(asked[0].try_recv().unwrap(), Ok(false));
        state.end("gone".to_owned());
        assert_eq!(state.put(&call).unwrap_err(), "gone");
    }
}
