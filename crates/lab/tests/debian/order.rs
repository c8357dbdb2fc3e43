//! Daemons that say themselves when they are ready, each in its own way and as Debian
//! ships it: dbus-daemon and seatd on a descriptor, sshd to NOTIFY_SOCKET. Services that
//! need them start in order, and not before.

use super::guest::{By, Guest, on_the_shared};

/// The service directories, on a machine with our programs.
pub const SET_UP: &str = r#"
mkdir -p /etc/sv/dbus /etc/sv/seatd/needs /etc/sv/multi-user/needs /etc/sv/client/needs /etc/sv/ssh/needs
cat >/etc/sv/dbus/run <<'end'
#!/bin/sh
exec 2>&1
mkdir -p /run/dbus
exec dbus-daemon --system --nofork --nopidfile --print-address=4
end
echo 4 >/etc/sv/dbus/notification-fd
printf '#!/bin/sh\nexec 2>&1\nexec seatd -n 3\n' >/etc/sv/seatd/run
echo 3 >/etc/sv/seatd/notification-fd
touch /etc/sv/ssh/notify
touch /etc/sv/seatd/needs/dbus /etc/sv/ssh/needs/dbus
touch /etc/sv/multi-user/needs/seatd /etc/sv/multi-user/needs/ssh
touch /etc/sv/client/needs/multi-user
printf '#!/bin/sh\nexec sleep 100000\n' >/etc/sv/client/run
chmod +x /etc/sv/*/run
for service in client multi-user seatd dbus; do
    update-service --add "/etc/sv/$service"
done
"#;

#[test]
fn daemons_say_when_they_are_ready_in_debian_by_sunup() {
    on_the_shared(By::Sunup, readiness);
}

#[test]
fn needs_are_met_in_order_in_debian_by_sunup() {
    on_the_shared(By::Sunup, order);
}

#[test]
fn what_needs_a_daemon_waits_for_it_in_debian_by_sunup() {
    on_the_shared(By::Sunup, wait);
}

/// The words of a service's file `ready`: whose, when, and what said so.
fn ready(guest: &mut Guest, service: &str) -> Vec<String> {
    let file = format!("/etc/service/{service}/supervise/ready");
    let line = guest.sh(&format!("await '[ -s {file} ]'; cat {file}"));
    line.split(' ').map(str::to_owned).collect()
}

/// When `sv start` comes back, each serves: nobody looks twice.
fn readiness(guest: &mut Guest) {
    guest.sh("await 'sv check dbus seatd ssh client'");
    for (service, asks) in [
        (
            "dbus",
            "dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId",
        ),
        ("seatd", "[ -S /run/seatd.sock ]"),
        ("ssh", "bash -c 'exec 3<>/dev/tcp/127.0.0.1/22'"),
    ] {
        for _ in 0..3 {
            guest.sh(&format!("sv stop {service} >/dev/null"));
            guest.sh(&format!(
                "rm -f /run/seatd.sock; sv start {service} && {asks}"
            ));
        }
        let words = ready(guest, service);
        let pid = guest.sh(&format!("pid-of {service}"));
        assert_eq!(words[0], pid, "{service}: {words:?}");
        assert_ne!(words[2], "starting", "{service}");
    }
}

/// Nothing was started before what it needs was ready.
fn order(guest: &mut Guest) {
    guest.sh("await 'sv check client'");
    for (first, then) in [("dbus", "seatd"), ("dbus", "ssh")] {
        // What comes first may have been restarted since, so both begin again.
        guest.sh(&format!(
            "sv stop {then} {first} && sv start {first} {then}"
        ));
        let [before, after] = [first, then].map(|service| ready(guest, service)[1].clone());
        assert!(before < after, "{first} {before}, {then} {after}");
    }
}

/// A service is held while what it needs is down, and starts by itself when that is ready;
/// nothing that runs is stopped.
fn wait(guest: &mut Guest) {
    guest.sh("await 'sv check dbus seatd client'");
    let client = guest.sh("pid-of client");
    guest.sh("sv stop seatd dbus");
    guest.sh("sv up seatd");
    let status = guest.sh("await 'sv status seatd | grep dbus'");
    assert!(status.starts_with("down: seatd: "), "{status}");
    guest.sh("sv start dbus");
    guest.sh("await 'sv check seatd'");
    assert!(!ready(guest, "seatd").is_empty());
    assert_eq!(guest.sh("pid-of client"), client);
}
