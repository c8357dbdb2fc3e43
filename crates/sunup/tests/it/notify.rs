//! How a run says that it is ready: by a newline on its notification descriptor, or by a
//! message to its socket; and that no word is lost, whoever is killed.

use std::fs;
use std::io::{IoSlice, Read, pipe};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use model::format::state::ready::{Ready, Source};
use model::format::state::status_text::StatusText;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};
use rustix::process::Signal;

use super::bad_input::ordinary;
use super::common::{
    Fixture, applet, end_by, kill, make_fifo, read_status, running, status, sunup, until_supervise,
    wait_exit, wait_for,
};

/// Writes its newline when it is told, and closes the descriptor if it is told that.
const NEWLINE: &str = "#!/bin/sh
read order <order
echo >&3
[ \"$order\" = keep ] || exec 3>&-
echo done >said
exec sleep 1000
";
/// Tells where its messages go.
const SOCKET: &str = "#!/bin/sh
echo \"$NOTIFY_SOCKET\" >socket.new
mv socket.new socket
exec sleep 1000
";

struct Supervised {
    fixture: Fixture,
    child: Child,
}

impl Supervised {
    /// `ordered`: the services that wait for an order.
    fn start(files: &[(&str, &str)], ordered: &[&str]) -> Self {
        Self::start_by(Command::new(sunup()), files, ordered)
    }

    fn start_by(command: Command, files: &[(&str, &str)], ordered: &[&str]) -> Self {
        let fixture = Fixture::new(files);
        fixture.add("run/", "");
        for name in ordered {
            make_fifo(fixture.path("scan").join(name).join("order"));
        }
        let child = Self::spawn_by(command, &fixture);
        Self { fixture, child }
    }

    fn spawn(fixture: &Fixture) -> Child {
        Self::spawn_by(Command::new(sunup()), fixture)
    }

    fn spawn_by(mut command: Command, fixture: &Fixture) -> Child {
        command.arg("runsvdir").arg(fixture.path("scan"));
        let mut said = fs::OpenOptions::new();
        let said = said
            .create(true)
            .append(true)
            .open(fixture.path("said"))
            .unwrap();
        command.env("SUNUP_RUN", fixture.path("run"));
        command.stdin(Stdio::null()).stderr(said).spawn().unwrap()
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("scan").join(name)
    }

    /// The supervisor is killed, and another takes its place.
    fn replace(&mut self) {
        kill(self.child.id(), Signal::KILL);
        wait_exit(&mut self.child);
        self.child = Self::spawn(&self.fixture);
    }

    /// Where the messages of a service go, once it has told that.
    fn socket(&self, name: &str) -> PathBuf {
        let file = self.dir(name).join("socket");
        let told = wait_for("a socket", &[&self.dir(name)], || {
            fs::read_to_string(&file).ok()
        });
        PathBuf::from(told.trim_end())
    }

    fn order(&self, name: &str, order: &str) {
        fs::write(self.dir(name).join("order"), format!("{order}\n")).unwrap();
    }

    fn sv(&self, words: &[&str], name: &str) {
        let output = applet("sv").args(words).arg(self.dir(name)).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        kill(self.child.id(), Signal::CONT);
        end_by(&mut self.child, Signal::HUP);
    }
}

fn ready(dir: &Path) -> Option<Ready> {
    Ready::decode(&fs::read(dir.join("supervise/ready")).ok()?)
}

/// Waits until the run is ready, or is starting (`None`).
fn until(dir: &Path, source: Option<Source>) {
    until_supervise(dir);
    let what = format!("{source:?}");
    wait_for(&what, &[&dir.join("supervise")], || {
        let pid = read_status(dir)?.pid;
        ready(dir).filter(|ready| ready.source == source && ready.pid == pid)
    });
}

fn send(to: &Path, text: &str) {
    let sent = UnixDatagram::unbound()
        .unwrap()
        .send_to(text.as_bytes(), to);
    assert_eq!(sent.unwrap(), text.len());
}

/// Waits until everything that was sent before has been dealt with, as sd_notify_barrier(3).
fn barrier(to: &Path) {
    let (mut end, writer) = pipe().unwrap();
    let fds = [writer.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let (socket, text) = (
        UnixDatagram::unbound().unwrap(),
        [IoSlice::new(b"BARRIER=1")],
    );
    let address = SocketAddrUnix::new(to).unwrap();
    sendmsg_addr(&socket, &address, &text, &mut control, SendFlags::empty()).unwrap();
    drop(writer);
    assert_eq!(end.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_newline_on_the_descriptor_says_it() {
    let files = [
        ("scan/web/run", NEWLINE),
        ("scan/web/notification-fd", "3\n"),
    ];
    let supervised = Supervised::start(&files, &["web"]);
    let web = supervised.dir("web");
    until(&web, None);
    supervised.order("web", "close");
    until(&web, Some(Source::Descriptor));
    // Each run says it anew.
    supervised.sv(&["up"], "web");
    kill(read_status(&web).unwrap().pid, Signal::KILL);
    until(&web, None);
    supervised.order("web", "keep");
    until(&web, Some(Source::Descriptor));
    // Nothing is held open for who has said it.
    let pipes = fs::read_dir(format!("/proc/{}/fd", supervised.child.id())).unwrap();
    let links = pipes.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let theirs = fs::read_link(format!("/proc/{}/fd/3", read_status(&web).unwrap().pid)).unwrap();
    assert_eq!(links.filter(|link| *link == theirs).count(), 0);
}

/// As `dbus-daemon --print-address=1` does, whose line may be long.
#[test]
fn the_descriptor_may_be_standard_output_and_the_line_long() {
    let run = "#!/bin/sh\nprintf %01000d 5\nread order <order\necho\nexec sleep 1000\n";
    let files = [
        ("scan/bus/run", run),
        ("scan/bus/notification-fd", "1\n"),
        ("scan/bus/log/run", "#!/bin/sh\nexec cat\n"),
    ];
    let supervised = Supervised::start(&files, &["bus"]);
    until(&supervised.dir("bus"), None);
    supervised.order("bus", "now");
    until(&supervised.dir("bus"), Some(Source::Descriptor));
}

#[test]
fn a_newline_without_a_supervisor_is_not_lost() {
    for order in ["keep", "close"] {
        let files = [
            ("scan/web/run", NEWLINE),
            ("scan/web/notification-fd", "3\n"),
        ];
        let mut supervised = Supervised::start(&files, &["web"]);
        let web = supervised.dir("web");
        until(&web, None);
        let pid = read_status(&web).unwrap().pid;
        kill(supervised.child.id(), Signal::STOP);
        supervised.order("web", order);
        wait_for("the newline", &[&web], || {
            web.join("said").exists().then_some(())
        });
        supervised.replace();
        until(&web, Some(Source::Descriptor));
        assert_eq!(read_status(&web).unwrap().pid, pid);
    }
}

#[test]
fn a_successor_hears_who_says_it_later() {
    let files = [
        ("scan/web/run", NEWLINE),
        ("scan/web/notification-fd", "3\n"),
        ("scan/mail/run", SOCKET),
        ("scan/mail/notify", ""),
    ];
    let mut supervised = Supervised::start(&files, &["web"]);
    let dirs = ["web", "mail"].map(|name| supervised.dir(name));
    for dir in &dirs {
        until(dir, None);
    }
    let socket = supervised.socket("mail");
    supervised.replace();
    // Then in the same process, once it listens.
    wait_for("a supervisor", &[&dirs[0].join("supervise")], || {
        let status = applet("sv").arg("status").arg(&dirs[0]).output().unwrap();
        status.status.success().then_some(())
    });
    kill(supervised.child.id(), Signal::USR2);
    supervised.order("web", "keep");
    send(&socket, "READY=1");
    until(&dirs[0], Some(Source::Descriptor));
    until(&dirs[1], Some(Source::Message));
}

#[test]
fn messages_say_it_and_more() {
    let files = [
        ("scan/mail/run", SOCKET),
        ("scan/mail/notify", "ready status\n"),
    ];
    let supervised = Supervised::start(&files, &[]);
    let mail = supervised.dir("mail");
    let socket = supervised.socket("mail");
    assert!(socket.starts_with(supervised.fixture.path("run/notify")));
    until(&mail, None);
    for ignored in [
        "READY=0",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=1",
        "MAINPID=1",
    ] {
        send(&socket, ignored);
    }
    send(&socket, "STATUS=Reading 5 'boxes'\nX_OURS=1");
    barrier(&socket);
    until(&mail, None);
    let text = mail.join("supervise/status-text");
    wait_for("the text", &[&mail.join("supervise")], || {
        let told = StatusText::decode(&fs::read(&text).ok()?)?;
        (told.text == r"Reading 5 \'boxes\'").then_some(())
    });
    send(&socket, "READY=1\nSTATUS=Running");
    until(&mail, Some(Source::Message));
}

#[test]
fn messages_without_a_supervisor_wait_for_the_next() {
    let files = [("scan/mail/run", SOCKET), ("scan/mail/notify", "")];
    let mut supervised = Supervised::start(&files, &[]);
    let mail = supervised.dir("mail");
    let socket = supervised.socket("mail");
    until(&mail, None);
    let pid = read_status(&mail).unwrap().pid;
    kill(supervised.child.id(), Signal::KILL);
    wait_exit(&mut supervised.child);
    send(&socket, "READY=1");
    supervised.child = Supervised::spawn(&supervised.fixture);
    until(&mail, Some(Source::Message));
    assert_eq!(read_status(&mail).unwrap().pid, pid);
    // The successor goes on with the same socket, for the next run, too.
    kill(pid, Signal::KILL);
    status(&mail, "another run", |s| running(s) && s.pid != pid);
    until(&mail, None);
    send(&socket, "READY=1");
    until(&mail, Some(Source::Message));
}

/// With `all`, everybody may; else those who have rights over the service.
#[test]
fn who_may_send_messages() {
    const SENDER: &str = "use Socket; socket(S, PF_UNIX, SOCK_DGRAM, 0) or die; \
        defined send(S, 'READY=1', 0, pack_sockaddr_un($ARGV[0])) or die $!";
    let files = [
        ("scan/own/run", SOCKET),
        ("scan/own/notify", "ready"),
        ("scan/all/run", SOCKET),
        ("scan/all/notify", "ready all"),
    ];
    let supervised = Supervised::start(&files, &[]);
    for dir in [".", "run"] {
        let path = supervised.fixture.path(dir);
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).unwrap();
    }
    let (own, all) = (supervised.socket("own"), supervised.socket("all"));
    for socket in [&own, &all] {
        let mut perl = Command::new("perl");
        perl.args(["-e", SENDER]).arg(socket);
        assert!(ordinary(&perl).status().unwrap().success());
    }
    until(&supervised.dir("all"), Some(Source::Message));
    barrier(&own);
    if rustix::process::geteuid().is_root() {
        until(&supervised.dir("own"), None);
        let said = fs::read_to_string(supervised.fixture.path("said")).unwrap();
        assert!(
            said.contains("own/notify: ") && said.contains(" 65534"),
            "{said}"
        );
    }
    send(&own, "READY=1");
    until(&supervised.dir("own"), Some(Source::Message));
}

/// Ends those who send without end, also if the test fails.
struct Over<'a>(&'a dyn Fn());

impl Drop for Over<'_> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What somebody sends without end costs others nothing but their turn.
#[test]
fn who_sends_without_end_keeps_nobody_waiting() {
    let files = [
        ("scan/mail/run", SOCKET),
        ("scan/mail/notify", "ready status"),
        ("scan/web/run", super::common::SLEEP),
    ];
    let supervised = Supervised::start(&files, &[]);
    let socket = supervised.socket("mail");
    let is_over = AtomicBool::new(false);
    let over = || is_over.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                let sender = UnixDatagram::unbound().unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    sender.send_to(b"STATUS=still here", &socket).unwrap();
                }
            });
        }
        supervised.sv(&["-w", "60", "force-stop"], "web");
        supervised.sv(&["-w", "60", "start"], "web");
        barrier(&socket);
    });
    send(&socket, "READY=1");
    until(&supervised.dir("mail"), Some(Source::Message));
}

