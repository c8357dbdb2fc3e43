//! Every process but process 1 may be killed, at any moment: while the machine boots, while it
//! runs, and while it goes down. It comes to a login again, and powers off.
//!
//! The moments and the victims are random, from a seed that a failure names;
//! `SUNUP_KILL_SEED=N` plays that round alone, `SUNUP_KILL_ROUNDS=N` plays more of them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lab::image;
use lab::machine::{End, Event, Machine};
use lab::moment::Moment;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::entered::{PATIENCE, boot, console, end, ours};

const ROUNDS: u64 = 6;
/// How many are killed while the machine boots and runs, and how many while it goes down.
const KILLS_UP: u32 = 40;
const KILLS_DOWN: u32 = 20;
/// The longest time between two kills.
const PAUSE_MS: u64 = 50;
/// Between two attempts to log in.
const ATTEMPT: Duration = Duration::from_secs(2);

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

#[test]
fn whoever_is_killed_the_machine_goes_on_and_ends() {
    let archive = image::archive(&ours()).unwrap();
    let told = |name| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let seeds = match told("SUNUP_KILL_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=told("SUNUP_KILL_ROUNDS").unwrap_or(ROUNDS),
    };
    for seed in seeds {
        eprintln!("seed {seed}");
        round(archive.clone(), seed);
    }
}

fn round(archive: Vec<u8>, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut machine = boot(archive, "");
    for _ in 0..KILLS_UP {
        pass(
            &mut machine,
            Duration::from_millis(random.below(PAUSE_MS)),
            "",
        );
        kill_one(&machine, &mut random);
    }
    log_in(&mut machine);
    machine.signal(Signal::USR2).unwrap();
    for _ in 0..KILLS_DOWN {
        pass(
            &mut machine,
            Duration::from_millis(random.below(PAUSE_MS)),
            "",
        );
        kill_one(&machine, &mut random);
    }
    assert_eq!(end(&mut machine), End::PowerOff, "{}", console(&machine));
    let shown = console(&machine);
    assert!(!shown.contains("PID 1 failed"), "{shown}");
}

/// Lets time pass, or until the console shows the text; whether it does.
fn pass(machine: &mut Machine, time: Duration, text: &str) -> bool {
    let deadline = Moment::now().after(time);
    loop {
        if !text.is_empty() && console(machine).contains(text) {
            return true;
        }
        if let Event::Timeout | Event::End(_) = machine.next(&[], Some(deadline)).unwrap() {
            return false;
        }
    }
}

/// There may be a login, a shell, or nobody yet.
fn log_in(machine: &mut Machine) {
    let deadline = Moment::now().after(PATIENCE);
    loop {
        machine.send(b"root\necho is-$((40+2))-up\n").unwrap();
        if pass(machine, ATTEMPT, "is-42-up") {
            return;
        }
        let left = deadline.since(Moment::now());
        let seen = || format!("{}\n{}", console(machine), who_is_there(machine));
        assert!(!left.is_zero(), "nobody is there:\n{}", seen());
    }
}

/// Kills a process of the machine, if it has one beside process 1.
fn kill_one(machine: &Machine, random: &mut Random) -> Option<()> {
    let all = processes(machine)?;
    let others = all.get(1..)?;
    let victim = *others.get(random.below(others.len().max(1) as u64) as usize)?;
    // Held, it is nobody else when it is looked at again.
    let held = pidfd_open(victim, PidfdFlags::empty()).ok()?;
    let is_there = world(victim) == world(all[0]);
    is_there.then(|| pidfd_send_signal(held, Signal::KILL).ok())?
}

/// The processes of the machine, process 1 first.
fn processes(machine: &Machine) -> Option<Vec<Pid>> {
    let init = machine.init().ok()?;
    let world = world(init)?;
    let mut others: Vec<Pid> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != init && self::world(*pid).as_ref() == Some(&world))
        .collect();
    others.sort_unstable_by_key(|pid| pid.as_raw_pid());
    others.insert(0, init);
    Some(others)
}

/// Its processes, and what is known of its services, for a person.
fn who_is_there(machine: &Machine) -> String {
    let all = processes(machine).unwrap_or_default();
    let process = |pid: &Pid| {
        let read = |name: &str| {
            let bytes = fs::read(format!("/proc/{}/{name}", pid.as_raw_pid()));
            String::from_utf8_lossy(&bytes.unwrap_or_default()).replace('\0', " ")
        };
        format!("{}: {}: {}", read("cmdline"), read("wchan"), read("stat"))
    };
    let init = all.first().map_or(0, |init| init.as_raw_pid());
    let file = |name: &str| {
        let said = fs::read_to_string(format!("/proc/{init}/root/run/sv.{name}/stat"));
        format!("{name}: {}", said.unwrap_or_else(|e| format!("{e}\n")))
    };
    let services = ["tty1", "mdev", "httpd"].map(file);
    all.iter().map(process).chain(services).collect()
}

/// The pid namespace of a process.
fn world(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/ns/pid", pid.as_raw_pid())).ok()
}
