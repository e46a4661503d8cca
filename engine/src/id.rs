//! Names of things as types: a string that has been parsed once, and says what it names.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes an id may have.
pub const ID_BYTES_MAX: usize = 128;
/// The most bytes a `user_id` may have.
pub const USER_ID_BYTES_MAX: usize = 255;
/// The most bytes a catalogue key may have.
pub const KEY_BYTES_MAX: usize = 64;
/// The most bytes a slug may have.
pub const SLUG_BYTES_MAX: usize = 63;

/// Why a text names nothing: what it should have looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdError {
    /// What the text should have named, for example `tenant id`.
    pub kind: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}: expected {}", self.kind, self.allowed)
    }
}

impl std::error::Error for IdError {}

/// The bytes of ids, of user ids and of catalogue keys, as tables: each byte of a text costs one look-up.
const ID: [bool; 256] = bytes(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@|-");
const USER_ID: [bool; 256] =
    bytes(b"!#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~");
const KEY: [bool; 256] = bytes(b"abcdefghijklmnopqrstuvwxyz0123456789_");

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const fn bytes(mut given: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    while let [byte, rest @ ..] = given {
        table[*byte as usize] = true;
        given = rest;
    }
    table
}

fn all_in(text: &str, table: &[bool; 256]) -> bool {
    text.bytes().all(|byte| table.get(usize::from(byte)).is_some_and(|is_in| *is_in))
}

/// Whether a text is an opaque id: `[A-Za-z0-9][A-Za-z0-9._:@|-]{0,127}`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() <= ID_BYTES_MAX
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && all_in(text, &ID)
}

/// Whether a text is a user id: 1–255 bytes of 0x21–0x7E except quotes, backtick and backslash.
#[must_use]
pub fn is_user_id(text: &str) -> bool {
    (1..=USER_ID_BYTES_MAX).contains(&text.len()) && all_in(text, &USER_ID)
}

/// Whether a text is a catalogue key: `[a-z][a-z0-9_]{0,63}`.
#[must_use]
pub fn is_key(text: &str) -> bool {
    text.len() <= KEY_BYTES_MAX
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && all_in(text, &KEY)
}

/// Whether a text is a slug: 1–63 of `[a-z0-9-]`, neither first nor last a hyphen.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    (1..=SLUG_BYTES_MAX).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $kind:literal, $check:path, $allowed:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses the text; the error says what is allowed.
            ///
            /// # Errors
            /// [`IdError`] where the text has another shape.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError { kind: $kind, allowed: $allowed })
                }
            }

            /// The same of a text that is given away: it is not copied.
            ///
            /// # Errors
            /// The text, and [`IdError`] where it has another shape.
            pub fn own(text: String) -> Result<Self, (String, IdError)> {
                if $check(&text) {
                    Ok(Self(text.into()))
                } else {
                    Err((text, IdError { kind: $kind, allowed: $allowed }))
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::own(text).map_err(|(_, error)| error)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    )+};
}

names! {
    /// A tenant's id.
    TenantId: "tenant id", is_id, "1 to 128 of A-Z a-z 0-9 . _ : @ | -, the first a letter or digit";
    /// A member's id, within their tenant.
    MemberId: "member id", is_id, "1 to 128 of A-Z a-z 0-9 . _ : @ | -, the first a letter or digit";
    /// A resource's id, within its tenant and type.
    ResourceId: "resource id", is_id, "1 to 128 of A-Z a-z 0-9 . _ : @ | -, the first a letter or digit";
    /// The public id of an API key, within its tenant.
    KeyId: "API key id", is_id, "1 to 128 of A-Z a-z 0-9 . _ : @ | -, the first a letter or digit";
    /// The public id of a service's credential.
    CredentialId: "credential id", is_id, "1 to 128 of A-Z a-z 0-9 . _ : @ | -, the first a letter or digit";
    /// A person's id at the identity provider, compared byte for byte.
    UserId: "user id", is_user_id, "1 to 255 printable ASCII characters without spaces, quotes, backticks and backslashes";
    /// A tenant's unique, immutable short name.
    Slug: "slug", is_slug, "1 to 63 of a-z 0-9 -, neither first nor last a hyphen";
    /// What people call a tenant, a member, a resource or a key.
    Name: "name", is_name, "1 to 200 characters, without control and direction characters, without spaces at its ends";
    /// The key of a section.
    SectionKey: "section key", is_key, "1 to 64 of a-z 0-9 _, the first a letter";
    /// The key of a part of a section.
    PartKey: "part key", is_key, "1 to 64 of a-z 0-9 _, the first a letter";
    /// The key of a resource type.
    TypeKey: "resource type", is_key, "1 to 64 of a-z 0-9 _, the first a letter";
    /// The key of an action.
    ActionKey: "action", is_key, "1 to 64 of a-z 0-9 _, the first a letter";
    /// The key of a plan.
    PlanKey: "plan", is_key, "1 to 64 of a-z 0-9 _, the first a letter";
    /// The key of a feature switch.
    SwitchKey: "feature switch", is_key, "1 to 64 of a-z 0-9 _, the first a letter";
}

/// Whether a text is a name for people: 1–200 characters, no control or direction-changing ones, not padded.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty() && text.chars().count() <= 200 && text.trim() == text && !text.chars().any(hidden)
}

