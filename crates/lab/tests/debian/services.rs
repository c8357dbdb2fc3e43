//! Daemons that Debian ships service directories for: each comes up by its own
//! run script, serves, writes to its log, gets another process, and stops.

use super::guest::{By, Guest, by_both};

/// What an administrator of the machine would have done.
pub const SET_UP: &str = r"
mkdir -p /var/www/html
echo 'a page' >/var/www/html/index.html
echo '* * * * * root touch /run/job' >/etc/cron.d/job
# An archive of tar has lost the list of access rights by which bcron may enter.
chown cron /var/spool/cron/crontabs
cat >/etc/dnsmasq.conf <<end
no-resolv
bind-interfaces
listen-address=127.0.0.1
address=/dnsmasq.test/192.0.2.53
end
# Debian's run script wants a file that Debian 12 does not ship.
touch /usr/share/dnsmasq/installed-marker
cd /etc/sv/tinydns
# Where its run script and Debian 12's interpreter look for variables.
ln -s conf env
echo 127.0.0.2 >conf/IP
printf '%s\n' .test:127.0.0.2:a =tinydns.test:192.0.2.54 >root/data
(cd root && tinydns-data)
cd /
update-service --add /etc/sv/tinydns
# Daemons with an init script alone are not for these checks.
update-rc.d prometheus-node-exporter remove
";

by_both![web, dns, a_resolver, ssh, cron, crontab, each_service];

/// `sv restart` gives another process, and `sv stop` none; `down` is how one
/// sees from outside that it serves nobody.
fn restart_and_stop(guest: &mut Guest, service: &str, down: &str) {
    let before = guest.sh(&format!("pid-of {service}"));
    let said = guest.sh(&format!("sv restart {service}"));
    assert!(
        said.starts_with(&format!("ok: run: {service}: (pid ")),
        "{said}"
    );
    let after = guest.sh(&format!("pid-of {service}"));
    assert_ne!(before, after, "{said}");
    guest.sh(&format!("! kill -0 {before}"));
    let said = guest.sh(&format!("sv stop {service}"));
    // Lines before it name who needs the service.
    assert!(said.contains(&format!("ok: down: {service}: ")), "{said}");
    guest.sh(&format!("! kill -0 {after}"));
    guest.sh(down);
    guest.sh(&format!("sv start {service}"));
}

/// The service's log, as its own svlogd writes it, holds a line with `text`.
fn logged(guest: &mut Guest, service: &str, text: &str) {
    guest.sh(&format!(
        "await \"grep -q '{text}' /var/log/runit/{service}/current\""
    ));
    let owner = guest.sh(&format!("stat -c %U /var/log/runit/{service}/current"));
    assert_eq!(owner, "_runit-log");
}

fn web(guest: &mut Guest) {
    let ask = "await 'curl -s http://localhost/ >/tmp/page'; cat /tmp/page";
    assert_eq!(guest.sh(ask), "a page");
    logged(guest, "mini-httpd", "GET / HTTP");
    restart_and_stop(guest, "mini-httpd", "! curl -s http://localhost/");
    assert_eq!(guest.sh(ask), "a page");
}

/// dnsmasq, whose run script is for Debian's interpreter and which has a `finish`.
fn a_resolver(guest: &mut Guest) {
    let ask = "await 'getent hosts any.dnsmasq.test'";
    assert!(guest.sh(ask).starts_with("192.0.2.53"));
    logged(guest, "dnsmasq", "started, version");
    restart_and_stop(guest, "dnsmasq", "! getent hosts any.dnsmasq.test");
    assert!(guest.sh(ask).starts_with("192.0.2.53"));
}

