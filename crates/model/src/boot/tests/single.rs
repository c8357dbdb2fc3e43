//! Single-user mode: the stories.

use super::*;

const TO_SINGLE: [&str; 4] = [
    "The system is going to single-user mode NOW!",
    "TermAll",
    "Sent SIGTERM to all processes",
    "Sync",
];
const SHELL: &str = "start sulogin -p";
const NONE: [&str; 0] = [];

impl World {
    fn signal(&mut self, signal: Signal) {
        self.step(Event::News(News::Signal(signal)));
    }

    /// Everything ends at once.
    fn be_single(&mut self) {
        self.signal(Signal::Single);
        while let Some((command, _)) = self.running.first().cloned() {
            self.exit(&command, Exit::Signal(15));
        }
        self.step(Event::News(News::NoChildren));
        self.step(Event::News(News::NoChildren));
    }

    fn goes_on_as(&mut self, entries: Vec<Entry>) {
        let line = self.machine.as_ref().unwrap().handover();
        let told = handover::decode(&line);
        let successor = Machine::resume(entries, GRACE, &told, self.now);
        self.machine = Some(successor);
        self.step(Event::News(News::Tick));
        if let Some(signal) = told.signal {
            self.signal(signal);
        }
    }
}

#[test]
fn everything_stops_and_nothing_ends() {
    let mut w = World::new("::sysinit:s\n::wait:w\n::once:o\n::respawn:r\n::shutdown:umount");
    w.has_stage3 = true;
    w.signal(Signal::Single);
    let refused = "the boot is not over: no single-user mode yet";
    assert_eq!(w.log(), ["start s", refused]);
    w.done("s");
    w.done("w");
    w.log();
    w.signal(Signal::Single);
    w.signal(Signal::Single);
    let again = "single-user mode was asked for already";
    assert_eq!(w.log(), ["start /etc/runit/3 single", again]);
    assert!(!w.machine.as_ref().unwrap().goes_down());
    w.done("/etc/runit/3 single");
    assert_eq!(w.log(), TO_SINGLE);
    w.exit("o", Exit::Signal(15));
    w.tick();
    assert_eq!(w.log(), ["KillAll", "Sent SIGKILL to all processes"]);
    w.exit("r", Exit::Signal(9));
    w.step(Event::News(News::NoChildren));
    w.signal(Signal::Single);
    assert_eq!(w.log(), [SHELL, again]);
    // A reload neither ends the shell nor starts anything beside it.
    w.inittab = Some(entries("::sysinit:s2\n::wait:w\n::once:o\n::respawn:new"));
    w.signal(Signal::Hup);
    assert_eq!(w.log(), ["reloading /etc/inittab"]);
    w.done("sulogin -p");
    assert_eq!(w.log(), ["start w"]);
    w.done("w");
    assert_eq!(w.log(), ["start o", "start new"]);
    // The records have the boot once, the logins that ended, and no end of the machine.
    let booted = w.accounts.iter().filter(|a| **a == Account::Booted);
    assert_eq!(booted.count(), 1);
    assert!(!w.accounts.contains(&Account::GoesDown));
    assert!(w.accounts.contains(&Account::Ended(104)));
}

#[test]
fn an_end_goes_before() {
    for steps in 0..4 {
        let mut w = World::new("::respawn:r\n::shutdown:d");
        w.signal(Signal::Single);
        for _ in 0..steps.min(2) {
            w.tick();
        }
        if steps == 3 {
            assert_eq!(w.log().last().unwrap(), SHELL);
        }
        w.log();
        w.signal(Signal::Usr2);
        assert_eq!(w.log(), ["start d"], "{steps}");
        w.done("d");
        w.signal(Signal::Single);
        w.tick();
        w.tick();
        assert_eq!(w.log().last().unwrap(), "end poweroff", "{steps}");
    }
}

