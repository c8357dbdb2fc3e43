//! switch_root: goes from an initramfs to the root file system that was mounted, and becomes
//! its init. The last command of an /init that is a script: `exec switch_root /mnt /sbin/init`.
//!
//! Files: /dev, /proc, /sys and /run move along if something is mounted there; everything
//! else on the old root's file system is deleted. See `machine::new_root`.
//! Exit codes: 1: refused; 127: INIT cannot be executed. For PID 1 both are the kernel's
//! panic, so what is wrong is said before anything is changed, where that is possible.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::options::{Opt, Order, Spec};

use super::{Applet, Call, usage_error};
use crate::machine::new_root;
use crate::say;
use crate::sys::{spawn, tty};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "switch_root",
    synopsis: "[-c CONSOLE] NEWROOT INIT [ARGUMENT...]",
    about: "go from an initramfs to the root file system",
    options: &[Opt::valued(
        b'c',
        "CONSOLE",
        "use this device of NEWROOT as standard input and output",
    )],
    order: Order::Posix,
    notes: "Only as PID 1, and only from a root that is a ramfs or tmpfs: its files are deleted.",
    usage_code: 1,
};

fn run(call: &Call) -> u8 {
    let [new_root, init, arguments @ ..] = call.args.operands.as_slice() else {
        return usage_error(&SPEC, "NEWROOT or INIT is missing");
    };
    let path = |bytes| Path::new(OsStr::from_bytes(bytes));
    let (new_root, init) = (path(new_root), path(init));
    let old_root = new_root::check(new_root, init);
    if let Err(trouble) = old_root.and_then(|old_root| old_root.leave(SPEC.name)) {
        say::line(SPEC.name, trouble);
        return 1;
    }
    if let Some(console) = call.args.value(b'c') {
        let console = path(console);
        let opened = tty::open_terminal(console).and_then(|fd| tty::put_on_stdio(&fd));
        if let Err(e) = opened {
            say::line(SPEC.name, format_args!("{}: open: {e}", console.display()));
        }
    }
    let argv = new_root::argv(init, arguments);
    let trouble = argv.first().map(|path| spawn::exec(path, &argv, None));
    if let Some(trouble) = trouble {
        say::line(
            SPEC.name,
            format_args!("{}: execute: {trouble}", init.display()),
        );
    }
    127
}
