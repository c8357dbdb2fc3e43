//! `sv top`: the table of `sv list` with what each process takes of a processor, again and
//! again on a terminal, until `q`; elsewhere once.

use std::os::fd::AsFd;

use model::options::{Opt, Order, Spec};
use model::snapshot::line::{Goal, time};
use model::snapshot::table::{row, table};
use model::snapshot::{Snapshot, Usage};
use model::sorted::sort_by;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::super::usage_error;
use super::directories::enabled;
use super::list::are_asked;
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use super::view;
use crate::say;
use crate::sys::clock::{self, boot_ns};
use crate::sys::local_time;
use crate::sys::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH, SignalFd};

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "top",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv top",
    synopsis: "[-d SEC] [-s WHAT] [PATTERN...]",
    about: "show the services that need most, again and again",
    options: &[
        Opt::valued(b'd', "SEC", "look each SEC seconds (2)"),
        Opt::valued(b's', "WHAT", "sort by cpu or memory (cpu)").long("sort"),
    ],
    order: Order::Permute,
    notes: "\
Keys: q ends, c sorts by cpu, m by memory. Where standard output is no terminal, one
table is printed, of the first SEC seconds.
",
    usage_code: 100,
};

/// What the most of comes first.
#[derive(Clone, Copy)]
enum By {
    Cpu,
    Memory,
}

/// The other screen, without a cursor; and back (xterm's, which all terminals know that have it).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

fn run(call: &Call) -> u8 {
    let by = match call.args.value(b's') {
        None | Some(b"cpu") => By::Cpu,
        Some(b"memory") => By::Memory,
        Some(_) => return usage_error(&SPEC, "-s: say cpu or memory"),
    };
    let text = call.args.value(b'd').unwrap_or(b"2");
    let seconds = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    let Some(seconds @ 1..=86_400) = seconds else {
        return usage_error(&SPEC, "-d: say a whole number of seconds, from 1 on");
    };
    let mut top = Top {
        patterns: &call.args.operands,
        by,
        period_ns: seconds * 1_000_000_000_u64,
        seen: Vec::new(),
        cpu: Vec::new(),
        at_ns: 0,
    };
    let done = top.look().and_then(|()| match Screen::enter() {
        Some(screen) => top.show(&screen),
        None => top.print(),
    });
    match done {
        Ok(()) => 0,
        Err(mistake) => {
            say::line("sv", mistake);
            1
        }
    }
}

struct Top<'a> {
    patterns: &'a [&'a [u8]],
    by: By,
    period_ns: u64,
    seen: Vec<Snapshot>,
    /// What each takes of a processor, in tenths of a percent.
    cpu: Vec<Option<u64>>,
    /// When that was.
    at_ns: u64,
}

