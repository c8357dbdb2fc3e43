//! The kernel of a machine in QEMU: Debian's, the user's own, or a small one that
//! `cargo lab kernel` builds from Debian's source package by a [`recipe`], and keeps in a
//! [`cache`].

pub mod cache;
mod make;
pub mod recipe;
pub mod source;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::arch::Arch;
use crate::{debian, foreign};
use cache::image;
use recipe::{Base, Recipe};

/// Which kernel to build.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// A fragment of a configuration, instead of crates/lab/kernel.fragment
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Start from the kernel's defconfig instead of its tinyconfig; the usual fragment then
    /// is CONFIG_UEVENT_HELPER alone
    #[arg(long)]
    pub defconfig: bool,
    /// How many compilers run at a time [default: one for each processor]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<usize>,
}

/// What stands for Debian's kernel where a file is expected.
const DEBIAN: &str = "debian";

/// A kernel to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The file.
    pub file: PathBuf,
    /// What to call it.
    pub name: String,
    /// Where it is in the cache, if it is the small one.
    pub place: Option<PathBuf>,
}

/// The kernel that `asked` names, a file or `debian`; without a name the small one, if it is
/// in the cache for today's fragment, and Debian's otherwise.
///
/// # Errors
/// A file that is not there, and a package that cannot be got.
pub fn choose(asked: Option<&Path>, arch: Arch, scratch: &Path) -> Result<Kernel> {
    let built = match (asked, arch) {
        (None, Arch::X86_64) => built(&Recipe::small()?),
        _ => None,
    };
    match (asked, built) {
        (Some(path), _) if path != Path::new(DEBIAN) => own(path),
        (None, Some(place)) => Ok(small(&place)),
        _ => of_debian(match arch {
            Arch::X86_64 => debian::kernel(scratch)?,
            Arch::Aarch64 => foreign::kernel(arch, scratch)?,
        }),
    }
}

/// The directory of the kernel that was last built by a recipe, if it is in the cache.
pub fn built(recipe: &Recipe) -> Option<PathBuf> {
    cache::find(&cache::dir().ok()?, recipe)
}

fn own(path: &Path) -> Result<Kernel> {
    if !path.is_file() {
        bail!("{}: no such file", path.display());
    }
    Ok(Kernel {
        file: path.to_path_buf(),
        name: path.display().to_string(),
        place: None,
    })
}

fn small(place: &Path) -> Kernel {
    Kernel {
        file: image(place),
        name: format!(
            "the small kernel {}",
            cache::version(place).unwrap_or_default()
        ),
        place: Some(place.to_path_buf()),
    }
}

fn of_debian(file: PathBuf) -> Result<Kernel> {
    let name = file
        .file_name()
        .context("Debian's kernel has no name")?
        .to_string_lossy();
    let name = format!("Debian's kernel {}", name.trim_start_matches("vmlinuz-"));
    Ok(Kernel {
        file,
        name,
        place: None,
    })
}

/// Builds a kernel, unless it is in the cache; its file.
///
/// # Errors
/// A fragment that is wrong, a package that is missing and that only root may install, what
/// the compiler says, and an interrupt.
pub fn build(options: &Options) -> Result<PathBuf> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the kernel is an x86_64 one, and is built there; `cargo lab boot` uses Debian's");
    }
    let base = if options.defconfig {
        Base::Default
    } else {
        Base::Tiny
    };
    let recipe = Recipe::new(base, options.config.as_deref())?;
    let dir = cache::dir()?;
    let installed = source::installed()?;
    let there = match &installed {
        Some(source) => {
            Some(cache::place(&dir, &source.version, &recipe)).filter(|p| image(p).is_file())
        }
        None => cache::find(&dir, &recipe),
    };
    if let Some(place) = there {
        return Ok(image(&place));
    }
    let source = source::provide()?;
    let place = cache::place(&dir, &source.version, &recipe);
    let jobs = options
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    make::build(&recipe, &source, &place, jobs)?;
    Ok(image(&place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bzImage");
        std::fs::write(&file, "").unwrap();
        let kernel = choose(Some(&file), Arch::X86_64, dir.path()).unwrap();
        assert_eq!(
            kernel,
            Kernel {
                file: file.clone(),
                name: file.display().to_string(),
                place: None,
            }
        );
        let e = choose(Some(&dir.path().join("none")), Arch::X86_64, dir.path()).unwrap_err();
        assert!(e.to_string().ends_with("none: no such file"), "{e}");
    }

    #[test]
    fn kernels_have_names() {
        let place = Path::new("/c/kernel-6.1.192-3-00112233445566ff");
        let kernel = small(place);
        assert_eq!(kernel.name, "the small kernel 6.1.192-3");
        assert_eq!(kernel.file, place.join("bzImage"));
        let debian = of_debian("/x/boot/vmlinuz-6.1.0-56-cloud-amd64".into()).unwrap();
        assert_eq!(debian.name, "Debian's kernel 6.1.0-56-cloud-amd64");
    }
}
