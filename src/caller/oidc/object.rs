//! A JSON object in which no name occurs twice: what two readers could understand differently is refused. It knows no token.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// The members of an object.
///
/// `serde_json`'s own map keeps the last of several members with one name, and a derived struct may be read from an
/// array and passes over what it does not know: this type does neither. Escapes are read first, so that `"\u0061lg"`
/// is `"alg"`.
#[derive(Debug)]
pub(super) struct Object(BTreeMap<String, Value>);

impl Object {
    /// The object that the bytes are, and nothing beside it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The text that is a member; none also where it is something else.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object in which no name occurs twice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_in_one_way_or_not_at_all() {
        let object = Object::parse(br#" {"a":"x","b":1,"c":{"d":1,"d":2}} "#).unwrap();
        assert_eq!(
            (object.text("a"), object.text("b"), object.has("c"), object.has("d")),
            (Some("x"), None, true, false)
        );
        for other in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"alg":"RS256","\u0061lg":"none"}"#,
            br#"{"a":1}{"a":2}"#,
            br#"{"a":1} x"#,
            br#"["a"]"#,
            br#""a""#,
            b"null",
            b"",
            b"\xff",
            b"{\"\xff\":1}",
            br#"{"a":1,}"#,
        ] {
            assert!(Object::parse(other).is_none(), "{other:?}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
        assert!(Object::parse(deep.as_bytes()).is_none());
    }
}
