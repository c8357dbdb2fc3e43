//! A machine of ours to check: it boots, and somebody logs in on its console.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use lab::arch::Arch;
use lab::bench::probe;
use lab::boot::{Options, Parts, start_archive};
use lab::image;
use lab::kernel::Kernel;
use lab::machine::End;
use lab::modules::Modules;
use lab::rootfs::{self, Source};
use lab::tree::Tree;
use model::format::cpio::{Device, Node};

pub use super::seat::Host;
use super::seat::{AWAIT, Seat};

/// How a machine differs from ours.
#[derive(Clone, Copy)]
pub enum Change {
    /// An executable file, by its name without the first slash.
    Script(&'static str, &'static str),
    /// A file that is not executable.
    Plain(&'static str, &'static str),
    /// No file whose last component is this.
    Without(&'static str),
    /// That many more services, `s00000` and on: the program that the bench has.
    Services(usize),
    /// Memory in MiB.
    Memory(u32),
    /// More words for the kernel's command line.
    Append(&'static str),
    /// These modules of the kernel in QEMU.
    Modules(&'static [&'static str]),
}

/// A running machine.
pub struct Guest {
    /// Where it runs.
    pub host: Host,
    seat: Seat,
    reported: bool,
}

/// One machine on each kind of host: the one that checks share, or one of its own.
static SHARED: [Mutex<Option<Guest>>; 2] = [Mutex::new(None), Mutex::new(None)];

fn shared(host: Host) -> MutexGuard<'static, Option<Guest>> {
    let slot = &SHARED[usize::from(host == Host::Qemu)];
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a check that leaves the machine as it found it: up, with somebody logged
/// in. A machine whose check failed is not used again.
pub fn on_the_shared(host: Host, check: fn(&mut Guest)) {
    let mut slot = shared(host);
    let mut guest = slot.take().unwrap_or_else(|| {
        let mut guest = Guest::boot(host, &[]);
        guest.log_in();
        guest
    });
    check(&mut guest);
    *slot = Some(guest);
}

/// Runs a check on a machine of its own, switched on a moment ago.
pub fn on_its_own(host: Host, changes: &[Change], check: fn(Guest)) {
    let mut slot = shared(host);
    *slot = None;
    check(Guest::boot(host, changes));
}

/// Makes two tests, `NAME::in_namespaces` and `NAME::in_qemu`, of each function;
/// with changes, each on a machine of its own.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::guest::{Host, on_the_shared};
            #[test]
            fn in_namespaces() { on_the_shared(Host::Namespaces, super::$name); }
            #[test]
            fn in_qemu() { on_the_shared(Host::Qemu, super::$name); }
        }
    )+};
    ($($name:ident with $changes:expr),+ $(,)?) => {$(
        mod $name {
            #[allow(unused_imports)]
            use crate::guest::Change::*;
            use crate::guest::{Host, on_its_own};
            #[test]
            fn in_namespaces() { on_its_own(Host::Namespaces, $changes, super::$name); }
            #[test]
            fn in_qemu() { on_its_own(Host::Qemu, $changes, super::$name); }
        }
    )+};
}
pub(crate) use on_both;

impl Guest {
    fn boot(host: Host, changes: &[Change]) -> Self {
        let words = |change: &Change| match change {
            Change::Append(words) => Some((*words).to_owned()),
            _ => None,
        };
        let options = Options {
            enter: host == Host::Namespaces,
            append: changes.iter().find_map(words).unwrap_or_default(),
            memory: changes.iter().find_map(|change| match change {
                Change::Memory(mib) => Some(*mib),
                _ => None,
            }),
            ..Options::default()
        };
        Self::start(host, options, archive(changes))
    }

    /// Switches a machine of another kind on, with our image.
    pub fn of(arch: Arch) -> Self {
        let parts = Parts {
            arch,
            ..Parts::default()
        };
        let mut tree = parts.tree().unwrap();
        tree.put_file(b"usr/bin/await", true, AWAIT.into());
        let options = Options {
            parts,
            ..Options::default()
        };
        let mut guest = Self::start(Host::Qemu, options, image::archive(&tree).unwrap());
        guest.results = arch.results();
        guest
    }

    /// Boots a machine in QEMU from a disk, with more words for its kernel.
    pub fn from_disk(disk: &Path, append: &str) -> Self {
        let options = Options {
            disk: Some(disk.to_path_buf()),
            append: append.into(),
            ..Options::default()
        };
        let archive = image::archive(&options.parts.initramfs().unwrap()).unwrap();
        Self::start(Host::Qemu, options, archive)
    }

    fn start(host: Host, options: Options, archive: Vec<u8>) -> Self {
        let start = move || {
            let lab = Path::new(env!("CARGO_BIN_EXE_lab"));
            Ok(start_archive(&options, archive, lab)?.machine)
        };
        Self {
            host,
            seat: Seat::new(host, start),
            reported: false,
        }
    }

    /// Waits for the login, logs in and waits for the prompt.
    pub fn log_in(&mut self) {
        self.expect(" login: ");
        self.type_line("root");
        self.expect("# ");
        // Lab has asked for a report, which is written beside the first login.
        while !self.reported {
            self.reported = self.result("report") == "report: end";
        }
    }

    /// The kernel's log.
    pub fn kernel_log(&mut self) -> String {
        match self.host {
            Host::Namespaces => self.kernel_log.clone(),
            Host::Qemu => self.sh("dmesg"),
        }
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

/// The kernel of the machines in QEMU.
pub fn kernel() -> Kernel {
    Parts::default().kernel().unwrap()
}

/// Our image with `changes`.
fn archive(changes: &[Change]) -> Vec<u8> {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    let source = SOURCE.get_or_init(|| Parts::default().source().unwrap());
    let mut tree = rootfs::tree(source).unwrap();
    tree.put_file(b"usr/bin/await", true, AWAIT.into());
    // For results of a machine whose stage 1 fails.
    let (major, minor) = (4, 65);
    tree.put(b"dev/ttyS1", 0o600, Node::Char(Device { major, minor }));
    for change in changes {
        match change {
            Change::Script(name, text) => {
                tree.put_file(name.as_bytes(), true, text.as_bytes().into());
            }
            Change::Plain(name, text) => {
                tree.put_file(name.as_bytes(), false, text.as_bytes().into());
            }
            Change::Without(base) => tree.remove_by_base(base.as_bytes()),
            Change::Services(n) => put_services(&mut tree, *n),
            Change::Modules(names) => {
                let modules = Modules::of(&kernel().file).unwrap();
                modules.put(&mut tree, names).unwrap();
            }
            Change::Append(_) | Change::Memory(_) => {}
        }
    }
    image::archive(&tree).unwrap()
}

/// One inode by all names, as in the bench: a file each would be a page of memory each.
fn put_services(tree: &mut Tree, n: usize) {
    let run = |i: usize| format!("etc/runit/sv/s{i:05}/run").into_bytes();
    tree.put_file(&run(0), true, probe::elf(probe::PLAIN));
    for i in 1..n {
        tree.put_name(&run(i), &run(0));
    }
}

/// The process ids that a script says, a line each.
pub fn pids(said: &str) -> Vec<u32> {
    said.lines().map(|line| line.parse().unwrap()).collect()
}
