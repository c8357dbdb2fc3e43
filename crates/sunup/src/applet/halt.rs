//! halt, poweroff, reboot: ask PID 1 for the end of the machine.
//!
//! Without -f, PID 1 gets USR1 (halt), USR2 (poweroff), TERM (reboot) or 40 (reboot -k), and
//! does the rest in order. With -f the kernel is asked at once: services are not
//! stopped and file systems not unmounted.
//!
//! Files: /var/log/wtmp, which gets a record if it is there.
//! Exit codes: 0: asked; 1: failed, or called wrongly.

use std::time::Duration;

use model::options::{Opt, Order, Spec};
use model::process::Pid;

use super::{Applet, Call, usage_error};
use crate::machine::ask;
use crate::say;
use crate::sys::power::{self, End};
use crate::sys::{signal, utmp};

/// The row of halt.
pub const HALT: Applet = Applet {
    spec: &spec("halt", "stop the machine and leave the power on"),
    run: |call| run(call, &HALT, End::Halt),
};

/// The row of poweroff.
pub const POWEROFF: Applet = Applet {
    spec: &spec("poweroff", "stop the machine and turn the power off"),
    run: |call| run(call, &POWEROFF, End::Poweroff),
};

/// The row of reboot.
pub const REBOOT: Applet = Applet {
    spec: &Spec {
        synopsis: "[-d SEC] [-n] [-f] [-w] [-i] [-k]",
        options: OF_REBOOT,
        ..spec("reboot", "restart the machine")
    },
    run: |call| {
        let is_by_kexec = call.args.has(b'k');
        let end = if is_by_kexec { End::Kexec } else { End::Reboot };
        run(call, &REBOOT, end)
    },
};

const WTMP: &str = "/var/log/wtmp";
const DELAY_S_MAX: u64 = 86_400 * 365;

const fn spec(name: &'static str, about: &'static str) -> Spec {
    Spec {
        name,
        synopsis: "[-d SEC] [-n] [-f] [-w] [-i]",
        about,
        options: &OPTIONS,
        order: Order::Permute,
        notes: "Without -f, PID 1 stops the services first.",
        usage_code: 1,
    }
}

const OPTIONS: [Opt; 5] = [
    Opt::valued(b'd', "SEC", "wait so many seconds first"),
    Opt::flag(b'n', "do not write the file systems to disk"),
    Opt::flag(b'f', "ask the kernel at once, not PID 1"),
    Opt::flag(b'w', "only write the record in /var/log/wtmp"),
    Opt::flag(b'i', "ignored, for compatibility"),
];

const OF_REBOOT: &[Opt] = &{
    let [a, b, c, d, e] = OPTIONS;
    [
        a,
        b,
        c,
        d,
        e,
        Opt::flag(b'k', "start the kernel that `kexec -l` has loaded"),
    ]
};

fn run(call: &Call, applet: &Applet, end: End) -> u8 {
    // The record may fail; the machine ends nevertheless.
    signal::ignore_of_writes();
    let name = applet.spec.name;
    if end == End::Kexec && !power::kexec_is_loaded() {
        say::line(name, ask::NO_KERNEL);
        return 1;
    }
    match delay(call.args.value(b'd')) {
        Ok(delay) => std::thread::sleep(delay),
        Err(mistake) => return usage_error(applet.spec, &mistake),
    }
    record(name, call.args.has(b'w'));
    if call.args.has(b'w') {
        return 0;
    }
    if !call.args.has(b'n') {
        power::sync();
    }
    let (attempt, trouble) = if call.args.has(b'f') {
        ("ask the kernel", power::end_now(end))
    } else {
        match signal::kill(init(), ask::signal_of(end)) {
            Ok(()) => return 0,
            Err(e) => ("signal PID 1", e),
        }
    };
    say::line(name, format_args!("{attempt}: {trouble}{}", ask::advice()));
    1
}

fn delay(value: Option<&[u8]>) -> Result<Duration, String> {
    let Some(value) = value else {
        return Ok(Duration::ZERO);
    };
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|seconds| *seconds <= DELAY_S_MAX)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("-d {}: not a number of seconds", value.escape_ascii()))
}

/// A machine without the file wants no records. A record that fails is told
/// only when it was all that was asked for, or when root could not write it.
fn record(name: &str, is_all: bool) {
    let Err(e) = utmp::shutdown() else {
        return;
    };
    let is_news = is_all || rustix::process::geteuid().is_root();
    if is_news && e.kind() != std::io::ErrorKind::NotFound {
        say::line(name, format_args!("write {WTMP}: {e}"));
    }
}

/// PID 1; in an old initial RAM disk, the process called linuxrc that plays its part.
fn init() -> Pid {
    let is_linuxrc = |pid: &Pid| {
        std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"linuxrc\n")
    };
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(is_linuxrc)
        .unwrap_or(1)
}
