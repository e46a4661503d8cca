//! What planning on API keys promises, and what a key's text is, without a database.

use doorward_engine::change::Change;
use doorward_engine::id::{ActionKey, TypeKey};

use super::*;
use crate::service::member::sample::{
    NOW, id, in_force, key, lapse, plan, plan_as_operator, reason, state, with_limits,
};
use crate::store::{Planned, State};

const HASH: SecretHash = SecretHash([9; 32]);

fn new(scopes: &[Scope]) -> NewKey {
    NewKey {
        id: Some(KeyId::parse("k_1").unwrap()),
        name: Name::parse("CI").unwrap(),
        scopes: scopes.to_vec(),
        expires_at: None,
    }
}

fn creating(state: &State, new: &NewKey) -> Result<Planned<ApiKey>, Error> {
    plan(state, |by, draft| create(by, draft, new, HASH))
}

fn on(kind: &str, action: &str) -> Scope {
    let (kind, action) = (TypeKey::parse(kind).unwrap(), ActionKey::parse(action).unwrap());
    Scope::Resource(ResourceScope { kind, action, ids: None })
}

fn viewing(path: &str) -> Scope {
    Scope::Section(SectionPath::parse(path).unwrap())
}

#[test]
fn a_key_is_its_creators_and_holds_what_was_asked_for() {
    let state = state();
    let scopes = [Scope::Admin, viewing("traces"), viewing("settings.api_keys"), on("agent", "chat")];
    let planned = creating(&state, &new(&scopes)).unwrap();
    let made = planned.answer;
    assert_eq!((made.created_by, made.created_at, made.revoked_at), (Some(id("ada")), NOW, None));
    assert_eq!((made.scopes.admin, made.scopes.sections.len(), made.scopes.resources.len()), (true, 2, 1));
    assert!(matches!(&planned.changes[0], Change::ApiKey { secret: Some(HASH), .. }));
    let by_operator = plan_as_operator(&state, |by, draft| create(by, draft, &new(&scopes), HASH)).unwrap();
    assert_eq!(by_operator.answer.created_by, None);
}

#[test]
fn a_scope_names_what_the_catalogue_has() {
    for (scope, found) in [
        (viewing("trases"), "section `trases` is not in the catalogue"),
        (viewing("settings.nothing"), "section `settings.nothing` is not in the catalogue"),
        (
            on("ghost", "chat"),
            "`scopes[1].resource.type`: `ghost` is no resource type of the catalogue; allowed: `agent`",
        ),
        (
            on("agent", "fly"),
            "`scopes[1].resource.action`: `fly` is no action of `agent`; allowed: `view`, `chat`, `history`, `manage`",
        ),
    ] {
        assert_eq!(reason(creating(&state(), &new(&[viewing("logs"), scope]))), found);
    }
}

#[test]
fn creating_grows_and_revoking_does_not() {
    let mut state = state();
    state.keys = [key("k_1", "ada")].map(|key| (key.id.clone(), key)).into();
    assert_eq!(reason(creating(&state, &new(&[Scope::Admin]))), "Id taken");
    let fresh = NewKey { id: None, ..new(&[Scope::Admin]) };
    assert_eq!(reason(creating(&state, &fresh)), "done");
    state.in_force = in_force(&with_limits("limits = { api_keys = 2 }"));
    state.live_keys = 2;
    assert_eq!(reason(creating(&state, &fresh)), "2 of 2");
    state.live_keys = 1;
    assert_eq!(reason(creating(&state, &fresh)), "done");
    lapse(&mut state);
    assert_eq!(reason(creating(&state, &fresh)), "SubscriptionLapsed");
    assert_eq!(reason(plan(&state, |_, draft| revoke(draft, &key("k_1", "ada").id))), "done");
}

#[test]
fn revoking_again_changes_nothing() {
    let mut state = state();
    let id = key("k_1", "ada").id;
    assert_eq!(reason(plan(&state, |_, draft| revoke(draft, &id))), "no ApiKey");
    state.keys.insert(id.clone(), key("k_1", "ada"));
    let revoked = plan(&state, |_, draft| revoke(draft, &id)).unwrap().answer;
    assert_eq!(revoked.revoked_at, Some(NOW));
    state.keys.insert(id.clone(), revoked);
    state.now = NOW.plus_seconds(5);
    let again = plan(&state, |_, draft| revoke(draft, &id)).unwrap();
    assert!(again.changes.is_empty() && again.answer.revoked_at == Some(NOW));
}

#[test]
fn a_keys_text_says_its_id_and_its_secret() {
    let drawn = secret::draw().unwrap();
    for name in ["k1", "team_a_ci", "a-b.c:d@e|f", "x"] {
        let id = KeyId::parse(name).unwrap();
        let text = secret::text(secret::KEY, name, &drawn);
        let text = text.expose_secret();
        assert_eq!(text.len(), 4 + name.len() + 1 + 64 + 6);
        assert_eq!(parse_presented(text), Some((id, secret::hash(drawn.expose_secret()))));
    }
    for other in ["", "dwk_", "dwk__", "k1_00", "dwk_k1", "dwi_k1_00", "dwk_ _00", "dwk_\u{e9}_00"] {
        assert_eq!(parse_presented(other), None, "{other}");
    }
}
