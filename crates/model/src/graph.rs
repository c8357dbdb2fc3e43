//! The order of services: who waits for whom.
//!
//! Each service has a node under its name, and so has each name that a service waits for.
//! The caller says what the directories hold ([`Graph::set_edges`]) and how far each
//! service is ([`Graph::set_level`]), and takes the verdicts that follow, one by one
//! ([`Graph::next_verdict`]): whose start is held, who stops because the one that it follows has
//! ended, and whose stop goes on.
//!
//! - A start is *held* until every service that it waits for is far enough
//!   ([`Level::holds`]). What is wanted never changes.
//! - A stop waits for the services that are being stopped themselves and wait for this
//!   one: [`Graph::begin_stop`].
//! - Services that wait for each other, in a circle, are one *component*: they do not wait
//!   for each other, neither to start nor to stop. Components are looked for when all else
//!   is done ([`Graph::find_circles`]), because only then is a circle known to matter.
//!
//! A change of a level costs a glance at each service that waits for this one, and a
//! verdict for those alone that it concerns: a held service remembers one that holds it,
//! and others are no matter until that one does not.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::format::state::reason::Reason;

mod circles;
mod edges;
mod level;
mod nodes;
#[cfg(test)]
mod tests;

pub use crate::kind::Kind;
pub use edges::{EDGES_MAX, Edges};
pub use level::Level;
use nodes::{Edge, Node, NodeId};

/// The number of a service; never used twice.
pub type Member = u64;

/// How many nodes one call of [`Graph::next_verdict`] looks at.
const LOOKS_MAX: usize = 64;

/// Who makes a service wait, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    kind: Kind,
    on: NodeId,
    level: Level,
}

/// What follows for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its start is held, or not.
    Start(Member, Option<Hold>),
    /// Its stop need not wait any longer.
    Stop(Member),
    /// The one that it follows has ended, or is about to be stopped.
    Follow(Member),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Graph {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    by_name: BTreeMap<Rc<[u8]>, NodeId>,
    by_member: BTreeMap<Member, NodeId>,
    /// The nodes to look at.
    due: BTreeSet<NodeId>,
    /// Edges have changed since circles were last told of.
    is_stale: bool,
    /// The components are those of the present edges.
    knows_components: bool,
    /// Nothing is held any more.
    is_free: bool,
}

impl Graph {
    /// A service was opened under this name. Returns another one that had the name: that
    /// waits for nobody any more.
    pub fn open(&mut self, member: Member, name: &[u8]) -> Option<Member> {
        let at = self.node_of(name);
        let node = self.node(at)?;
        let before = node.member.filter(|before| *before != member);
        if let Some(before) = before {
            self.by_member.remove(&before);
            self.replace_edges(at, &[]);
        }
        let node = self.nodes.get_mut(at as usize)?;
        node.leave();
        node.member = Some(member);
        self.by_member.insert(member, at);
        self.due.insert(at);
        before
    }

    /// A service was closed, and waits for nobody any more.
    pub fn close(&mut self, member: Member) {
        if let Some(at) = self.by_member.remove(&member) {
            self.replace_edges(at, &[]);
            self.stand(at, Level::Absent, false);
            if let Some(node) = self.nodes.get_mut(at as usize) {
                node.leave();
            }
            self.forget_if_unused(at);
        }
    }

    /// Whether it is open, by a name that no other has.
    pub fn knows(&self, member: Member) -> bool {
        self.by_member.contains_key(&member)
    }

    /// A service goes by another name now. Returns what [`Graph::open`] does.
    pub fn rename(&mut self, member: Member, name: &[u8]) -> Option<Member> {
        let node = self.member(member).filter(|node| *node.name != *name)?;
        let (level, is_there, ends) = (node.level, node.is_there, node.ends);
        let edges = self.edges(member);
        self.close(member);
        let before = self.open(member, name);
        self.set_edges(member, &edges);
        self.set_level(member, level, is_there);
        if ends {
            self.let_end(member);
        }
        before
    }

    /// How far an entry is that is no open service.
    pub fn set_entry(&mut self, name: &[u8], level: Level) {
        let at = self.node_of(name);
        if self.node(at).is_some_and(|node| node.member.is_none()) {
            self.stand(at, level, false);
            self.forget_if_unused(at);
        }
    }

    /// How far a service is, and whether anything of it runs.
    pub fn set_level(&mut self, member: Member, level: Level, is_there: bool) {
        if let Some(at) = self.by_member.get(&member).copied() {
            self.stand(at, level, is_there);
        }
    }

    /// What a service's directory says. Returns whether it names itself, and did not
    /// before; that does not count.
    pub fn set_edges(&mut self, member: Member, edges: &Edges) -> bool {
        let Some(at) = self.by_member.get(&member).copied() else {
            return false;
        };
        let mut new = Vec::new();
        let mut itself = false;
        for (kind, name) in edges.iter() {
            let to = self.node_of(name);
            if to == at {
                itself = true;
            } else {
                new.push(Edge { to, kind });
            }
        }
        self.replace_edges(at, &new);
        let node = self.nodes.get_mut(at as usize);
        node.is_some_and(|node| !core::mem::replace(&mut node.names_itself, itself) && itself)
    }

