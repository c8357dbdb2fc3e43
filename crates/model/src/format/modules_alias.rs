//! What depmod(8) writes below /lib/modules, and what is set in modprobe.d(5): which modules a
//! device wants, where they are, and which they need.
//!
//! In the name of a module `-` and `_` are the same. Bytes of these files are taken as they
//! are; a line that is something else is passed over, as kmod does.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::glob;

/// A module needs no more others than this, and no more are named by one device.
pub const MODULES_MAX: usize = 256;

/// The name of a module as the kernel has it.
pub fn module_name(text: &[u8]) -> Vec<u8> {
    let base = text.rsplit(|b| *b == b'/').next().unwrap_or(text);
    let end = base
        .windows(3)
        .position(|part| part == b".ko")
        .unwrap_or(base.len());
    let name = base.iter().take(end);
    name.map(|b| if *b == b'-' { b'_' } else { *b }).collect()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// The modules that modules.alias has for these names of devices, each once, as they stand.
pub fn wanted<'a>(aliases: &'a [u8], devices: &BTreeSet<Vec<u8>>) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    for line in aliases.split(|b| *b == b'\n') {
        let Some(rest) = line.strip_prefix(b"alias ") else {
            continue;
        };
        let mut words = words(rest);
        let (Some(pattern), Some(module)) = (words.next(), words.next()) else {
            continue;
        };
        let fits = devices.iter().any(|device| glob::matches(pattern, device));
        if fits && !found.contains(&module) && found.len() < MODULES_MAX {
            found.push(module);
        }
    }
    found
}

/// modules.dep: for each module its file, and those that it needs.
#[derive(Default)]
pub struct Files<'a> {
    lines: BTreeMap<Vec<u8>, (&'a [u8], &'a [u8])>,
}

impl<'a> Files<'a> {
    /// Reads modules.dep.
    pub fn decode(text: &'a [u8]) -> Self {
        let lines = text.split(|b| *b == b'\n').filter_map(|line| {
            let colon = line.iter().position(|b| *b == b':')?;
            let (file, needs) = line.split_at_checked(colon)?;
            Some((module_name(file), (file, needs.get(1..)?)))
        });
        Self {
            lines: lines.collect(),
        }
    }

    /// The files of what the module needs, in the order of loading, and its own at last; below
    /// the directory of modules. `None`: there is no such module.
    pub fn of(&self, name: &[u8]) -> Option<Vec<&'a [u8]>> {
        let (own, needs) = self.lines.get(&module_name(name))?;
        // depmod writes what is needed by all others last.
        let mut files: Vec<&[u8]> = words(needs).take(MODULES_MAX).collect();
        files.reverse();
        files.push(own);
        Some(files)
    }
}

/// Whether modules.builtin lists the module.
pub fn is_built_in(builtin: &[u8], name: &[u8]) -> bool {
    let name = module_name(name);
    builtin
        .split(|b| *b == b'\n')
        .any(|file| !file.is_empty() && module_name(file.trim_ascii()) == name)
}

/// The files of modprobe.d, and modules.softdep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Other names, and the modules: `alias NAME MODULE`.
    aliases: Vec<(Vec<u8>, Vec<u8>)>,
    blacklist: BTreeSet<Vec<u8>>,
    options: BTreeMap<Vec<u8>, Vec<u8>>,
    commands: BTreeSet<Vec<u8>>,
    before: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    after: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Settings {
    /// Adds a file.
    pub fn add(&mut self, text: &[u8]) {
        for line in joined(text) {
            let mut words = words(&line);
            let (Some(word), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            let module = module_name(name);
            match word {
                b"alias" => {
                    let target = words.next().map(module_name);
                    self.aliases
                        .extend(target.map(|target| (name.to_vec(), target)));
                }
                b"blacklist" => drop(self.blacklist.insert(module)),
                b"install" => drop(self.commands.insert(module)),
                b"options" => {
                    for option in words {
                        self.option(&module, option);
                    }
                }
                b"softdep" => self.soft(&module, words),
                _ => {}
            }
        }
    }

    /// Adds the kernel's command line: `MODULE.OPTION` and `modprobe.blacklist=`.
    pub fn add_command_line(&mut self, text: &[u8]) {
        for word in words(text) {
            if let Some(names) = word.strip_prefix(b"modprobe.blacklist=") {
                let names = names.split(|b| *b == b',').map(module_name);
                self.blacklist.extend(names);
            } else if let Some(dot) = word.iter().position(|b| *b == b'.')
                && let Some((module, option)) = word.split_at_checked(dot)
                && !module.contains(&b'=')
            {
                self.option(&module_name(module), option.get(1..).unwrap_or_default());
            }
        }
    }

    fn option(&mut self, module: &[u8], option: &[u8]) {
        let options = self.options.entry(module.to_vec()).or_default();
        if !options.is_empty() {
            options.push(b' ');
        }
        options.extend_from_slice(option);
    }

    fn soft<'a>(&mut self, module: &[u8], words: impl Iterator<Item = &'a [u8]>) {
        let mut list = None;
        for word in words {
            let map = match (word, list) {
                (b"pre:", _) => {
                    list = Some(true);
                    continue;
                }
                (b"post:", _) => {
                    list = Some(false);
                    continue;
                }
                (_, Some(true)) => &mut self.before,
                (_, Some(false)) => &mut self.after,
                (_, None) => continue,
            };
            let names = map.entry(module.to_vec()).or_default();
            if names.len() < MODULES_MAX {
                names.push(module_name(word));
            }
        }
    }

    /// The modules of `alias` lines for this name.
    pub fn aliases_of(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let fits = move |pattern: &[u8]| glob::matches(pattern, name);
        let found = self
            .aliases
            .iter()
            .filter(move |(pattern, _)| fits(pattern));
        found.map(|(_, module)| module.as_slice())
    }

    /// Whether nothing but a person loads it.
    pub fn is_blacklisted(&self, module: &[u8]) -> bool {
        self.blacklist.contains(&module_name(module))
    }

    /// Whether it is loaded by a command, which modprobe(8) knows how to run.
    pub fn has_command(&self, module: &[u8]) -> bool {
        self.commands.contains(&module_name(module))
    }

    /// Its options, as the kernel takes them.
    pub fn options(&self, module: &[u8]) -> &[u8] {
        self.options
            .get(&module_name(module))
            .map_or(&[], Vec::as_slice)
    }

    /// What is loaded before it, if it can be.
    pub fn before(&self, module: &[u8]) -> &[Vec<u8>] {
        self.before
            .get(&module_name(module))
            .map_or(&[], Vec::as_slice)
    }

    /// What is loaded after it, if it can be.
    pub fn after(&self, module: &[u8]) -> &[Vec<u8>] {
        self.after
            .get(&module_name(module))
            .map_or(&[], Vec::as_slice)
    }
}

