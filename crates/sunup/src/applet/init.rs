//! init: PID 1 with busybox's /etc/inittab.

use super::{Applet, Call};
use model::options::{Order, Spec};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "init",
    synopsis: "",
    about: "boots the machine as PID 1, by /etc/inittab",
    options: &[],
    order: Order::Permute,
    notes: "",
    usage_code: 1,
};

fn run(_call: &Call) -> u8 {
    0
}
