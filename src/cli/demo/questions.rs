//! What `demo` suggests to ask, and the answers to expect: one table, printed to people and run by a test.

use std::net::SocketAddr;

use doorward_engine::reason::Reason;

/// The tenant of the demo.
pub const TENANT: &str = "acme";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// By user id.
    User(&'static str),
    /// By member id: somebody who is invited has no user id yet.
    Member(&'static str),
}

/// A question, and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Who asks.
    pub who: Who,
    /// What they want to do.
    pub action: &'static str,
    /// `section`, or a resource type.
    pub kind: &'static str,
    /// What they want to do it to.
    pub id: &'static str,
    /// The answer's reason, which says whether it is allowed.
    pub reason: Reason,
    /// Whether the answer asks to show "not found".
    pub hide: bool,
}

const fn section(who: Who, id: &'static str, reason: Reason) -> Question {
    Question { who, action: "view", kind: "section", id, reason, hide: false }
}

const fn agent(who: Who, action: &'static str, id: &'static str, reason: Reason) -> Question {
    Question { who, action, kind: "agent", id, reason, hide: false }
}

/// All of them.
pub const QUESTIONS: &[Question] = &[
    section(Who::User("ada"), "analytics", Reason::RoleAdmin),
    section(Who::User("ben"), "logs", Reason::SectionGranted),
    section(Who::User("ben"), "traces", Reason::SectionDisabled),
    agent(Who::User("ben"), "chat", "support-bot", Reason::ResourceGranted),
    Question { hide: true, ..agent(Who::User("cy"), "chat", "support-bot", Reason::NotGranted) },
    agent(Who::User("ben"), "chat", "sales-bot", Reason::ResourceInactive),
    section(Who::User("dan"), "settings", Reason::MemberDisabled),
    section(Who::Member("eve"), "settings", Reason::MemberPending),
    section(Who::User("ada"), "trases", Reason::SectionUnknown),
];

impl Question {
    /// The question as a command.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { action, kind, id, .. } = self;
        let who = match self.who {
            Who::User(user) => format!("--user {user}"),
            Who::Member(member) => format!("--member {member}"),
        };
        format!("doorward check --tenant {TENANT} {who} --action {action} --type {kind} --id {id}")
    }

    /// What the command prints.
    #[must_use]
    pub fn answer(&self) -> String {
        let decision = if self.reason.allows() { "allowed" } else { "denied" };
        let hide = if self.hide { " hide" } else { "" };
        format!("{decision} {}{hide}", self.reason)
    }

    /// The question for grpcurl.
    #[must_use]
    pub fn grpcurl(&self, address: SocketAddr) -> String {
        format!(
            "grpcurl -plaintext -emit-defaults -H \"authorization: Bearer $DOORWARD_TOKEN\" -d '{}' {address} \
             doorward.v1.AccessService/CheckAccess",
            self.request_json()
        )
    }

    /// The request, as JSON.
    #[must_use]
    pub fn request_json(&self) -> String {
        let Self { action, kind, id, .. } = self;
        let (field, who) = match self.who {
            Who::User(user) => ("user_id", user),
            Who::Member(member) => ("member_id", member),
        };
        format!(
            r#"{{"tenant_id":"{TENANT}","subject":{{"{field}":"{who}"}},"action":"{action}","resource":{{"type":"{kind}","id":"{id}"}}}}"#
        )
    }

    /// What grpcurl prints, in its first lines.
    #[must_use]
    pub fn answer_json(&self) -> String {
        let Self { reason, hide, .. } = self;
        format!(r#""allowed": {}, "reason": "REASON_{reason}", "hide": {hide}"#, reason.allows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_reads_as_it_is_typed() {
        let question =
            Question { hide: true, ..agent(Who::User("cy"), "chat", "support-bot", Reason::NotGranted) };
        assert_eq!(
            question.command(),
            "doorward check --tenant acme --user cy --action chat --type agent --id support-bot"
        );
        assert_eq!(question.answer(), "denied NOT_GRANTED hide");
        assert_eq!(
            question.answer_json(),
            r#""allowed": false, "reason": "REASON_NOT_GRANTED", "hide": true"#
        );
        let request: serde_json::Value = serde_json::from_str(&question.request_json()).unwrap();
        assert_eq!(request["subject"]["user_id"], "cy");
        assert_eq!(request["resource"]["type"], "agent");
    }
}
