//! The ways down, with Debian's commands and its stage 3.

use lab::machine::End;

use super::guest::{By, Guest, Host};

/// Has a machine of its own end by `command`. The services stop first, each by name.
fn ends(host: Host, by: By, command: &str) -> End {
    let mut guest = Guest::boot(host, by);
    guest.log_in();
    end_by(guest, command)
}

fn end_by(mut guest: Guest, command: &str) -> End {
    guest.sh("await 'curl -s http://localhost/'");
    guest.type_line(command);
    // Stage 3. What runit itself says comes in pieces, which others may part.
    guest.expect("Waiting for services to stop...");
    guest.expect("ok: down: /etc/service/mini-httpd: ");
    guest.expect("Running shutdown tasks...");
    guest.end()
}

#[test]
fn poweroff_in_debian_by_sunup() {
    let end = ends(Host::Namespaces, By::Sunup, "poweroff");
    assert_eq!(end, End::PowerOff);
}

#[test]
fn poweroff_in_debian_by_runit() {
    let end = ends(Host::Namespaces, By::Runit, "poweroff");
    assert_eq!(end, End::PowerOff);
}

#[test]
fn reboot_in_debian_by_sunup() {
    assert_eq!(ends(Host::Namespaces, By::Sunup, "reboot"), End::Reset);
}

#[test]
fn init_0_in_debian_by_sunup() {
    assert_eq!(ends(Host::Namespaces, By::Sunup, "init 0"), End::PowerOff);
}

#[test]
fn init_6_in_debian_by_runit() {
    assert_eq!(ends(Host::Namespaces, By::Runit, "init 6"), End::Reset);
}

/// Ours are put in while Debian's are at work: they end what those have begun.
#[test]
fn across_the_change_in_debian_by_both() {
    let mut guest = Guest::boot(Host::Namespaces, By::Runit);
    guest.log_in();
    guest.sh(". /lab/install");
    assert!(guest.sh("sv --version").contains("sunup"));
    assert_eq!(end_by(guest, "reboot"), End::Reset);
}

#[test]
fn shutdown_in_debian_in_qemu_by_sunup() {
    assert_eq!(
        ends(Host::Qemu, By::Sunup, "shutdown -h now"),
        End::PowerOff
    );
}
