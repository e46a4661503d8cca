//! What the settings say of people's tokens, in the words of who verifies them.

use crate::caller::oidc;
use crate::settings;

impl From<settings::Oidc> for oidc::Options {
    fn from(settings: settings::Oidc) -> Self {
        let settings::Oidc { issuer, audience, jwks_url, algorithms, ca_file } = settings;
        Self { issuer, audience, jwks_url, algorithms, ca_file }
    }
}
