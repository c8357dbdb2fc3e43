//! Services that need others: thousands with edges between them, and one that needs a
//! hundred which are done once in a boot.

use anyhow::{Context, Result};
use std::fs;

use super::lives::Bench;
use super::measures::What;
use super::peers::{Name, Peer};
use super::probe::Step;
use super::processes;
use super::readiness::need;
use super::tree::Tree;

/// Edges that each service has, as far as there are others before it.
const NEEDS: usize = 3;
/// Once in a boot: it says so, and ends.
const ONESHOT: &[Step] = &[Step::Announce, Step::End];
/// What needs all oneshots.
const LAST: &str = "last";

impl Bench<'_> {
    /// A start of services that need others, beside one of services that need nothing, and
    /// what the supervisor's memory is more for each edge.
    pub fn start_with_needs(&mut self, peer: &Peer, n: usize) -> Result<()> {
        if peer.name != Name::Sunup {
            return Ok(());
        }
        let without_kib = self.start_plain(peer, n)?;
        let mut tree = Tree::new(peer, n, &self.place, self.interrupt)?;
        let services = tree.services();
        let mut edges = 0_u32;
        for (i, service) in services.iter().enumerate() {
            for other in earlier(i) {
                if let Some(other) = services.get(other) {
                    need(service, other)?;
                    edges += 1;
                }
            }
        }
        let Some(start) = tree.start(false)? else {
            return tree.end();
        };
        self.add_ms(What::StartNeeds, &tree, tree.last_start()?.since(start));
        let with_kib = processes::cost(&tree.supervisors()?)?.anonymous_kib;
        let more = f64::from(with_kib.saturating_sub(without_kib)) * 1024.0;
        self.add(What::EdgeMemory, &tree, more / f64::from(edges.max(1)));
        tree.end()
    }

    /// From the supervisor's start to that of the service which needs all oneshots.
    pub fn oneshots(&mut self, peer: &Peer, n: usize) -> Result<()> {
        if !matches!(peer.name, Name::Bare | Name::Sunup) {
            return Ok(());
        }
        let mut tree = Tree::new(peer, n, &self.place, self.interrupt)?;
        tree.replace_programs("oneshot", ONESHOT)?;
        if peer.name == Name::Bare {
            let (start, end) = tree.run_in_turn()?;
            self.add_ms(What::Oneshots, &tree, end.since(start));
            return tree.end();
        }
        let last = tree.scan_dir().join(LAST);
        tree.make_service(&last)?;
        for service in tree.services() {
            let (run, setup) = (service.join("run"), service.join("setup"));
            fs::rename(&run, setup).with_context(|| format!("rename {}", run.display()))?;
            need(&last, &service)?;
        }
        tree.seem_old()?;
        let start = tree.start(false)?;
        let end = tree.hear()?;
        if let Some(start) = start {
            self.add_ms(What::Oneshots, &tree, end.at.since(start));
        }
        tree.end()
    }
}

/// Which of the services before it a service needs: up to three, spread over all of them, the
/// same in every run (Knuth's multiplicative hash).
fn earlier(i: usize) -> Vec<usize> {
    let hash = |edge: usize| ((i * NEEDS + edge) as u64).wrapping_mul(0x9e37_79b1) >> 8;
    let mut some: Vec<usize> = (0..NEEDS)
        .filter_map(|edge| (hash(edge) as usize).checked_rem(i))
        .collect();
    some.sort_unstable();
    some.dedup();
    some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_of_services_before_and_spread() {
        assert!(earlier(0).is_empty());
        assert_eq!(earlier(1), [0]);
        let all: Vec<usize> = (0..5000).flat_map(earlier).collect();
        assert!((0..5000).all(|i| earlier(i).iter().all(|other| *other < i)));
        assert!(all.len() > 14_900, "{}", all.len());
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert!(different.len() > 2500, "{}", different.len());
    }
}
