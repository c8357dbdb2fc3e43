//! Our own package in Debian: it replaces runit's programs in place, and gives them back.
//! What is called `trixie` runs only with the suite `trixie`, on Debian 13.

use lab::machine::End;

use super::guest::Guest;
use super::root::Release;

/// Every one of Debian's machines has it.
const SERVICE: &str = "getty-ttyS0";

/// Makes of each function a test for each release.
macro_rules! in_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use super::Release;
            #[test]
            fn in_debian() { super::$name(Release::Here); }
            #[test]
            fn in_trixie() { super::$name(Release::Trixie); }
        }
    )+};
}

in_both![a_running_machine, a_boot, a_boot_after_it, every_state,];

fn pid(guest: &mut Guest) -> String {
    guest.sh(&format!(
        "await 'sv check {SERVICE}' >/dev/null; pid-of {SERVICE}"
    ))
}

/// While Debian's programs are at work, ours come and go and come; nothing is restarted by that.
fn a_running_machine(release: Release) {
    let mut guest = Guest::boot_after(release, "");
    guest.log_in();
    let before = pid(&mut guest);
    guest.sh("sh /lab/files >/tmp/before");
    for _ in 0..2 {
        let said = guest.sh("dpkg -i /lab/sunup.deb");
        assert!(said.contains("To change over: reboot"), "{said}");
        assert!(guest.sh("sv --version").starts_with("sv (sunup) "));
        let page = guest.sh("readlink /usr/share/man/man8/sv.8.gz");
        assert_eq!(page, "sunup-sv.8.gz");
        assert_eq!(pid(&mut guest), before);
        guest.sh("dpkg --purge sunup");
        assert!(!guest.sh("sv --version; true").contains("sunup"));
        guest.sh("sh /lab/files >/tmp/after");
        assert_eq!(guest.sh("diff /tmp/before /tmp/after"), "");
    }
    assert_eq!(pid(&mut guest), before);
    guest.sh("dpkg -i /lab/sunup.deb");
    guest.type_line("reboot");
    assert_eq!(guest.end(), End::Reset);
}

/// A boot by our programs, which goes down by Debian's.
fn a_boot(release: Release) {
    let mut guest = Guest::boot_after(release, "dpkg -i /lab/sunup.deb");
    guest.log_in();
    for process in ["1", "$(pgrep -o -x runsvdir)"] {
        let program = guest.sh(&format!("readlink /proc/{process}/exe"));
        assert_eq!(program, "/usr/bin/sunup");
    }
    let status = guest.sh(&format!(
        "await 'sv check {SERVICE}' >/dev/null; sv status {SERVICE}"
    ));
    assert!(status.starts_with("run: getty-ttyS0: (pid "), "{status}");
    guest.sh("dpkg --remove sunup");
    guest.type_line("poweroff");
    assert_eq!(guest.end(), End::PowerOff);
}

/// When it was there and is gone, by the commands of docs/install.md, Debian's programs boot, as if
/// nothing had been.
fn a_boot_after_it(release: Release) {
    let mut guest = Guest::boot_after(
        release,
        "set -e
        sh /lab/files >/before
        cd /lab
        apt install -y ./sunup.deb
        sv --version >/version
        apt remove -y sunup
        sh /lab/files >/after",
    );
    guest.log_in();
    assert!(guest.sh("cat /version").starts_with("sv (sunup) "));
    assert_eq!(guest.sh("diff /before /after"), "");
    let files: u32 = guest.sh("grep -c . </after").parse().unwrap();
    assert!(files > 1000, "{files}");
    assert!(!guest.sh("readlink /proc/1/exe").contains("sunup"));
    pid(&mut guest);
    guest.type_line("poweroff");
    assert_eq!(guest.end(), End::PowerOff);
}

fn every_state(release: Release) {
    let mut guest = Guest::boot_after(release, "");
    guest.log_in();
    // A script is killed at its first command, and at one in so many.
    let step = match release {
        Release::Here => 97,
        Release::Trixie => 5,
    };
    let said = guest.sh(&format!("sh /lab/states {step}"));
    assert!(said.contains("states: well, with "), "{said}");
}
