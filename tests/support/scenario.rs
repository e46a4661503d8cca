//! Scenario files: a world and what is answered in it, written to be read. `tests/scenarios/README.md` has the form.

mod rows;

use std::collections::BTreeMap;
use std::path::Path;

use doorward_engine::catalogue::{Document, SHIPPED};
use doorward_engine::instant::Instant;
use serde::Deserialize;
use toml::value::Datetime;

pub(crate) use self::rows::secret_of;
use self::rows::{TenantRow, instant, text};
use super::world::{Ask, Who, World};

/// A file: a world, and the checks that hold in it.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) title: String,
    pub(crate) world: World,
    pub(crate) checks: Vec<Check>,
}

/// A question with the answer that is expected.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) ask: Ask,
    pub(crate) expect: Expect,
}

/// What is expected of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A decision.
    Answer { allowed: bool, reason: String, hide: bool, valid_until: Until },
    /// A caller's mistake in the named field: INVALID_ARGUMENT.
    Invalid(String),
}

/// What a check says about `valid_until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nothing.
    Any,
    /// It is empty.
    Never,
    /// It is this instant.
    At(Instant),
}

/// Reads every scenario of a folder, by file name.
pub(crate) fn load(folder: &Path) -> Result<Vec<(String, Scenario)>, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(text)? {
        let path = entry.map_err(text)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let content = std::fs::read_to_string(&path).map_err(text)?;
            let scenario = parse(&content).map_err(|error| format!("{name}: {error}"))?;
            files.insert(name, scenario);
        }
    }
    Ok(files.into_iter().collect())
}

/// Reads one scenario.
pub(crate) fn parse(content: &str) -> Result<Scenario, String> {
    let file: File = toml::from_str(content).map_err(text)?;
    let catalogue = file.catalogue.map_or_else(|| toml::from_str(SHIPPED).map_err(text), Ok)?;
    let workspaces = file.tenants.into_iter().map(TenantRow::workspace).collect::<Result<_, _>>()?;
    let world = World { now: instant(file.now)?, catalogue, workspaces };
    let checks =
        file.checks.into_iter().map(|(name, row)| row.check(name, &world)).collect::<Result<_, _>>()?;
    Ok(Scenario { title: file.title, world, checks })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    now: Datetime,
    catalogue: Option<Document>,
    #[serde(default, rename = "tenant")]
    tenants: Vec<TenantRow>,
    checks: BTreeMap<String, CheckRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckRow {
    /// The tenant; none: the file's first.
    #[serde(rename = "in")]
    tenant: Option<String>,
    /// `user:u-ada`, `member:ada`, `key:ci`, or `stolen-key:ci` with a wrong secret.
    who: String,
    /// `view section/traces`, `chat agent/a1`.
    ask: String,
    country: Option<String>,
    email_domain: Option<String>,
    /// `allow REASON`, `deny REASON`, `deny REASON, hide`, `invalid FIELD`.
    answer: String,
    until: Option<UntilRow>,
}

/// An instant, or `"never"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum UntilRow {
    At(Datetime),
    Word(String),
}

impl CheckRow {
    fn check(self, name: String, world: &World) -> Result<Check, String> {
        let first = world.workspaces.first().map(|workspace| workspace.tenant.id.to_string());
        let error = |what: &str| format!("check `{name}`: {what}");
        let (action, target) = self.ask.split_once(' ').ok_or_else(|| error("ask: `action type/id`"))?;
        let (kind, id) = target.split_once('/').ok_or_else(|| error("ask: `action type/id`"))?;
        let ask = Ask {
            tenant: self.tenant.or(first).ok_or_else(|| error("no tenant"))?,
            subject: subject(&self.who)
                .ok_or_else(|| error("who: user:…, member:…, key:… or stolen-key:…"))?,
            action: action.to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            country: self.country,
            email_domain: self.email_domain,
        };
        let until = match self.until {
            None => Until::Any,
            Some(UntilRow::At(at)) => Until::At(instant(at)?),
            Some(UntilRow::Word(word)) if word == "never" => Until::Never,
            Some(UntilRow::Word(_)) => return Err(error("until: an instant or \"never\"")),
        };
        let expect =
            expected(&self.answer, until).ok_or_else(|| error("answer: allow, deny or invalid …"))?;
        Ok(Check { name, ask, expect })
    }
}

fn subject(who: &str) -> Option<Who> {
    let (kind, id) = who.split_once(':')?;
    Some(match kind {
        "user" => Who::User(id.to_owned()),
        "member" => Who::Member(id.to_owned()),
        "key" => Who::Key { id: id.to_owned(), secret: secret_of(id) },
        "stolen-key" => Who::Key { id: id.to_owned(), secret: secret_of("guess") },
        _ => return None,
    })
}

fn expected(answer: &str, valid_until: Until) -> Option<Expect> {
    let (verb, rest) = answer.split_once(' ')?;
    let (reason, hide) = rest.strip_suffix(", hide").map_or((rest, false), |reason| (reason, true));
    let decided = |allowed| Expect::Answer { allowed, reason: reason.to_owned(), hide, valid_until };
    match verb {
        "allow" => Some(decided(true)),
        "deny" => Some(decided(false)),
        "invalid" => Some(Expect::Invalid(rest.to_owned())),
        _ => None,
    }
}
