//! What goes into an image: our root file system, or a directory the user names.
//!
//! Ours is `rootfs/` of the sources, busybox for the shell and the small tools,
//! and sunup in front: every applet of `sunup --list` takes the place of
//! busybox's of that name, and busybox forgets its own ([`crate::busybox`]). What git cannot hold is in the tables here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use model::format::cpio::{Device, Node};

use crate::arch::Arch;
use crate::tree::Tree;
use crate::{busybox, workspace};

/// Directories that are empty in an image, with their permissions.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// The same for an initramfs that leads to a disk.
const INITRAMFS_DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("proc", 0o555),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
];

/// Device nodes that are needed before anything can be mounted on /dev: the
/// kernel opens the console before it starts init, and init keeps the kernel's
/// log open from its start.
const NODES: &[(&str, u32, Device)] = &[
    CONSOLE,
    ("dev/kmsg", 0o600, device(1, 11)),
    ("dev/null", 0o666, device(1, 3)),
];

const CONSOLE: (&str, u32, Device) = ("dev/console", 0o600, device(5, 1));

const fn device(major: u32, minor: u32) -> Device {
    Device { major, minor }
}

/// The serial line in `rootfs/`, and the files there that name it.
const LINE: &str = "ttyS0";
const NAME_LINE: [&str; 2] = ["etc/mdev.conf", "etc/runit/sv/tty1/run"];

/// Links that are neither busybox's nor ours.
const LINKS: &[(&str, &str)] = &[("etc/mtab", "../proc/self/mounts"), ("var/run", "../run")];

/// Root has no password. busybox takes no line of passwd in which that field is empty, and
/// git keeps no permissions.
const SHADOW: (&str, u32, &[u8]) = ("etc/shadow", 0o600, b"root::::::::\n");

/// Applets that belong to /sbin; all others are in /usr/bin.
const SBIN: &[&str] = &[
    "getty",
    "halt",
    "init",
    "mdev",
    "poweroff",
    "reboot",
    "runit",
    "runit-init",
    "shutdown",
    "stage1",
    "switch_root",
    "telinit",
    "sulogin",
    "utmpset",
];

/// Links that are followed from one name.
const LINKS_MAX: usize = 40;

/// The table of init, and what it calls first.
const INITTAB: (&str, &str) = ("etc/inittab", include_str!("../../../rootfs/etc/inittab"));
const NATIVE: &str = ":/sbin/stage1\n";
const SCRIPT: &str = ":/etc/runit/stage1\n";

/// Where our binary is on the device.
const SUNUP: &str = "sbin/sunup";

/// What init calls first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage1 {
    /// The script `etc/runit/stage1`.
    Script,
    /// The program `sbin/stage1`.
    #[default]
    Native,
}

/// What an image is made from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Our own root file system.
    Ours {
        /// The multi-call binary.
        sunup: PathBuf,
        /// A static busybox.
        busybox: PathBuf,
        /// What makes the machine whole at boot.
        stage1: Stage1,
        /// The kind of machine.
        arch: Arch,
    },
    /// The same files without sunup: what it does in ours is done by another busybox.
    Busybox {
        /// A static busybox of this kind of machine.
        busybox: PathBuf,
        /// One with what the first has not, if it has not everything; its applets come first.
        front: Option<PathBuf>,
    },
    /// A directory, taken as it is.
    Directory(PathBuf),
}

/// The file tree of `source`.
pub fn tree(source: &Source) -> Result<Tree> {
    let mut tree = Tree::default();
    match source {
        Source::Ours {
            sunup,
            busybox,
            stage1,
            arch,
        } => {
            let front = Front {
                name: "sunup",
                binary: sunup,
            };
            ours(&mut tree, Some(front), busybox, *arch)?;
            if *stage1 == Stage1::Script {
                call_script(&mut tree);
            }
        }
        Source::Busybox { busybox, front } => {
            let front = front.as_deref().map(|binary| Front {
                name: "busybox",
                binary,
            });
            ours(&mut tree, front, busybox, Arch::default())?;
            remove_what_has_no_run(&mut tree);
            call_script(&mut tree);
        }
        Source::Directory(dir) => {
            tree.add_dir(dir)?;
            if !tree.has(CONSOLE.0.as_bytes()) {
                put_nodes(&mut tree, &[CONSOLE]);
            }
            warn_of_preference(dir, &tree);
        }
    }
    Ok(tree)
}

/// The multi-call binary whose applets take the place of busybox's.
#[derive(Clone, Copy)]
struct Front<'a> {
    /// The name by which it lists them, and which its file has in /sbin.
    name: &'static str,
    binary: &'a Path,
}

impl Front<'_> {
    fn applets(self) -> Result<Vec<String>> {
        let mut applets = busybox::lines(self.binary, self.name, &["--list"])?;
        // busybox is an applet of its own.
        applets.retain(|applet| applet != self.name);
        Ok(applets)
    }
}

/// Oneshots and milestones, which other supervisors would try to start each second.
fn remove_what_has_no_run(tree: &mut Tree) {
    let is_service = |name: &[u8]| {
        let below = name.strip_prefix(b"etc/runit/sv/");
        below.is_some_and(|below| !below.contains(&b'/'))
    };
    let services = tree.entries().filter(|entry| is_service(entry.name));
    let has_run = |name: &[u8]| tree.has(&[name, b"/run"].concat());
    let without: Vec<Vec<u8>> = services
        .map(|entry| entry.name.to_vec())
        .filter(|name| !has_run(name))
        .collect();
    for name in without {
        tree.remove(&name);
    }
}

