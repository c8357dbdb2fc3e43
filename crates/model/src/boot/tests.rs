//! The machine against a fake kernel: the stories that users tell, and in `states` every
//! event in every state that can be reached.

extern crate std;

mod single;
mod states;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::descent::KILL_GRACE;
use crate::format::inittab::decode;

const GRACE: Duration = Duration::from_secs(1);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Instant {
    Instant(0).plus(seconds(n))
}

fn entries(text: &str) -> Vec<Entry> {
    let (entries, mistakes) = decode(text.as_bytes());
    assert_eq!(mistakes, vec![]);
    entries
}

/// The machine with a kernel that always has a process to give.
struct World {
    machine: Option<Machine>,
    now: Instant,
    next_pid: Pid,
    running: Vec<(String, Pid)>,
    has_stage3: bool,
    fork_fails: bool,
    no_terminal: bool,
    inittab: Option<Vec<Entry>>,
    log: Vec<String>,
    accounts: Vec<Account>,
}

impl World {
    fn new(inittab: &str) -> Self {
        let mut world = Self {
            machine: Some(Machine::boot(entries(inittab), GRACE)),
            now: at(10),
            next_pid: 100,
            running: vec![],
            has_stage3: false,
            fork_fails: false,
            no_terminal: false,
            inittab: None,
            log: vec![],
            accounts: vec![],
        };
        world.step(Event::News(News::Tick));
        world
    }

    fn step(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (machine, actions) = self.machine.take().unwrap().step(self.now, event);
            self.machine = Some(machine);
            for action in actions {
                events.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start { id, .. } if id == Id::STAGE3 && !self.has_stage3 => {
                return Some(Event::NoStage3);
            }
            Action::Start { id, entry, .. } if self.no_terminal && !entry.tty.is_empty() => {
                self.log.push("no terminal".to_string());
                return Some(Event::NoTerminal(id));
            }
            Action::Start { id, .. } if self.fork_fails => {
                self.log.push("no process".to_string());
                return Some(Event::StartFailed(id, "no memory".to_string()));
            }
            Action::Start { id, entry, .. } => {
                let command = String::from_utf8(entry.command).unwrap();
                self.log.push(format!("start {command}"));
                self.next_pid += 1;
                self.running.push((command, self.next_pid));
                return Some(Event::Started(id, self.next_pid));
            }
            Action::ReadInittab => return Some(Event::Inittab(self.inittab.clone())),
            Action::Say(message) if message.is_for_the_console() => {
                self.log.push(message.to_string());
            }
            Action::Say(_) => {}
            Action::Account(account) => self.accounts.push(account),
            Action::End(Fate::Restart(entry)) => self
                .log
                .push(format!("exec {}", entry.command.escape_ascii())),
            Action::End(fate) => self.log.push(format!("end {}", fate.name())),
            other => self.log.push(format!("{other:?}")),
        }
        None
    }

    fn exit(&mut self, command: &str, ended: Exit) {
        let at = self.running.iter().position(|(c, _)| c == command);
        let (_, pid) = self
            .running
            .remove(at.unwrap_or_else(|| panic!("{command} does not run: {:?}", self.log)));
        self.step(Event::News(News::Exited(pid, ended)));
    }

    fn done(&mut self, command: &str) {
        self.exit(command, Exit::Code(0));
    }

    fn since(&self, start: Instant) -> Duration {
        self.now.since(start)
    }

    /// Lets time pass up to the deadline.
    fn tick(&mut self) {
        self.now = self.machine.as_ref().unwrap().deadline().unwrap();
        self.step(Event::News(News::Tick));
    }

    fn log(&mut self) -> Vec<String> {
        core::mem::take(&mut self.log)
    }
}

