//! A machine with thousands of services: all of them run, one process keeps them,
//! and when it is killed the next one has them all. The times are those of a real
//! kernel in software emulation, and nothing here depends on them. Ten thousand take
//! longer than all other machines together, so they are a suite of their own.

use lab::bench::probe::ANNOUNCEMENT_BYTES;
use lab::machine::End;

use crate::guest::Change::{Memory, Plain, Script, Services};
use crate::guest::{Guest, Host, on_its_own, pids};

/// What the services say goes to a file instead of the console, so that it can be
/// counted: it shows how many were ever started.
const INITTAB: &str = "::sysinit:/sbin/stage1\n\
    ::respawn:/usr/bin/runsvdir -P /etc/runit/sv >>/run/said\n";

/// Writes `NAME PID` of each service into /run/told as sv tells it, and into
/// /run/seen as the processes have it; they must agree.
const CENSUS: &str = "#!/bin/sh\n\
    cd /etc/runit/sv && sv status s* >/run/status || exit\n\
    sed -n 's/^run: \\(s[0-9]*\\): (pid \\([0-9]*\\)).*/\\1 \\2/p' /run/status | sort >/run/told\n\
    ls -l /proc/[0-9]*/exe 2>/dev/null |\n\
    \tsed -n 's|.*/proc/\\([0-9]*\\)/exe -> /etc/runit/sv/\\(s[0-9]*\\)/run$|\\2 \\1|p' |\n\
    \tsort >/run/seen\n\
    cmp /run/told /run/seen && wc -l </run/told\n";

#[test]
fn a_thousand_services_outlive_their_supervisor_in_qemu() {
    outlive(1000, 1024, |m| outlive_their_supervisor(m, 1000));
}

#[test]
fn ten_thousand_services_outlive_their_supervisor_in_qemu() {
    outlive(10_000, 3072, |m| outlive_their_supervisor(m, 10_000));
}

fn outlive(services: usize, memory_mib: u32, check: fn(Guest)) {
    let changes = &[
        Services(services),
        Memory(memory_mib),
        Plain("etc/inittab", INITTAB),
        Script("usr/bin/census", CENSUS),
    ];
    on_its_own(Host::Qemu, changes, check);
}

fn outlive_their_supervisor(mut m: Guest, services: usize) {
    m.log_in();
    // sv holds descriptors for each service and has no more than the shell may.
    m.sh("ulimit -Hn 65536; cd /etc/runit/sv; sv -w 280 start s* >/run/up || head /run/up");
    let old = keeps_all(&mut m, services, 3);
    m.sh("mv /run/told /run/before");

    m.sh(&format!("kill -9 {old}; await '[ ! -e /proc/{old} ]'"));
    // Who opens a fifo waits until there is somebody to read.
    m.sh("for s in s*; do : >$s/supervise/ok; done");
    // What is no child is watched by a descriptor more, as long as there are enough.
    let new = keeps_all(&mut m, services, 4);
    assert_ne!(new, old);
    m.sh("cmp /run/told /run/before");

    let said = m.sh("sv -w 280 restart s00500");
    assert!(said.starts_with("ok: run: s00500: (pid "), "{said}");
    let said = said_by(services + 1);
    m.sh(&format!("await '[ $(wc -c </run/said) = {said} ]'"));
    m.type_line("poweroff");
    // All services were stopped in time.
    m.expect("The system is going down NOW!\r\n");
    let console = m.console();
    assert!(!console.contains("still runs"), "{console}");
    assert_eq!(m.end(), End::PowerOff);
}

/// What so many starts leave in /run/said.
fn said_by(starts: usize) -> String {
    (starts * ANNOUNCEMENT_BYTES).to_string()
}

/// Checks that all services run and were started once, and that one process has
/// them, with so many descriptors each and a few of its own; which.
fn keeps_all(m: &mut Guest, services: usize, each: usize) -> u32 {
    assert_eq!(m.sh("census"), services.to_string());
    assert_eq!(m.sh("wc -c </run/said"), said_by(services));
    let supervisors = pids(&m.sh("pidof runsvdir"));
    let [supervisor] = supervisors[..] else {
        panic!("{supervisors:?}");
    };
    assert_eq!(m.try_sh("pidof runsv").1, 1);
    let locks = m.sh("ls -d */supervise/lock */log/supervise/lock | wc -l");
    // It is read in pieces: one may be missed when another's lock goes.
    let held = format!("grep -c \"FLOCK .* WRITE {supervisor} \" /proc/locks");
    m.sh(&format!("await '[ $({held}) = {locks} ]'"));
    let descriptors = m.sh(&format!("ls /proc/{supervisor}/fd | wc -l"));
    assert!(
        descriptors.parse::<usize>().unwrap() < each * services + 100,
        "{descriptors}"
    );
    supervisor
}
