//! A check is answered alike, in however many pieces it comes: whole in one frame, which most clients send, or in any other
//! way that HTTP/2 allows.

use std::net::SocketAddr;
use std::time::Duration;

use doorward::proto;
use prost_reflect::prost::Message;
use tokio::time::timeout;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Request, Version};
use tonic::{Code, Status};

use crate::harness::{on_both, refused, resource, user_subject};
use crate::raw::{connect, framed, operator};

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
const PATIENCE: Duration = Duration::from_secs(20);

/// How a body ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With its last frame.
    Frame,
    /// With a frame that is empty, a moment later.
    Empty,
    /// With trailers, which gRPC's clients do not send.
    Trailers,
}

/// Sends a body frame by frame; the answer's body, and how it ended.
async fn sent(address: SocketAddr, frames: &[&[u8]], end: End) -> (Bytes, Status) {
    let (sender, _tasks) = connect(address).await;
    let (name, value) = operator();
    let request = Request::post(format!("http://{address}{CHECK}")).version(Version::HTTP_2);
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let request = request.header(name, value).body(()).unwrap();
    let (answer, mut body) = sender.ready().await.unwrap().send_request(request, false).unwrap();
    let pause = || tokio::time::sleep(Duration::from_millis(2));
    for (at, frame) in frames.iter().enumerate() {
        let is_last = at + 1 == frames.len() && matches!(end, End::Frame);
        // The server may have answered before the last one.
        let _ = body.send_data(Bytes::copy_from_slice(frame), is_last);
        pause().await;
    }
    let _ = match end {
        End::Frame => Ok(()),
        End::Empty => body.send_data(Bytes::new(), true),
        End::Trailers => body.send_trailers(HeaderMap::new()),
    };
    let (parts, mut body) = answer.await.unwrap().into_parts();
    assert_eq!(
        (parts.status.as_u16(), &parts.headers["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    let mut answered = Vec::new();
    while let Some(data) = body.data().await {
        answered.extend_from_slice(&data.unwrap());
    }
    let end = body.trailers().await.unwrap().unwrap_or(parts.headers);
    (answered.into(), Status::from_header_map(&end).unwrap())
}

on_both!(a_check_is_answered_alike_in_however_many_pieces_it_comes, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    server.agent("acme", "a1").await;
    let address = server.running.grpc;
    let ask = |id: &str| {
        let request = proto::CheckAccessRequest {
            tenant_id: "acme".to_owned(),
            subject: Some(user_subject("ben")),
            action: "view".to_owned(),
            resource: Some(resource("agent", id)),
            ..Default::default()
        };
        framed(&request.encode_to_vec())
    };
    let whole = ask("a1");
    let bytes: Vec<_> = whole.chunks(1).collect();
    let ways: [&[&[u8]]; 6] = [
        &[&whole],
        &[&[], &whole],
        &[&whole, &[]],
        &[&whole[..5], &whole[5..]],
        &[&whole[..20], &whole[20..]],
        &bytes,
    ];
    let expected = sent(address, &[&whole], End::Frame).await.0;
    let answer = proto::CheckAccessResponse::decode(&expected[5..]).unwrap();
    assert_eq!((answer.reason(), answer.hide), (proto::Reason::NotGranted, true));
    for frames in ways {
        for end in [End::Frame, End::Empty, End::Trailers] {
            let answered = timeout(PATIENCE, sent(address, frames, end)).await.unwrap();
            let what = format!("{} frames, {end:?}", frames.len());
            assert_eq!((answered.0.as_ref(), answered.1.code()), (expected.as_ref(), Code::Ok), "{what}");
        }
    }
    // What is not one message is none, however it comes.
    let two = [whole.clone(), ask("a2")].concat();
    let compressed = [&[1], &whole[1..]].concat();
    let longer = [&whole[..4], &[whole[4] + 1], &whole[5..]].concat();
    for framed in [&compressed, &longer] {
        for frames in [&[&framed[..]][..], &[&framed[..7], &framed[7..]]] {
            let (_, status) = timeout(PATIENCE, sent(address, frames, End::Frame)).await.unwrap();
            refused::<()>(Err(status), Code::InvalidArgument, "MALFORMED_MESSAGE");
        }
    }
    let alike = [
        sent(address, &[&two], End::Frame).await,
        sent(address, &[&whole, &two[whole.len()..]], End::Frame).await,
    ];
    assert_eq!((&alike[0].0, alike[0].1.code()), (&alike[1].0, alike[1].1.code()));
});
