//! sunup: one static binary, many applets.
//!
//! The applet is the base name of `argv[0]`, or the first argument when the
//! binary is called by its own name. A link to `sv` by any other name is an init
//! script. Each applet is one row of [`applet::APPLETS`]. Whether busybox's ways are
//! followed is decided by [`personality`].

// The C library calls our `main` directly: `sys::start`.
#![cfg_attr(not(test), no_main)]

mod accounts;
mod applet;
mod block;
mod boot_record;
mod called;
mod completion;
mod devices;
mod engine;
mod install;
mod machine;
mod outlet;
mod personality;
mod program;
mod say;
mod service_entries;
mod state_rooms;
mod supervised;
mod sys;
mod ward;

use std::ffi::CString;

use applet::{APPLETS, Applet, Call};
use called::{base_name, is_link_to};
use model::options::{self, Asked};

sys::start::entry!(main);

fn main() -> u8 {
    #[cfg(debug_assertions)]
    sys::heap::refusal::by_environment();
    let words = sys::arguments::words().into_iter();
    let args: Vec<Vec<u8>> = words.map(CString::into_bytes).collect();
    let argv0 = args.first().map_or(&b"sunup"[..], Vec::as_slice);
    let rest = args.get(1..).unwrap_or_default();
    personality::choose(argv0, sys::env::exec_path());
    let applet = find_called(argv0, rest);
    // The command line of PID 1 may hold words that are no option of init, and a usage error of
    // PID 1 would be a kernel panic: it is not parsed.
    let boot = if std::process::id() == 1 {
        boot_of(applet, rest)
    } else {
        None
    };
    match (boot, applet) {
        (Some((name, boot)), _) => {
            name_process(name);
            boot(rest)
        }
        (None, Some(applet)) => run(applet, argv0, rest),
        (None, None) if personality::is_busybox() && !is_own_name(argv0) => {
            not_found(base_name(argv0))
        }
        (None, None) if !personality::is_busybox() && is_link_to(argv0, "sv") => {
            run(&applet::sv::INIT_SCRIPT, argv0, rest)
        }
        (None, None) => by_first_argument(rest),
    }
}

/// Runs as PID 1, with the words that the kernel passes on.
type Boot = fn(&[Vec<u8>]) -> u8;

/// What PID 1 is and does; `None`: run an applet like anybody else, as a container may want.
fn boot_of(applet: Option<&Applet>, rest: &[Vec<u8>]) -> Option<(&'static str, Boot)> {
    let init = Some(("init", applet::init::boot as Boot));
    match applet.map(|a| a.spec.name) {
        Some("runit" | "runit-init") => Some(("runit", applet::runit::boot)),
        Some("init") => init,
        Some("initramfs") => Some(("initramfs", applet::initramfs::boot)),
        // A kernel that was told `init=/bin/sunup` means init; a container may name an applet.
        None if rest.first().is_none_or(|name| find(name).is_none()) => init,
        Some(_) | None => None,
    }
}

/// The applet by its name. An `init` that is a link to runit-init is runit-init, and a `1` that
/// is a link to stage1 is stage1.
fn find_called(argv0: &[u8], rest: &[Vec<u8>]) -> Option<&'static Applet> {
    let name = base_name(argv0);
    // Podman's name for the program of `--init --init-path`; no kernel passes `--` on to init.
    let is_podmans = matches!(name, b"init" | b"podman-init");
    if is_podmans && std::process::id() == 1 && rest.first().is_some_and(|word| word == b"--") {
        return find(b"docker-init");
    }
    let path = if argv0.contains(&b'/') {
        argv0
    } else {
        b"/sbin/init"
    };
    if name == b"init" && is_link_to(path, "runit-init") {
        return find(b"runit-init");
    }
    if argv0 == b"/init" && std::process::id() == 1 && applet::initramfs::is_all_there_is() {
        return find(b"initramfs");
    }
    // runit calls its first stage /etc/runit/1.
    if name == b"1" && is_link_to(argv0, "stage1") {
        return find(b"stage1");
    }
    find(name)
}

