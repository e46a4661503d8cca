//! What planning on the services' credentials promises, without a database.

use doorward_engine::change::Change;
use doorward_engine::id::Revision;

use super::*;
use crate::service::member::sample::{NOW, plan_as_operator, reason, state};
use crate::store::State;

fn hash(byte: u8) -> SecretHash {
    SecretHash([byte; 32])
}

fn gateway() -> CredentialId {
    CredentialId::parse("gateway").unwrap()
}

fn new() -> NewCredential {
    NewCredential {
        id: Some(gateway()),
        name: Name::parse("Gateway").unwrap(),
        scopes: [ServiceScope::Check].into(),
        tenants: BTreeSet::new(),
        expires_at: Some(NOW.plus_seconds(60)),
    }
}

fn with(credential: ServiceCredential) -> State {
    let mut state = state();
    state.credentials.insert(credential.id.clone(), credential);
    state
}

fn made() -> ServiceCredential {
    plan_as_operator(&state(), |_, draft| create(draft, &new(), hash(1))).unwrap().answer
}

#[test]
fn a_credential_has_one_secret_and_its_id_is_never_anothers() {
    let made = made();
    assert_eq!((made.secrets.len(), made.created_at, made.revision), (1, NOW, state().next()));
    assert_eq!(made.secrets[0].hash, hash(1));
    let again = plan_as_operator(&with(made), |_, draft| create(draft, &new(), hash(2)));
    assert_eq!(reason(again), "Id taken");
}

#[test]
fn rotating_keeps_the_secret_before_until_its_end() {
    let rotation =
        Rotation { id: gateway(), expires_at: None, previous_expires_at: Some(NOW.plus_seconds(9)) };
    assert_eq!(
        reason(plan_as_operator(&state(), |_, draft| rotate(draft, &rotation, hash(2)))),
        "no Credential"
    );
    let state = with(made());
    let rotated = plan_as_operator(&state, |_, draft| rotate(draft, &rotation, hash(2))).unwrap();
    let ends: Vec<_> = rotated.answer.secrets.iter().map(|secret| (secret.hash, secret.expires_at)).collect();
    assert_eq!(ends, [(hash(2), None), (hash(1), Some(NOW.plus_seconds(9)))]);
    assert!(matches!(&rotated.changes[..], [Change::ServiceCredential { before: Some(_), .. }]));
}

#[test]
fn a_revoked_credential_has_no_secret_and_gets_none() {
    let state = with(made());
    let revoked = plan_as_operator(&state, |_, draft| revoke(draft, &gateway())).unwrap().answer;
    assert_eq!((revoked.revoked_at, revoked.secrets.len()), (Some(NOW), 0));
    let state = with(ServiceCredential { revision: Revision(1), ..revoked });
    assert!(plan_as_operator(&state, |_, draft| revoke(draft, &gateway())).unwrap().changes.is_empty());
    let rotation = Rotation { id: gateway(), expires_at: None, previous_expires_at: None };
    assert_eq!(
        reason(plan_as_operator(&state, |_, draft| rotate(draft, &rotation, hash(2)))),
        "no Credential"
    );
}
