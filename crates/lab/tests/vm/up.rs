//! A machine that came up: what runs there, and the login on its console.

use std::time::Instant;

use crate::guest::{Guest, on_both};

on_both!(
    stage_1_completes,
    pid_1_is_ours,
    the_host_has_its_name,
    the_loopback_device_is_up,
    every_name_is_ours_at_the_prompt_and_in_scripts,
    exit_brings_a_new_prompt,
);

on_both!(every_name_is_ours_from_stage_1_on with &[
    Plain("etc/inittab", "::sysinit:/etc/runit/stage1\n::respawn:/usr/bin/runsvdir -P /etc/runit/sv\n"),
    Script("etc/runit/stage1", concat!(include_str!("../../../../rootfs/etc/runit/stage1"),
        "\nset -- $(sunup --list)\nfor name; do $name --version; done >/run/versions 2>&1\n")),
    // The first login comes when this has told: a getty becomes a shell.
    Script("etc/runit/sv/witness/run", "#!/bin/sh\n\
        running() { await \"pidof $1\" | tr ' ' '\\n' | tail -n 1; }\n\
        for name in init runsvdir mdev getty svlogd; do\n\
            echo \"$name $(readlink /proc/$(running $name)/exe)\"\n\
        done >/run/programs\n\
        echo witnessed >/dev/console\n\
        exec sleep 1000000\n"),
]);

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

// As Buildroot writes it, comments included.
on_both!(buildroots_inittab_brings_a_login with &[Plain("etc/inittab", "# /etc/inittab\n\
    ::sysinit:/bin/mount -t proc proc /proc\n\
    ::sysinit:/bin/mkdir -p /dev/pts /dev/shm\n\
    ::sysinit:/bin/mount -a\n\
    null::sysinit:/bin/ln -sf /proc/self/fd /dev/fd\n\
    ::sysinit:/bin/hostname -F /etc/hostname\n\
    console::respawn:/sbin/getty -L  console 0 vt100 # GENERIC_SERIAL\n\
    #::ctrlaltdel:/sbin/reboot\n\
    ::shutdown:/bin/umount -a -r\n")]);

fn buildroots_inittab_brings_a_login(mut m: Guest) {
    m.expect("sunup login: ");
    // It is heard, too: whoever gives no name is asked again.
    m.type_line("");
    m.expect("sunup login: ");
}

/// What our binary says to `NAME --version`, for all its names; some are those of programs
/// whose words are looked for.
fn versions(names: &str) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let said = names.split_whitespace();
    said.map(|name| match name {
        "docker-init" | "tini" => format!("tini version 0.19.0 (sunup {version})"),
        "dumb-init" => format!("dumb-init v1.2.5 (sunup {version})"),
        name => format!("{name} (sunup) {version}"),
    })
    .collect()
}

fn every_name_is_ours_from_stage_1_on(mut m: Guest) {
    m.expect("witnessed");
    // Whoever presses Enter gets the prompt again.
    m.type_line("");
    m.log_in();
    let mut wanted = versions(&m.sh("sunup --list"));
    wanted.extend(
        ["init", "runsvdir", "mdev", "getty", "svlogd"].map(|name| format!("{name} /sbin/sunup")),
    );
    assert_eq!(m.sh("cat /run/versions /run/programs"), wanted.join("\n"));
}

/// Busybox's shell is not the only program of it that starts others.
fn every_name_is_ours_at_the_prompt_and_in_scripts(m: &mut Guest) {
    let wanted = versions(&m.sh("sunup --list")).join("\n");
    m.sh("printf '#!/bin/sh\\nexec $1 --version\\n' >/tmp/script; chmod +x /tmp/script");
    for way in [
        "$n --version",
        "/tmp/script $n",
        "sh -c \"$n --version\"",
        "env $n --version",
        "timeout 60 $n --version",
        "xargs $n --version </dev/null",
        "find / -maxdepth 0 -exec $n --version ';'",
        "$(command -v $n) --version",
    ] {
        let said = m.sh(&format!("for n in $(sunup --list); do {way}; done"));
        assert_eq!(said, wanted, "{way}");
    }
    let (said, _) = m.try_sh("busybox mdev -s");
    assert_eq!(said, "mdev: applet not found");
}

fn exit_brings_a_new_prompt(m: &mut Guest) {
    let (before, _) = tty1(m);
    m.type_line("exit");
    let left = Instant::now();
    m.log_in();
    let (after, seconds) = tty1(m);
    assert_ne!(after, before);
    assert!(seconds <= left.elapsed().as_secs() + 1, "{seconds}");
    // It is the first that the report tells of.
    assert_eq!(m.kernel_log().matches("report: login").count(), 1);
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
