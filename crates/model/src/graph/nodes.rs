//! The nodes: one for each name, with its edges both ways.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Graph, Hold, Kind, Level, Member};

/// The place of a node.
pub type NodeId = u32;

/// The component of a node that is in no circle.
pub const ALONE: NodeId = NodeId::MAX;

/// What one service is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The other.
    pub to: NodeId,
    /// By which directory.
    pub kind: Kind,
}

/// A name, and the service that has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any of them may go with any other"
)]
pub struct Node {
    /// The name.
    pub name: Rc<[u8]>,
    /// The service, if it is open.
    pub member: Option<Member>,
    /// How far it is.
    pub level: Level,
    /// Something of it runs, or it is done and not stopped.
    pub is_there: bool,
    /// What its directory says.
    pub out: Vec<Edge>,
    /// What the directories of others say of it.
    pub back: Vec<Edge>,
    /// The nodes in a circle with it have the same, the first of their numbers.
    pub component: NodeId,
    /// Its circle was reported.
    pub is_said: bool,
    /// Its directory names itself.
    pub names_itself: bool,
    /// Who holds its start, by the last verdict.
    pub told: Option<Hold>,
    /// It was told to stop, and that waits for others.
    pub waits_to_stop: bool,
    /// It is about to be told to exit.
    pub ends: bool,
    /// It stops because the one that it follows did.
    pub is_following: bool,
    /// It has not been told so yet.
    pub is_to_follow: bool,
}

impl Node {
    fn new(name: Rc<[u8]>) -> Self {
        Self {
            name,
            member: None,
            level: Level::Absent,
            is_there: false,
            out: Vec::new(),
            back: Vec::new(),
            component: ALONE,
            is_said: false,
            names_itself: false,
            told: None,
            waits_to_stop: false,
            ends: false,
            is_following: false,
            is_to_follow: false,
        }
    }

    /// Its service was closed.
    pub fn leave(&mut self) {
        self.member = None;
        self.names_itself = false;
        self.told = None;
        self.waits_to_stop = false;
        self.ends = false;
    }

    /// Whether it is there, and is being stopped.
    pub fn is_ending(&self) -> bool {
        self.is_there && (self.ends || self.is_following || self.level == Level::Stopping)
    }
}

impl Graph {
    pub(super) fn node(&self, at: NodeId) -> Option<&Node> {
        self.nodes.get(at as usize)
    }

    pub(super) fn member(&self, member: Member) -> Option<&Node> {
        self.node(*self.by_member.get(&member)?)
    }

    /// The name, for messages.
    pub(super) fn name(&self, at: NodeId) -> String {
        let name = self
            .node(at)
            .map(|node| node.name.escape_ascii().to_string());
        name.unwrap_or_default()
    }

    /// The node of a name, which is made if there is none.
    pub(super) fn node_of(&mut self, name: &[u8]) -> NodeId {
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        let name: Rc<[u8]> = name.into();
        let node = Node::new(name.clone());
        let at = if let Some(at) = self.free.pop() {
            if let Some(place) = self.nodes.get_mut(at as usize) {
                *place = node;
            }
            at
        } else {
            self.nodes.push(node);
            (self.nodes.len() - 1) as NodeId
        };
        self.by_name.insert(name, at);
        at
    }

    /// A name that nobody has and nobody waits for is forgotten.
    pub(super) fn forget_if_unused(&mut self, at: NodeId) {
        let is_used = |node: &Node| {
            node.member.is_some()
                || node.level != Level::Absent
                || !node.out.is_empty()
                || !node.back.is_empty()
        };
        if let Some(node) = self
            .nodes
            .get_mut(at as usize)
            .filter(|node| !is_used(node))
            && self.by_name.remove(&node.name).is_some()
        {
            *node = Node::new(Rc::from([]));
            self.due.remove(&at);
            self.free.push(at);
        }
    }

    pub(super) fn waits_to_stop(&self, at: NodeId) -> bool {
        self.node(at).is_some_and(|node| node.waits_to_stop)
    }

    /// Whether two nodes are in one component.
    pub(super) fn are_one(&self, one: NodeId, other: NodeId) -> bool {
        let component = |at| self.node(at).map_or(ALONE, |node| node.component);
        component(one) != ALONE && component(one) == component(other)
    }

    /// For whom the node waits, and how.
    pub(super) fn needed_by(&self, at: NodeId) -> impl Iterator<Item = (NodeId, Kind)> {
        let edges = (0..).map_while(move |nth| self.edge(at, nth));
        edges.filter(|(_, kind)| *kind != Kind::Before)
    }

    /// The edge of this number, whoever's directory has it; `None` after the last one. It is
    /// `Before` if the other is the one that waits.
    pub(super) fn edge(&self, at: NodeId, nth: usize) -> Option<(NodeId, Kind)> {
        let node = self.node(at)?;
        if let Some(own) = node.out.get(nth) {
            return Some((own.to, own.kind));
        }
        let edge = node.back.get(nth - node.out.len())?;
        let waits = edge.kind == Kind::Before;
        let kind = if waits { Kind::After } else { Kind::Before };
        Some((edge.to, kind))
    }

    /// Who waits for the node, and how.
    pub(super) fn dependents_of(&self, at: NodeId) -> impl Iterator<Item = (NodeId, Kind)> {
        let node = self.node(at);
        let back = node.into_iter().flat_map(|node| &node.back);
        let back = back.filter(|edge| edge.kind != Kind::Before);
        let out = node.into_iter().flat_map(|node| &node.out);
        let out = out.filter(|edge| edge.kind == Kind::Before);
        let back = back.map(|edge| (edge.to, edge.kind));
        back.chain(out.map(|edge| (edge.to, Kind::After)))
    }
}
