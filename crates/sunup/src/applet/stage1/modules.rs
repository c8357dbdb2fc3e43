//! Modules of the kernel: those that devices want, by the names that the kernel has for the
//! devices, and those that somebody has named for each boot.
//!
//! They are loaded with what they need and with the options of modprobe.d(5). A module that
//! has a command there, or is packed in a way that the kernel cannot unpack, is left to
//! modprobe(8), if that is there.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::format::modules_alias::{self, Settings, module_name};
use model::format::modules_load::{self, Wanted};
use rustix::io::Errno;

use super::device_names;
use super::teller::Teller;
use super::{conf, foreign};
use crate::program;
use crate::sys::{file, module};

const LOAD_DIRS: [&str; 5] = [
    "/etc/modules-load.d",
    "/run/modules-load.d",
    "/usr/local/lib/modules-load.d",
    "/usr/lib/modules-load.d",
    "/lib/modules-load.d",
];
const SETTINGS_DIRS: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];
/// As other systems name them.
const LIST: &str = "/etc/modules";
/// depmod's files are longer than any that people write.
const TABLE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A module may make devices that want others; so often that is looked at.
const ROUNDS_MAX: usize = 8;
/// Modules that want each other end here.
const DEPTH_MAX: usize = 16;
/// How long modprobe may take.
const LIMIT: Duration = Duration::from_mins(1);

/// What depmod knows of the running kernel's modules, and what is set for them.
pub struct Tables {
    dir: PathBuf,
    files: Vec<u8>,
    aliases: Vec<u8>,
    builtin: Vec<u8>,
    settings: Settings,
}

impl Tables {
    /// `None`: the running kernel has no modules.
    fn read(teller: &mut Teller) -> Option<Self> {
        let system = rustix::system::uname();
        let release = OsStr::from_bytes(system.release().to_bytes());
        let dir = Path::new("/lib/modules").join(release);
        let table = |name: &str| file::read(&dir.join(name), TABLE_BYTES_MAX);
        let files = match table("modules.dep") {
            Ok(files) => files,
            Err(e) => {
                teller.fail_unless_missing(dir.join("modules.dep").display(), &e);
                return None;
            }
        };
        // Without the others there are no aliases, and nothing is built in.
        let optional = |name| table(name).unwrap_or_default();
        let mut settings = Settings::default();
        settings.add(&optional("modules.softdep"));
        conf::each(&SETTINGS_DIRS, teller, &mut |_, text, _| settings.add(text));
        let line = file::read(Path::new("/proc/cmdline"), TABLE_BYTES_MAX);
        settings.add_command_line(&line.unwrap_or_default());
        Some(Self {
            files,
            aliases: optional("modules.alias"),
            builtin: optional("modules.builtin"),
            dir,
            settings,
        })
    }

    /// The modules that such names mean.
    fn meant<'t>(&'t self, names: &[Vec<u8>]) -> Vec<&'t [u8]> {
        let set = names.iter().flat_map(|name| self.settings.aliases_of(name));
        let mut found: Vec<&[u8]> = set.collect();
        found.extend(modules_alias::wanted(&self.aliases, names));
        found
    }

    fn loader(&self) -> Loader<'_> {
        Loader {
            tables: self,
            done: Vec::new(),
        }
    }
}

/// Loads modules, each once.
struct Loader<'t> {
    tables: &'t Tables,
    done: Vec<Vec<u8>>,
}