#[test]
fn a_socket_is_there_as_long_as_its_service() {
    let files = [("scan/mail/run", SOCKET), ("scan/mail/notify", "")];
    let supervised = Supervised::start(&files, &[]);
    let socket = supervised.socket("mail");
    let found = fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o666);
    let dir = socket.parent().unwrap();
    assert_eq!(
        fs::metadata(dir).unwrap().permissions().mode() & 0o777,
        0o711
    );
    fs::rename(supervised.dir("mail"), supervised.fixture.path("elsewhere")).unwrap();
    wait_for("its end", &[dir], || (!socket.exists()).then_some(()));
}

/// The service runs all the same, and is ready when it runs.
#[test]
fn without_a_place_for_it_a_service_starts_without() {
    let files = [
        ("scan/deaf/run", NEWLINE),
        ("scan/deaf/notification-fd", "1023\n"),
    ];
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=200:200").arg(sunup());
    let supervised = Supervised::start_by(limited, &files, &["deaf"]);
    status(&supervised.dir("deaf"), "running", running);
    wait_for("a word", &[&supervised.fixture.path(".")], || {
        let said = fs::read_to_string(supervised.fixture.path("said")).unwrap();
        said.contains("deaf/notification-fd: 1023: ").then_some(())
    });
    let starting = ready(&supervised.dir("deaf")).is_some_and(|ready| ready.source.is_none());
    assert!(!starting);
}
