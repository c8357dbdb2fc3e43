//! The ways to end a machine, and what its services may still do.

use lab::machine::End;

use crate::guest::{Guest, Host, on_both};

on_both!(
    poweroff with &[],
    reboot with &[],
    halt with &[],
    a_finish_script_and_a_loggers_last_lines_survive with &[
        Script("etc/runit/sv/witness/run", "#!/bin/sh\n\
            trap 'echo last words; exit 3' TERM\n: >/run/witness\n\
            echo first words\nwhile :; do sleep 1000 & wait; done\n"),
        Script("etc/runit/sv/witness/finish", "#!/bin/sh\necho \"finish $1 $2\" >/dev/ttyS1\n"),
        Script("etc/runit/sv/witness/log/run", "#!/bin/sh\n\
            while read -r line; do echo \"log: $line\"; done >/dev/ttyS1\n"),
    ],
);

fn poweroff(mut m: Guest) {
    m.log_in();
    m.type_line("poweroff");
    goes_down(&mut m, "poweroff");
    assert_eq!(m.end(), End::PowerOff);
}

fn reboot(mut m: Guest) {
    m.log_in();
    m.type_line("reboot");
    goes_down(&mut m, "reboot");
    assert_eq!(m.end(), End::Reset);
}

fn halt(mut m: Guest) {
    m.log_in();
    m.type_line("halt");
    goes_down(&mut m, "halt");
    match m.host {
        Host::Qemu => m.expect("reboot: System halted"),
        // A halted PID 1 of a namespace looks like one that is powered off.
        Host::Namespaces => assert_eq!(m.end(), End::PowerOff),
    }
}

fn a_finish_script_and_a_loggers_last_lines_survive(mut m: Guest) {
    m.log_in();
    m.sh("await '[ -e /run/witness ]'");
    m.type_line("poweroff");
    let mut missing = vec!["log: last words", "finish 3 0"];
    while !missing.is_empty() {
        let said = m.result(&format!("{missing:?}"));
        missing.retain(|line| *line != said);
    }
    assert_eq!(m.end(), End::PowerOff);
}

/// What init says on the console, in this order.
fn goes_down(m: &mut Guest, how: &str) {
    m.expect("The system is going down NOW!\r\n");
    m.expect("Sent SIGTERM to all processes\r\n");
    m.expect("Sent SIGKILL to all processes\r\n");
    m.expect(&format!("Requesting system {how}\r\n"));
}
