//! Services that say when they are ready, as real processes: by a notification descriptor
//! and by NOTIFY_SOCKET, with supervisors that are killed meanwhile.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use model::format::state::ready::{Ready, Source};
use rustix::process::Signal;

use crate::common::{ends, kill, read_status, running, status, until_supervised, wait_for};
use crate::web::World;

/// Is ready by the newline when `go` is there.
const ON_GO: &str = "#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\necho >&3\n\
                     exec 3>&-\nexec sleep 600\n";
/// Says nothing, and takes no notice of TERM.
const MUTE: &str = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n";

impl World {
    fn says(&self, args: &[&str]) -> (bool, String) {
        let output = self.sv(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    }

    /// What the file `ready` says of the present run.
    fn ready(&self) -> Option<Ready> {
        let line = fs::read(self.web().join("supervise/ready")).ok()?;
        let run = read_status(&self.web()).filter(running)?;
        Ready::decode(&line).filter(|ready| ready.pid == run.pid)
    }

    fn until_ready(&self, source: Option<Source>) -> Ready {
        let is_so = || self.ready().filter(|ready| ready.source == source);
        wait_for("supervise/ready", &[&self.web().join("supervise")], is_so)
    }

    fn go(&self) {
        fs::write(self.web().join("go"), "").unwrap();
    }
}

/// The run has no descriptor 3 any more: it wrote its newline.
fn until_said(pid: u32) {
    let fd = format!("/proc/{pid}/fd/3");
    let is_closed = || fs::symlink_metadata(&fd).is_err().then_some(());
    wait_for("the newline", &[], is_closed);
}

#[test]
fn start_and_check_wait_for_the_newline() {
    let world = World::new(&[("run", ON_GO), ("notification-fd", "3\n")]);
    world.until_ready(None);
    let (_, said) = world.says(&["status"]);
    assert!(said.contains("starting"), "{said}");
    let (done, said) = world.says(&["-w", "1", "check"]);
    assert!(!done, "{said}");
    let mut start = world.sv(&["-w", "60", "start"]).spawn().unwrap();
    world.go();
    assert!(start.wait().unwrap().success());
    world.until_ready(Some(Source::Descriptor));
    let (done, said) = world.says(&["-w", "60", "check"]);
    assert!(done, "{said}");
    let (_, said) = world.says(&["status"]);
    assert!(
        said.starts_with("run: ") && !said.contains("starting"),
        "{said}"
    );
}

/// Two are kept for looks into the descriptors of all services, from the first look on.
#[test]
fn no_descriptor_is_kept_for_who_is_ready() {
    let world = World::new(&[("run", ON_GO), ("notification-fd", "3\n")]);
    let fds = || {
        let pid = world.supervisor.id();
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    };
    world.until_ready(None);
    world.go();
    world.until_ready(Some(Source::Descriptor));
    let of_ready = fds();
    fs::remove_file(world.web().join("go")).unwrap();
    assert!(world.says(&["term"]).0);
    world.until_ready(None);
    assert_eq!(fds(), of_ready + 1);
    world.go();
    world.until_ready(Some(Source::Descriptor));
    assert_eq!(fds(), of_ready);
}

/// Each time the next one takes over, and the run goes on.
#[test]
fn a_newline_that_nobody_read_is_not_lost() {
    let mut world = World::new(&[("run", ON_GO), ("notification-fd", "3\n")]);
    let pid = world.until_ready(None).pid;
    world.kill();
    world.replace();
    assert_eq!(world.until_ready(None).pid, pid);
    world.kill();
    world.go();
    until_said(pid);
    world.replace();
    assert_eq!(world.until_ready(Some(Source::Descriptor)).pid, pid);
    // Its successor knows that from the file.
    world.kill();
    world.replace();
    assert_eq!(world.until_ready(Some(Source::Descriptor)).pid, pid);
    until_supervised(&world.web());
    let (done, said) = world.says(&["-w", "60", "check"]);
    assert!(done, "{said}");
}

#[test]
fn somebody_may_say_it() {
    let mute = "#!/bin/sh\nexec sleep 600\n";
    let world = World::new(&[("run", mute), ("notification-fd", "0\n")]);
    world.until_ready(None);
    let (_, said) = world.says(&["status"]);
    assert!(said.contains("starting"), "{said}");
    assert!(world.says(&["ready"]).0);
    world.until_ready(Some(Source::Command));
}

#[test]
fn who_is_late_is_stopped_and_killed_and_starts_again() {
    let files = [
        ("run", MUTE),
        ("notification-fd", "3\n"),
        ("timeout-up", "300\n"),
        ("timeout-kill", "200\n"),
    ];
    let world = World::new(&files);
    let first = world.until_ready(None).pid;
    assert!(ends(first));
    let again = status(&world.web(), "another run", |s| {
        running(s) && s.pid != first
    });
    assert!(again.want_up);
    world.until_last(" 9 ");
}

/// A supervisor that is stopped before the service `starting` has had its time, and goes on
/// after that. Meanwhile the service says its word.
fn late_supervisor(files: &[(&str, &str)], says: impl Fn(&World, u32)) -> (World, u32) {
    const LIMIT: Duration = Duration::from_secs(1);
    let files = [files, &[("timeout-up", "1000\n")]].concat();
    // On a busy machine its time may be over first.
    loop {
        let begun = Instant::now();
        let world = World::new(&files);
        let supervisor = world.supervisor.id();
        let pid = world.until_ready(None).pid;
        kill(supervisor, Signal::STOP);
        wait_for("the stop", &[], || is_stopped(supervisor).then_some(()));
        let is_in_time = begun.elapsed() < LIMIT;
        if is_in_time {
            says(&world, pid);
            let is_over = || (begun.elapsed() > 2 * LIMIT).then_some(());
            wait_for("the deadline", &[], is_over);
        }
        kill(supervisor, Signal::CONT);
        if is_in_time {
            return (world, pid);
        }
    }
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.starts_with(" T")
}

#[test]
fn a_newline_in_time_counts_however_late_the_supervisor_is() {
    let files = [("run", ON_GO), ("notification-fd", "3\n")];
    let (world, pid) = late_supervisor(&files, |world, pid| {
        world.go();
        until_said(pid);
    });
    assert_eq!(world.until_ready(Some(Source::Descriptor)).pid, pid);
}

#[test]
fn a_message_in_time_counts_however_late_the_supervisor_is() {
    let run = "#!/bin/sh\necho \"$NOTIFY_SOCKET\" >new\nmv new address\nexec sleep 600\n";
    let files = [("run", run), ("notify", "")];
    let (world, pid) = late_supervisor(&files, |world, _| notify(world, "READY=1"));
    assert_eq!(world.until_ready(Some(Source::Message)).pid, pid);
}

#[test]
fn a_setup_that_takes_too_long_is_ended() {
    let files = [
        ("setup", "#!/bin/sh\nexec sleep 600\n"),
        ("run", "#!/bin/sh\nexec sleep 600\n"),
        ("timeout-up", "200\n"),
    ];
    let world = World::new(&files);
    world.until_last("setup");
}

/// Sends a message to the socket of the service.
fn notify(world: &World, message: &str) {
    let name = world.web().join("address");
    let read = || fs::read_to_string(&name).ok();
    let address = wait_for("the address", &[&world.web()], read);
    let socket = UnixDatagram::unbound().unwrap();
    let address = address.trim();
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).unwrap(),
        None => SocketAddr::from_pathname(address).unwrap(),
    };
    socket.send_to_addr(message.as_bytes(), &address).unwrap();
}

