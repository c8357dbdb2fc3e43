//! What Debian's packages do to a running tree: their maintainer scripts, the
//! trigger of the package runit, and update-service(8).

use super::guest::{By, Guest, Host, by_both};

by_both![services_come_and_go, the_trigger, a_package_is_configured];

fn services_come_and_go(guest: &mut Guest) {
    guest.sh("await 'sv status default-syslog'");
    let pid = guest.sh("pid-of default-syslog");
    guest.sh(
        "update-service --remove /etc/sv/default-syslog || [ ! -e /etc/service/default-syslog ]",
    );
    guest.sh(&format!("await '! kill -0 {pid}'"));
    guest.sh("await '! sv status /etc/sv/default-syslog'");
    guest.sh("update-service --add /etc/sv/default-syslog");
    guest.sh("await 'sv status default-syslog | grep ^run:'");
    assert_eq!(
        guest.sh("update-service --list default-syslog"),
        "default-syslog -> /etc/sv/default-syslog"
    );
}

/// Packages have the tree looked through by ALRM to PID 1, or to runsvdir itself.
fn the_trigger(guest: &mut Guest) {
    // The oldest: what it is just starting has its name for a moment.
    let both = "pgrep -o -x runsvdir; pid-of ssh";
    let before = guest.sh(both);
    guest.sh("/lib/runit/trigger_sv setup");
    guest.sh("/lib/runit/trigger_sv upgrade");
    guest.sh("kill -s ALRM 1");
    guest.sh("kill -s ALRM $(pgrep -o -x runsvdir)");
    // Both have had their signal when a service of the next look is there.
    guest.sh("mkdir /etc/service/seen; ln -s /bin/true /etc/service/seen/run");
    guest.sh("await 'sv status seen'");
    guest.sh("await 'rm -rf /etc/service/seen'");
    assert_eq!(guest.sh(both), before);
}

/// The maintainer script enables, and restarts what was there before.
fn a_package_is_configured(guest: &mut Guest) {
    guest.sh("await 'sv status mini-httpd'");
    let before = guest.sh("pid-of mini-httpd");
    let said = guest.sh("DEBIAN_FRONTEND=noninteractive dpkg-reconfigure mini-httpd-run");
    assert!(said.contains("ok: run: mini-httpd: (pid "), "{said}");
    assert_ne!(guest.sh("pid-of mini-httpd"), before);
}

/// Removing a package stops its service and takes it away.
fn a_package_is_removed(by: By) {
    let mut guest = Guest::boot(Host::Namespaces, by);
    guest.log_in();
    guest.sh("await 'curl -s http://localhost/'");
    let pid = guest.sh("pid-of mini-httpd");
    let said = guest.sh("dpkg --remove mini-httpd-run");
    assert!(said.contains("ok: down: mini-httpd: "), "{said}");
    guest.sh(&format!("! kill -0 {pid}"));
    guest.sh("! [ -e /etc/service/mini-httpd ]");
    guest.sh("await '! pgrep -f runit/[m]ini-httpd'");
    guest.sh("dpkg --purge mini-httpd-run");
    guest.sh("! [ -e /var/log/runit/mini-httpd ] && ! [ -e /etc/sv/mini-httpd/run ]");
}

#[test]
fn a_package_is_removed_in_debian_by_sunup() {
    a_package_is_removed(By::Sunup);
}

#[test]
fn a_package_is_removed_in_debian_by_runit() {
    a_package_is_removed(By::Runit);
}
