//! What there is to see while tests run: a line on a terminal that says how far
//! they are, and elsewhere which tests run when nothing was said for a while.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{End, Run};
use crate::moment::Moment;

/// So long nothing needs to be said.
const SILENCE: Duration = Duration::from_secs(30);
/// So many tests are named then: those that run longest.
const NAMED: usize = 4;
/// Between two looks whether all is done.
const LOOK: Duration = Duration::from_millis(100);

/// See the module.
pub struct Board {
    state: Mutex<State>,
    bar: ProgressBar,
}

struct State {
    /// What runs, since when.
    running: BTreeMap<usize, (String, Moment)>,
    next: usize,
    done: usize,
    all: usize,
    failed: usize,
    spoke: Moment,
}

impl Board {
    pub fn new() -> Self {
        let bar = if io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg}");
            let bar = ProgressBar::new(0);
            bar.enable_steady_tick(LOOK);
            style
                .map(|style| bar.clone().with_style(style))
                .unwrap_or(bar)
        } else {
            ProgressBar::hidden()
        };
        Self {
            state: Mutex::new(State {
                running: BTreeMap::new(),
                next: 0,
                done: 0,
                all: 0,
                failed: 0,
                spoke: Moment::now(),
            }),
            bar,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many tests will come.
    pub fn expect(&self, tests: usize) {
        let mut state = self.state();
        state.all += tests;
        self.bar.set_length(state.all as u64);
    }

    /// A job begins; what to name it by.
    pub fn begin(&self, name: &str) -> usize {
        let mut state = self.state();
        state.next += 1;
        let ticket = state.next;
        state
            .running
            .insert(ticket, (name.to_owned(), Moment::now()));
        ticket
    }

    /// A job is at another of its tests.
    pub fn rename(&self, ticket: usize, name: &str) {
        let mut state = self.state();
        if let Some(entry) = state.running.get_mut(&ticket)
            && entry.0 != name
        {
            *entry = (name.to_owned(), Moment::now());
        }
    }

    /// A job ended.
    pub fn end(&self, ticket: usize, runs: &[(String, Run)]) {
        let mut state = self.state();
        state.running.remove(&ticket);
        state.done += runs.len();
        let failed = runs.iter().filter(|(_, run)| run.end != End::Passed);
        state.failed += failed.count();
        self.bar.set_position(state.done as u64);
    }

    /// Says where the tests are until they are done.
    pub fn tell_until(&self, done: impl Fn() -> bool) {
        while !done() {
            thread::sleep(LOOK);
            let mut state = self.state();
            let longest = state.longest();
            self.bar.set_message(longest.clone());
            let now = Moment::now();
            if self.bar.is_hidden() && now.since(state.spoke) >= SILENCE {
                state.spoke = now;
                eprintln!("lab: {}/{}; {longest}", state.done, state.all);
            }
        }
    }

    /// No more is to be seen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl State {
    /// What runs, that which runs longest first.
    fn longest(&self) -> String {
        let now = Moment::now();
        let mut running: Vec<_> = self.running.values().collect();
        running.sort_by_key(|(_, since)| *since);
        let named = running
            .iter()
            .take(NAMED)
            .map(|(name, since)| format!("{name} for {} s", now.since(*since).as_secs()));
        let named: Vec<String> = named.collect();
        let more = match running.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        format!("running: {}{more}", named.join(", "))
    }
}