impl Loader<'_> {
    /// Loads the modules that this name may mean.
    fn load_named(&mut self, wanted: &Wanted) -> Result<(), String> {
        let (name, settings) = (wanted.name.as_slice(), wanted.settings.as_slice());
        if modules_alias::files(&self.tables.files, name).is_some() {
            return self.load(name, settings, 0);
        }
        if modules_alias::is_built_in(&self.tables.builtin, name) {
            return Ok(());
        }
        let names = self.tables.meant(&[name.to_vec()]);
        if names.is_empty() {
            return Err(format!("no such module in {}", self.tables.dir.display()));
        }
        let mut loads = names.iter().map(|name| self.load(name, settings, 0));
        loads.try_for_each(|loaded| loaded)
    }

    /// Loads a module after what it needs.
    fn load(&mut self, name: &[u8], extra: &[u8], depth: usize) -> Result<(), String> {
        let settings = &self.tables.settings;
        let name = module_name(name);
        if settings.is_blacklisted(&name) || self.done.contains(&name) || is_there(&name) {
            return Ok(());
        }
        self.done.push(name.clone());
        if settings.has_command(&name) {
            return modprobe(&name);
        }
        let Some(files) = modules_alias::files(&self.tables.files, &name) else {
            return Err("no such module".into());
        };
        let [before, after] = settings.around(&name);
        self.load_soft(&before, depth);
        for file in files {
            let part = module_name(file);
            let own = if part == name { extra } else { &[] };
            if !is_there(&part) {
                self.tables.insert(file, &part, own)?;
            }
        }
        self.load_soft(&after, depth);
        Ok(())
    }

    /// Loads others, as far as that is possible: some are built in, and some are not there.
    fn load_soft(&mut self, names: &[&[u8]], depth: usize) {
        for name in names.iter().filter(|_| depth < DEPTH_MAX) {
            let _not_there = self.load(name, &[], depth + 1);
        }
    }
}

impl Tables {
    fn insert(&self, path: &[u8], name: &[u8], extra: &[u8]) -> Result<(), String> {
        let options = [&self.settings.options(name)[..], extra].join(&b' ');
        let path = self.dir.join(OsStr::from_bytes(path));
        match module::load(&path, options.trim_ascii()) {
            Err(e) if module::is_packed(&path) && cannot_unpack(&e) => modprobe(name),
            loaded => loaded.map_err(|e| format!("{}: load: {e}", path.display())),
        }
    }
}

fn cannot_unpack(e: &io::Error) -> bool {
    let errors = [Errno::OPNOTSUPP, Errno::INVAL, Errno::NOEXEC];
    Errno::from_io_error(e).is_some_and(|e| errors.contains(&e))
}

/// Whether it is loaded, or built in with something to set.
fn is_there(name: &[u8]) -> bool {
    Path::new("/sys/module")
        .join(OsStr::from_bytes(name))
        .exists()
}

fn modprobe(name: &[u8]) -> Result<(), String> {
    let Some(path) = program::find(b"modprobe") else {
        return Err("only modprobe(8) can load it, which is not there".into());
    };
    match foreign::run(&path, &[b"-b", name], Some(LIMIT))? {
        0 => Ok(()),
        code => Err(format!("modprobe: exit code {code}")),
    }
}

/// Loads what the devices want that are there, and those that come by that.
pub fn for_devices(teller: &mut Teller) -> Option<Tables> {
    let tables = Tables::read(teller)?;
    let mut loader = tables.loader();
    let mut known: Vec<Vec<u8>> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let mut fresh = device_names::all(teller);
        fresh.retain(|name| !known.contains(name));
        if fresh.is_empty() {
            break;
        }
        for name in tables.meant(&fresh) {
            // Many a device has several drivers, of which one says that it is not for it.
            if let Err(reason) = loader.load(name, &[], 0) {
                teller.detail(format_args!("{}: {reason}", name.escape_ascii()));
            }
        }
        known.append(&mut fresh);
    }
    Some(tables)
}

/// Loads those that are named for each boot.
pub fn named(tables: Option<&Tables>, teller: &mut Teller) {
    let mut all = conf::all(&LOAD_DIRS, LIST, teller, modules_load::decode);
    // One of the first files may be a link to the last.
    let mut seen = Vec::new();
    all.retain(|(_, wanted)| {
        let name = module_name(&wanted.name);
        let is_new = !is_there(&name) && !seen.contains(&name);
        seen.push(name);
        is_new
    });
    if all.is_empty() {
        return;
    }
    let mut loader = tables.map(Tables::loader);
    for (path, wanted) in &all {
        let done = match &mut loader {
            Some(loader) => loader.load_named(wanted),
            None => Err("the running kernel has no modules".into()),
        };
        if let Err(reason) = done {
            let (path, line, name) = (path.display(), wanted.line, wanted.name.escape_ascii());
            teller.fail(format_args!("{path}: line {line}: {name}: {reason}"));
        }
    }
}
