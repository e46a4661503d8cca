//! The tenants of a run: which switches they have, and which questions depend on which of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, RwLock};

use doorward::proto::subject::Kind;
use doorward::proto::{Check, Resource};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::judge::Switch;

pub(crate) const TENANTS: usize = 3;
pub(crate) const MEMBERS: usize = 4;
pub(crate) const AGENTS: usize = 3;
pub(crate) const KEYS: usize = 2;
/// How many targets count as lately changed.
const HOT_MAX: usize = 8;

/// What a switch belongs to, within a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Tenant,
    Member(usize),
    Agents(usize),
    Traces(usize),
    Grant(usize, usize),
    Agent(usize),
    Key(usize),
}

/// An API key: each has a switch of its own, which goes off once.
pub(crate) struct Key {
    pub(crate) id: String,
    /// Unknown where its creation had to be repeated: then nobody can ask about it.
    pub(crate) secret: Option<String>,
    pub(crate) switch: Arc<Switch>,
}

pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) enabled: Arc<Switch>,
    pub(crate) agents: Arc<Switch>,
    pub(crate) traces: Arc<Switch>,
    pub(crate) grants: Vec<Arc<Switch>>,
}

pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) active: Arc<Switch>,
}

pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) active: Arc<Switch>,
    pub(crate) members: Vec<Member>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) keys: Vec<RwLock<Arc<Key>>>,
    /// The revision token of a mutation that was acknowledged.
    pub(crate) token: Mutex<String>,
}

/// All tenants, and what was lately changed in them.
pub(crate) struct World {
    pub(crate) tenants: Vec<Tenant>,
    hot: Mutex<VecDeque<(usize, Target)>>,
}

/// A question, and what must be on for it to be allowed.
pub(crate) struct Question {
    /// Ways to name who asks; none where nobody can.
    pub(crate) subjects: Vec<Kind>,
    pub(crate) check: Check,
    pub(crate) switches: Vec<Arc<Switch>>,
}

/// Who asks about what.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Agent { member: usize, agent: usize, action: &'static str },
    Traces { member: usize },
    Support { member: usize },
    Owner { agent: usize },
    KeySection { slot: usize },
    KeyAgent { slot: usize, agent: usize },
}

impl World {
    /// Tenants in which all is on, but which are in no database yet.
    pub(crate) fn new() -> Self {
        Self { tenants: (0..TENANTS).map(Tenant::new).collect(), hot: Mutex::default() }
    }

    /// Makes questions about a target likely, until others have been named.
    pub(crate) fn heat(&self, tenant: usize, target: Target) {
        let mut hot = self.hot.lock().unwrap();
        hot.push_front((tenant, target));
        hot.truncate(HOT_MAX);
    }

    /// A tenant and a question, more often than not about what was lately changed.
    pub(crate) fn question(&self, rng: &mut StdRng) -> (&Tenant, Question) {
        loop {
            let (tenant, target) = self.pick(rng);
            let question = tenant.question_about(target, rng);
            if !question.subjects.is_empty() {
                return (tenant, question);
            }
        }
    }

    fn pick(&self, rng: &mut StdRng) -> (&Tenant, Target) {
        let hot = self.hot.lock().unwrap();
        let found = match rng.random_range(0..10) {
            0..4 => hot.front().copied(),
            4..7 => hot.get(rng.random_range(0..HOT_MAX)).copied(),
            _ => None,
        };
        if let Some((tenant, target)) = found {
            return (&self.tenants[tenant], target);
        }
        let tenant = self.tenants.choose(rng).unwrap();
        (tenant, *tenant.targets().choose(rng).unwrap())
    }
}

impl Tenant {
    /// A tenant in which all is on, but which is in no database yet.
    fn new(number: usize) -> Self {
        let id = format!("t{number}");
        let switch = |name: String| Switch::new(format!("{id} {name}"), true);
        let member = |m: usize| Member {
            id: format!("{id}-m{m}"),
            enabled: switch(format!("member {m}")),
            agents: switch(format!("section agents of member {m}")),
            traces: switch(format!("section traces of member {m}")),
            grants: (0..AGENTS).map(|a| switch(format!("grant of member {m} on agent {a}"))).collect(),
        };
        let agent = |a: usize| Agent { id: format!("a{a}"), active: switch(format!("agent {a}")) };
        let key = |slot: usize| {
            let switch = switch(format!("key {slot}"));
            RwLock::new(Arc::new(Key { id: format!("{id}-k{slot}-0"), secret: None, switch }))
        };
        Self {
            active: switch("tenant".to_owned()),
            members: (0..MEMBERS).map(member).collect(),
            agents: (0..AGENTS).map(agent).collect(),
            keys: (0..KEYS).map(key).collect(),
            token: Mutex::default(),
            id,
        }
    }

    pub(crate) fn key(&self, slot: usize) -> Arc<Key> {
        self.keys[slot].read().unwrap().clone()
    }

    /// The owner's user and member id.
    pub(crate) fn owner(&self) -> String {
        format!("{}-owner", self.id)
    }

