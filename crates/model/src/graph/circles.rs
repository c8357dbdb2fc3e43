//! Services that wait for each other in a circle: the strongly connected components of the
//! graph, by Tarjan's algorithm, without recursion.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::nodes::{ALONE, Node, NodeId};
use super::{Graph, Kind};

/// How many edges are followed in the search for the shortest way round.
const STEPS_MAX: usize = 100_000;
/// How many services of a circle are named.
const NAMED_MAX: usize = 8;
/// How many circles are told of at a time.
const TOLD_MAX: usize = 8;

/// One step of a way: by which directory, and to whom.
type Step = (Kind, NodeId);

/// A node that has not been visited.
const NEVER: u32 = u32::MAX;

/// A depth-first search.
struct Search {
    /// The order in which nodes were visited.
    index: Vec<u32>,
    /// The first node that is reached from there.
    low: Vec<u32>,
    /// Nodes whose component is not complete.
    open: Vec<NodeId>,
    is_open: Vec<bool>,
    /// The way to the present node: which edge of each comes next.
    way: Vec<(NodeId, usize)>,
    components: Vec<NodeId>,
    visited: u32,
}

impl Search {
    fn enter(&mut self, at: NodeId) {
        let i = at as usize;
        self.index[i] = self.visited;
        self.low[i] = self.visited;
        self.visited += 1;
        self.open.push(at);
        self.is_open[i] = true;
        self.way.push((at, 0));
    }

    /// The present node leads to this one.
    fn meet(&mut self, at: NodeId, to: NodeId) {
        if self.index[to as usize] == NEVER {
            self.enter(to);
        } else if self.is_open[to as usize] {
            let reached = self.index[to as usize];
            self.low[at as usize] = self.low[at as usize].min(reached);
        }
    }

    /// All edges of a node have been followed.
    fn leave(&mut self, at: NodeId) {
        self.way.pop();
        let low = self.low[at as usize];
        if let Some((before, _)) = self.way.last() {
            let before = *before as usize;
            self.low[before] = self.low[before].min(low);
        }
        if low != self.index[at as usize] {
            return;
        }
        let first = self.open.iter().rposition(|open| *open == at).unwrap_or(0);
        let members = self.open.split_off(first);
        let name = members.iter().copied().min().filter(|_| members.len() > 1);
        for member in members {
            self.is_open[member as usize] = false;
            self.components[member as usize] = name.unwrap_or(ALONE);
        }
    }
}

impl Graph {
    /// Whether edges have changed since circles were last looked for.
    pub const fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Looks for circles, when all else is done; returns what is to be said about new ones.
    /// Verdicts may follow.
    pub fn find_circles(&mut self) -> Vec<String> {
        self.is_stale = false;
        self.know_components();
        let mut new: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for (at, node) in (0..).zip(&self.nodes) {
            if node.component != ALONE {
                new.entry(node.component).or_default().push(at);
            }
        }
        new.retain(|_, members| {
            let mut is_new = false;
            for at in members {
                let node = self.nodes.get_mut(*at as usize);
                is_new |= node.is_some_and(|node| !core::mem::replace(&mut node.is_said, true));
            }
            is_new
        });
        let mut texts: Vec<String> = new.values().take(TOLD_MAX).map(|c| self.told(c)).collect();
        if new.len() > TOLD_MAX {
            texts.push(format!("{} more circles", new.len() - TOLD_MAX));
        }
        texts
    }

    /// Finds the components of the present edges.
    pub(super) fn know_components(&mut self) {
        if core::mem::replace(&mut self.knows_components, true) {
            return;
        }
        for (at, component) in (0..).zip(self.components()) {
            // A component that another one has joined may have the same number.
            let is_concerned = |node: &&mut Node| (node.component, component) != (ALONE, ALONE);
            let node = self.nodes.get_mut(at as usize);
            if let Some(node) = node.filter(is_concerned) {
                node.component = component;
                self.due.insert(at);
            }
        }
    }

    /// The component of each node.
    fn components(&self) -> Vec<NodeId> {
        let count = self.nodes.len();
        let mut search = Search {
            index: vec![NEVER; count],
            low: vec![0; count],
            open: Vec::new(),
            is_open: vec![false; count],
            way: Vec::new(),
            components: vec![ALONE; count],
            visited: 0,
        };
        for at in 0..count as NodeId {
            if search.index[at as usize] == NEVER {
                search.enter(at);
            }
            while let Some((at, nth)) = search.way.last_mut() {
                let (at, edge) = (*at, self.edge(*at, *nth));
                *nth += 1;
                match edge {
                    None => search.leave(at),
                    Some((_, Kind::Before)) => {}
                    Some((to, _)) => search.meet(at, to),
                }
            }
        }
        search.components
    }

    /// An edge within a component goes: until the next look its members wait for each
    /// other.
    pub(super) fn dissolve(&mut self, one: NodeId, other: NodeId) {
        if !self.are_one(one, other) {
            return;
        }
        let component = self.node(one).map(|node| node.component);
        for at in 0..self.nodes.len() as NodeId {
            let node = self.nodes.get_mut(at as usize);
            if let Some(node) = node.filter(|node| Some(node.component) == component) {
                node.component = ALONE;
                node.is_said = false;
                self.due.insert(at);
            }
        }
    }

    /// What is said about a circle: a shortest way round, in a large component one of the
    /// shortest that were found.
    fn told(&self, members: &[NodeId]) -> String {
        let mut best: Vec<Step> = Vec::new();
        let (mut first, mut steps) = (0, 0);
        for at in members {
            if steps > STEPS_MAX {
                break;
            }
            let way = self.way_round(*at, &mut steps);
            if best.is_empty() || way.len() < best.len() {
                (best, first) = (way, *at);
            }
        }
        let mut text = self.name(first);
        for (kind, to) in best.iter().take(NAMED_MAX) {
            text.extend([" ", kind.directory(), " ", &self.name(*to)]);
            if *to != first {
                text.extend([", which"]);
            }
        }
        if best.len() > NAMED_MAX {
            text.push_str(" ...");
        }
        let count = members.len();
        format!("{text}: a circle; its {count} services do not wait for each other")
    }

    /// The shortest way from a node of a component back to it.
    fn way_round(&self, from: NodeId, steps: &mut usize) -> Vec<Step> {
        let mut came: BTreeMap<NodeId, (NodeId, Kind)> = BTreeMap::new();
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            for (to, kind) in self.needed_by(at).filter(|(to, _)| self.are_one(from, *to)) {
                *steps += 1;
                if to == from {
                    return way_to(at, from, kind, &came);
                }
                came.entry(to).or_insert_with(|| {
                    next.push_back(to);
                    (at, kind)
                });
            }
        }
        Vec::new()
    }
}

/// The way from `from` over `last` back to `from`.
fn way_to(
    last: NodeId,
    from: NodeId,
    kind: Kind,
    came: &BTreeMap<NodeId, (NodeId, Kind)>,
) -> Vec<Step> {
    let mut way = vec![(kind, from)];
    let mut at = last;
    while let Some((before, kind)) = came.get(&at).filter(|_| at != from) {
        way.push((*kind, at));
        at = *before;
    }
    way.reverse();
    way
}
