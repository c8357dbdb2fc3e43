//! The hardware watchdog of PID 1, with a file in place of the device: each byte is a meal, and `V`
//! disarms. (That a PID 1 which hangs is reset is shown in a virtual machine.)

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;

use super::common::{file_of, wait_for};
use super::machine::{Boot, HUP, INT, Machine};

const ENV: [(&str, &str); 2] = [
    ("SUNUP_WATCHDOG", "1"),
    ("SUNUP_WATCHDOG_DEVICE", "/dogs/dog"),
];

fn boot(inittab: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Machine {
    // As telinit, it is ours alone.
    drop(file_of("telinit"));
    Machine::boot(&Boot {
        inittab,
        files,
        env: &[&ENV, env].concat(),
        ..Boot::default()
    })
}

fn meals(machine: &Machine) -> Vec<u8> {
    fs::read(machine.root.path("dogs/dog")).unwrap_or_default()
}

/// Waits until it was fed so often more.
fn until_fed(machine: &Machine, more: usize) {
    let before = meals(machine).len();
    let root = machine.root.path("dogs");
    wait_for("meals", &[&root], || {
        (meals(machine).len() >= before + more).then_some(())
    });
}

#[test]
fn it_is_fed_through_upgrades_and_failures_and_disarmed_before_the_power_is_off() {
    let job = "#!/bin/sh\necho $(ls -l /proc/[0-9]*/fd | grep -c dogs/dog) >> /events\n\
               echo up >> /events\nexec sleep 1000\n";
    let wait = "#!/bin/sh\necho boots >> /events\nuntil [ -s /dogs/go ]; do sleep 0.05; done\n";
    let mut machine = boot(
        "::wait:/boot\n::respawn:/job\n",
        &[("job", job), ("boot", wait), ("dogs/dog", "")],
        &[("SUNUP_TEST_PANIC", "Hup")],
    );
    machine.until_event("boots");
    assert_eq!(meals(&machine), [], "not before the boot is over");
    fs::write(machine.root.path("dogs/go"), "1").unwrap();
    machine.until_event("up");
    until_fed(&machine, 3);
    let kill = format!("kill -59 {}", machine.pid().as_raw_nonzero());
    let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(sent.success());
    machine.until_said("goes on as ");
    until_fed(&machine, 3);
    machine.signal(Signal::HUP);
    machine.until_said("it starts over");
    until_fed(&machine, 3);
    assert!(meals(&machine).iter().all(|meal| *meal == 0));
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    let meals = meals(&machine);
    let (last, others) = meals.split_last().unwrap();
    assert_eq!(*last, b'V');
    assert!(others.iter().all(|meal| *meal == 0));
    assert!(
        machine.events().contains(&"1".to_owned()),
        "{:?}",
        machine.events()
    );
}

#[test]
fn it_stays_armed_through_a_reboot() {
    let mut machine = boot("::once:echo up >> /events\n", &[("dogs/dog", "")], &[]);
    until_fed(&machine, 2);
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP));
    assert!(meals(&machine).iter().all(|meal| *meal == 0));
}

#[test]
fn a_device_that_appears_later_is_fed_from_then_on() {
    let machine = boot("::once:echo up >> /events\n", &[("new/dog", "")], &[]);
    machine.until_event("up");
    fs::rename(machine.root.path("new"), machine.root.path("dogs")).unwrap();
    until_fed(&machine, 2);
}

#[test]
fn a_wrong_setting_is_told() {
    let machine = boot("", &[("dogs/dog", "")], &[("SUNUP_WATCHDOG", "soon")]);
    machine.until_said("SUNUP_WATCHDOG=soon: not a number of seconds up to a day");
}
