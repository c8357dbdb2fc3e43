//! Machines with a mistake in their files: they come up to a login all the same,
//! and say what is wrong.

use crate::guest::{Change, Guest, Host, on_both, on_its_own};

on_both!(
    stage_1_that_fails with &[Script("sbin/stage1", "#!/bin/sh\nexit 1\n")],
    stage_1_that_is_not_executable with &[Plain("sbin/stage1", "#!/bin/sh\n")],
    stage_1_that_is_missing with &[Without("stage1")],
    an_inittab_with_garbage with &[Plain("etc/inittab", "garbage\n\
        ::sysinit:/sbin/stage1\n\
        ::sometimes:/bin/true\n\
        ::respawn:/usr/bin/runsvdir -P /etc/runit/sv\n")],
    services_without_a_run_that_can_run with &[
        Plain("etc/runit/sv/missing/README", "no run\n"),
        Plain("etc/runit/sv/plain/run", "#!/bin/sh\n"),
    ],
);

fn stage_1_that_fails(m: Guest) {
    comes_up_and_says(m, &["process '/sbin/stage1' (pid "]);
}

fn stage_1_that_is_not_executable(m: Guest) {
    comes_up_and_says(m, &["can't run '/sbin/stage1': Permission denied"]);
}

fn stage_1_that_is_missing(m: Guest) {
    comes_up_and_says(m, &["can't run '/sbin/stage1': No such file or directory"]);
}

fn an_inittab_with_garbage(m: Guest) {
    comes_up_and_says(
        m,
        &[
            "Bad inittab entry at line 1: not TTY:IGNORED:ACTION:COMMAND",
            "Bad inittab entry at line 3: unknown action 'sometimes'",
        ],
    );
}

fn services_without_a_run_that_can_run(m: Guest) {
    comes_up_and_says(
        m,
        &[
            "runsvdir: missing: start /etc/runit/sv/missing/run: No such file or directory",
            "runsvdir: plain: start /etc/runit/sv/plain/run: Permission denied; \
             make it executable with chmod +x",
        ],
    );
}

/// The kernel has no console to give to process 1, which makes the node itself, and is heard
/// before stage 1 has mounted anything.
#[test]
fn without_a_console_node_in_qemu() {
    let changes = [
        Change::Without("console"),
        Change::Plain(
            "etc/inittab",
            "garbage\n\
            ::sysinit:/etc/runit/stage1\n\
            ::respawn:/usr/bin/runsvdir -P /etc/runit/sv\n",
        ),
    ];
    on_its_own(Host::Qemu, &changes, |mut m| {
        m.expect("Bad inittab entry at line 1: ");
        m.log_in();
        assert_eq!(m.sh("readlink /proc/1/fd/0"), "/dev/console");
    });
}

/// Checks that each of `lines` is on the console, or comes there: beside the login, and what is
/// typed there, at any moment.
fn comes_up_and_says(mut m: Guest, lines: &[&str]) {
    m.log_in();
    let status = m.sh("sv status tty1");
    assert!(status.starts_with("run: tty1: (pid "), "{status}");
    for line in lines {
        if !m.console().contains(line) {
            m.expect(line);
        }
    }
}
