//! Machines in namespaces that a test looks at from outside: by the console alone, and by signals
//! to process 1. A thread that starts one must outlive it.

use std::path::Path;
use std::time::Duration;

use lab::boot::{Options, Parts, start_archive};
use lab::machine::{End, Machine};
use lab::rootfs;
use lab::tree::Tree;

/// How long anything may take on a busy workstation.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// What a machine of ours says when somebody can log in.
pub const LOGIN: &str = "sunup login: ";

/// The tree of our image.
pub fn ours() -> Tree {
    rootfs::tree(&Parts::default().source().unwrap()).unwrap()
}

/// Waits for the machine's end.
pub fn end(machine: &mut Machine) -> End {
    machine.end(PATIENCE).unwrap()
}

/// Switches a machine on.
pub fn boot(archive: Vec<u8>, append: &str) -> Machine {
    let options = Options {
        enter: true,
        append: append.to_owned(),
        ..Options::default()
    };
    let lab = Path::new(env!("CARGO_BIN_EXE_lab"));
    start_archive(&options, archive, lab).unwrap().machine
}

/// What its console has shown.
pub fn console(machine: &Machine) -> String {
    String::from_utf8_lossy(machine.transcript()).replace('\r', "")
}

/// Waits until the console shows the text, after what it was waited for before.
pub fn until(machine: &mut Machine, text: &str, what: &str) {
    if let Err(e) = machine.expect(text, PATIENCE) {
        panic!("{what}: {e:#}\n{}", console(machine));
    }
}
