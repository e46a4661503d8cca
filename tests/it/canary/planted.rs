//! What is planted, and the forms in which it might be found again. It knows no service.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A root of keys that is a text, too.
const ROOT: &[u8; 32] = b"canary-root-of-keys-0a1b2c3d4e5f";

/// What must not be found, with a name for people.
pub(super) struct Planted {
    pub(super) secrets: Vec<(String, String)>,
    pub(super) people: Vec<String>,
}

/// Planted from the beginning; what the service itself makes comes later.
const SECRETS: [&str; 15] = [
    "operator token",
    "password of Postgres",
    "password of Redis",
    "wrong bearer",
    "basic password",
    "bare header",
    "second header",
    "cookie",
    "actor",
    "invitation token",
    "api key",
    "page token",
    "revision token",
    "beyond the echo",
    "malformed message",
];

impl Planted {
    pub(super) fn new() -> Self {
        let secret =
            |name: &&str| ((*name).to_owned(), format!("Canary-{}-4f9a2c7d1e", name.replace(' ', "-")));
        let mut secrets: Vec<_> = SECRETS.iter().map(secret).collect();
        secrets.push(("root of keys".to_owned(), String::from_utf8(ROOT.to_vec()).unwrap()));
        let people =
            ["ann.canary@mail-of-canaries.example", "Ann Canary-Person", "canary.bad person@nowhere"];
        Self { secrets, people: people.map(str::to_owned).into() }
    }

    /// One that was planted.
    pub(super) fn secret(&self, name: &str) -> String {
        let found = self.secrets.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("{name} is not planted")).1.clone()
    }

    /// Whatever the service has made must be found nowhere either.
    pub(super) fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() > 20, "{name} is too short to be looked for");
        self.secrets.push((name.to_owned(), secret.to_owned()));
    }

    pub(super) fn root(&self) -> [u8; 32] {
        *ROOT
    }

    pub(super) fn root_hex(&self) -> String {
        hex(ROOT)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text as it is, in hexadecimal digits, and in base64 wherever in a longer text it begins.
pub(super) fn forms(text: &str) -> Vec<String> {
    let hex = hex(text.as_bytes());
    let mut forms = vec![text.to_owned(), hex.to_uppercase(), hex];
    for before in 0..3_usize {
        let padded = [&vec![0; before][..], text.as_bytes()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            // What shares a letter with its neighbours is left out.
            let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            forms.push(engine.encode(&padded)[from..to].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

#[test]
fn a_secret_is_known_again_in_each_form() {
    let (secret, around) = ("Canary-secret-1234", "xyz");
    for before in 0..3 {
        let text = [&around[..before], secret, around].concat();
        for heard in [text.clone(), hex(text.as_bytes()), STANDARD_NO_PAD.encode(&text)] {
            assert!(forms(secret).iter().any(|form| heard.contains(form)), "{heard}");
        }
    }
}