#[test]
fn boots_in_order() {
    let mut w =
        World::new("::once:o1\n::wait:w\n::respawn:r\n::sysinit:s1\n::sysinit:s2\n::once:o2");
    assert_eq!(w.log(), ["start s1"]);
    w.exit("s1", Exit::Code(3));
    assert_eq!(
        w.log(),
        ["process 's1' (pid 101) exited, exitcode:3.", "start s2"]
    );
    w.exit("s2", Exit::Signal(11));
    let killed = "process 's2' (pid 102) killed, signal:11.";
    assert_eq!(w.log(), [killed, "start w"]);
    w.done("w");
    assert_eq!(w.log(), ["start o1", "start r", "start o2"]);
    w.done("o1");
    w.now = w.now.plus(seconds(5));
    w.done("r");
    assert_eq!(w.log(), ["start r"]);
}

#[test]
fn a_short_life_rests_longer_and_longer_and_is_told_once() {
    let mut w = World::new("::respawn:r");
    let mut rests = vec![];
    for _ in 0..8 {
        w.done("r");
        let before = w.now;
        w.tick();
        rests.push(w.since(before).as_secs());
    }
    assert_eq!(rests, [1, 2, 4, 8, 16, 30, 30, 30]);
    let log = w.log();
    let told = log.iter().filter(|l| l.contains("again and again"));
    assert_eq!(told.count(), 1, "{log:?}");
    // Once it lives, it is as good as new.
    w.now = w.now.plus(SHORT_LIFE);
    w.done("r");
    assert_eq!(w.log(), ["start r"]);
}

/// And only then; it is offered once, until somebody writes another inittab.
#[test]
fn root_gets_a_shell_when_nothing_stays_up() {
    let rescue = "start sulogin -p";
    let mut w = World::new("::respawn:r\n::respawn:o");
    for _ in 0..10 {
        w.done("r");
        w.tick();
    }
    assert!(!w.log().iter().any(|l| l == rescue));
    w.done("o"); // It has lived.
    for failure in 1..=10 {
        w.done("o");
        let is_offered = w.log().iter().any(|l| l == rescue);
        assert_eq!(is_offered, failure == RESCUE_AFTER, "{failure}");
        w.tick();
    }
    // Who leaves the shell is asked again.
    w.now = w.now.plus(SHORT_LIFE);
    w.log();
    w.done("sulogin -p");
    assert_eq!(w.log(), [rescue]);
    w.inittab = Some(entries("::respawn:new"));
    w.step(Event::News(News::Signal(Signal::Hup)));
    w.done("sulogin -p");
    assert_eq!(w.log().last().unwrap(), "start new");
}

#[test]
fn a_failed_fork_is_tried_again_in_every_phase() {
    for (inittab, command) in [
        ("::sysinit:x", "x"),
        ("::wait:x", "x"),
        ("::respawn:x", "x"),
    ] {
        let mut w = World::new("");
        w.fork_fails = true;
        w.machine = Some(Machine::boot(entries(inittab), GRACE));
        w.step(Event::News(News::Tick));
        w.tick();
        let told = "can't start 'x' yet: fork: no memory; trying again";
        assert_eq!(w.log(), ["no process", told, "no process"]);
        w.fork_fails = false;
        w.tick();
        assert_eq!(w.log(), [format!("start {command}")]);
    }
}

