//! Control scripts stand in for signals, and a hung one holds nothing up.

use std::fs;

use super::super::common::{SLEEP, down, running};
use super::{Killed, Runsv, events, fixture};

#[test]
fn control_scripts_stand_in_for_signals() {
    let run = "#!/bin/sh\ntrap 'echo hup >>OUT' HUP\ntrap 'kill $!; exit' TERM\necho run >>OUT\nwhile :; do sleep 1000 & wait $!; kill $!; done\n";
    let fixture = fixture(&[
        ("web/run", run),
        ("web/control/u", "#!/bin/sh\necho u >>OUT\n"),
        ("web/control/h", "#!/bin/sh\necho h >>OUT\n"),
        ("web/control/t", "#!/bin/sh\necho t >>OUT\nexit 1\n"),
        ("web/control/d", "#!/bin/sh\necho d >>OUT\n"),
    ]);
    let runsv = Runsv::start(&fixture.path("web"));
    assert_eq!(events(&fixture, 2), ["u", "run"]);
    runsv.control("h");
    assert_eq!(
        events(&fixture, 3)[2],
        "h",
        "exit code 0 keeps the signal away"
    );
    runsv.control("d");
    runsv.status("down", down);
    let mut last = events(&fixture, 5)[3..5].to_vec();
    last.sort();
    assert_eq!(last, ["d", "t"]);
    runsv.exit();
}

#[test]
fn a_control_script_gets_the_pid() {
    let script = "#!/bin/sh\necho $1 >>OUT\n";
    let fixture = fixture(&[("web/run", SLEEP), ("web/control/h", script)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("run", running);
    runsv.control("h");
    assert_eq!(events(&fixture, 1)[0], first.pid.to_string());
    runsv.exit();
}

/// D13: a hung control script stops runit's runsv altogether.
#[test]
fn a_hung_control_script_holds_nothing_up() {
    let script = "#!/bin/sh\necho t >>OUT\necho $$ >>../pids\nexec sleep 1000\n";
    let fixture = fixture(&[("web/run", SLEEP), ("web/control/t", script)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("run", running);
    runsv.control("t");
    events(&fixture, 1);
    runsv.control("k");
    runsv.status("restart", |s| running(s) && s.pid != first.pid);
    runsv.control("dk");
    runsv.status("down", down);
    runsv.exit();
    let pids = fs::read_to_string(fixture.path("pids")).unwrap();
    for pid in pids.lines() {
        drop(Killed(pid.parse().unwrap()));
    }
}