fn find(name: &[u8]) -> Option<&'static Applet> {
    let stand_ins = [&applet::chpst::BUSYBOX, &applet::sv::BUSYBOX];
    let stand_ins = stand_ins.into_iter().filter(|_| personality::is_busybox());
    let mut applets = stand_ins.chain(APPLETS);
    applets.find(|a| a.spec.name.as_bytes() == name)
}

/// Whether it is called by a name of its own, so that the first argument decides.
fn is_own_name(argv0: &[u8]) -> bool {
    matches!(base_name(argv0), b"sunup" | b"busybox")
}

fn not_found(name: &[u8]) -> u8 {
    let name = name.escape_ascii();
    if personality::is_busybox() {
        say::line(&name.to_string(), "applet not found");
    } else {
        let what = format_args!("unknown applet {name}; `sunup --list` shows them all");
        say::line("sunup", what);
    }
    127
}

fn by_first_argument(args: &[Vec<u8>]) -> u8 {
    match args.first().map(Vec::as_slice) {
        None | Some(b"--help") => {
            say::print(&overview());
            personality::pick(u8::from(args.is_empty()), 0)
        }
        Some(b"--version") => {
            say::print(&version("sunup"));
            0
        }
        Some(b"--list") => {
            let names: Vec<&str> = APPLETS.iter().map(|a| a.spec.name).collect();
            say::print(&(names.join("\n") + "\n"));
            0
        }
        Some(b"--completion") => completion::print(args.get(1).map(Vec::as_slice)),
        Some(b"--complete") => completion::complete(args.get(1..).unwrap_or_default()),
        Some(b"--install") => install::run(args.get(1..).unwrap_or_default()),
        Some(name) => {
            if let Some(applet) = find(name) {
                return run(applet, name, args.get(1..).unwrap_or_default());
            }
            not_found(name)
        }
    }
}

/// The kernel names a process after the last component of the path that was
/// executed, which may be `sunup`, `exe` of /proc/self, or another name of the
/// applet. Tools look for this name (`pgrep`, /proc/1/comm).
fn name_process(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

fn run(applet: &Applet, argv0: &[u8], args: &[Vec<u8>]) -> u8 {
    if base_name(argv0) == applet.spec.name.as_bytes() {
        name_process(applet.spec.name);
    }
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    match options::parse(applet.spec, &args) {
        Ok(Asked::Run(parsed)) => (applet.run)(&Call {
            argv0,
            args: &parsed,
        }),
        Ok(Asked::Help) => {
            say::print(&options::help(applet.spec));
            0
        }
        Ok(Asked::Version) => {
            say::print(&version(applet.spec.name));
            0
        }
        Err(mistake) => applet::usage_error(applet.spec, &mistake),
    }
}

/// Programs read the version of tini, as dockerd does, and of dumb-init: it is the one whose
/// behaviour ours has.
fn version(name: &str) -> String {
    let own = env!("CARGO_PKG_VERSION");
    match name {
        "tini" | "docker-init" => format!("tini version 0.19.0 (sunup {own})\n"),
        "dumb-init" => format!("dumb-init v1.2.5 (sunup {own})\n"),
        name => format!("{name} (sunup) {own}\n"),
    }
}

fn overview() -> String {
    let mut text = String::from(
        "usage: sunup APPLET [ARGUMENT...]\n       \
         sunup --list | --install [--force] DIR | --completion SHELL | --version\n\n\
         sunup boots a Linux machine and keeps its services up. Applets:\n\n",
    );
    for a in APPLETS {
        text.extend([&format!("  {:<10} ", a.spec.name), a.spec.about, "\n"]);
    }
    text.push_str(
        "\n`sunup APPLET` runs one, and `sunup APPLET --help` says more. To call them by their names:\n\n  \
         mkdir ~/sunup; sunup --install ~/sunup; export PATH=~/sunup:$PATH\n",
    );
    text
}