#[test]
fn a_terminal_that_is_not_there_is_waited_for() {
    let mut w = World::new("::sysinit:s\nttyUSB0::respawn:getty\n::respawn:a");
    w.no_terminal = true;
    w.done("s");
    let said = "/dev/ttyUSB0 is not there: 'getty' starts when it appears";
    assert_eq!(w.log()[1..], ["no terminal", "start a", said]);
    let machine = w.machine.as_ref().unwrap();
    assert!(machine.waits_for_a_device());
    // Another device comes, and nothing comes: it looks again, and says nothing again.
    w.step(Event::News(News::Device));
    w.tick();
    assert_eq!(w.log(), ["no terminal", "no terminal"]);
    assert_eq!(w.now, at(10).plus(REST_MAX));
    w.no_terminal = false;
    w.step(Event::News(News::Device));
    assert_eq!(w.log(), ["start getty"]);
    assert!(!w.machine.as_ref().unwrap().waits_for_a_device());
    // It is unplugged, and getty ends: that is told anew.
    w.now = w.now.plus(seconds(60));
    w.no_terminal = true;
    w.done("getty");
    assert_eq!(w.log(), ["no terminal", said]);
    w.step(Event::News(News::Signal(Signal::Term)));
    assert!(!w.machine.as_ref().unwrap().waits_for_a_device());
    // Where every entry waits, nobody else could log in.
    let mut w = World::new("::sysinit:s\nttyUSB0::respawn:getty");
    w.no_terminal = true;
    w.done("s");
    let rescue = format!("start {}", inittab::SULOGIN.escape_ascii());
    assert_eq!(w.log().last().unwrap(), &rescue);
    w.tick();
    assert_eq!(w.log(), ["no terminal"]);
}

#[test]
fn records_of_logins_are_told() {
    let mut w = World::new("::sysinit:s\ntty1::respawn:getty");
    w.done("s");
    w.now = w.now.plus(seconds(5));
    w.done("getty");
    w.step(Event::News(News::Signal(Signal::Usr2)));
    w.step(Event::News(News::Signal(Signal::Term)));
    let told = [
        Account::Ended(101),
        Account::Booted,
        Account::Ended(102),
        Account::GoesDown,
    ];
    assert_eq!(w.accounts, told);
    // A successor has booted long ago.
    let mut again = World::new("");
    let machine = Machine::resume(entries("::sysinit:s"), GRACE, &handover::decode(""), at(0));
    again.accounts.clear();
    again.machine = Some(machine);
    again.step(Event::News(News::Tick));
    assert_eq!(again.accounts, []);
}

#[test]
fn a_hung_sysinit_does_not_stop_ctrl_alt_del_or_the_shutdown() {
    let mut w = World::new("::sysinit:hangs\n::ctrlaltdel:c1\n::ctrlaltdel:c2\n::shutdown:d");
    w.step(Event::News(News::Signal(Signal::Int)));
    w.done("c1");
    assert_eq!(w.log(), ["start hangs", "start c1", "start c2"]);
    w.step(Event::News(News::Signal(Signal::Term)));
    w.step(Event::News(News::Signal(Signal::Usr2)));
    assert_eq!(w.log(), ["start d"]);
    w.done("d");
    let sent = [
        "The system is going down NOW!",
        "TermAll",
        "Sent SIGTERM to all processes",
        "Sync",
    ];
    assert_eq!(w.log(), sent);
    w.tick();
    assert_eq!(w.log(), ["KillAll", "Sent SIGKILL to all processes"]);
    w.tick();
    assert_eq!(w.log(), ["Sync", "Requesting system reboot", "end reboot"]);
}

#[test]
fn the_end_comes_as_soon_as_no_process_is_left() {
    let mut w = World::new("::respawn:r");
    w.has_stage3 = true;
    w.step(Event::News(News::Signal(Signal::Usr2)));
    assert_eq!(w.log(), ["start r", "start /etc/runit/3"]);
    w.done("/etc/runit/3");
    let start = w.now;
    assert!(w.machine.as_ref().unwrap().waits_for_the_last_process());
    w.exit("r", Exit::Signal(15));
    w.step(Event::News(News::NoChildren));
    w.step(Event::News(News::NoChildren));
    let log = w.log();
    assert_eq!(log.last().unwrap(), "end poweroff");
    assert!(!log.iter().any(|l| l.contains("'r'")), "{log:?}");
    assert_eq!(w.now, start);
    w.step(Event::Refused("not permitted".to_string()));
    assert_eq!(w.log(), ["poweroff failed: not permitted", "Exit"]);
    assert_eq!(w.machine.unwrap().deadline(), None);
}