    /// What a service's directory said last.
    pub fn edges(&self, member: Member) -> Edges {
        let mut edges = Edges::NONE;
        if let Some(node) = self.member(member) {
            let itself = node.names_itself.then_some((Kind::Needs, &node.name));
            let others = node.out.iter();
            let others = others.filter_map(|edge| Some((edge.kind, &self.node(edge.to)?.name)));
            for (kind, name) in others.chain(itself) {
                edges.add(kind, name);
            }
        }
        edges
    }

    /// Whether a service's directory names others.
    pub fn has_edges(&self, member: Member) -> bool {
        self.member(member).is_some_and(|node| !node.out.is_empty())
    }

    /// These ended while nobody looked: a service that follows one of them and ran on is to
    /// be stopped.
    pub fn follow_unseen(&mut self, member: Member, ended: &BTreeSet<Member>) {
        let Some(at) = self.by_member.get(&member).copied() else {
            return;
        };
        let lost = self.needed_by(at).any(|(on, kind)| {
            let ended = self
                .node(on)
                .and_then(|node| node.member)
                .filter(|on| ended.contains(on));
            kind == Kind::Follows && ended.is_some()
        });
        if lost {
            self.let_follow(at);
        }
    }

    /// A service that was to stop because of another goes on: somebody called that off.
    pub fn call_off(&mut self, member: Member) {
        if let Some(at) = self.by_member.get(&member)
            && let Some(node) = self.nodes.get_mut(*at as usize)
        {
            node.is_following = false;
            node.is_to_follow = false;
        }
    }

    /// A service is about to be told to exit, with others: they keep their order.
    pub fn let_end(&mut self, member: Member) {
        if let Some(at) = self.by_member.get(&member).copied()
            && let Some(node) = self.nodes.get_mut(at as usize)
        {
            node.ends = true;
        }
    }

    /// A service that runs is told to stop. Those that follow it are stopped first.
    /// Returns who makes it wait; [`Verdict::Stop`] says when that is over.
    pub fn begin_stop(&mut self, member: Member) -> Option<Hold> {
        let at = self.by_member.get(&member).copied()?;
        if !self.node(at)?.is_there {
            return None;
        }
        self.lose(at);
        let hold = self.stop_hold(at);
        self.nodes.get_mut(at as usize)?.waits_to_stop = hold.is_some();
        hold
    }

    /// Who holds the start of a service, by the last verdict.
    pub fn hold(&self, member: Member) -> Option<Hold> {
        self.member(member)?.told
    }

    /// The service that holds another.
    pub fn holder(&self, hold: Hold) -> Option<Member> {
        self.node(hold.on)?.member
    }

    /// Whether a service is held by this one, by the last verdict.
    pub fn is_waited_for(&self, member: Member) -> bool {
        let Some(at) = self.by_member.get(&member) else {
            return false;
        };
        let mut dependents = self.dependents_of(*at);
        dependents.any(|(of, _)| {
            let told = self.node(of).and_then(|node| node.told);
            told.is_some_and(|hold| hold.on == *at)
        })
    }

    /// Whether anybody waits for this one.
    pub fn is_needed(&self, member: Member) -> bool {
        let at = self.by_member.get(&member);
        at.is_some_and(|at| self.dependents_of(*at).next().is_some())
    }

    /// The open service that has this name.
    pub fn named(&self, name: &[u8]) -> Option<Member> {
        self.node(*self.by_name.get(name)?)?.member
    }

    /// Why a start is held, by the last verdict.
    pub fn why_held(&self, member: Member) -> Option<Reason> {
        let hold = self.hold(member)?;
        Some(Reason::Held {
            by: hold.kind,
            name: self.name(hold.on),
            why: hold.level.text(),
        })
    }

    /// Why a stop waits.
    pub fn why_not_stopped(&self, member: Member) -> Option<Reason> {
        let at = *self.by_member.get(&member)?;
        let hold = self.stop_hold(at).filter(|_| self.waits_to_stop(at))?;
        Some(Reason::Stop(self.name(hold.on)))
    }

    /// Nothing is held from now on.
    pub fn set_free(&mut self) {
        self.is_free = true;
        for at in self.by_member.values().copied().collect::<Vec<_>>() {
            self.due.insert(at);
        }
    }

    /// The next verdict; [`Graph::has_more`] says whether to ask again, even if there was
    /// none.
    pub fn next_verdict(&mut self) -> Option<Verdict> {
        for _ in 0..LOOKS_MAX {
            let at = self.due.first().copied()?;
            if let Some(verdict) = self.judge(at) {
                return Some(verdict);
            }
        }
        None
    }

    /// Whether there may be verdicts.
    pub fn has_more(&self) -> bool {
        !self.due.is_empty()
    }

    /// The next verdict for this service, before its turn.
    pub fn next_for(&mut self, member: Member) -> Option<Verdict> {
        self.judge(*self.by_member.get(&member)?)
    }

