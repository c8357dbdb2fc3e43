//! A machine of Debian's packages: it boots, and somebody logs in on its console.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use lab::arch::Arch;
use lab::enter::Enter;
use lab::machine::{End, Machine};
use lab::qemu::Qemu;
use lab::tree::Tree;
use lab::{debian, image, workspace};

use super::root::{self, Release};
pub use super::seat::Host;
use super::seat::{AWAIT, Seat};

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

/// Says the number of a service's process.
const PID_OF: &str = "#!/bin/sh\ncat \"/etc/service/$1/supervise/pid\"\n";

/// Says what each file of the system is: permissions, time, content or target; and the diversions.
/// What Debian's runit itself makes when any package is installed is there before; only its
/// runsvdir makes a file of its own some time after that.
const FILES: &str = r"
dpkg-trigger --by-package=runit /usr/bin && dpkg --triggers-only runit >/dev/null
cd /
LC_ALL=C
export LC_ALL
find bin sbin lib usr etc boot opt srv -xdev ! -name .forced-rescan \( \
    -printf '%p %y %m %U:%G %l ' \( -type f -printf '%T@ %s' \) , -printf '\n' \) | sort
find usr/bin usr/sbin usr/lib/runit usr/share/man etc -xdev -type f ! -name .forced-rescan -print0 | sort -z | xargs -0 sha1sum
sort var/lib/dpkg/diversions
";

/// Brings our package into every state that dpkg knows.
const STATES: &str = include_str!("states.sh");

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
    seat: Seat,
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
        let archive = archive(Release::Here, by, None);
        Self {
            by,
            seat: Seat::new(host, move || start(host, &archive)),
        }
    }

    /// Switches a machine with Debian's programs on, in which a script has run before. Our
    /// package is /lab/sunup.deb there.
    pub fn boot_after(release: Release, script: &str) -> Self {
        let (host, by) = (Host::Namespaces, By::Runit);
        let archive = archive(release, by, Some(script));
        Self {
            by,
            seat: Seat::new(host, move || start(host, &archive)),
        }
    }

    /// Waits for the login, logs in and waits for the prompt.
    pub fn log_in(&mut self) {
        self.expect(" login: ");
        self.type_line("root");
        self.expect("# ");
        // A shell that does not edit what is typed; sv waits longer than its 7 seconds.
        self.type_line("PS1='at your service: ' SVWAIT=60 exec sh");
        self.expect("at your service: ");
    }

    /// Waits for the machine's end.
    pub fn end(self) -> End {
        self.seat.end()
    }
}

impl Deref for Guest {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.seat
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Seat {
        &mut self.seat
    }
}

fn start(host: Host, archive: &[u8]) -> anyhow::Result<Machine> {
    match host {
        Host::Namespaces => {
            let lab = PathBuf::from(env!("CARGO_BIN_EXE_lab"));
            let append = String::new();
            Enter { lab, append }.start(archive)
        }
        Host::Qemu => emulator().start(archive),
    }
}

fn emulator() -> Qemu {
    let scratch = workspace::scratch().unwrap();
    let mut qemu = Qemu {
        arch: Arch::X86_64,
        program: debian::qemu(Arch::X86_64.emulator()).unwrap(),
        kernel: debian::kernel(&scratch).unwrap(),
        kvm: false,
        memory_mib: MEMORY_MIB,
        append: String::new(),
        disk: None,
        reboot: false,
        count_instructions: false,
    };
    qemu.kvm = lab::kvm::works(&qemu, &scratch);
    qemu
}

/// An image whose init unpacks Debian's tree, and puts our binary into it.
fn archive(release: Release, by: By, script: Option<&str>) -> Vec<u8> {
    let mut tree = Tree::default();
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let scratch = workspace::scratch().unwrap();
    tree.put_file(
        b"lab/busybox",
        true,
        read(debian::busybox(&scratch).unwrap()),
    );
    tree.put_file(b"lab/root.tar", false, read(root::archive(release)));
    tree.put_file(b"lab/cmdline", false, b"console=ttyS0\n".into());
    tree.put_link(b"sbin", b"usr/sbin");
    tree.put_file(b"usr/sbin/init", true, FIRST.into());
    tree.put_file(b"usr/local/bin/await", true, AWAIT.into());
    tree.put_file(b"usr/local/bin/pid-of", true, PID_OF.into());
    tree.put_file(b"lab/ask-dns.py", false, super::services::ASK_DNS.into());
    let sunup = workspace::build_sunup().unwrap();
    tree.put_file(b"usr/local/bin/sunup", true, read(sunup));
    tree.put_file(b"lab/install", false, installation().into());
    let mut set_up = match release {
        Release::Here => String::from(super::services::SET_UP),
        // Debian 13 enables a terminal alone that machines in namespaces have not.
        Release::Trixie => String::from("update-service --add /etc/sv/getty-ttyS0\n"),
    };
    if by == By::Sunup {
        set_up += ". /lab/install\n";
        set_up += super::order::SET_UP;
    }
    if let Some(script) = script {
        // By its path: busybox would take its own programs in the place of dpkg and find.
        set_up += "/bin/sh /lab/script\n";
        tree.put_file(b"lab/script", false, script.into());
        tree.put_file(b"lab/sunup.deb", false, read(package()));
        tree.put_file(b"lab/files", false, FILES.into());
        tree.put_file(b"lab/states", false, STATES.into());
    }
    tree.put_file(b"lab/set-up", false, set_up.into());
    image::archive(&tree).unwrap()
}

/// The package, made by `cargo lab package`.
pub fn package() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let out = workspace::scratch().unwrap().join("debian-package");
        let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
        lab.args(["package", "--format", "deb", "--out"]).arg(&out);
        lab.arg("--sunup").arg(workspace::build_sunup().unwrap());
        root::succeed(&mut lab);
        let debian = fs::read_dir(&out).unwrap();
        let mut packages = debian.map(|entry| entry.unwrap().path());
        let is_package = |path: &PathBuf| path.extension().is_some_and(|end| end == "deb");
        packages.find(is_package).unwrap()
    })
    .clone()
}

/// How to replace Debian's runit, word by word as we tell people to.
fn installation() -> &'static str {
    let document = include_str!("../../../../docs/compatibility.md");
    let section = document.split("## In Debian\n").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap();
    block.split("```").next().unwrap()
}