fn call_script(tree: &mut Tree) {
    let (name, text) = INITTAB;
    tree.put_file(name.as_bytes(), false, text.replace(NATIVE, SCRIPT).into());
}

/// A directory is taken as it is; but if its shell would not run what is sunup's
/// there, that is said.
fn warn_of_preference(dir: &Path, tree: &Tree) {
    let names = tree.links_to(b"sunup");
    let Some(shell) = inside(dir, Path::new("bin/sh")).filter(|_| !names.is_empty()) else {
        return;
    };
    let preferred = busybox::preferred(&shell, &names);
    if !preferred.is_empty() {
        busybox::warn(&shell.display().to_string(), &preferred);
    }
}

/// The file that `name` is in the root directory `dir`, by way of links.
fn inside(dir: &Path, name: &Path) -> Option<PathBuf> {
    let mut path = dir.join(name);
    for _ in 0..LINKS_MAX {
        let Ok(target) = std::fs::read_link(&path) else {
            return path.is_file().then_some(path);
        };
        path = match target.strip_prefix("/") {
            Ok(below) => dir.join(below),
            Err(_) => path.parent()?.join(target),
        };
    }
    None
}

fn ours(tree: &mut Tree, front: Option<Front<'_>>, busybox: &Path, arch: Arch) -> Result<()> {
    for (name, perm) in DIRECTORIES {
        tree.put(name.as_bytes(), *perm, Node::Directory);
    }
    put_nodes(tree, NODES);
    // The login line is for a machine whose stage 1 fails.
    let line = format!("dev/{}", arch.console());
    put_nodes(tree, &[(&line, 0o620, arch.console_number())]);
    for (name, target) in LINKS {
        tree.put_link(name.as_bytes(), target.as_bytes());
    }
    let applets = match front {
        None => Vec::new(),
        Some(front) if arch.is_here() => front.applets()?,
        // It cannot be run here.
        Some(_) => workspace::applets()?,
    };
    if arch.is_here() {
        put_busybox(tree, busybox, &applets)?;
    } else {
        put_foreign_busybox(tree, busybox, &applets)?;
    }
    if let Some(front) = front {
        put_front(tree, front, &applets)?;
    }
    tree.add_plain_dir(&workspace::root().join("rootfs"))?;
    let (name, perm, content) = SHADOW;
    tree.put(name.as_bytes(), perm, Node::File(content.into()));
    for name in NAME_LINE {
        tree.replace(name.as_bytes(), LINE, arch.console());
    }
    Ok(())
}

/// An initramfs that mounts a root from a disk: sunup as /init, and busybox for its shell.
///
/// # Errors
/// A binary cannot be read.
pub fn initramfs(sunup: &Path, busybox: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for (name, perm) in INITRAMFS_DIRECTORIES {
        tree.put(name.as_bytes(), *perm, Node::Directory);
    }
    put_nodes(&mut tree, NODES);
    for link in busybox::lines(busybox, "busybox", &["--list-full"])? {
        tree.put_link(link.as_bytes(), b"/bin/busybox");
    }
    // With one of these it would be the machine's own system.
    for name in ["init", "linuxrc"] {
        tree.remove_by_base(name.as_bytes());
    }
    tree.put_file(b"bin/busybox", true, read(busybox)?);
    tree.put_file(SUNUP.as_bytes(), true, read(sunup)?);
    tree.put_link(b"init", format!("/{SUNUP}").as_bytes());
    Ok(tree)
}

fn put_nodes(tree: &mut Tree, nodes: &[(&str, u32, Device)]) {
    for (name, perm, device) in nodes {
        tree.put(name.as_bytes(), *perm, Node::Char(*device));
    }
}

fn put_busybox(tree: &mut Tree, binary: &Path, ours: &[String]) -> Result<()> {
    for link in busybox::lines(binary, "busybox", &["--list-full"])? {
        tree.put_link(link.as_bytes(), b"/bin/busybox");
    }
    tree.put_file(b"bin/busybox", true, busybox::without(binary, ours)?);
    Ok(())
}

/// Where each name belongs only the binary itself can tell: all are in one directory.
fn put_foreign_busybox(tree: &mut Tree, binary: &Path, ours: &[String]) -> Result<()> {
    let (names, content) = busybox::foreign(binary, ours)?;
    for name in names {
        tree.put_link(format!("bin/{name}").as_bytes(), b"/bin/busybox");
    }
    tree.put_file(b"bin/busybox", true, content);
    Ok(())
}

fn put_front(tree: &mut Tree, front: Front<'_>, applets: &[String]) -> Result<()> {
    let file = format!("sbin/{}", front.name);
    for applet in applets {
        // Wherever busybox has it: PATH must not decide between two.
        tree.remove_by_base(applet.as_bytes());
        let dir = if SBIN.contains(&applet.as_str()) {
            "sbin"
        } else {
            "usr/bin"
        };
        tree.put_link(
            format!("{dir}/{applet}").as_bytes(),
            format!("/{file}").as_bytes(),
        );
    }
    tree.put_file(file.as_bytes(), true, read(front.binary)?);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}
