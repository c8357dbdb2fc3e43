//! The record of the boot beside what the kernel's log says of the same boot.

use std::path::Path;
use std::time::Duration;

use lab::boot::Options;
use lab::chart::record_of;
use model::boot_summary::Boot;
use model::format::boot_record::Record;

/// The boot clock begins earlier than that of the log, by less than this.
const CLOCKS: Duration = Duration::from_millis(40);
/// What comes between two marks that mean the same: PID 1's exec, and a shell that writes one.
const BETWEEN: Duration = Duration::from_millis(15);

/// Instructions are counted, so the times are the same on every workstation.
#[test]
fn the_sums_of_the_record_are_those_of_the_log_in_qemu() {
    let options = Options {
        measure: true,
        ..Options::default()
    };
    let lab = Path::new(env!("CARGO_BIN_EXE_lab"));
    let (booted, record, marks) = record_of(&options, lab).unwrap();
    drop(booted);
    let record = Record::decode(&record).unwrap();
    assert_eq!(record.passed_over, 0, "{record:?}");
    let boot = Boot::of(&record);
    let (init, stage1, login) = (
        marks.init.unwrap(),
        marks.stage1.unwrap(),
        marks.login.unwrap(),
    );
    let shown = format!("{marks:?}: {boot:#?}");
    let kernel = boot.kernel().unwrap();
    assert!(kernel.abs_diff(init) < CLOCKS, "{shown}");
    let took = boot.stage1().unwrap();
    assert!(
        took.abs_diff(stage1.saturating_sub(init)) < BETWEEN,
        "{shown}"
    );
    // The mark of the login comes from a program that tty1 starts, which runs beside the others.
    let tty1 = boot
        .services
        .iter()
        .find(|service| service.name == b"tty1")
        .unwrap();
    let ready = tty1.ready.unwrap().since(boot.init.unwrap());
    assert!(
        ready < login.saturating_sub(init) && took < ready,
        "{shown}"
    );
    assert!(boot.up.is_some() && !boot.load().is_empty(), "{shown}");
    assert_eq!(boot.total(), kernel + took + boot.services());
    let names: Vec<&[u8]> = boot
        .services
        .iter()
        .map(|service| service.name.as_slice())
        .collect();
    for name in [&b"httpd"[..], b"httpd/log", b"mdev", b"tty1"] {
        assert!(names.contains(&name), "{shown}");
    }
    assert!(
        boot.services
            .iter()
            .all(|service| service.trouble().is_none()),
        "{shown}"
    );
}