/// tinydns, which lives in a root of its own by `chpst -U` and variables from files.
fn dns(guest: &mut Guest) {
    let ask = |what: &str| {
        format!("await 'python3 /lab/ask-dns.py 127.0.0.2 {what} >/tmp/answer'; cat /tmp/answer")
    };
    assert_eq!(guest.sh(&ask("tinydns.test")), "192.0.2.54");
    logged(guest, "tinydns", "starting tinydns");
    restart_and_stop(
        guest,
        "tinydns",
        "! python3 /lab/ask-dns.py 127.0.0.2 tinydns.test",
    );
    assert_eq!(guest.sh(&ask("tinydns.test")), "192.0.2.54");
}

/// Asks a name server for an address.
pub const ASK_DNS: &str = r"
import socket, struct, sys
server, name = sys.argv[1:]
question = b''.join(bytes([len(p)]) + p.encode() for p in name.split('.'))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((server, 53))
s.send(struct.pack('>6H', 1, 256, 1, 0, 0, 0) + question + struct.pack('>BHH', 0, 1, 1))
answer = s.recv(512)
assert struct.unpack('>4H', answer[:8])[3] == 1, answer
at = 12 + len(question) + 5
print(socket.inet_ntoa(answer[at + 12:at + 16]))
";

fn ssh(guest: &mut Guest) {
    guest.sh("mkdir -p -m 700 /root/.ssh; [ -e /root/.ssh/id ] || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id");
    guest.sh("cp /root/.ssh/id.pub /root/.ssh/authorized_keys");
    let log_in = "ssh -i /root/.ssh/id -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR root@localhost";
    let ask = format!("await '{log_in} true 2>/dev/null'; {log_in} echo hello");
    assert_eq!(guest.sh(&ask), "hello");
    logged(guest, "ssh", "Accepted publickey for root");
    restart_and_stop(guest, "ssh", &format!("! {log_in} true"));
    assert_eq!(guest.sh(&ask), "hello");
}

/// bcron runs a table from /etc/cron.d, and says so.
fn cron(guest: &mut Guest) {
    // It looks once a minute, and the minute may just have begun.
    guest.sh("await '[ -e /run/job ]' || await '[ -e /run/job ]'");
    logged(guest, "bcron-sched", "touch /run/job");
    for service in ["bcron-sched", "bcron-spool", "bcron-update"] {
        restart_and_stop(guest, service, "true");
    }
}

/// crontab(1) speaks to bcron's spooler through a socket.
fn crontab(guest: &mut Guest) {
    guest.sh("echo '0 0 1 1 * true' >/tmp/table; await 'crontab /tmp/table'");
    assert_eq!(guest.sh("crontab -l"), "0 0 1 1 * true");
    guest.sh("crontab -r");
}

/// Every service that Debian enables is up, its logger too, and nothing ends and
/// comes back without being asked.
fn each_service(guest: &mut Guest) {
    let enabled = guest.sh("ls /etc/service");
    let enabled: Vec<&str> = enabled.lines().collect();
    for service in [
        "dnsmasq",
        "getty-ttyS0",
        "mini-httpd",
        "socklog-unix",
        "ssh",
    ] {
        assert!(enabled.contains(&service), "{enabled:?}");
    }
    // There is no such terminal, so its run script has hidden the service.
    assert!(!enabled.contains(&"getty-tty1"), "{enabled:?}");
    for service in enabled {
        // It reads the kernel's log, which in namespaces it may not.
        if service == "socklog-klog" {
            continue;
        }
        // A milestone has no process.
        if guest
            .try_sh(&format!("[ -e /etc/service/{service}/run ]"))
            .1
            != 0
        {
            continue;
        }
        let status = guest.sh(&format!("await 'sv status {service}'"));
        assert!(
            status.starts_with(&format!("run: {service}: (pid ")),
            "{status}"
        );
        let (_, code) = guest.try_sh(&format!("[ -d /etc/service/{service}/log ]"));
        assert_eq!(code == 0, status.contains("; run: log: (pid "), "{status}");
    }
    if guest.by == By::Sunup {
        // What it is just starting has its name for a moment.
        guest.sh("await '[ $(pgrep -c runsv) = 1 ]'");
    }
}
