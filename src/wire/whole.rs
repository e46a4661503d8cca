//! Checks that come whole: a message that is all of one frame is read, answered and written here. Whatever comes in another
//! way goes the library's, which keeps buffers and boxes for messages in many pieces; what was read of it is put back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{Either, poll_fn};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body as HttpBody, Frame};
use prost::Message;
use prost::bytes::{BufMut, BytesMut};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Bytes;
use tower::{Service, service_fn};

use super::convert::check;
use super::{Grpc, MESSAGE_MAX};
use crate::caller::Caller;
use crate::proto;
use crate::proto::access_service_server::AccessServiceServer;
use crate::service::{Backend, Operation};

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
const ENCODING: &str = "grpc-encoding";
/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Every RPC of the `AccessService`, behind the door.
pub fn served<B: Backend>(
    grpc: Arc<Grpc<B>>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let usual = AccessServiceServer::from_arc(Arc::clone(&grpc))
        .max_decoding_message_size(MESSAGE_MAX)
        .accept_compressed(CompressionEncoding::Gzip);
    service_fn(move |request: Request<Body>| {
        let mut usual = usual.clone();
        if request.uri().path() == CHECK && !request.headers().contains_key(ENCODING) {
            Either::Left(check(Arc::clone(&grpc), usual, request))
        } else {
            Either::Right(usual.call(request))
        }
    })
}

async fn check<B: Backend>(
    grpc: Arc<Grpc<B>>,
    mut usual: AccessServiceServer<Grpc<B>>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let (mut parts, mut body) = request.into_parts();
    let message = match read(&mut body).await {
        Ok(message) => message,
        Err(read) => {
            let again = Body::new(Again { read: read.into_iter(), body });
            return usual.call(Request::from_parts(parts, again)).await;
        }
    };
    let caller = parts.extensions.remove::<Caller>();
    let answer = grpc.answer(Operation::CheckAccess, caller, message, check::check_access).await;
    Ok(answer.and_then(|answer| written(&answer)).unwrap_or_else(Status::into_http))
}

/// What has come of a body.
type Read = Result<Frame<Bytes>, Status>;

/// The message, once all has come; or, where that is not one message in one frame and an end, what has come.
async fn read(body: &mut Body) -> Result<proto::CheckAccessRequest, Vec<Read>> {
    let first = match next(body).await {
        Some(Ok(frame)) => frame.into_data().map_err(|frame| vec![Ok(frame)])?,
        other => return Err(other.into_iter().collect()),
    };
    let Some(message) = message(&first) else { return Err(vec![Ok(Frame::data(first))]) };
    while !body.is_end_stream() {
        match next(body).await {
            None => break,
            Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
            Some(more) => return Err(vec![Ok(Frame::data(first)), more]),
        }
    }
    proto::CheckAccessRequest::decode(message).map_err(|_| vec![Ok(Frame::data(first))])
}

async fn next(body: &mut Body) -> Option<Read> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// The one message, not compressed, that is all of some bytes.
fn message(framed: &[u8]) -> Option<&[u8]> {
    let ([is_compressed, length @ ..], message) = framed.split_first_chunk::<PREFIX_BYTES>()?;
    let is_all = usize::try_from(u32::from_be_bytes(*length)) == Ok(message.len());
    (*is_compressed == 0 && is_all && message.len() <= MESSAGE_MAX).then_some(message)
}

/// A good answer as it leaves.
fn written(answer: &proto::CheckAccessResponse) -> Result<Response<Body>, Status> {
    let length = answer.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    answer.encode(&mut framed).map_err(|error| Status::internal(error.to_string()))?;
    let mut response = Response::new(Body::new(Whole::Message(framed.freeze())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// The body of a good answer, by what is still to be sent.
enum Whole {
    Message(Bytes),
    End,
    Nothing,
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Read>> {
        let (frame, rest) = match std::mem::replace(&mut *self, Self::Nothing) {
            Self::Message(message) => (Frame::data(message), Self::End),
            Self::End => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                (Frame::trailers(trailers), Self::Nothing)
            }
            Self::Nothing => return Poll::Ready(None),
        };
        *self = rest;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// A body of which something has been read already.
struct Again {
    read: std::vec::IntoIter<Read>,
    body: Body,
}

impl HttpBody for Again {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Read>> {
        match self.read.next() {
            Some(read) => Poll::Ready(Some(read)),
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.len() == 0 && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_all_of_its_frame_and_not_compressed() {
        assert_eq!(message(&[0, 0, 0, 0, 2, 7, 8]), Some(&[7, 8][..]));
        assert_eq!(message(&[0, 0, 0, 0, 0]), Some(&[][..]));
        for other in
            [&[][..], &[0, 0, 0, 0], &[0, 0, 0, 0, 2, 7], &[0, 0, 0, 0, 1, 7, 8], &[1, 0, 0, 0, 1, 7]]
        {
            assert_eq!(message(other), None, "{other:?}");
        }
        let mut large = vec![0, 0, 0x10, 0, 1];
        large.resize(PREFIX_BYTES + MESSAGE_MAX + 1, 0);
        assert_eq!(message(&large), None, "longer than a message may be");
    }
}
