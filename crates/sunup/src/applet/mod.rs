//! The applets: one file each, which never import each other.

use model::options::{self, Parsed, Spec};

use crate::{personality, say};

pub mod chpst;
pub mod container;
pub mod dumb_init;
pub mod getty;
pub mod halt;
pub mod init;
pub mod initramfs;
pub mod mdev;
pub mod runit;
pub mod runit_init;
pub mod runsv;
pub mod runsvchdir;
pub mod runsvdir;
pub mod shutdown;
pub mod stage1;
pub mod sulogin;
pub mod sv;
pub mod svlogd;
pub mod svok;
pub mod switch_root;
pub mod tini;
pub mod utmpset;

/// One row of the table.
pub struct Applet {
    /// Its command line.
    pub spec: &'static Spec,
    /// Runs it; the result is the exit code.
    pub run: fn(&Call) -> u8,
}

/// How an applet was called.
pub struct Call<'a> {
    /// The name it was called by, with its path.
    pub argv0: &'a [u8],
    /// Parsed arguments.
    pub args: &'a Parsed<'a>,
}

/// Every applet, in the order of `sunup --list`.
pub static APPLETS: &[Applet] = &[
    chpst::APPLET,
    chpst::daemontools::ENVDIR,
    chpst::daemontools::ENVUIDGID,
    chpst::daemontools::PGRPHACK,
    chpst::daemontools::SETLOCK,
    chpst::daemontools::SETUIDGID,
    chpst::daemontools::SOFTLIMIT,
    container::APPLET,
    tini::DOCKER_INIT,
    dumb_init::APPLET,
    getty::APPLET,
    halt::HALT,
    halt::POWEROFF,
    halt::REBOOT,
    init::APPLET,
    initramfs::APPLET,
    mdev::APPLET,
    runit::APPLET,
    runit_init::APPLET,
    runsv::APPLET,
    runsvchdir::APPLET,
    runsvdir::APPLET,
    shutdown::APPLET,
    stage1::APPLET,
    sulogin::APPLET,
    sv::APPLET,
    sv::svc::SVC,
    svlogd::APPLET,
    svok::APPLET,
    switch_root::APPLET,
    init::TELINIT,
    tini::TINI,
    utmpset::APPLET,
];

/// Says what is wrong with a command line and how to learn more; returns the exit code.
pub fn usage_error(spec: &Spec, mistake: &str) -> u8 {
    say::line(spec.name, mistake);
    say::line(
        spec.name,
        format_args!("{}; see `{} --help`", options::usage(spec), spec.name),
    );
    match spec.name {
        name if name == "sv" || name.starts_with("sv ") => spec.usage_code,
        name => personality::failure(name, spec.usage_code),
    }
}
