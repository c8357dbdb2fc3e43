//! The daemon, with events that the kernel really sends: those of the loopback
//! interface of a network namespace.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use model::format::uevent::Uevent;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};
use rustix::process::{Pid, Signal, kill_process};

use super::{enclosed_as, output, read, root};
use crate::common::{Fixture, group_and_session, wait_for, yield_until};

/// `mdev -d` in namespaces of its own, with the real sysfs.
struct Daemon {
    fixture: Fixture,
    child: Child,
}

impl Daemon {
    /// Starts it in the foreground and waits until it listens.
    fn start(conf: &str) -> Self {
        let daemon = Self::spawn(conf, "exec mdev -dfv 2>/dev/log.txt", !root());
        daemon.wait_until_it_listens();
        daemon
    }

    /// Waits for the socket for events, in a network namespace of its own.
    fn wait_until_it_listens(&self) {
        let proc = Path::new("/proc").join(self.child.id().to_string());
        let ours = fs::read_link("/proc/self/ns/net").unwrap();
        yield_until(|| {
            let sockets = fs::read_to_string(proc.join("net/netlink")).ok()?;
            // NETLINK_KOBJECT_UEVENT, see netlink(7); the kernel's own socket has the port 0.
            let listens = |line: &str| {
                let mut fields = line.split_whitespace().skip(1);
                fields.next() == Some("15") && fields.next() != Some("0")
            };
            let there = fs::read_link(proc.join("ns/net")).ok()?;
            (there != ours && sockets.lines().any(listens)).then_some(())
        });
    }

