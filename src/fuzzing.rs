//! What each target of `fuzz/` does with its bytes, gathered: for fuzzing and for the tests of its seeds alone. The
//! targets stand beside what they are about; here are those that need nothing private (docs/fuzzing.md).

mod audit;
mod catalogue;

pub use self::audit::audit;
pub use self::catalogue::catalogue;
pub use crate::cache::far::fuzzing::entry;
pub use crate::caller::fuzzing::{credential, services};
pub use crate::caller::oidc::fuzzing::{jwks, jwt};
pub use crate::wire::fuzzing::{door, request, text, token};

/// A target: its name, as its file and its folder of seeds have it, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 11] = [
    ("audit", audit),
    ("catalogue", catalogue),
    ("credential", credential),
    ("door", door),
    ("entry", entry),
    ("jwks", jwks),
    ("jwt", jwt),
    ("request", request),
    ("services", services),
    ("text", text),
    ("token", token),
];

/// Seeds that only our keys can make: for each, its target, its name and its bytes.
#[must_use]
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let of = |target, seeds: Vec<(String, Vec<u8>)>| {
        seeds.into_iter().map(move |(name, bytes)| (target, name, bytes))
    };
    let people = of("jwt", crate::caller::oidc::fuzzing::tokens());
    let sets = of("jwks", crate::caller::oidc::fuzzing::sets());
    people.chain(sets).chain(of("token", crate::wire::fuzzing::seeds())).collect()
}
