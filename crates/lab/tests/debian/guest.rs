//! A machine of Debian's packages: it boots, somebody logs in on its console, and
//! commands are typed there. What they say comes back on the port for results.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lab::enter::Enter;
use lab::machine::{End, Machine};
use lab::qemu::Qemu;
use lab::tree::Tree;
use lab::{debian, image, workspace};
use rustix::fs::{FlockOperation, flock};

use super::root;

/// How long anything may take on a busy workstation; cron looks once a minute.
const PATIENCE: Duration = Duration::from_mins(2);

/// Memory of the machine in QEMU, in MiB: the tree is there twice while it is unpacked.
const MEMORY_MIB: u32 = 1536;

/// What runs first: Debian's tree takes the place of the image. The machine then
/// is as Debian's own initramfs leaves it, or as a container's manager does.
const FIRST: &str = r#"#!/lab/busybox sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022
/lab/busybox tar -x -f /lab/root.tar -C /
/lab/busybox rm /lab/root.tar
mkdir -p /dev/pts /dev/shm
if [ "$container" ]; then
    mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
    # The kernel's words are the workstation's; gettys look there for the console.
    mount --bind /lab/cmdline /proc/cmdline
else
    mount -t devtmpfs devtmpfs /dev
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
fi
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
/lab/busybox ip link set lo up
. /lab/set-up >/lab/set-up.log 2>&1
exec /sbin/init
"#;

/// Waits in the machine, for what tells nobody when it happens.
const AWAIT: &str = "#!/bin/sh\n\
    # await CONDITION: looks until it holds; a minute at most.\n\
    for i in $(seq 600); do\n\teval \"$1\" && exit\n\tsleep 0.1\ndone\n\
    echo \"await: $1: no\"\nexit 1\n";

/// Says the number of a service's process.
const PID_OF: &str = "#!/bin/sh\ncat \"/etc/service/$1/supervise/pid\"\n";

/// Where a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// PID 1 in namespaces, without QEMU.
    Namespaces,
    /// QEMU, with Debian's kernel.
    Qemu,
}

/// Whose runit, runsvdir, sv and so on the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Ours.
    Sunup,
    /// Debian's.
    Runit,
}

/// A running machine.
pub struct Guest {
    /// Whose programs it has.
    pub by: By,
    machine: Machine,
    commands: u32,
    // One QEMU at a time on the workstation.
    _lock: Option<File>,
}

/// The machines that checks share.
static SHARED: [Mutex<Option<Guest>>; 2] = [Mutex::new(None), Mutex::new(None)];

fn shared(by: By) -> MutexGuard<'static, Option<Guest>> {
    let slot = &SHARED[usize::from(by == By::Runit)];
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a check that leaves the machine as it found it: up, with somebody logged
/// in. A machine whose check failed is not used again.
pub fn on_the_shared(by: By, check: fn(&mut Guest)) {
    let mut slot = shared(by);
    let mut guest = slot.take().unwrap_or_else(|| {
        let mut guest = Guest::boot(Host::Namespaces, by);
        guest.log_in();
        guest
    });
    check(&mut guest);
    *slot = Some(guest);
}

/// Makes two tests of each function, `NAME::in_debian_by_sunup` and `NAME::in_debian_by_runit`.
macro_rules! by_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::guest::{By, on_the_shared};
            #[test]
            fn in_debian_by_sunup() { on_the_shared(By::Sunup, super::$name); }
            #[test]
            fn in_debian_by_runit() { on_the_shared(By::Runit, super::$name); }
        }
    )+};
}
pub(crate) use by_both;

impl Guest {
    /// Switches a machine on.
    pub fn boot(host: Host, by: By) -> Self {
        let lock = (host == Host::Qemu).then(|| {
            let lock = File::open(workspace::scratch().unwrap()).unwrap();
            flock(&lock, FlockOperation::LockExclusive).unwrap();
            lock
        });
        Self {
            by,
            machine: start(host, archive(by)),
            commands: 0,
            _lock: lock,
        }
    }

    /// Waits for the login, logs in and waits for the prompt.
    pub fn log_in(&mut self) {
        self.expect(" login: ");
        self.type_line("root");
        self.expect("# ");
        // A shell that does not edit what is typed.
        self.type_line("PS1='at your service: ' exec sh");
        self.expect("at your service: ");
    }

    /// Waits for `text` on the console.
    pub fn expect(&mut self, text: &str) {
        self.machine.expect(text, PATIENCE).unwrap();
    }