    /// Every switch's target.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let mut targets = vec![Target::Tenant];
        for m in 0..MEMBERS {
            targets.extend([Target::Member(m), Target::Agents(m), Target::Traces(m)]);
            targets.extend((0..AGENTS).map(|a| Target::Grant(m, a)));
        }
        targets.extend((0..AGENTS).map(Target::Agent));
        targets.extend((0..KEYS).map(Target::Key));
        targets
    }

    pub(crate) fn switch(&self, target: Target) -> Arc<Switch> {
        match target {
            Target::Tenant => self.active.clone(),
            Target::Member(m) => self.members[m].enabled.clone(),
            Target::Agents(m) => self.members[m].agents.clone(),
            Target::Traces(m) => self.members[m].traces.clone(),
            Target::Grant(m, a) => self.members[m].grants[a].clone(),
            Target::Agent(a) => self.agents[a].active.clone(),
            Target::Key(slot) => self.key(slot).switch.clone(),
        }
    }

    /// A question that depends on a target.
    pub(crate) fn question_about(&self, target: Target, rng: &mut StdRng) -> Question {
        self.build(shape(target, rng))
    }

    /// Questions of one member, for a batch.
    pub(crate) fn batch(&self, rng: &mut StdRng) -> Vec<Question> {
        let member = rng.random_range(0..MEMBERS);
        let targets = [Target::Agents(member), Target::Traces(member), Target::Member(member)];
        targets.iter().map(|&target| self.question_about(target, rng)).collect()
    }

    /// Every question there is.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let mut shapes = Vec::new();
        for member in 0..MEMBERS {
            shapes.extend([Shape::Traces { member }, Shape::Support { member }]);
            for agent in 0..AGENTS {
                shapes.extend(["view", "chat", "history"].map(|action| Shape::Agent {
                    member,
                    agent,
                    action,
                }));
            }
        }
        for agent in 0..AGENTS {
            shapes.push(Shape::Owner { agent });
            shapes.extend((0..KEYS).map(|slot| Shape::KeyAgent { slot, agent }));
        }
        shapes.extend((0..KEYS).map(|slot| Shape::KeySection { slot }));
        let questions = shapes.into_iter().map(|shape| self.build(shape));
        questions.filter(|question| !question.subjects.is_empty()).collect()
    }

    fn build(&self, shape: Shape) -> Question {
        let mut switches = vec![self.active.clone()];
        match shape {
            Shape::Agent { member, agent, action } => {
                let (member, grant) = (&self.members[member], &self.members[member].grants[agent]);
                switches.extend([member.enabled.clone(), grant.clone()]);
                if action != "history" {
                    switches.push(member.agents.clone());
                }
                if action == "chat" {
                    switches.push(self.agents[agent].active.clone());
                }
                question(of_member(member), action, ("agent", &self.agents[agent].id), switches)
            }
            Shape::Traces { member } => {
                let member = &self.members[member];
                switches.extend([member.enabled.clone(), member.traces.clone()]);
                question(of_member(member), "view", ("section", "traces"), switches)
            }
            Shape::Support { member } => {
                let member = &self.members[member];
                switches.push(member.enabled.clone());
                question(of_member(member), "view", ("section", "support"), switches)
            }
            Shape::Owner { agent } => {
                switches.push(self.agents[agent].active.clone());
                let subjects = vec![Kind::UserId(self.owner()), Kind::MemberId(self.owner())];
                question(subjects, "chat", ("agent", &self.agents[agent].id), switches)
            }
            Shape::KeySection { slot } => {
                let key = self.key(slot);
                switches.push(key.switch.clone());
                question(of_key(&key), "view", ("section", "traces"), switches)
            }
            Shape::KeyAgent { slot, agent } => {
                let key = self.key(slot);
                switches.extend([key.switch.clone(), self.agents[agent].active.clone()]);
                question(of_key(&key), "chat", ("agent", &self.agents[agent].id), switches)
            }
        }
    }
}

/// A question that depends on a target.
fn shape(target: Target, rng: &mut StdRng) -> Shape {
    let (m, a, k) = (rng.random_range(0..MEMBERS), rng.random_range(0..AGENTS), rng.random_range(0..KEYS));
    let with_section = *["view", "chat"].choose(rng).unwrap();
    let any = *["view", "chat", "history", "history"].choose(rng).unwrap();
    match target {
        Target::Tenant => match rng.random_range(0..4) {
            0 => Shape::Support { member: m },
            1 => Shape::Traces { member: m },
            2 => Shape::KeySection { slot: k },
            _ => Shape::Agent { member: m, agent: a, action: "history" },
        },
        Target::Member(member) => match rng.random_range(0..3) {
            0 => Shape::Support { member },
            1 => Shape::Traces { member },
            _ => Shape::Agent { member, agent: a, action: any },
        },
        Target::Agents(member) => Shape::Agent { member, agent: a, action: with_section },
        Target::Traces(member) => Shape::Traces { member },
        Target::Grant(member, agent) => Shape::Agent { member, agent, action: any },
        Target::Agent(agent) => match rng.random_range(0..3) {
            0 => Shape::Owner { agent },
            1 => Shape::KeyAgent { slot: k, agent },
            _ => Shape::Agent { member: m, agent, action: "chat" },
        },
        Target::Key(slot) if rng.random_bool(0.6) => Shape::KeySection { slot },
        Target::Key(slot) => Shape::KeyAgent { slot, agent: a },
    }
}

fn of_member(member: &Member) -> Vec<Kind> {
    vec![Kind::UserId(member.id.clone()), Kind::MemberId(member.id.clone())]
}

fn of_key(key: &Key) -> Vec<Kind> {
    key.secret.iter().map(|secret| Kind::ApiKey(secret.clone())).collect()
}

fn question(
    subjects: Vec<Kind>,
    action: &str,
    (kind, id): (&str, &str),
    switches: Vec<Arc<Switch>>,
) -> Question {
    let resource = Some(Resource { r#type: kind.to_owned(), id: id.to_owned() });
    Question { subjects, check: Check { action: action.to_owned(), resource }, switches }
}
