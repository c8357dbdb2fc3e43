//! A machine that came up: what runs there, and the login on its console.

use std::time::Instant;

use crate::guest::{Guest, on_both};

on_both!(
    stage_1_completes,
    pid_1_is_ours,
    the_host_has_its_name,
    the_loopback_device_is_up,
    our_applets_come_before_busyboxs,
    exit_brings_a_new_prompt,
);

fn stage_1_completes(m: &mut Guest) {
    let console = m.console();
    let (before, after) = console.split_once("Boot stage completed in ").unwrap();
    let seconds = after.split_once("s\r\n").unwrap().0;
    assert!(seconds.parse::<f64>().unwrap() < 180.0, "{seconds}");
    // Nothing failed, and the missing hook of the kernel is no news.
    assert_eq!(before.trim_start_matches("\x1bc\x1b[?7l\x1b[2J").trim(), "");
    assert!(m.kernel_log().contains("stage1: completed"));
}

fn pid_1_is_ours(m: &mut Guest) {
    assert_eq!(m.sh("cat /proc/1/comm"), "init");
    assert_eq!(m.sh("readlink /proc/1/exe"), "/sbin/sunup");
}

fn the_host_has_its_name(m: &mut Guest) {
    assert_eq!(m.sh("hostname"), "sunup");
}

fn the_loopback_device_is_up(m: &mut Guest) {
    let said = m.sh("ip addr show lo");
    assert!(said.contains("LOOPBACK,UP"), "{said}");
    assert!(said.contains("inet 127.0.0.1/8"), "{said}");
}

fn our_applets_come_before_busyboxs(m: &mut Guest) {
    for name in [
        "init", "runsvdir", "runsv", "sv", "mdev", "getty", "poweroff",
    ] {
        let said = m.sh(&format!("readlink $(which {name})"));
        assert_eq!(said, "/sbin/sunup", "{name}");
    }
}

fn exit_brings_a_new_prompt(m: &mut Guest) {
    let (before, _) = tty1(m);
    m.type_line("exit");
    let left = Instant::now();
    m.log_in();
    let (after, seconds) = tty1(m);
    assert_ne!(after, before);
    assert!(seconds <= left.elapsed().as_secs() + 1, "{seconds}");
}

/// The login's pid, which is the shell's, and its time in seconds.
fn tty1(m: &mut Guest) -> (u32, u64) {
    let said = m.sh("sv status tty1; echo $$");
    let (status, shell) = said.split_once('\n').unwrap();
    let status = status.strip_prefix("run: tty1: (pid ").unwrap();
    let (pid, time) = status.split_once(") ").unwrap();
    assert_eq!(pid, shell);
    let seconds = time.strip_suffix('s').unwrap();
    (pid.parse().unwrap(), seconds.parse().unwrap())
}