    /// Whether there is no service that names another.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == self.free.len()
    }

    /// Looks at a node that is due.
    fn judge(&mut self, at: NodeId) -> Option<Verdict> {
        if !self.due.remove(&at) {
            return None;
        }
        let member = self.node(at)?.member?;
        let hold = self.start_hold(at);
        let stop_hold = self.node(at)?.waits_to_stop && self.stop_hold(at).is_some();
        let node = self.nodes.get_mut(at as usize)?;
        // A start is held before a stop can lead to the next one.
        let verdict = if hold != node.told {
            node.told = hold;
            Verdict::Start(member, hold)
        } else if core::mem::replace(&mut node.is_to_follow, false) {
            let (level, is_there) = (node.level, node.is_there);
            self.stand(at, level, is_there);
            Verdict::Follow(member)
        } else if node.waits_to_stop && (!node.is_there || !stop_hold) {
            node.waits_to_stop = false;
            Verdict::Stop(member)
        } else {
            return None;
        };
        // There may be a second one.
        self.due.insert(at);
        Some(verdict)
    }

    fn start_hold(&self, at: NodeId) -> Option<Hold> {
        let mut needed = self.needed_by(at).filter(|_| !self.is_free);
        needed.find_map(|(on, kind)| {
            let level = self.node(on)?.level;
            let holds = level.holds(kind) && !self.are_one(at, on);
            holds.then_some(Hold { kind, on, level })
        })
    }

    fn stop_hold(&self, at: NodeId) -> Option<Hold> {
        self.dependents_of(at).find_map(|(on, kind)| {
            let node = self.node(on).filter(|node| node.is_ending())?;
            let level = node.level;
            (!self.are_one(at, on)).then_some(Hold { kind, on, level })
        })
    }

    /// A node is so far.
    fn stand(&mut self, at: NodeId, level: Level, is_there: bool) {
        let Some(node) = self.nodes.get_mut(at as usize) else {
            return;
        };
        // One that was told to stop is ready for nobody.
        let is_leaving = is_there && node.is_following && !node.is_to_follow;
        let level = match level {
            Level::Ready if is_leaving => Level::Starting,
            level => level,
        };
        if (node.level, node.is_there) == (level, is_there) {
            return;
        }
        let was_ready = node.level == Level::Ready;
        node.level = level;
        node.is_there = is_there;
        if !is_there {
            node.is_following = false;
            node.is_to_follow = false;
        }
        if node.waits_to_stop {
            self.due.insert(at);
        }
        if was_ready && level != Level::Ready {
            self.lose(at);
        }
        for (dependent, kind) in self.dependents_of(at).collect::<Vec<_>>() {
            let is_concerned = self.node(dependent).is_some_and(|node| match node.told {
                None => level.holds(kind),
                Some(hold) => hold.on == at,
            });
            if is_concerned {
                self.due.insert(dependent);
            }
        }
        self.wake_stops(at);
    }

    /// Whoever waits for this one with its stop looks again.
    fn wake_stops(&mut self, at: NodeId) {
        for (on, _) in self.needed_by(at).collect::<Vec<_>>() {
            if self.node(on).is_some_and(|node| node.waits_to_stop) {
                self.due.insert(on);
            }
        }
    }

    /// Stops those that follow this one.
    fn lose(&mut self, at: NodeId) {
        let followers = self.dependents_of(at).filter(|(of, kind)| {
            let runs = |node: &Node| node.is_there && !node.is_ending();
            *kind == Kind::Follows && self.node(*of).is_some_and(runs)
        });
        let followers: Vec<NodeId> = followers.map(|(of, _)| of).collect();
        if !followers.is_empty() {
            self.know_components();
        }
        for of in followers {
            if !self.are_one(at, of) {
                self.let_follow(of);
            }
        }
    }

    /// A node whose service is there is to be told that another has ended.
    fn let_follow(&mut self, at: NodeId) {
        if let Some(node) = self.nodes.get_mut(at as usize).filter(|node| node.is_there) {
            node.is_following = true;
            node.is_to_follow = true;
            self.due.insert(at);
        }
    }

    fn replace_edges(&mut self, at: NodeId, new: &[Edge]) {
        let Some(node) = self.nodes.get_mut(at as usize) else {
            return;
        };
        if node.out == *new {
            return;
        }
        let old = core::mem::replace(&mut node.out, new.to_vec());
        self.is_stale = true;
        self.knows_components = false;
        self.due.insert(at);
        for edge in old.iter().filter(|edge| !new.contains(edge)) {
            self.dissolve(at, edge.to);
            if let Some(to) = self.nodes.get_mut(edge.to as usize) {
                let kind = edge.kind;
                to.back.retain(|back| *back != Edge { to: at, kind });
            }
            self.due.insert(edge.to);
            self.forget_if_unused(edge.to);
        }
        for edge in new.iter().filter(|edge| !old.contains(edge)) {
            if let Some(to) = self.nodes.get_mut(edge.to as usize) {
                let kind = edge.kind;
                to.back.push(Edge { to: at, kind });
            }
            if edge.kind == Kind::Before {
                self.due.insert(edge.to);
            }
        }
    }
}
