//! Addresses, domains and countries: what the firewall and the invitations speak about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::IdError;

/// An email address: ASCII local part, domain in its ASCII form; compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(Box<str>);

impl Email {
    const ERROR: IdError = IdError {
        kind: "email address",
        allowed: "name@example.com: a local part of up to 64 ASCII characters and a domain, 254 bytes in all",
    };

    /// Parses an address whose domain is already in ASCII form; the domain is lower-cased.
    ///
    /// # Errors
    /// [`IdError`] where the text is not one plain address.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (local, domain) = text.rsplit_once('@').ok_or(Self::ERROR)?;
        let atom = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
        };
        if text.len() > 254 || local.len() > 64 || !local.split('.').all(atom) {
            return Err(Self::ERROR);
        }
        let domain = Domain::parse(domain).map_err(|_| Self::ERROR)?;
        Ok(Self(format!("{local}@{domain}").into()))
    }

    /// The address as it was given, the domain lower-cased.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that addresses are compared in: all lower-case.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> Domain {
        Domain(self.0.rsplit_once('@').map_or("", |(_, domain)| domain).into())
    }
}

/// A domain name in ASCII (punycode) form, lower-case, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Box<str>);

impl Domain {
    const ERROR: IdError = IdError {
        kind: "domain",
        allowed: "labels of letters, digits and hyphens with dots between, as in example.com",
    };

    /// Parses a domain in ASCII form and lower-cases it.
    ///
    /// # Errors
    /// [`IdError`] where the text is not such a name.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() > 253 || !text.split('.').all(label) || !text.contains('.') {
            return Err(Self::ERROR);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Two letters for a country, upper-case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// The officially assigned codes of ISO 3166-1, and XK, which is in wide use.
const ASSIGNED: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO \
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO \
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW \
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM \
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

impl Country {
    /// Parses two letters, of any case.
    ///
    /// # Errors
    /// [`IdError`] where the text is anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(IdError { kind: "country", allowed: "two letters of ISO 3166-1 alpha-2, as in DE" }),
        }
    }

    /// Whether ISO 3166-1 has given the code to a country.
    #[must_use]
    pub fn is_assigned(self) -> bool {
        ASSIGNED.split(' ').any(|code| code.as_bytes() == self.0)
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Country {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

macro_rules! text {
    ($($name:ident)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.into()
            }
        }
    )+};
}

text! { Email Domain }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_plain_address() {
        for good in ["a@example.com", "A.b+c_d'e`f{g}@x-1.example.co", "1@1.example"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(64));
        assert!(Email::parse(&long).is_ok());
        for bad in [
            "",
            "a",
            "@",
            "a@",
            "@example.com",
            "a@b",
            "a@@example.com",
            "a@b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a b@example.com",
            "a@exam ple.com",
            "a@example.com.",
            "a@.example.com",
            "a@-x.example",
            "a@x-.example",
            "a\0@example.com",
            "a\n@example.com",
            "a@example.com\n",
            "a\u{202e}@example.com",
            "é@example.com",
            "a@exämple.com",
            "\"a b\"@example.com",
            "a\\@example.com",
            "<a@example.com>",
            "a@example.com,b@example.com",
            &format!("a{long}"),
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_has_at_most_254_bytes() {
        let label = "d".repeat(60);
        let address = |last: usize| format!("a@{label}.{label}.{label}.{}.com", "e".repeat(last));
        assert_eq!(address(65).len(), 254);
        assert!(Email::parse(&address(60)).is_ok());
        let local = "a".repeat(6);
        let edge = |extra: &str| format!("{extra}{local}@{label}.{label}.{label}.{label}.com");
        assert_eq!(edge("").len(), 254);
        assert!(Email::parse(&edge("")).is_ok());
        assert!(Email::parse(&edge("b")).is_err());
    }

    #[test]
    fn an_address_keeps_its_local_part_and_is_compared_without_case() {
        let email = Email::parse("Ann.Lee@Mail.EXAMPLE.com").unwrap();
        assert_eq!(email.as_str(), "Ann.Lee@mail.example.com");
        assert_eq!(email.key(), "ann.lee@mail.example.com");
        assert_eq!(email.domain(), Domain::parse("mail.example.com").unwrap());
    }

    #[test]
    fn a_domain_is_labels_of_letters_digits_and_hyphens() {
        for good in ["example.com", "EXAMPLE.com", "xn--mnchen-3ya.example", "a.b.c.d", "0.example"] {
            assert_eq!(Domain::parse(good).unwrap().as_str(), good.to_ascii_lowercase());
        }
        assert!(Domain::parse(&format!("{}.com", "d".repeat(63))).is_ok());
        for bad in [
            "",
            ".",
            "com",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b.c",
            "a\0.b",
            "a.b\n",
            "\u{202e}a.b",
            "ä.example",
            "a/b.c",
            "*.example.com",
            "@example.com",
            "'.example",
            &format!("{}.com", "d".repeat(64)),
            &vec!["d".repeat(63); 4].join("."),
        ] {
            assert!(Domain::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_country_is_two_letters_of_any_case() {
        assert_eq!(Country::parse("de").unwrap(), Country::parse("DE").unwrap());
        assert_eq!(Country::parse("In").unwrap().to_string(), "IN");
        for bad in ["", "D", "DEU", "D1", "D ", "ÄÖ", "é", "D\0", "\n\n", "''"] {
            assert!(Country::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_assigned_countries_are_249_and_kosovo() {
        assert_eq!(ASSIGNED.split(' ').count(), 250);
        assert!(
            ASSIGNED.split(' ').all(|code| Country::parse(code).is_ok_and(Country::is_assigned)),
            "{ASSIGNED}"
        );
        for code in ["UK", "EU", "AA", "ZZ", "XX"] {
            assert!(!Country::parse(code).unwrap().is_assigned(), "{code}");
        }
    }
}