/// Lines without comments; one that ends in a backslash goes on in the next.
fn joined(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut goes_on = false;
    for line in text.split(|b| *b == b'\n') {
        let (part, more) = match line.strip_suffix(b"\\") {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.push(b' ');
                last.extend_from_slice(part);
            }
            None if !part.trim_ascii().starts_with(b"#") => lines.push(part.to_vec()),
            None => {}
        }
        goes_on = more;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIASES: &[u8] = b"# Aliases extracted from modules themselves.\n\
        alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n\
        alias virtio:d00000001v* virtio_net\n\
        alias fs-ext4 ext4\n\
        alias virtio:d00000002v* virtio_blk\n\
        alias acpi*:PNP0103:* hpet\n\
        alias broken\n";
    const FILES: &[u8] =
        b"kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/jbd2/jbd2.ko.xz\n\
        kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\nkernel/net/snd-pcm.ko:\n";

    fn set(names: &[&str]) -> BTreeSet<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn devices_want_modules() {
        let devices = set(&[
            "pci:v00001AF4d00001000sv0sd0bc02sc00i00",
            "virtio:d00000002v00001AF4",
        ]);
        assert_eq!(
            wanted(ALIASES, &devices),
            [&b"virtio_pci"[..], b"virtio_blk"]
        );
        assert_eq!(wanted(ALIASES, &set(&["fs-ext4"])), [b"ext4"]);
        assert!(wanted(ALIASES, &set(&["virtio:", "broken"])).is_empty());
    }

    #[test]
    fn a_module_comes_after_what_it_needs() {
        let files = Files::decode(FILES);
        assert_eq!(
            files.of(b"ext4").unwrap(),
            [
                &b"kernel/fs/jbd2/jbd2.ko.xz"[..],
                b"kernel/lib/crc16.ko.xz",
                b"kernel/fs/ext4/ext4.ko.xz"
            ]
        );
        assert_eq!(files.of(b"snd_pcm").unwrap(), [b"kernel/net/snd-pcm.ko"]);
        assert_eq!(files.of(b"other"), None);
        assert!(is_built_in(b"kernel/drivers/block/loop.ko\n", b"loop"));
        assert!(!is_built_in(b"kernel/drivers/block/loop.ko\n", b"loo"));
    }

    #[test]
    fn settings_of_distributions() {
        let mut settings = Settings::default();
        settings.add(
            b"# no beeps\nblacklist pcspkr\noptions snd-hda-intel power_save=1 \\\n  model=auto\n\
            alias eth0 e1000e\nalias net-pf-10 off\ninstall usb-storage /bin/true\n\
            softdep ext4 pre: crc32c crypto-x post: late\n",
        );
        settings.add_command_line(
            b"quiet snd_hda_intel.index=2 modprobe.blacklist=a-b,c root=UUID=1.2",
        );
        assert!(settings.is_blacklisted(b"pcspkr") && settings.is_blacklisted(b"a_b"));
        assert_eq!(
            settings.options(b"snd_hda_intel"),
            b"power_save=1 model=auto index=2"
        );
        assert!(settings.has_command(b"usb_storage") && !settings.has_command(b"ext4"));
        assert_eq!(
            settings.before(b"ext4"),
            [b"crc32c".to_vec(), b"crypto_x".to_vec()]
        );
        assert_eq!(settings.after(b"ext4"), [b"late".to_vec()]);
        assert_eq!(settings.aliases_of(b"eth0").next(), Some(&b"e1000e"[..]));
    }
}
