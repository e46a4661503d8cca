//! The trace that a call comes from: `traceparent`, as W3C Trace Context writes it. What is anything else is none.

use http::HeaderMap;

use crate::telemetry::trace::{Ids, Parent, SpanId, TraceId};

/// The header.
const TRACEPARENT: &str = "traceparent";
const SAMPLED: u8 = 1;

/// What the caller says of its trace.
pub(super) fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (given.next()?, given.next());
    if second.is_some() { None } else { parse(first.to_str().ok()?) }
}

/// `version-trace-span-flags`; a version later than ours may say more behind.
fn parse(text: &str) -> Option<Parent> {
    let mut parts = text.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !(is_known && hex(trace, 32) && hex(span, 16) && hex(flags, 2)) {
        return None;
    }
    let ids = Ids { trace: TraceId::from_hex(trace).ok()?, span: SpanId::from_hex(span).ok()? };
    let is_sampled = u8::from_str_radix(flags, 16).ok()? & SAMPLED != 0;
    let is_valid = ids.trace != TraceId::INVALID && ids.span != SpanId::INVALID;
    is_valid.then_some(Parent { ids, is_sampled })
}

fn hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_w3c_writes_is_understood() {
        for (version, flags, rest, sampled) in [
            ("00", "01", "", true),
            ("00", "00", "", false),
            ("00", "03", "", true),
            ("cc", "01", "-more-x", true),
        ] {
            let Parent { ids, is_sampled } =
                parse(&format!("{version}-{TRACE}-{SPAN}-{flags}{rest}")).unwrap();
            assert_eq!((ids.trace.to_string(), ids.span.to_string()), (TRACE.to_owned(), SPAN.to_owned()));
            assert_eq!(is_sampled, sampled, "{flags}");
        }
    }

    #[test]
    fn all_else_is_none() {
        let zero = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{}+-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-+1"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
        let mut twice = HeaderMap::new();
        twice.append(TRACEPARENT, format!("00-{TRACE}-{SPAN}-01").parse().unwrap());
        assert!(parent(&twice).is_some());
        twice.append(TRACEPARENT, format!("00-{TRACE}-{SPAN}-01").parse().unwrap());
        assert_eq!(parent(&twice), None);
    }
}