/// Its time goes on, and it does not run twice.
#[test]
fn stage_3_of_the_way_there_is_the_one_of_the_end() {
    let mut w = World::new("::shutdown:d");
    w.has_stage3 = true;
    let start = w.now;
    w.signal(Signal::Single);
    w.now = w.now.plus(seconds(60));
    w.signal(Signal::Usr2);
    w.tick();
    assert_eq!(w.since(start), STAGE3_LIMIT);
    w.exit("/etc/runit/3 single", Exit::Signal(9));
    let log = w.log();
    let starts: Vec<_> = log.iter().filter(|l| l.starts_with("start ")).collect();
    assert_eq!(starts, ["start /etc/runit/3 single", "start d"]);
    // Where it is over, the end has one of its own.
    let mut w = World::new("");
    w.has_stage3 = true;
    w.signal(Signal::Single);
    w.done("/etc/runit/3 single");
    w.log();
    w.signal(Signal::Term);
    assert_eq!(w.log(), ["start /etc/runit/3"]);
}

#[test]
fn ctrl_alt_del_is_answered_on_the_way_and_in_the_shell() {
    let mut w = World::new("::respawn:r\n::ctrlaltdel:reboot");
    w.has_stage3 = true;
    w.signal(Signal::Single);
    w.signal(Signal::Int);
    let log = w.log();
    assert_eq!(log[1..], ["start /etc/runit/3 single", "start reboot"]);
    w.done("reboot");
    w.done("/etc/runit/3 single");
    w.step(Event::News(News::NoChildren));
    w.step(Event::News(News::NoChildren));
    assert_eq!(w.log().last().unwrap(), SHELL);
    w.signal(Signal::Int);
    assert_eq!(w.log(), ["start reboot"]);
}

/// Who repaired the machine in the shell wants to see it come up at once.
#[test]
fn failures_are_forgotten() {
    let mut w = World::new("::respawn:r\ntty9::respawn:getty");
    w.no_terminal = true;
    for _ in 0..3 {
        w.done("r");
        w.tick();
    }
    w.be_single();
    w.no_terminal = false;
    w.log();
    w.done("sulogin -p");
    assert_eq!(w.log(), ["start r", "start getty"]);
    w.done("r");
    let before = w.now;
    w.tick();
    assert_eq!(w.since(before), rest(1));
}

#[test]
fn without_a_process_for_the_shell_it_is_tried_again() {
    let mut w = World::new("::respawn:r");
    w.fork_fails = true;
    w.be_single();
    let told = "can't start 'sulogin -p' yet: fork: no memory; trying again";
    assert_eq!(w.log().last().unwrap(), told);
    w.inittab = Some(entries("::respawn:r"));
    w.signal(Signal::Hup);
    w.fork_fails = false;
    w.log();
    w.tick();
    assert_eq!(w.log(), [SHELL]);
}

#[test]
fn a_successor_goes_on_to_it() {
    let mut w = World::new("::respawn:r");
    w.has_stage3 = true;
    w.signal(Signal::Single);
    w.log();
    w.goes_on_as(entries("::respawn:r"));
    assert_eq!(w.log(), NONE);
    w.done("/etc/runit/3 single");
    assert_eq!(w.log(), TO_SINGLE);
}

/// Also if an entry is the same command as root's shell.
#[test]
fn a_successor_has_the_shell_and_starts_nothing_beside_it() {
    let text = "::sysinit:s\n::wait:w\n::askfirst:sulogin -p";
    let mut w = World::new(text);
    w.done("s");
    w.done("w");
    w.be_single();
    w.log();
    assert!(w.machine.as_ref().unwrap().is_up());
    w.goes_on_as(entries(text));
    assert_eq!(w.log(), NONE);
    w.done("sulogin -p");
    assert_eq!(w.log(), ["start w"]);
    w.done("w");
    assert_eq!(w.log(), [SHELL]);
    // A shell that ended unseen is started again: somebody has to say that it is over.
    let mut w = World::new(text);
    let told = handover::decode("shell");
    w.machine = Some(Machine::resume(entries(text), GRACE, &told, w.now));
    w.log();
    w.step(Event::News(News::Tick));
    assert_eq!(w.log(), [SHELL]);
}
