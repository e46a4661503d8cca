//! Calls by descriptor: bytes out, bytes and status back.

use std::time::Duration;

use doorward::proto;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost_reflect::MethodDescriptor;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) details: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        write!(f, "{:?} `{}` {} {}", self.code, self.text, lossy(&self.details), lossy(&self.body))
    }
}

impl Answer {
    /// The same, with one name for another of the same length.
    pub(crate) fn renamed(&self, from: &str, to: &str) -> Self {
        let bytes = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for at in 0..bytes.len().saturating_sub(from.len() - 1) {
                if bytes[at..].starts_with(from.as_bytes()) {
                    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                }
            }
            bytes
        };
        let text = self.text.replace(from, to);
        Self { code: self.code, text, details: bytes(&self.details), body: bytes(&self.body) }
    }
}

pub(crate) struct Caller {
    channel: Channel,
}

impl Caller {
    pub(crate) fn over(channel: Channel) -> Self {
        Self { channel }
    }

    /// Calls, and waits for the first message or the end. What a stream answers to its one question counts as the call's
    /// own answer.
    pub(crate) async fn call(
        &self,
        method: &MethodDescriptor,
        message: Vec<u8>,
        headers: &[(&'static str, String)],
    ) -> Answer {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let path = PathAndQuery::try_from(path).unwrap();
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let mut request = Request::new(tokio_stream::iter([message]));
        for (name, value) in headers {
            request.metadata_mut().insert(*name, MetadataValue::try_from(value).unwrap());
        }
        request.set_timeout(Duration::from_secs(20));
        match grpc.streaming(request, path, Bytes).await {
            Ok(response) => match response.into_inner().message().await {
                Ok(body) => {
                    let body = body.unwrap_or_default();
                    let error = if method.is_client_streaming() { error_of(&body) } else { None };
                    let code = error.as_ref().map_or(Code::Ok, |error| error.code.into());
                    let text = error.map(|error| error.message).unwrap_or_default();
                    Answer { code, text, details: Vec::new(), body }
                }
                Err(status) => answer(&status),
            },
            Err(status) => answer(&status),
        }
    }
}

fn error_of(body: &[u8]) -> Option<proto::CheckError> {
    match proto::StreamCheckAccessResponse::decode(body).unwrap().result.unwrap() {
        proto::stream_check_access_response::Result::Error(error) => Some(error),
        proto::stream_check_access_response::Result::Response(_) => None,
    }
}

fn answer(status: &Status) -> Answer {
    Answer {
        code: status.code(),
        text: status.message().to_owned(),
        details: status.details().to_vec(),
        body: Vec::new(),
    }
}

/// Messages as their bytes.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