impl Top<'_> {
    fn look(&mut self) -> Result<(), String> {
        let mut names = enabled()?;
        names.retain(|name| are_asked(self.patterns, name));
        let now = boot_ns();
        let passed_ms = now.saturating_sub(self.at_ns) / 1_000_000;
        let seen: Vec<Snapshot> = names.iter().map(|name| look(name, Depth::All)).collect();
        let cpu = |now: &Snapshot| {
            // Names are sorted.
            let at = self
                .seen
                .binary_search_by(|before| before.name.cmp(&now.name));
            let before = at.ok().and_then(|at| self.seen.get(at));
            let before = before.filter(|before| before.pid() == now.pid());
            let used = |usage: Usage| usage.cpu_ms;
            // Of a new process, all that it has used.
            let used_before = before.and_then(|before| before.usage.and_then(used));
            let used_ms = now
                .usage
                .and_then(used)?
                .saturating_sub(used_before.unwrap_or(0));
            Some(used_ms.saturating_mul(1000) / passed_ms.max(1))
        };
        self.cpu = seen.iter().map(cpu).collect();
        self.seen = seen;
        self.at_ns = now;
        Ok(())
    }

    /// One table.
    fn print(&mut self) -> Result<(), String> {
        let _ = poll(&mut [], Some(&clock::timespec(self.period_ns)));
        self.look()?;
        say::print(&table(&self.rows(), view::of_stdout()));
        Ok(())
    }

    /// Rows by what they need, then by name.
    fn rows(&self) -> String {
        let mut order: Vec<(u64, &Snapshot, Option<u64>)> = Vec::new();
        for (seen, cpu) in self.seen.iter().zip(&self.cpu) {
            let need = match self.by {
                By::Cpu => cpu.unwrap_or(0),
                By::Memory => seen.usage.map_or(0, |usage| usage.memory_bytes),
            };
            order.push((need, seen, *cpu));
        }
        sort_by(&mut order, |a, b| (b.0, &a.1.name).cmp(&(a.0, &b.1.name)));
        let now = clock::moment();
        let rows = order.into_iter().map(|(_, seen, cpu)| row(seen, cpu, now));
        rows.collect()
    }

    /// Tables, until it is enough.
    fn show(&mut self, screen: &Screen) -> Result<(), String> {
        // The first look has nothing to compare with.
        let mut next_ns = boot_ns() + self.period_ns / 4;
        loop {
            Screen::draw(&self.title(), &table(&self.rows(), view::of_stdout()));
            match screen.wait(next_ns) {
                Key::End => return Ok(()),
                Key::By(by) => self.by = by,
                Key::None => {}
            }
            if boot_ns() >= next_ns {
                self.look()?;
                next_ns = boot_ns() + self.period_ns;
            }
        }
    }

    fn title(&self) -> String {
        let is_up = |seen: &&Snapshot| Goal::Up.is_met_by(seen.state());
        let up = self.seen.iter().filter(is_up).count();
        let time = time(local_time::now());
        format!("{time}  {} services, {up} up; q ends", self.seen.len())
    }
}

/// What a user wants.
enum Key {
    None,
    End,
    By(By),
}

/// The terminal, which is as it was when this is dropped.
struct Screen {
    before: Termios,
    signals: SignalFd,
}

impl Screen {
    /// `None`: there is no terminal that could show it.
    fn enter() -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !isatty(stdout()) {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH];
        let screen = Self {
            before,
            signals: SignalFd::new(&signals).ok()?,
        };
        screen.take();
        Some(screen)
    }

    fn take(&self) {
        let mut modes = self.before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &modes);
        say::print(ENTER);
    }

    fn give_back(&self) {
        say::print(LEAVE);
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }

    /// As many lines as there is room for.
    fn draw(title: &str, table: &str) {
        let rows = tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_row));
        let rows = if rows == 0 { 24 } else { rows };
        let width = view::of_stdout().width.unwrap_or(usize::MAX);
        let title = title.get(..width.min(title.len())).unwrap_or_default();
        let lines: Vec<&str> = [title]
            .into_iter()
            .chain(table.lines())
            .take(rows)
            .collect();
        // Each line clears what was right of it, and the last what was below.
        say::print(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")));
    }

    /// Waits for a key, a signal or the moment.
    fn wait(&self, until_ns: u64) -> Key {
        let left = clock::timespec(until_ns.saturating_sub(boot_ns()));
        let mut fds = [
            PollFd::from_borrowed_fd(stdin(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        let _ = poll(&mut fds, Some(&left));
        if !fds[0].revents().is_empty() {
            let mut key = [0];
            match (rustix::io::read(stdin(), &mut key), key) {
                (Ok(1), [b'q' | b'Q']) => return Key::End,
                (Ok(1), [b'c']) => return Key::By(By::Cpu),
                (Ok(1), [b'm']) => return Key::By(By::Memory),
                (Ok(1) | Err(rustix::io::Errno::INTR), _) => {}
                // The terminal is gone.
                _ => return Key::End,
            }
        }
        while let Some(delivered) = self.signals.next() {
            match delivered.signal {
                SIGWINCH => {}
                SIGTSTP => {
                    self.give_back();
                    let _ = kill_process(getpid(), Signal::STOP);
                    self.take();
                }
                _ => return Key::End,
            }
        }
        Key::None
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.give_back();
    }
}