#[test]
fn a_message_says_it_also_while_no_supervisor_lives() {
    let run = "#!/bin/sh\necho \"$NOTIFY_SOCKET\" >new\nmv new address\nexec sleep 600\n";
    let files = [("run", run), ("notify", "ready status\n")];
    let mut world = World::new(&files);
    let pid = world.until_ready(None).pid;
    notify(&world, "STATUS=warming up");
    let text = || {
        let text = fs::read_to_string(world.web().join("supervise/status-text")).ok()?;
        text.contains("warming up").then_some(())
    };
    wait_for("status-text", &[&world.web().join("supervise")], text);
    world.kill();
    notify(&world, "READY=1");
    world.replace();
    assert_eq!(world.until_ready(Some(Source::Message)).pid, pid);
    let (done, said) = world.says(&["-w", "60", "check"]);
    assert!(done, "{said}");
}

/// Its process ends all the same when it has had the time of a stop.
#[test]
fn who_says_that_it_ends_is_not_waited_for_for_ever() {
    let run = "#!/bin/sh\necho \"$NOTIFY_SOCKET\" >new\nmv new address\nexec sleep 600\n";
    let files = [("run", run), ("notify", ""), ("timeout-kill", "200\n")];
    let world = World::new(&files);
    let pid = world.until_ready(None).pid;
    notify(&world, "STOPPING=1");
    assert!(ends(pid));
}

/// After an upgrade in place the same pipe is read.
#[test]
fn an_upgrade_goes_on_waiting() {
    let world = World::new(&[("run", ON_GO), ("notification-fd", "3\n")]);
    let pid = world.until_ready(None).pid;
    kill(world.supervisor.id(), Signal::USR2);
    world.go();
    assert_eq!(world.until_ready(Some(Source::Descriptor)).pid, pid);
}
