//! All samples of a run, and what is needed to judge them: the machine, the
//! versions, and what went wrong.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::Serialize;

use super::measures::What;
use super::peers::{Name, Peer};
use super::processes::field;
use super::stats::Sorted;

/// A run.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// Where and how it was done.
    pub machine: Machine,
    /// The versions of the peers.
    pub peers: BTreeMap<&'static str, String>,
    /// The samples.
    pub series: Vec<Series>,
    /// What a reader must know, failures of peers among it.
    pub notes: Vec<String>,
}

/// Where and how a run was done.
#[derive(Debug, Default, Serialize)]
pub struct Machine {
    /// Model of the processors.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// In MiB.
    pub memory_mib: u32,
    /// Name and version.
    pub kernel: String,
    /// Where the services were.
    pub place: String,
    /// The run's, in UTC.
    pub date: String,
    /// The load before the first measurement: 1, 5 and 15 minutes.
    pub load: String,
    /// As lab was called.
    pub command_line: String,
}

/// Samples of one measure of one peer, in the order in which they were taken.
#[derive(Debug, Serialize)]
pub struct Series {
    /// What.
    pub what: What,
    /// Of the samples.
    pub unit: &'static str,
    /// How many services; 0 where it is not about services.
    pub services: usize,
    /// Whose.
    pub peer: Name,
    /// The values.
    pub samples: Vec<f64>,
}

impl Results {
    /// Adds a sample, to four digits behind the point.
    pub fn add(&mut self, what: What, services: usize, peer: Name, sample: f64) {
        let sample = (sample * 1e4).round() / 1e4;
        let same = |s: &&mut Series| (s.what, s.services, s.peer) == (what, services, peer);
        if let Some(series) = self.series.iter_mut().find(same) {
            series.samples.push(sample);
            return;
        }
        self.series.push(Series {
            what,
            unit: what.unit(),
            services,
            peer,
            samples: vec![sample],
        });
    }

    /// Adds a note, once.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds a peer.
    pub fn add_peer(&mut self, peer: &Peer) {
        self.peers.insert(peer.name.word(), peer.version.clone());
    }

    /// All measures with their numbers of services, in the order of the table.
    pub fn rows(&self) -> Vec<(What, usize)> {
        let mut rows: Vec<_> = self.series.iter().map(|s| (s.what, s.services)).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// The samples of a peer in order, if there are any.
    pub fn sorted(&self, what: What, services: usize, peer: Name) -> Option<Sorted> {
        let same = |s: &&Series| (s.what, s.services, s.peer) == (what, services, peer);
        Some(Sorted::new(&self.series.iter().find(same)?.samples))
    }

    /// The median of a peer's samples.
    pub fn median(&self, what: What, services: usize, peer: Name) -> Option<f64> {
        self.sorted(what, services, peer)?.median()
    }
}

impl Machine {
    /// This one, now.
    pub fn here(place: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        let date = Command::new("date")
            .args(["-u", "+%Y-%m-%d %H:%M"])
            .output();
        let date = date.map_or_else(|_| Vec::new(), |output| output.stdout);
        let words = std::env::args().skip(1);
        Self {
            processor: model.unwrap_or_else(|| "unknown".into()),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: field(&read("/proc/meminfo"), "MemTotal:") / 1024,
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            place: place.to_owned(),
            date: String::from_utf8_lossy(&date).trim().to_owned(),
            load: read("/proc/loadavg")
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            command_line: ["cargo lab".to_owned()]
                .into_iter()
                .chain(words)
                .collect::<Vec<_>>()
                .join(" "),
        }
    }
}