    /// Everything that the console showed so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(self.machine.transcript()).into_owned()
    }

    /// Types a line on the console.
    pub fn type_line(&mut self, line: &str) {
        self.machine.send(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Has the shell on the console run `script`, which must succeed; what it said.
    pub fn sh(&mut self, script: &str) -> String {
        let (said, code) = self.try_sh(script);
        assert_eq!(code, 0, "{script}\n{said}\n{}", self.machine.tail());
        said
    }

    /// As [`Guest::sh`], with the exit code.
    pub fn try_sh(&mut self, script: &str) -> (String, i32) {
        self.commands += 1;
        let done = format!("done-{} ", self.commands);
        // One write for all, so that other writers do not come between.
        self.type_line(&format!(
            "{{ {script}; }} >/tmp/said 2>&1; echo \"{done}$?\" >>/tmp/said; cat /tmp/said >/dev/ttyS1"
        ));
        let mut said = String::new();
        loop {
            let line = self.result(script);
            if let Some((before, code)) = line.split_once(&done) {
                said.push_str(before);
                return (said.trim_end().to_owned(), code.parse().unwrap());
            }
            said.push_str(&line);
            said.push('\n');
        }
    }

    /// The next line on the port for results that is not of the kernel's log: in
    /// namespaces the port is that, too.
    fn result(&mut self, what: &str) -> String {
        let take = |line: &str| {
            let level = line.strip_prefix('<').and_then(|l| l.split_once('>'));
            let logged = level.is_some_and(|(level, _)| level.parse::<u8>().is_ok());
            (!logged).then(|| line.to_owned())
        };
        self.machine.result(what, PATIENCE, take).unwrap()
    }

    /// Waits for the machine's end.
    pub fn end(mut self) -> End {
        self.machine.end(PATIENCE).unwrap()
    }
}

/// Switches a machine on. It is killed with the thread that starts it, and may
/// be needed by more than one test: so that thread stays until the tests end.
fn start(host: Host, archive: Vec<u8>) -> Machine {
    let (hand_over, started) = channel();
    thread::spawn(move || {
        let machine = match host {
            Host::Namespaces => {
                let lab = PathBuf::from(env!("CARGO_BIN_EXE_lab"));
                let append = String::new();
                Enter { lab, append }.start(&archive)
            }
            Host::Qemu => emulator().start(&archive),
        };
        hand_over.send(machine).unwrap();
        loop {
            thread::park();
        }
    });
    started.recv().unwrap().unwrap()
}

fn emulator() -> Qemu {
    let scratch = workspace::scratch().unwrap();
    let mut qemu = Qemu {
        program: debian::qemu().unwrap(),
        kernel: debian::kernel(&scratch).unwrap(),
        kvm: false,
        memory_mib: MEMORY_MIB,
        append: String::new(),
        reboot: false,
        count_instructions: false,
    };
    qemu.kvm = lab::kvm::works(&qemu, &scratch);
    qemu
}

/// An image whose init unpacks Debian's tree, and puts our binary into it.
fn archive(by: By) -> Vec<u8> {
    let mut tree = Tree::default();
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let scratch = workspace::scratch().unwrap();
    tree.put_file(
        b"lab/busybox",
        true,
        read(debian::busybox(&scratch).unwrap()),
    );
    tree.put_file(b"lab/root.tar", false, read(root::archive()));
    tree.put_file(b"lab/cmdline", false, b"console=ttyS0\n".into());
    tree.put_link(b"sbin", b"usr/sbin");
    tree.put_file(b"usr/sbin/init", true, FIRST.into());
    tree.put_file(b"usr/local/bin/await", true, AWAIT.into());
    tree.put_file(b"usr/local/bin/pid-of", true, PID_OF.into());
    tree.put_file(b"lab/ask-dns.py", false, super::services::ASK_DNS.into());
    let sunup = workspace::build_sunup().unwrap();
    tree.put_file(b"usr/local/bin/sunup", true, read(sunup));
    tree.put_file(b"lab/install", false, installation().into());
    let mut set_up = String::from(super::services::SET_UP);
    if by == By::Sunup {
        set_up += ". /lab/install\n";
    }
    tree.put_file(b"lab/set-up", false, set_up.into());
    image::archive(&tree).unwrap()
}

/// How to replace Debian's runit, word by word as we tell people to.
fn installation() -> &'static str {
    let document = include_str!("../../../../docs/compatibility.md");
    let section = document.split("## In Debian\n").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap();
    block.split("```").next().unwrap()
}
