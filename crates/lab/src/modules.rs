//! A kernel's modules: found beside it, and put into an image together with those
//! that they need.
//!
//! The lists that modprobe reads (`modules.dep`, `modules.alias`) are written here, from
//! what each module says about itself in its section `.modinfo`: no depmod has run where
//! a package was only unpacked, and the lists are about what is in the image alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use flate2::read::GzDecoder;

use crate::tree::Tree;

/// Stands for every module there is.
pub const ALL: &str = "all";

/// Where modules are, below the directory that a kernel was unpacked or installed in.
const PLACES: [&str; 2] = ["lib/modules", "usr/lib/modules"];

/// The largest module, in bytes unpacked.
const MODULE_BYTES_MAX: u64 = 64 << 20;

/// The modules of a kernel.
#[derive(Debug)]
pub struct Modules {
    /// `lib/modules/RELEASE`.
    dir: PathBuf,
    release: String,
    /// By name: the file, relative to `dir`.
    files: BTreeMap<String, String>,
    /// The list of what is part of the kernel, with its lines.
    built_in: String,
}

/// A module in memory.
struct Module {
    /// Where it belongs, relative to the directory of its kernel's modules.
    path: String,
    content: Vec<u8>,
    says: Says,
}

/// What a module says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Says {
    /// Modules that it cannot be without.
    depends: Vec<String>,
    /// Modules that it would like to find there.
    likes: Vec<String>,
    aliases: Vec<String>,
}

impl Modules {
    /// Those of the `kernel`, a file: beside it, or beside the directory `boot` that it is in.
    ///
    /// # Errors
    /// If there are none, or several of which none has the kernel's name.
    pub fn of(kernel: &Path) -> Result<Self> {
        let kernel = fs::canonicalize(kernel).with_context(|| kernel.display().to_string())?;
        let name = kernel.file_name().unwrap_or_default().to_string_lossy();
        for above in kernel.ancestors().skip(1).take(2) {
            for place in PLACES.map(|place| above.join(place)) {
                if let Some(release) = release(&place, &name)? {
                    return Self::open(&place.join(&release), release);
                }
            }
        }
        bail!("{}: no lib/modules beside it", kernel.display())
    }

    fn open(dir: &Path, release: String) -> Result<Self> {
        let mut files = BTreeMap::new();
        find(dir, "", &mut files)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            release,
            files,
            built_in: fs::read_to_string(dir.join("modules.builtin")).unwrap_or_default(),
        })
    }

    /// Puts the modules of these `names`, and what they need, into `tree`, uncompressed,
    /// with the lists that modprobe reads. What is part of the kernel needs no file.
    ///
    /// # Errors
    /// A name that the kernel does not know, and a module that cannot be read.
    pub fn put(&self, tree: &mut Tree, names: &[impl AsRef<str>]) -> Result<()> {
        let modules = self.with_needs(names)?;
        // Where /usr is one with the root, /lib is a link.
        let lib = if tree.is_link(b"lib") {
            "usr/lib"
        } else {
            "lib"
        };
        let place = format!("{lib}/modules/{}", self.release);
        let mut put = |name: &str, content: Vec<u8>| {
            tree.put_file(format!("{place}/{name}").as_bytes(), false, content);
        };
        put("modules.dep", dependencies(&modules).into());
        put("modules.alias", aliases(&modules).into());
        put("modules.builtin", self.built_in.clone().into());
        for module in modules.into_values() {
            put(&module.path, module.content);
        }
        Ok(())
    }

    /// As [`Modules::put`], for those of `names` that there are, and names them in
    /// `etc/modules`, by which initramfs(8) loads them.
    ///
    /// # Errors
    /// A module that cannot be read.
    pub fn put_and_name(&self, tree: &mut Tree, names: &[&str]) -> Result<()> {
        let known = names.iter().filter(|name| self.is_known(&key(name)));
        let names: Vec<&str> = known.copied().collect();
        self.put(tree, &names)?;
        tree.put_file(b"etc/modules", false, (names.join("\n") + "\n").into());
        Ok(())
    }

    fn with_needs(&self, names: &[impl AsRef<str>]) -> Result<BTreeMap<String, Module>> {
        let mut wanted: Vec<String> = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            if name == ALL {
                wanted.extend(self.files.keys().cloned());
            } else if !self.is_known(&key(name)) {
                bail!("the kernel {} has no module {name}", self.release);
            } else {
                wanted.push(key(name));
            }
        }
        let mut modules = BTreeMap::new();
        while let Some(name) = wanted.pop() {
            let Some(file) = self
                .files
                .get(&name)
                .filter(|_| !modules.contains_key(&name))
            else {
                continue;
            };
            let module = read(&self.dir, file)?;
            wanted.extend(
                module
                    .says
                    .depends
                    .iter()
                    .chain(&module.says.likes)
                    .cloned(),
            );
            modules.insert(name, module);
        }
        Ok(modules)
    }

    fn is_known(&self, name: &str) -> bool {
        let mut built_in = self.built_in.lines().filter_map(module_name);
        self.files.contains_key(name) || built_in.any(|known| known == name)
    }
}

/// The directory below `place` that belongs to a kernel called `name`; nothing if there is none.
fn release(place: &Path, name: &str) -> Result<Option<String>> {
    let Ok(entries) = fs::read_dir(place) else {
        return Ok(None);
    };
    let mut releases = Vec::new();
    for entry in entries {
        releases.extend(entry?.file_name().into_string());
    }
    if let Some(own) = releases.iter().find(|r| name.ends_with(&format!("-{r}"))) {
        return Ok(Some(own.clone()));
    }
    match releases.len() {
        0 | 1 => Ok(releases.pop()),
        n => bail!(
            "{}: {n} directories, and none of them is called as the kernel {name}",
            place.display()
        ),
    }
}