/// A resource within its tenant: its type and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceRef {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: TypeKey,
    /// Its id.
    pub id: ResourceId,
}

/// How often a tenant has changed: 1 at its creation, one more with each mutation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no id, key or slug may hold, whatever stands around it.
    const HOSTILE: &[&str] = &[
        "\0", "\n", "\r", "\t", " ", "\u{7f}", "\u{85}", "\u{a0}", "\u{200b}", "\u{202e}", "\u{2066}",
        "\u{feff}", "é", "а", "\"", "'", "`", "\\", "/", "%", "#", "?", "*", "<", ">", "{", "}", ",", ";",
        "=", "+", "&", "$", "!", "(", ")", "[", "]", "^", "~",
    ];

    fn with_hostile(text: &str, check: impl Fn(&str) -> bool) {
        for hostile in HOSTILE {
            for mixed in [format!("{hostile}{text}"), format!("{text}{hostile}"), format!("a{hostile}b")] {
                assert!(!check(&mixed), "{mixed:?}");
            }
        }
    }

    #[test]
    fn an_id_is_1_to_128_of_its_characters_and_begins_with_a_letter_or_digit() {
        for good in ["a", "Z", "0", "a.b_c:d@e|f-g", "0191d2c4-7c3e-7b3a-8f5e-1c2d3e4f5a6b", &"x".repeat(128)]
        {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", ".", "_a", ":a", "@a", "|a", "-a", &"x".repeat(129)] {
            assert!(!is_id(bad), "{bad}");
        }
        with_hostile("abc", is_id);
    }

    #[test]
    fn each_byte_is_of_the_alphabets_that_their_descriptions_say() {
        for byte in 0..=0x7f_u8 {
            let text = format!("a{}", char::from(byte));
            let is_id = byte.is_ascii_alphanumeric() || b"._:@|-".contains(&byte);
            assert_eq!(super::is_id(&text), is_id, "{byte:#x}");
            let is_user_id = (0x21..=0x7e).contains(&byte) && !b"\"'`\\".contains(&byte);
            assert_eq!(super::is_user_id(&text), is_user_id, "{byte:#x}");
            let is_key = byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert_eq!(super::is_key(&text), is_key, "{byte:#x}");
        }
    }

    #[test]
    fn a_user_id_is_printable_ascii_without_quotes() {
        for good in [
            "a",
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "user@example.com",
            "a/b?c=d&e#f",
            "!",
            "~",
            &"x".repeat(255),
        ] {
            assert!(is_user_id(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "a b",
            "a\0",
            "a\n",
            "\ta",
            "a\u{7f}",
            "é",
            "\u{202e}a",
            "a\"b",
            "a'b",
            "a`b",
            "a\\b",
            &"x".repeat(256),
        ] {
            assert!(!is_user_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn user_ids_are_compared_byte_for_byte() {
        assert_ne!(UserId::parse("Ann").unwrap(), UserId::parse("ann").unwrap());
    }

    #[test]
    fn a_key_is_1_to_64_of_lower_case_letters_digits_and_underscores() {
        for good in ["a", "mcp_debug", "a0", "a_", &"k".repeat(64)] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "0a", "_a", "A", "aB", "a-b", "a.b", &"k".repeat(65)] {
            assert!(!is_key(bad), "{bad}");
        }
        with_hostile("abc", is_key);
    }

    #[test]
    fn a_slug_is_1_to_63_without_hyphens_at_its_ends() {
        for good in ["a", "0", "acme", "a-b", "a--b", &"s".repeat(63)] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "-", "-a", "a-", "A", "a_b", "a.b", &"s".repeat(64)] {
            assert!(!is_slug(bad), "{bad}");
        }
        with_hostile("abc", is_slug);
    }

    #[test]
    fn a_name_is_for_people_and_hides_nothing() {
        for good in ["Ann", "Zoë Müller", "李小龍", "O'Neil \"Tip\" & Co. <x>", "👩", &"ä".repeat(200)]
        {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", " ", " a", "a ", "\u{a0}a", "a\u{3000}", &"ä".repeat(201)] {
            assert!(!is_name(bad), "{bad:?}");
        }
        for hidden in [
            '\0', '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{9b}', '\u{61c}', '\u{200b}', '\u{200e}',
            '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{2069}',
            '\u{feff}',
        ] {
            assert!(!is_name(&format!("a{hidden}b")), "{hidden:?}");
        }
    }

    #[test]
    fn an_error_says_what_is_allowed_and_not_what_was_given() {
        let error = TenantId::parse("no\u{202e}\n").unwrap_err().to_string();
        assert!(error.starts_with("not a valid tenant id: expected 1 to 128 of A-Z"), "{error}");
        assert!(!error.contains('\u{202e}'));
    }

    #[test]
    fn what_is_read_back_is_parsed_again() {
        #[derive(Debug, Deserialize)]
        struct Row {
            id: MemberId,
        }
        let row: Row = toml::from_str("id = \"m1\"").unwrap();
        assert_eq!(row.id.as_str(), "m1");
        let error = toml::from_str::<Row>("id = \"m 1\"").unwrap_err();
        assert!(error.to_string().contains("not a valid member id"), "{error}");
    }
}