#[test]
fn each_command_of_the_shutdown_has_its_time() {
    let mut w = World::new("::shutdown:d1\n::shutdown:d2");
    w.has_stage3 = true;
    let start = w.now;
    w.step(Event::News(News::Signal(Signal::Pwr)));
    w.tick();
    assert_eq!(w.since(start), STAGE3_LIMIT);
    w.exit("/etc/runit/3", Exit::Signal(9));
    let log = w.log();
    assert_eq!(log[1], "'/etc/runit/3' still runs after 180 s: killed");
    assert_eq!(log[2], "KillGroup(101)");
    assert_eq!(log.last().unwrap(), "start d1");
    // d1 cannot even be killed.
    w.tick();
    w.tick();
    assert_eq!(w.since(start), STAGE3_LIMIT + SHUTDOWN_LIMIT + KILL_GRACE);
    assert_eq!(w.log().last().unwrap(), "start d2");
}

#[test]
fn stop_and_continue() {
    let mut w = World::new("::respawn:r");
    w.step(Event::News(News::Signal(Signal::Tstp)));
    w.now = w.now.plus(seconds(2));
    w.done("r");
    assert_eq!(w.log(), ["start r"]);
    assert_eq!(w.machine.as_ref().unwrap().deadline(), None);
    w.step(Event::News(News::Signal(Signal::Cont)));
    assert_eq!(w.log(), ["start r"]);
}

#[test]
fn a_reload_keeps_what_stays_and_forgets_what_ends() {
    let mut w = World::new("::sysinit:s\n::respawn:stays\n::respawn:goes\n::respawn:once");
    w.done("s");
    w.log();
    w.inittab = Some(entries(
        "::respawn:new\n::sysinit:s2\n::once:o\n::respawn:stays\n::once:once",
    ));
    w.step(Event::News(News::Signal(Signal::Hup)));
    assert_eq!(w.log(), ["reloading /etc/inittab", "start new"]);
    w.now = w.now.plus(seconds(2));
    w.done("goes");
    w.done("once");
    assert_eq!(w.log(), Vec::<String>::new());
    w.done("stays");
    assert_eq!(w.log(), ["start stays"]);
    // A file that cannot be used changes nothing.
    w.inittab = None;
    w.step(Event::News(News::Signal(Signal::Hup)));
    w.done("new");
    assert_eq!(w.log(), ["reloading /etc/inittab", "start new"]);
}

#[test]
fn an_entry_that_comes_back_while_its_process_runs_is_not_started_twice() {
    let mut w = World::new("tty1::respawn:getty");
    for text in ["", "tty1::respawn:getty"] {
        w.inittab = Some(entries(text));
        w.step(Event::News(News::Signal(Signal::Hup)));
    }
    let starts = w.log().iter().filter(|l| *l == "start getty").count();
    assert_eq!(starts, 1);
}

#[test]
fn quit_becomes_the_restart_entry_or_does_nothing() {
    let mut w = World::new("::respawn:r");
    w.step(Event::News(News::Signal(Signal::Quit)));
    assert_eq!(w.log(), ["start r"]);
    let mut w = World::new("::restart:/sbin/other");
    w.step(Event::News(News::Signal(Signal::Quit)));
    w.step(Event::News(News::NoChildren));
    w.step(Event::News(News::NoChildren));
    let log = w.log();
    assert_eq!(log.last().unwrap(), "exec /sbin/other");
    assert!(!log.iter().any(|l| l.contains("Requesting")));
    w.step(Event::Refused("no such file".to_string()));
    assert_eq!(w.log().last().unwrap(), "end reboot");
}

#[test]
fn a_kexec_without_a_kernel_is_a_reboot() {
    let mut w = World::new("");
    w.step(Event::News(News::Signal(Signal::Kexec)));
    w.step(Event::News(News::NoChildren));
    w.step(Event::News(News::NoChildren));
    assert_eq!(w.log().last().unwrap(), "end kexec");
    w.step(Event::Refused("no kernel".to_string()));
    assert_eq!(w.log()[1..], ["Requesting system reboot", "end reboot"]);
    w.step(Event::Refused("no right".to_string()));
    assert_eq!(w.log().last().unwrap(), "Exit");
}

