//! Services that wait for others, which their directories name. None starts before those that it
//! needs were ready, and one that waits at the end of a game does so with good reason.

use std::collections::BTreeSet;

use model::graph::{Edges, Kind as Edge};
use model::service::{Program, Role, State};
use model::supervisor::{Id, Job};

use super::kernel::Dir;
use super::shell::Shell;
use super::world::World;

/// The directories that name others.
const EDGES: [Edge; 3] = [Edge::Needs, Edge::Wants, Edge::After];

/// Whom a service names in each of [`EDGES`]: a bit for each name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names([u8; 3]);

impl Names {
    pub fn random(bits: u64) -> Self {
        let bit = |n: u32| bits >> (3 * n) & 7;
        let names = |n: u32| if bit(n) < 4 { 1 << (bit(n + 1) & 3) } else { 0 };
        Self([names(2) | names(4), names(6), names(8)])
    }

    fn iter(self) -> impl Iterator<Item = (Edge, Vec<u8>)> {
        EDGES.into_iter().zip(self.0).flat_map(|(edge, bits)| {
            let named = (0..4).filter(move |n| bits >> n & 1 == 1);
            named.map(move |n| (edge, vec![b'a' + n]))
        })
    }

    /// What its directory says.
    fn edges(self) -> Edges {
        let mut edges = Edges::NONE;
        for (edge, name) in self.iter() {
            edges.add(edge, &name);
        }
        edges
    }
}

impl World {
    /// Whom a directory names.
    pub fn edges_of(&self, dir: Dir) -> Edges {
        if self.rules.reads_edges {
            self.manners(dir).names.edges()
        } else {
            Edges::NONE
        }
    }
}

impl Shell {
    /// A process of a service is about to be started: those that it needs have been ready.
    pub fn check_needs(&self, world: &mut World, job: Job) -> Result<(), String> {
        let Some((dir, Role::Main)) = self.place(job.id()) else {
            return Ok(());
        };
        if !matches!(job, Job::Prepare(_) | Job::Setup(_) | Job::Run(_)) {
            return Ok(());
        }
        if matches!(job, Job::Run(_)) {
            world.past.told.remove(&dir);
        }
        if self.keeper || self.leaves {
            return Ok(());
        }
        for (edge, name) in world.manners(dir).names.iter() {
            let dirs = world.past.names.get(&name).cloned().unwrap_or_default();
            let met = |other: &Dir| world.past.ready.contains(other) || reaches(world, *other, dir);
            if edge == Edge::Needs && !dirs.iter().any(met) {
                return Err(format!("{dir} starts, and {dirs:?} was never ready"));
            }
        }
        Ok(())
    }
}

/// Whether one waits for the other, directly or by others, by any names of the past.
fn reaches(world: &World, from: Dir, to: Dir) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut left = vec![from];
    while let Some(dir) = left.pop() {
        if dir == to {
            return true;
        }
        for (_, name) in world.manners(dir).names.iter() {
            let dirs = world.past.names.get(&name).into_iter().flatten();
            left.extend(dirs.copied().filter(|dir| seen.insert(*dir)));
        }
    }
    false
}

/// Whether one that is down waits with good reason.
pub fn may_be_held(shell: &Shell, world: &World, dir: Dir) -> bool {
    let of = |name: &Vec<u8>| {
        let mut units = shell.units.iter();
        let found = units.find(|(id, _)| shell.core.name(**id) == Some(name));
        found.map(|(unit, open)| {
            (
                Id {
                    unit: *unit,
                    role: Role::Main,
                },
                open.dir,
            )
        })
    };
    let holds = |(edge, name): (Edge, Vec<u8>)| {
        let Some((id, other)) = of(&name) else {
            return edge == Edge::Needs;
        };
        let service = shell.core.service(id);
        let is_ready = service.is_some_and(|s| match s.state() {
            State::Run(run) => run.program == Program::Run && run.ready.is_some(),
            State::Done { .. } => true,
            _ => false,
        });
        let is_held = service.is_some_and(model::service::Service::is_held);
        let is_met = if edge == Edge::Needs {
            is_ready
        } else {
            !is_held
        };
        !is_met && !(reaches_now(shell, world, other, dir))
    };
    world.manners(dir).names.iter().any(holds)
}

/// By the names of the present.
fn reaches_now(shell: &Shell, world: &World, from: Dir, to: Dir) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut left = vec![from];
    while let Some(dir) = left.pop() {
        if dir == to {
            return true;
        }
        let names: Vec<Vec<u8>> = world
            .manners(dir)
            .names
            .iter()
            .map(|(_, name)| name)
            .collect();
        for (unit, open) in &shell.units {
            let is_named = shell
                .core
                .name(*unit)
                .is_some_and(|name| names.contains(name));
            if is_named && seen.insert(open.dir) {
                left.push(open.dir);
            }
        }
    }
    false
}
