//! HTTP/2 written by hand over a socket, as an honest client never would. It knows frames and literal headers; it
//! understands of answers no more than who ends what, and the gRPC status.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A frame that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection that says what it is told to.
pub(crate) struct Raw {
    socket: TcpStream,
    /// The settings that the server began with.
    pub(crate) limits: Vec<u8>,
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header as a literal that no table keeps; as long as it likes.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// A text without Huffman's code: a length of seven bits, continued as RFC 7541 says.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if text.len() < 127 {
        bytes.push(u8::try_from(text.len()).unwrap());
    } else {
        bytes.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).unwrap());
    }
    bytes.extend(text.as_bytes());
    bytes
}

/// The headers of a gRPC call, and others.
pub(crate) fn block(path: &str, extra: &[(&str, &str)]) -> Vec<u8> {
    let call = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "doorward"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    call.iter().chain(extra).flat_map(|(name, value)| literal(name, value)).collect()
}

/// A gRPC message with its prefix.
pub(crate) fn message(compressed: bool, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)][..], &length, bytes].concat()
}

impl Raw {
    /// A socket on which nothing has been said.
    pub(crate) fn silent(address: &str) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket, limits: Vec::new() }
    }

    /// One that has begun as an honest client does, and lets the server use no table for headers.
    pub(crate) fn connect(address: &str) -> Self {
        Self::silent(address).greet()
    }

    /// The same, with little room for what it has not read.
    pub(crate) fn connect_narrow(address: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
        Self::over(socket.into()).greet()
    }

    fn greet(self) -> Self {
        let mut raw = self;
        raw.send(PREFACE).unwrap();
        raw.settings(&[(HEADER_TABLE_SIZE, 0)]).unwrap();
        // The server's windows count from the moment at which its settings are acknowledged.
        raw.limits = raw.read_until(|frame| frame.kind == SETTINGS && frame.flags == 0).unwrap().payload;
        raw.send(&frame(SETTINGS, ACK, 0, &[])).unwrap();
        raw
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    pub(crate) fn settings(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        let payload: Vec<_> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        self.send(&frame(SETTINGS, 0, 0, &payload))
    }

    /// Begins a call.
    pub(crate) fn headers(
        &mut self,
        stream: u32,
        path: &str,
        extra: &[(&str, &str)],
        end_stream: bool,
    ) -> io::Result<()> {
        let flags = END_HEADERS | if end_stream { END_STREAM } else { 0 };
        self.send(&frame(HEADERS, flags, stream, &block(path, extra)))
    }

    pub(crate) fn data(&mut self, stream: u32, bytes: &[u8], end: bool) -> io::Result<()> {
        let mut chunks = bytes.chunks(16_384).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if end && chunks.peek().is_none() { END_STREAM } else { 0 };
            self.send(&frame(DATA, flags, stream, chunk))?;
        }
        Ok(())
    }

    /// The next frame.
    pub(crate) fn read(&mut self) -> io::Result<Frame> {
        let mut header = [0; 9];
        self.socket.read_exact(&mut header)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let mut payload = vec![0; number(&header[..3]) as usize];
        self.socket.read_exact(&mut payload)?;
        Ok(Frame { kind: header[3], flags: header[4], stream: number(&header[5..]) & 0x7fff_ffff, payload })
    }

    /// The next frame of a kind, answering what must be answered on the way.
    pub(crate) fn read_until(&mut self, is_wanted: impl Fn(&Frame) -> bool) -> io::Result<Frame> {
        loop {
            let found = self.read()?;
            if is_wanted(&found) {
                return Ok(found);
            }
            match (found.kind, found.flags & ACK) {
                (PING, 0) => self.send(&frame(PING, ACK, 0, &found.payload))?,
                (SETTINGS, 0) => self.send(&frame(SETTINGS, ACK, 0, &[]))?,
                _ => {}
            }
        }
    }

    /// The gRPC status that a call ends with.
    pub(crate) fn status(&mut self, stream: u32) -> io::Result<u32> {
        loop {
            let found = self.read_until(|frame| frame.stream == stream && frame.kind != DATA)?;
            match found.kind {
                HEADERS => {
                    if let Some(status) = grpc_status(&found.payload) {
                        return Ok(status);
                    }
                }
                RST_STREAM => return Err(io::Error::other(format!("reset: {:?}", found.payload))),
                _ => {}
            }
        }
    }

    /// Whether the server ends the connection within a time; what it still says is not looked at.
    pub(crate) fn is_closed_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut bytes = [0; 65_536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }

    /// Reads whatever comes, in a thread of its own, and forgets it.
    pub(crate) fn drain(&self) {
        let mut socket = self.socket.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while matches!(socket.read(&mut bytes), Ok(1..)) {}
        });
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// The code of the characters of `grpc-status` and of numbers, and its length in bits (RFC 7541, appendix B).
const HUFFMAN: [(u8, u32, u32); 19] = [
    (b'0', 0x0, 5),
    (b'1', 0x1, 5),
    (b'2', 0x2, 5),
    (b'3', 0x19, 6),
    (b'4', 0x1a, 6),
    (b'5', 0x1b, 6),
    (b'6', 0x1c, 6),
    (b'7', 0x1d, 6),
    (b'8', 0x1e, 6),
    (b'9', 0x1f, 6),
    (b'a', 0x3, 5),
    (b'c', 0x4, 5),
    (b's', 0x8, 5),
    (b't', 0x9, 5),
    (b'-', 0x16, 6),
    (b'g', 0x26, 6),
    (b'p', 0x2b, 6),
    (b'r', 0x2c, 6),
    (b'u', 0x2d, 6),
];

/// A text in Huffman's code, with its length before it.
fn huffman(text: &str) -> Vec<u8> {
    let mut bits = Vec::new();
    for wanted in text.bytes() {
        let (_, code, length) = HUFFMAN.iter().find(|(byte, ..)| *byte == wanted).unwrap();
        bits.extend((0..*length).rev().map(|at| code >> at & 1));
    }
    let bytes: Vec<_> = bits
        .chunks(8)
        .map(|bits| (0..8).fold(0, |byte, at| byte << 1 | u8::try_from(*bits.get(at).unwrap_or(&1)).unwrap()))
        .collect();
    [&[0x80 | u8::try_from(bytes.len()).unwrap()], &bytes[..]].concat()
}

/// The status that headers hold. Servers write it as a literal, in Huffman's code: without a table there is no other way.
fn grpc_status(block: &[u8]) -> Option<u32> {
    (0..17).find(|status| {
        let found = [huffman("grpc-status"), huffman(&status.to_string())].concat();
        block.windows(found.len()).any(|window| window == found)
    })
}
