//! Kinds of machines: what is different about them for whoever builds and boots an image.

use model::format::cpio::Device;

use crate::debian::Need;
use crate::release::{self, Target};

/// A kind of machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Arch {
    /// A PC.
    #[default]
    #[value(name = "x86_64")]
    X86_64,
    /// The board `virt` of QEMU, with a 64-bit processor of ARM.
    Aarch64,
}

impl Arch {
    /// Whether its programs run here.
    pub fn is_here(self) -> bool {
        let here = std::env::consts::ARCH;
        match self {
            Self::X86_64 => here == "x86_64",
            Self::Aarch64 => here == "aarch64",
        }
    }

    /// What its programs are built for.
    pub fn target(self) -> Target {
        match self {
            Self::X86_64 => release::X86_64,
            Self::Aarch64 => release::AARCH64,
        }
    }

    /// Debian's name of it.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The emulator.
    pub fn emulator(self) -> Need {
        match self {
            Self::X86_64 => Need("qemu-system-x86_64", "qemu-system-x86"),
            Self::Aarch64 => Need("qemu-system-aarch64", "qemu-system-arm"),
        }
    }

    /// The emulator's board and processor; with KVM the processor is the workstation's.
    pub fn board(self, kvm: bool) -> [&'static str; 4] {
        match self {
            Self::X86_64 => ["-M", "pc", "-cpu", "max"],
            Self::Aarch64 if kvm => ["-M", "virt", "-cpu", "host"],
            // The newest that QEMU knows is emulated at a third of the speed.
            Self::Aarch64 => ["-M", "virt", "-cpu", "cortex-a72"],
        }
    }

    /// The kernel's name of the first serial line.
    pub fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 => "ttyAMA0",
        }
    }

    /// The number of that line.
    pub fn console_number(self) -> Device {
        let (major, minor) = match self {
            Self::X86_64 => (4, 64),
            Self::Aarch64 => (204, 64),
        };
        Device { major, minor }
    }

    /// The line for results.
    pub fn results(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS1",
            // A card: the board has no second line of its own.
            Self::Aarch64 => "ttyS0",
        }
    }

    /// The emulator's words for a serial line on its channel `port0` or `port1`.
    pub fn serial(self, port: usize) -> [String; 2] {
        match (self, port) {
            (Self::Aarch64, 1..) => ["-device".into(), format!("pci-serial,chardev=port{port}")],
            _ => ["-serial".into(), format!("chardev:port{port}")],
        }
    }

    /// What the kernel of such a machine is always told.
    pub fn words(self) -> &'static str {
        match self {
            // Not to doubt the timer, which a busy workstation emulates late.
            Self::X86_64 => "console=ttyS0 no_timer_check",
            Self::Aarch64 => "console=ttyAMA0",
        }
    }
}
