//! How every HTTP/2 connection begins: who begins otherwise is not answered. It knows the first bytes, and no others.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The client's preface (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads the preface, and nothing after it.
///
/// # Errors
/// It ends before, or with the first byte that is another.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut found = [0; PREFACE.len()];
    let mut length = 0;
    while let Some(rest @ [_, ..]) = found.get_mut(length..) {
        let more = from.read(rest).await?;
        length += more;
        if more == 0 || !PREFACE.starts_with(found.get(..length).unwrap_or_default()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_taken(mut bytes: &[u8]) -> (bool, usize) {
        let taken = read(&mut bytes).await.is_ok();
        (taken, bytes.len())
    }

    #[tokio::test]
    async fn the_preface_is_read_and_nothing_after_it() {
        let bytes = [&PREFACE[..], b"rest"].concat();
        assert_eq!(is_taken(&bytes).await, (true, 4));
    }

    #[tokio::test]
    async fn what_begins_otherwise_or_ends_before_is_not_taken() {
        for bytes in [
            &b""[..],
            b"GET / HTTP/1.1\r\n\r\n",
            &PREFACE[..23],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r",
            &[0; 64],
        ] {
            assert!(!is_taken(bytes).await.0, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn one_wrong_byte_is_enough() {
        let (mut far, mut near) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut far, b"X").await.unwrap();
        assert!(read(&mut near).await.is_err());
    }
}
