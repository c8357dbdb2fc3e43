//! The order of services, explored: small graphs of every shape, and what can happen to the
//! services in any order.
//!
//! 1. No service starts while one that it needs is not ready, unless the two wait for each
//!    other.
//! 2. If all are wanted up and become ready, all run in the end; if all are told to stop,
//!    all end.
//! 3. No service gets its signal before those that wait for it and are being stopped have
//!    ended.
//! 4. Whoever follows another is stopped exactly once when that one ends.
//! 5. When there is nothing more to do, a start is held exactly if the table says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chain;
mod quiet;
mod tree;
mod world;

use std::collections::HashSet;

use model::graph::Kind;
use model::scan::Identity;
use world::{Arrow, Event, World};

/// The name of a service by its number.
fn name(at: usize) -> Vec<u8> {
    format!("s{at}").into_bytes()
}

/// Its directory.
const fn identity(at: usize) -> Identity {
    Identity {
        dev: 1,
        ino: at as u64,
    }
}

/// Every pair of different services.
fn pairs(count: usize) -> Vec<(usize, usize)> {
    let pairs = (0..count).flat_map(|who| (0..count).map(move |whom| (who, whom)));
    pairs.filter(|(who, whom)| who != whom).collect()
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for _ in 0..count {
        let longer = |order: &Vec<usize>| {
            let order = order.clone();
            let rest = (0..count)
                .filter(|n| !order.contains(n))
                .collect::<Vec<_>>();
            rest.into_iter()
                .map(move |n| [order.as_slice(), &[n]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// Every graph of these kinds, one of those that differ in the names alone. No pair has two
/// arrows in one direction.
fn graphs(count: usize, kinds: &[Kind]) -> Vec<Vec<Arrow>> {
    let pairs = pairs(count);
    let orders = permutations(count);
    let mut graphs = Vec::new();
    let mut digits = vec![0; pairs.len()];
    loop {
        let of = |who, whom| pairs.iter().position(|pair| *pair == (who, whom));
        let renamed = |order: &Vec<usize>| -> Vec<usize> {
            let renamed = pairs
                .iter()
                .map(|(who, whom)| of(order[*who], order[*whom]));
            renamed.map(|at| digits[at.unwrap()]).collect()
        };
        if orders.iter().all(|order| renamed(order) >= digits) {
            let arrows = pairs.iter().zip(&digits).filter(|(_, kind)| **kind > 0);
            let arrows = arrows.map(|((who, whom), kind)| (*who, kinds[kind - 1], *whom));
            graphs.push(arrows.collect());
        }
        let Some(at) = digits.iter().position(|digit| *digit < kinds.len()) else {
            return graphs;
        };
        digits[at] += 1;
        digits[..at].fill(0);
    }
}

/// Lets everything happen in every order; returns how many states there are. `at_once`:
/// nothing happens while there are verdicts, and files stay as they are.
fn explore(count: usize, arrows: &[Arrow], at_once: bool) -> usize {
    let first = World::new(count, arrows);
    let mut seen = HashSet::from([first.key()]);
    let mut next = vec![first];
    while let Some(world) = next.pop() {
        world.check();
        for event in world.events() {
            let is_change = matches!(event, Event::Files(_) | Event::Entry(_));
            if at_once && (is_change || event == Event::Step) {
                continue;
            }
            let mut after = world.clone();
            after.happen(event);
            if at_once {
                after.settle();
            }
            if seen.insert(after.key()) {
                next.push(after);
            }
        }
    }
    seen.len()
}

/// Numbers that look like chance, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % n
    }
}

/// Lets some of what can happen happen, one after the other.
fn wander(count: usize, arrows: &[Arrow], steps: usize, chance: &mut Chance) {
    let mut world = World::new(count, arrows);
    for step in 0..steps {
        let events = world.events();
        // Steps are as likely as all else: so verdicts come soon, but not at once.
        let event = events.get(chance.below(2 * events.len()));
        world.happen(*event.unwrap_or(&Event::Step));
        if step % 16 == 15 {
            world.check();
        }
    }
    world.check();
}

#[test]
fn two_services_with_every_pair_of_arrows() {
    let graphs = graphs(2, &Kind::ALL);
    let states: usize = graphs.iter().map(|g| explore(2, g, false)).sum();
    assert!(states > 100_000, "{states}");
}

/// All events of these graphs would take minutes.
#[test]
fn three_services_with_every_set_of_arrows() {
    let mut chance = Chance(3);
    let graphs = graphs(3, &Kind::ALL);
    for arrows in &graphs {
        wander(3, arrows, 64, &mut chance);
    }
    for arrows in graphs.iter().step_by(397) {
        explore(3, arrows, true);
    }
}

/// Every shape with arrows of one kind, and some of those with several kinds.
#[test]
fn four_services() {
    let mut chance = Chance(4);
    for kind in Kind::ALL {
        for arrows in graphs(4, &[kind]) {
            for _ in 0..4 {
                wander(4, &arrows, 64, &mut chance);
            }
        }
    }
    for _ in 0..3000 {
        let none = chance.below(12);
        let mut arrows = Vec::new();
        for (who, whom) in pairs(4) {
            if chance.below(12) >= none {
                arrows.push((who, Kind::ALL[chance.below(5)], whom));
            }
        }
        wander(4, &arrows, 64, &mut chance);
    }
}
