//! How long a call may take: what its caller asks for, as gRPC writes it, and never more than the cap.

use std::time::Duration;

use http::HeaderMap;

use crate::service::Violation;

/// The header of a caller's deadline.
const TIMEOUT: &str = "grpc-timeout";
const ALLOWED: &str = "1 to 8 digits and one of the units H, M, S, m, u and n, once; for example `500m`";
const DIGITS_MAX: usize = 8;

/// The time that the caller gives, if it gives one.
///
/// # Errors
/// What is allowed, where it is anything else.
pub(in crate::wire) fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Violation> {
    let mut given = headers.get_all(TIMEOUT).iter();
    let Some(first) = given.next() else {
        return Ok(None);
    };
    let time = if given.next().is_some() { None } else { parse(first.as_bytes()) };
    time.map(Some).ok_or_else(|| Violation::new(TIMEOUT, format!("not a timeout; allowed: {ALLOWED}")))
}

fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=DIGITS_MAX).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The smaller of what is asked for and the cap.
pub(super) fn limit(asked: Option<Duration>, cap: Option<Duration>) -> Option<Duration> {
    match (asked, cap) {
        (Some(asked), Some(cap)) => Some(asked.min(cap)),
        (asked, cap) => asked.or(cap),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_unit_is_understood() {
        for (text, expected) in [
            ("1n", Duration::from_nanos(1)),
            ("250u", Duration::from_micros(250)),
            ("00000020m", Duration::from_millis(20)),
            ("3S", Duration::from_secs(3)),
            ("2M", Duration::from_secs(120)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn all_else_is_refused_with_what_is_allowed() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "1 S",
            " 1S",
            "1S ",
            "+1S",
            "-1S",
            "1.5S",
            "123456789S",
            "1mS",
            "1h",
            "\u{661}S",
        ] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(TIMEOUT),
                HeaderValue::from_bytes(text.as_bytes()).unwrap(),
            )]);
            let violation = asked(&headers).expect_err(text);
            assert_eq!(violation.field, TIMEOUT);
            assert!(violation.problem.contains("1 to 8 digits"), "{violation:?}");
        }
        let mut twice = HeaderMap::new();
        assert_eq!(asked(&twice), Ok(None));
        twice.append(TIMEOUT, HeaderValue::from_static("1S"));
        assert_eq!(asked(&twice), Ok(Some(Duration::from_secs(1))));
        twice.append(TIMEOUT, HeaderValue::from_static("1S"));
        assert!(asked(&twice).is_err());
    }

    #[test]
    fn the_smaller_one_counts() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(limit(Some(short), Some(long)), Some(short));
        assert_eq!(limit(Some(long), Some(short)), Some(short));
        assert_eq!(limit(Some(long), None), Some(long));
        assert_eq!(limit(None, Some(short)), Some(short));
        assert_eq!(limit(None, None), None);
    }
}
