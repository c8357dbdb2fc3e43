//! A machine of another kind: a board with a 64-bit processor of ARM, Debian's kernel for
//! it, and sunup built by a cross compiler.

use lab::arch::Arch;
use lab::machine::End;

use crate::guest::{Guest, pids};

#[test]
fn aarch64_comes_up_supervises_and_powers_off() {
    let mut m = Guest::of(Arch::Aarch64);
    m.log_in();
    assert_eq!(m.sh("uname -m"), "aarch64");
    assert_eq!(m.sh("readlink /proc/1/exe"), "/sbin/sunup");
    assert!(m.console().contains("Boot stage completed in "));
    for (name, want) in [("null", "666 root root"), ("ttyAMA0", "620 root tty")] {
        let said = m.sh(&format!("stat -c '%a %U %G' /dev/{name}"));
        assert_eq!(said, want, "{name}");
    }
    let ours = m.sh("for n in $(sunup --list); do readlink -f $(command -v $n); done | sort -u");
    assert_eq!(ours, "/sbin/sunup");

    let restarted = m.sh("sv -w 60 restart httpd");
    assert!(
        restarted.starts_with("ok: run: httpd: (pid "),
        "{restarted}"
    );
    let page = m.sh("await 'wget -qO- http://127.0.0.1/'");
    assert!(page.contains("sunup"), "{page}");

    // What a killed supervisor leaves is taken over: clone, pidfds, locks and pipes.
    let old = pids(&m.sh("pidof runsvdir"))[0];
    let login = m.sh("cat /etc/runit/sv/tty1/supervise/pid");
    m.sh(&format!("kill -9 {old}; await '[ ! -e /proc/{old} ]'"));
    m.sh("await 'sv check tty1 httpd'");
    assert_eq!(
        m.sh("cat /etc/runit/sv/tty1/supervise/pid; echo $$"),
        format!("{login}\n{login}")
    );
    assert_ne!(pids(&m.sh("pidof runsvdir"))[0], old);

    m.type_line("poweroff");
    m.expect("Requesting system poweroff\r\n");
    assert_eq!(m.end(), End::PowerOff);
}