#[test]
fn a_successor_takes_over() {
    let text = "::sysinit:s\n::once:o\n::respawn:a\ntty1::respawn:b";
    let mut w = World::new(text);
    w.done("s");
    let line = w.machine.as_ref().unwrap().handover();
    let told = handover::decode(&line);
    assert_eq!((told.signal, told.processes.len()), (None, 3), "{line}");
    w.machine = Some(Machine::resume(entries(text), GRACE, &told, w.now));
    w.log();
    w.step(Event::News(News::Tick));
    assert_eq!(w.log(), Vec::<String>::new());
    w.now = w.now.plus(seconds(2));
    w.done("b");
    assert_eq!(w.log(), ["start b"]);
    w.step(Event::News(News::Signal(Signal::Usr2)));
    let line = w.machine.as_ref().unwrap().handover();
    assert_eq!(handover::decode(&line).signal, Some(Signal::Usr2));
    assert_eq!(
        handover::decode("garbage x=1 =2 1= ff=-1"),
        handover::Handover::default()
    );
}

/// The successor cannot read the inittab: what it was told counts as it was.
#[test]
fn a_successor_goes_on_with_the_entries_that_it_is_told() {
    let text = "::sysinit:s\n::respawn:a b:c=%41\ntty9::askfirst:\té '\" #x'\n::once:o\n\
                ::ctrlaltdel:c\n::shutdown:d\n::restart:x";
    let mut w = World::new(text);
    w.done("s");
    let line = w.machine.as_ref().unwrap().handover();
    let told = handover::decode(&line);
    assert_eq!(told.entries, entries(text), "{line}");
    let mut same = Machine::resume(told.entries.clone(), GRACE, &told, w.now);
    assert_eq!(same.handover(), line);
    std::mem::swap(w.machine.as_mut().unwrap(), &mut same);
    w.log();
    w.step(Event::News(News::Tick));
    w.step(Event::Inittab(None));
    assert_eq!(w.log(), Vec::<String>::new());
    w.now = w.now.plus(seconds(2));
    w.done("a b:c=%41");
    assert_eq!(w.log(), ["start a b:c=%41"]);
    // A readable one says otherwise.
    w.step(Event::Inittab(Some(entries("::respawn:other"))));
    assert_eq!(w.log(), ["start other"]);
    w.done("a b:c=%41");
    assert_eq!(w.log(), Vec::<String>::new());
}

/// The kernel takes no longer variable of the environment than 128 KiB.
#[test]
fn the_line_for_a_successor_has_a_bound() {
    let long = "%".repeat(4000);
    let line = |n| format!("::respawn:{n}{long}\n");
    let text: String = (0..60).map(line).collect();
    let w = World::new(&text);
    let line = w.machine.as_ref().unwrap().handover();
    assert!(line.len() < handover::ENTRIES_BYTES_MAX + 16 * 1024);
    let told = handover::decode(&line).entries;
    assert!(!told.is_empty() && entries(&text).starts_with(&told));
}

/// Neither stage 3 nor a signal: the end is all that is left.
#[test]
fn a_successor_for_the_end_asks_for_it_at_once() {
    for end in End::ALL {
        let mut w = World::new("");
        w.machine = Some(Machine::ending(end));
        w.log();
        assert!(w.machine.as_ref().unwrap().goes_down());
        w.step(Event::News(News::Tick));
        assert_eq!(w.log().last().unwrap(), &format!("end {}", end.name()));
        w.step(Event::News(News::Signal(Signal::Usr2)));
        assert_eq!(w.log(), Vec::<String>::new());
        w.step(Event::Refused("no".to_string()));
        let last = if end == End::Kexec {
            "end reboot"
        } else {
            "Exit"
        };
        assert_eq!(w.log().last().unwrap(), last);
    }
}