/// Collects the modules below `dir`/`under` by their names.
fn find(dir: &Path, under: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let path = dir.join(under);
    for entry in fs::read_dir(&path).with_context(|| format!("read {}", path.display()))? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| anyhow!("{}: no text", name.display()))?;
        let file = if under.is_empty() {
            name
        } else {
            format!("{under}/{name}")
        };
        if entry.file_type()?.is_dir() {
            find(dir, &file, files)?;
        } else if let Some(name) = module_name(&file) {
            files.insert(name, file);
        }
    }
    Ok(())
}

/// The name of the module in a file, `kernel/crypto/crc32c-intel.ko.xz`.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let (name, packing) = file.split_once(".ko")?;
    ["", ".gz", ".xz", ".zst"]
        .contains(&packing)
        .then(|| key(name))
}

/// The kernel takes the two for one.
fn key(name: &str) -> String {
    name.replace('-', "_")
}

fn read(dir: &Path, file: &str) -> Result<Module> {
    let path = dir.join(file);
    let content = unpacked(&path).with_context(|| format!("read {}", path.display()))?;
    let says = modinfo(&content)
        .map(says_of)
        .with_context(|| format!("{}: no module", path.display()))?;
    let (name, _) = file.rsplit_once(".ko").unwrap_or((file, ""));
    Ok(Module {
        path: format!("{name}.ko"),
        content,
        says,
    })
}

fn unpacked(path: &Path) -> Result<Vec<u8>> {
    let packed = fs::read(path)?;
    let mut content = Vec::new();
    match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => {
            GzDecoder::new(&packed[..])
                .take(MODULE_BYTES_MAX)
                .read_to_end(&mut content)?;
        }
        Some("zst") => content = zstd::bulk::decompress(&packed, MODULE_BYTES_MAX as usize)?,
        Some("xz") => {
            let output = Command::new("xz")
                .arg("-dc")
                .arg(path)
                .output()
                .context("run xz (package xz-utils)")?;
            if !output.status.success() {
                bail!("xz: {}", String::from_utf8_lossy(&output.stderr).trim_end());
            }
            content = output.stdout;
        }
        _ => content = packed,
    }
    Ok(content)
}

/// The section `.modinfo` of an ELF file of 64 bits, little endian.
fn modinfo(elf: &[u8]) -> Option<&[u8]> {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = elf.get(at..at.checked_add(bytes)?)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    // e_shoff, e_shentsize, e_shnum, e_shstrndx of the header.
    let (table, size) = (number(0x28, 8)?, number(0x3a, 2)?);
    let (sections, names) = (number(0x3c, 2)?, number(0x3e, 2)?);
    let section = |index: usize| -> Option<(usize, &[u8])> {
        let at = table.checked_add(size.checked_mul(index)?)?;
        // sh_name, sh_offset, sh_size of a section.
        let (offset, bytes) = (
            number(at.checked_add(0x18)?, 8)?,
            number(at.checked_add(0x20)?, 8)?,
        );
        Some((number(at, 4)?, elf.get(offset..offset.checked_add(bytes)?)?))
    };
    let (_, names) = section(names)?;
    let is_modinfo = |name: usize| {
        names
            .get(name..)
            .is_some_and(|n| n.starts_with(b".modinfo\0"))
    };
    (0..sections)
        .filter_map(section)
        .find(|(name, _)| is_modinfo(*name))
        .map(|(_, content)| content)
}

/// What the fields `NAME=VALUE`, each with a NUL behind it, say.
fn says_of(modinfo: &[u8]) -> Says {
    let mut says = Says::default();
    let text = String::from_utf8_lossy(modinfo);
    for (name, value) in text.split('\0').filter_map(|field| field.split_once('=')) {
        match name {
            "depends" => says
                .depends
                .extend(value.split(',').filter(|n| !n.is_empty()).map(key)),
            "alias" => says.aliases.push(value.to_owned()),
            "softdep" => says.likes.extend(before(value)),
            _ => {}
        }
    }
    says
}

/// The modules between `pre:` and `post:` of a soft dependency.
fn before(softdep: &str) -> Vec<String> {
    let words = softdep.split_whitespace();
    let pre = words.skip_while(|word| *word != "pre:").skip(1);
    pre.take_while(|word| !word.ends_with(':'))
        .map(key)
        .collect()
}

/// `modules.dep`: behind each module all that must be loaded before it, the last first.
fn dependencies(modules: &BTreeMap<String, Module>) -> String {
    let mut text = String::new();
    for (name, module) in modules {
        let _ = write!(text, "{}:", module.path);
        let (mut order, mut seen) = (Vec::new(), BTreeSet::from([name.as_str()]));
        visit(modules, module, &mut order, &mut seen);
        for needed in order.iter().rev() {
            let _ = write!(text, " {}", needed.path);
        }
        text.push('\n');
    }
    text
}

/// Adds what `module` needs to `order`, each behind all that it needs itself.
fn visit<'a>(
    modules: &'a BTreeMap<String, Module>,
    module: &'a Module,
    order: &mut Vec<&'a Module>,
    seen: &mut BTreeSet<&'a str>,
) {
    for name in &module.says.depends {
        if let Some(needed) = modules.get(name).filter(|_| seen.insert(name)) {
            visit(modules, needed, order, seen);
            order.push(needed);
        }
    }
}

/// `modules.alias`: which module to load for what a device or the kernel asks for.
fn aliases(modules: &BTreeMap<String, Module>) -> String {
    let mut text = String::new();
    for (name, module) in modules {
        for alias in &module.says.aliases {
            let _ = writeln!(text, "alias {alias} {name}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
