//! From options to a running machine: gathers the parts, makes the image, and
//! switches on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::arch::Arch;
use crate::enter::Enter;
use crate::image::{self, Compress};
use crate::kernel::{self, Kernel};
use crate::machine::{Event, Machine};
use crate::modules::Modules;
use crate::moment::Moment;
use crate::qemu::Qemu;
use crate::report::{Host, Marks};
use crate::rootfs::{self, Source, Stage1};
use crate::tree::Tree;
use crate::{debian, disk, foreign, kvm, workspace};

/// Makes the machine tell its times there; the kernel and [`Enter`] hand it to init.
const REPORT: &str = "SUNUP_REPORT=/dev/";

/// What a kernel needs for a disk of a virtual machine, and for an overlay over it.
const FOR_DISKS: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "crc32c_generic",
    "ext4",
    "overlay",
];

/// The user's own parts, instead of those from Debian and from cargo.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Parts {
    /// A directory to use as the root file system, as it is
    #[arg(long, value_name = "DIR", conflicts_with_all = ["busybox", "sunup"])]
    pub rootfs: Option<PathBuf>,
    /// A static busybox, instead of Debian's
    #[arg(long, value_name = "FILE")]
    pub busybox: Option<PathBuf>,
    /// A static sunup, instead of building it
    #[arg(long, value_name = "FILE")]
    pub sunup: Option<PathBuf>,
    /// A kernel: a file, or `debian`; otherwise it is the one that `cargo lab kernel`
    /// built, and if there is none, Debian's
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Modules of the kernel to put into the image, with those that they need; or `all`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub modules: Vec<String>,
    /// The kind of machine
    #[arg(long, value_enum, default_value_t)]
    pub arch: Arch,
    /// What makes the machine whole at boot: the readable script, or the program
    #[arg(long, value_enum, default_value_t, conflicts_with = "rootfs")]
    pub stage1: Stage1,
}

impl Parts {
    /// Builds and downloads what the user does not have.
    pub fn source(&self) -> Result<Source> {
        if let Some(dir) = &self.rootfs {
            return Ok(Source::Directory(dir.clone()));
        }
        let arch = self.arch;
        Ok(Source::Ours {
            sunup: own(self.sunup.as_deref(), || match arch {
                Arch::X86_64 => workspace::build_sunup(),
                Arch::Aarch64 => arch.target().build(),
            })?,
            busybox: own(self.busybox.as_deref(), || match arch {
                Arch::X86_64 => debian::busybox(&workspace::scratch()?),
                Arch::Aarch64 => foreign::busybox(arch, &workspace::scratch()?),
            })?,
            stage1: self.stage1,
            arch,
        })
    }

    /// The file tree of all that was asked for.
    pub fn tree(&self) -> Result<Tree> {
        let mut tree = rootfs::tree(&self.source()?)?;
        if !self.modules.is_empty() {
            Modules::of(&self.kernel()?.file)?.put(&mut tree, &self.modules)?;
        }
        Ok(tree)
    }

    /// As [`Parts::tree`], for a disk: stage 1 makes our own root writable there.
    ///
    /// # Errors
    /// See there.
    pub fn disk(&self) -> Result<Tree> {
        let mut tree = self.tree()?;
        if self.rootfs.is_none() {
            let table = format!("UUID={} / ext4 defaults 0 0\n", disk::UUID);
            tree.put_file(b"etc/fstab", false, table.into());
        }
        Ok(tree)
    }

    /// An initramfs that mounts a disk with the modules that this needs, as far as the kernel
    /// has them as such.
    ///
    /// # Errors
    /// What cannot be built, downloaded or read.
    pub fn initramfs(&self) -> Result<Tree> {
        if self.arch != Arch::X86_64 {
            bail!("a machine with a disk is an x86_64 one");
        }
        let sunup = own(self.sunup.as_deref(), workspace::build_sunup)?;
        let scratch = workspace::scratch()?;
        let busybox = own(self.busybox.as_deref(), || debian::busybox(&scratch))?;
        let mut tree = rootfs::initramfs(&sunup, &busybox)?;
        // A kernel without modules has what it needs, or else its boot says what is missing.
        if let Ok(modules) = Modules::of(&self.kernel()?.file) {
            modules.put_and_name(&mut tree, FOR_DISKS)?;
        }
        Ok(tree)
    }

    /// The kernel.
    pub fn kernel(&self) -> Result<Kernel> {
        kernel::choose(self.kernel.as_deref(), self.arch, &workspace::scratch()?)
    }
}

/// What the emulator runs on; by default KVM, where trying it shows that it works.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Accel {
    /// Use KVM without trying it first
    #[arg(long, conflicts_with = "no_kvm")]
    pub kvm: bool,
    /// Use software emulation
    #[arg(long)]
    pub no_kvm: bool,
}