    fn spawn(conf: &str, script: &str, user_namespace: bool) -> Self {
        let fixture = Fixture::new(&[("dev/", ""), ("etc/mdev.conf", conf)]);
        let child = enclosed_as(&fixture, script, user_namespace)
            .spawn()
            .unwrap_or_else(|e| panic!("unshare: {e}; install util-linux"));
        Self { fixture, child }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn log(&self) -> String {
        read(&self.fixture, "dev/log.txt")
    }

    fn wait_for_line(&self, line: &str) {
        let dev = self.fixture.path("dev");
        wait_for(line, &[&dev], || self.log().contains(line).then_some(()));
    }

    fn wait_for_file(&self, name: &str, content: &str) {
        let dev = self.fixture.path("dev");
        let there = || read(&self.fixture, &format!("dev/{name}")) == content;
        wait_for(content, &[&dev], || there().then_some(()));
    }

    /// Runs a script in the daemon's namespaces.
    fn inside(&self, user_namespace: bool, program: &[&str]) {
        let pid = self.child.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-m", "-n"]);
        if user_namespace {
            command.args(["-U", "--preserve-credentials"]);
        }
        let output = output(command.arg("--").args(program));
        assert!(output.status.success(), "{program:?}: {output:?}");
    }

    /// Has the kernel send events for the loopback interface.
    fn events(&self, actions: &[&str]) {
        for action in actions {
            let script = format!("echo {action} >/sys/class/net/lo/uevent");
            self.inside(!root(), &["sh", "-ec", &script]);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A process that somebody else started, which ends with its value.
struct Guard(Pid);

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone_already = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn the_daemon_follows_events_in_order() {
    let mut daemon =
        Daemon::start("lo 0:0 660 *echo $ACTION $SUBSYSTEM $INTERFACE >>seen\n.* 0:0 660 !\n");
    daemon.events(&["add", "change", "move", "remove"]);
    daemon.wait_for_file("seen", "add net lo\nchange net lo\nremove net lo\n");
    kill_process(daemon.pid(), Signal::TERM).unwrap();
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

/// The commands for devices that were there have run by then.
#[test]
fn the_daemon_says_when_it_has_looked_at_all_devices() {
    let conf = "null 0:0 660 ! @[ -s ready ] || echo before >>seen\n.* 0:0 660 !\n";
    let daemon = Daemon::spawn(conf, "exec mdev -df -D 3 3>/dev/ready", !root());
    daemon.wait_for_file("ready", "\n");
    assert_eq!(read(&daemon.fixture, "dev/seen"), "before\n");
    let descriptor = format!("/proc/{}/fd/3", daemon.child.id());
    yield_until(|| {
        let file = fs::read_link(&descriptor).unwrap_or_default();
        (!file.ends_with("ready")).then_some(())
    });
    for number in ["9", "x", "-1", "2"] {
        let output = Command::new(daemon.fixture.applet("mdev"))
            .args(["-d", "-D", number])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{number}");
    }
}

/// A parent that ignores SIGCHLD hands that on, and such a child leaves no word of its end.
#[test]
fn an_inherited_ignored_sigchld_hides_no_end_of_a_command() {
    let conf = "lo 0:0 660 *echo $ACTION >>seen; exit 3\n.* 0:0 660 !\n";
    let script = "exec /usr/bin/env --ignore-signal=CHLD mdev -dfv 2>/dev/log.txt";
    let daemon = Daemon::spawn(conf, script, !root());
    daemon.wait_until_it_listens();
    daemon.events(&["add", "change"]);
    daemon.wait_for_file("seen", "add\nchange\n");
    let dev = daemon.fixture.path("dev");
    wait_for("the ends", &[&dev], || {
        (daemon.log().matches(": ended with code 3").count() == 2).then_some(())
    });
    let script =
        "/usr/bin/env --ignore-signal=CHLD mdev -sv 2>&1 | grep 'ended with code 3' >/dev/scan";
    let lo = "null 0:0 660 ! @exit 3\n.* 0:0 660 !\n";
    let fixture = Fixture::new(&[("dev/", ""), ("etc/mdev.conf", lo)]);
    let output = output(&mut enclosed_as(&fixture, script, !root()));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_slow_command_holds_up_neither_reader_nor_end() {
    let mut daemon = Daemon::start(
        "ACTION=add;lo 0:0 660 *echo $$ >slow; exec sleep 1000\n\
         lo 0:0 660 *echo never >seen\n.* 0:0 660 !\n",
    );
    daemon.events(&["add", "change"]);
    let dev = daemon.fixture.path("dev");
    let slow = wait_for("the slow command", &[&dev], || {
        read(&daemon.fixture, "dev/slow").trim().parse().ok()
    });
    daemon.wait_for_line("echo never >seen: waits");
    kill_process(daemon.pid(), Signal::TERM).unwrap();
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    assert!(
        daemon
            .log()
            .contains("told to end; 1 commands were not run")
    );
    assert!(!daemon.fixture.path("dev/seen").exists());
    kill_process(Pid::from_raw(slow).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_full_queue_loses_no_command() {
    let daemon = Daemon::start(
        "ACTION=add;lo 0:0 660 *echo $$ >slow; exec sleep 1000\n\
         lo 0:0 660 *echo >>seen\n.* 0:0 660 !\n",
    );
    daemon.events(&["add"]);
    let dev = daemon.fixture.path("dev");
    let slow = wait_for("the slow command", &[&dev], || {
        read(&daemon.fixture, "dev/slow").trim().parse().ok()
    });
    let slow = Guard(Pid::from_raw(slow).unwrap());
    let some =
        "i=0; while [ $i -lt 100 ]; do echo change >/sys/class/net/lo/uevent; i=$((i+1)); done";
    for read in 1..=11 {
        daemon.inside(!root(), &["sh", "-ec", some]);
        // The kernel's buffer is an ordinary user's: it must not be what is full.
        let waiting = (100 * read).min(1024);
        wait_for("events that were read", &[&dev], || {
            (daemon.log().matches(": waits for process").count() == waiting).then_some(())
        });
    }
    daemon.wait_for_line("mdev: 1024 commands wait for process");
    drop(slow);
    daemon.wait_for_file("seen", &"\n".repeat(1100));
    assert_eq!(daemon.log().matches("1024 commands wait").count(), 1);
}

#[test]
fn hang_up_reads_the_rules_again() {
    let daemon = Daemon::start("lo 0:0 660 *echo $ACTION >first\n.* 0:0 660 !\n");
    // It listens before it is ready for signals.
    daemon.events(&["add"]);
    daemon.wait_for_file("first", "add\n");
    let conf = "lo 0:0 660 *echo $ACTION >>seen\n.* 0:0 660 !\nbad\n";
    daemon.fixture.add("etc/mdev.conf", conf);
    kill_process(daemon.pid(), Signal::HUP).unwrap();
    daemon.wait_for_line("mdev: /etc/mdev.conf: line 3: ");
    daemon.events(&["change"]);
    daemon.wait_for_file("seen", "change\n");
}

#[test]
fn without_f_it_goes_to_the_background_after_the_scan() {
    let daemon = Daemon::spawn(
        "null 0:0 660 ! @echo scanned >seen\n\
         lo 0:0 660 *readlink /proc/$PPID/fd/0 >>seen; echo $PPID >pid\n.* 0:0 660 !\n",
        "mdev -d; cp /dev/seen /dev/after; exec sleep 1000",
        !root(),
    );
    daemon.wait_for_file("after", "scanned\n");
    daemon.events(&["add"]);
    let dev = daemon.fixture.path("dev");
    let pid = wait_for("the daemon's pid", &[&dev], || {
        read(&daemon.fixture, "dev/pid").trim().parse().ok()
    });
    let background = Guard(Pid::from_raw(pid).unwrap());
    // Its own session, so it outlives the terminal it was started from.
    let pid = background.0.as_raw_pid() as u32;
    assert_eq!(group_and_session(pid).1, pid);
}

/// The forged event would be believed if it came from the kernel. With FORGE set,
/// which `a_forged_event_is_ignored` does inside the daemon's namespaces, it is sent.
#[test]
fn a_forged_event_is_well_formed() {
    let event = b"add@/devices/forged\0ACTION=add\0DEVPATH=/devices/forged\0DEVNAME=forged\0";
    let decoded = Uevent::decode_datagram(event).unwrap();
    assert_eq!(decoded.name(), Some(b"forged".to_vec()));
    if std::env::var_os("FORGE").is_none() {
        return;
    }
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(KOBJECT_UEVENT);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol).unwrap();
    let group = SocketAddrNetlink::new(0, 1);
    assert_eq!(
        sendto(&socket, event, SendFlags::empty(), &group),
        Ok(event.len())
    );
}

#[test]
fn a_forged_event_is_ignored() {
    let daemon = Daemon::start("forged|lo 0:0 660 *echo $MDEV >>seen\n.* 0:0 660 !\n");
    let this = std::env::current_exe().unwrap();
    let this = this.to_str().unwrap();
    daemon.inside(
        !root(),
        &[
            "env",
            "FORGE=1",
            this,
            "--exact",
            "mdev::daemon::a_forged_event_is_well_formed",
        ],
    );
    daemon.events(&["add"]);
    daemon.wait_for_file("seen", "lo\n");
    daemon.wait_for_line("mdev: event: not from the kernel; ignored");
}

/// Sends events until /proc/net/netlink shows that some were dropped.
const FLOOD: &str = "
    while :; do
        i=0
        while [ $i -lt 500 ]; do echo change >/sys/class/net/lo/uevent; i=$((i+1)); done
        while read -r sk protocol pid groups rmem wmem dump locks drops inode; do
            if [ \"$protocol\" = 15 ] && [ \"$drops\" != 0 ]; then exit 0; fi
        done </proc/net/netlink
    done
";

/// Always in a user namespace: there the kernel grants only a small buffer.
#[test]
fn lost_events_are_made_up_for() {
    let conf = "null 0:0 660 ! @echo null >>seen\n.* 0:0 660 !\n";
    let daemon = Daemon::spawn(conf, "exec mdev -dfv 2>/dev/log.txt", true);
    daemon.wait_until_it_listens();
    kill_process(daemon.pid(), Signal::STOP).unwrap();
    daemon.inside(true, &["sh", "-ec", FLOOD]);
    kill_process(daemon.pid(), Signal::CONT).unwrap();
    daemon.wait_for_file("seen", "null\nnull\n");
    let lost = "mdev: events were lost";
    assert_eq!(daemon.log().matches(lost).count(), 1, "{}", daemon.log());
}
