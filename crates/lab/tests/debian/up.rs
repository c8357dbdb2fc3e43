//! Debian's own boot: its stages, its scripts and its getty, under our PID 1.
use super::guest::{By, Guest, by_both};

by_both![the_stages, who_is_who];

/// Stage 1 ran Debian's boot scripts, stage 2 chose the run level and its services.
fn the_stages(guest: &mut Guest) {
    assert_eq!(guest.sh("hostname"), "debian");
    let level = guest.sh("readlink /etc/runit/runsvdir/current");
    assert!(level.ends_with("default"), "{level}");
    assert_eq!(
        guest.sh("stat -c %a /run/runit.stopit /run/runit.reboot"),
        "0\n0"
    );
    let console = guest.console();
    for said in [
        "- runit: leave stage: /etc/runit/1",
        "- runit: enter stage: /etc/runit/2",
    ] {
        assert!(console.contains(said), "no {said:?}:\n{console}");
    }
}

/// The processes are where scripts look for them.
fn who_is_who(guest: &mut Guest) {
    for pid in ["1", "$(pgrep -o -x runsvdir)"] {
        let program = guest.sh(&format!("readlink /proc/{pid}/exe"));
        let ours = program == "/usr/local/bin/sunup";
        assert_eq!(ours, guest.by == By::Sunup, "{pid} is {program}");
    }
    assert_eq!(
        guest.sh("ps -o ppid= -p $(pgrep -o -x runsvdir) | tr -d ' '"),
        "1"
    );
    let command = guest.sh("ps -o args= -p $(pgrep -o -x runsvdir)");
    assert!(
        command.starts_with("runsvdir -P /etc/service log: "),
        "{command}"
    );
    assert_eq!(guest.sh("tty"), "/dev/ttyS0");
}