/// Which machine to boot.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// What the image is made of.
    #[command(flatten)]
    pub parts: Parts,
    /// Boot as PID 1 in fresh namespaces, without QEMU and without a kernel
    #[arg(long, conflicts_with_all = ["arch", "kernel", "modules", "qemu", "kvm", "no_kvm", "compress"])]
    pub enter: bool,
    /// An emulator, instead of Debian's for that kind of machine
    #[arg(long, value_name = "FILE")]
    pub qemu: Option<PathBuf>,
    /// KVM or not.
    #[command(flatten)]
    pub accel: Accel,
    /// Boot from a disk, which `cargo lab image --disk` has written, by way of an initramfs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["enter", "rootfs", "stage1"])]
    pub disk: Option<PathBuf>,
    /// More words for the kernel's command line
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub append: String,
    /// The virtual machine's memory [default: 256]
    #[arg(long, value_name = "MIB", conflicts_with = "enter")]
    pub memory: Option<u32>,
    /// How to pack the image
    #[arg(long, value_enum, default_value_t)]
    pub compress: Compress,
    /// Start again after a reset, instead of ending
    #[arg(long, conflicts_with = "enter")]
    pub reboot: bool,
    /// Boot to the first login, report, and pull the plug; emulation counts
    /// instructions, so that the figures are the same on every workstation
    #[arg(long, conflicts_with = "reboot")]
    pub measure: bool,
}

/// A virtual machine's memory in MiB, if nothing else is asked for.
const MEMORY_MIB: u32 = 256;

/// How long a machine may take to its first login when it is measured.
const PATIENCE: Duration = Duration::from_mins(5);

/// A machine that was switched on.
pub struct Booted {
    /// The machine.
    pub machine: Machine,
    /// Its archive, unpacked.
    pub archive: Vec<u8>,
    /// What it runs in.
    pub host: Host,
    /// What its kernel is called, if it has one of its own.
    pub kernel: Option<String>,
}

/// Gathers everything for `options` and switches the machine on. `lab` is lab's
/// own binary, which is started again inside of namespaces.
pub fn start(options: &Options, lab: &Path) -> Result<Booted> {
    let tree = if options.disk.is_some() {
        options.parts.initramfs()?
    } else {
        options.parts.tree()?
    };
    let archive = image::archive(&tree)?;
    start_archive(options, archive, lab)
}

/// As [`start`], with an archive that is made already.
pub fn start_archive(options: &Options, archive: Vec<u8>, lab: &Path) -> Result<Booted> {
    let arch = options.parts.arch;
    let root = match options.disk {
        Some(_) => format!("rdinit=/init root=UUID={} ", disk::UUID),
        None => String::new(),
    };
    let append = format!("{REPORT}{} {root}{}", arch.results(), options.append);
    if options.enter {
        let lab = lab.to_path_buf();
        let machine = Enter { lab, append }.start(&archive)?;
        return Ok(Booted {
            machine,
            archive,
            host: Host::Namespaces,
            kernel: None,
        });
    }
    if let Some(disk) = options.disk.as_ref().filter(|disk| !disk.is_file()) {
        let disk = disk.display();
        bail!("{disk}: no such file; `cargo lab image --disk {disk}` writes it");
    }
    let kernel = options.parts.kernel()?;
    let qemu = emulator(options, kernel.file, append)?;
    let machine = qemu.start(&image::pack(&archive, options.compress)?)?;
    let host = if qemu.kvm { Host::Kvm } else { Host::Emulation };
    Ok(Booted {
        machine,
        archive,
        host,
        kernel: Some(kernel.name),
    })
}

/// Waits until the machine has told its times.
pub fn measure(machine: &mut Machine, marks: &mut Marks) -> Result<()> {
    let deadline = Moment::now().after(PATIENCE);
    while !marks.complete {
        match machine.next(&[], Some(deadline))? {
            Event::Result { line, at } => marks.take(&line, at.since(machine.started())),
            Event::End(end) => bail!("no login: the machine {end}; {}", machine.tail()),
            Event::Timeout => bail!("no login within {PATIENCE:?}; {}", machine.tail()),
            Event::Console(_) | Event::Other(_) => {}
        }
    }
    Ok(())
}

/// The virtual machine that `options` ask for.
fn emulator(options: &Options, kernel: PathBuf, append: String) -> Result<Qemu> {
    let arch = options.parts.arch;
    if options.parts.kernel.is_none() && arch == Arch::X86_64 && !arch.is_here() {
        bail!(
            "an x86_64 machine is booted on an x86_64 workstation; `cargo lab boot --enter` needs none, and here \
             `--arch aarch64` may do"
        );
    }
    let mut qemu = Qemu {
        arch,
        program: own(options.qemu.as_deref(), || debian::qemu(arch.emulator()))?,
        kernel,
        kvm: options.accel.kvm,
        memory_mib: options.memory.unwrap_or(MEMORY_MIB),
        append,
        disk: options.disk.clone(),
        reboot: options.reboot,
        count_instructions: options.measure,
    };
    if !options.accel.kvm && !options.accel.no_kvm && arch.is_here() {
        qemu.kvm = kvm::works(&qemu, &workspace::scratch()?);
    }
    Ok(qemu)
}

/// The user's own file, or the one that `get` gets.
fn own(file: Option<&Path>, get: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    match file {
        Some(path) if path.is_file() => Ok(path.to_path_buf()),
        Some(path) => bail!("{}: no such file", path.display()),
        None => get(),
    }
}
