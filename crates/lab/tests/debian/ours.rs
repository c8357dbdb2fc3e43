//! Our own package in Debian: it replaces runit's programs in place, and gives them back.
//! What is called `trixie` runs only with the suite `trixie`, on Debian 13.

use std::fs;

use lab::machine::End;
use lab::workspace;

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

in_both![
    a_running_machine,
    a_boot,
    a_boot_after_it,
    every_state,
    the_guide,
];

fn pid(guest: &mut Guest) -> String {
    guest.sh(&format!(
        "await 'sv check {SERVICE}' >/dev/null; pid-of {SERVICE}"
    ))
}

/// A machine at work by Debian's programs, whose files change no more by themselves: the getty of
/// a terminal that is not there takes its name out of /etc/service, and some start late.
fn at_work(release: Release) -> Guest {
    let mut guest = Guest::boot_after(release, "");
    guest.log_in();
    guest
        .sh("await 'for s in /etc/service/getty-*; do test -c /dev/${s#*/getty-} || exit 1; done'");
    guest
}

/// While Debian's programs are at work, ours come and go and come; nothing is restarted by that.
fn a_running_machine(release: Release) {
    let mut guest = at_work(release);
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
    let mut guest = at_work(release);
    // A script is killed at its first command, and at one in so many.
    let step = match release {
        Release::Here => 97,
        Release::Trixie => 5,
    };
    // Each line tells that it goes on.
    let results = guest.results;
    let said = guest.sh(&format!("sh /lab/states {step} 2>&1 | tee /dev/{results}"));
    assert!(said.contains("states: well, with "), "{said}");
}

/// docs/from-runit.md, on a machine that Debian's runit has booted, by the commands on the page:
/// beside it, in its place, at work in its place, and back.
fn the_guide(release: Release) {
    let page = workspace::root().join("docs/from-runit.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page.split("```text\n").skip(1).collect();
    let commands = |block: usize| {
        let lines = blocks[block].split("```").next().unwrap().lines();
        lines.map(|line| line.strip_prefix("# ").unwrap())
    };
    let mut guest = at_work(release);
    pid(&mut guest);
    // The kernel's log cannot be read in namespaces: that service ends again and again.
    let pids = "for s in /etc/service/*; do case $s in *klog) ;; \
        *) cat $s/supervise/pid $s/log/supervise/pid 2>/dev/null || : ;; esac; done";
    let before = guest.sh(&format!("sh /lab/files >/tmp/before; {pids}"));
    // Some may have started late.
    let goes_on = |guest: &mut Guest| {
        let now = guest.sh(pids);
        let is_there = |pid| now.lines().any(|line| line == pid);
        assert!(before.lines().all(is_there), "{before}\nis now\n{now}");
    };
    // None of the small tree's services has a log.
    let has_logs = release == Release::Here;
    let of_page = commands(0).filter(|line| has_logs || !line.starts_with("sv log"));
    let said: Vec<String> = of_page.map(|line| guest.sh(line)).collect();
    assert!(said[3].contains(SERVICE), "{said:?}");
    guest.sh("PATH=${PATH#*:}; rm -r /opt/sunup");

    assert!(page.contains("`apt install ./sunup_VERSION_amd64.deb`"));
    guest.sh("cd /lab; cp sunup.deb sunup_VERSION_amd64.deb; apt install -y ./sunup_VERSION_amd64.deb; cd /");
    let programs = "for p in 1 $(pgrep -x runsvdir) $(pgrep -x runsv); do readlink /proc/$p/exe; done | sort -u";
    assert!(!guest.sh(programs).contains("sunup"));
    commands(1).for_each(|line| drop(guest.sh(line)));
    guest.sh(&format!(
        "await 'sv check {SERVICE}' >/dev/null; await 'for p in $(pgrep -x runsv); do \
         [ $(readlink /proc/$p/exe) = /usr/bin/sunup ] || exit 1; done'"
    ));
    goes_on(&mut guest);
    let programs = guest.sh(programs);
    assert!(
        programs.contains("\n/usr/bin/sunup") && programs.lines().count() == 3,
        "{programs}"
    );
    assert_eq!(
        guest.sh(&format!("sv health {SERVICE}; sv lint {SERVICE}")),
        ""
    );

    assert!(page.contains("`apt remove sunup`"));
    guest.sh("apt remove -y sunup");
    assert_eq!(
        guest.sh("sh /lab/files >/tmp/after; diff /tmp/before /tmp/after"),
        ""
    );
    goes_on(&mut guest);
    guest.type_line("poweroff");
    assert_eq!(guest.end(), End::PowerOff);
}
