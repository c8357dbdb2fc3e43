//! What depmod(8) writes below /lib/modules, and what is set in modprobe.d(5): which modules a
//! device wants, where they are, and which they need.
//!
//! In the name of a module `-` and `_` are the same. Bytes of these files are taken as they
//! are; a line that is something else is passed over, as kmod does.

use alloc::vec::Vec;

use crate::glob;

/// A module needs no more others than this, and no more are named by one device.
pub const MODULES_MAX: usize = 256;
/// No more settings are taken.
pub const LINES_MAX: usize = 4096;

/// The name of a module as the kernel has it.
pub fn module_name(text: &[u8]) -> Vec<u8> {
    letters(text).collect()
}

fn letters(text: &[u8]) -> impl Iterator<Item = u8> {
    let base = text.rsplit(|b| *b == b'/').next().unwrap_or(text);
    let end = base.windows(3).position(|part| part == b".ko");
    let name = base.iter().take(end.unwrap_or(base.len()));
    name.map(|b| if *b == b'-' { b'_' } else { *b })
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    letters(one).eq(letters(other))
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = line.split(u8::is_ascii_whitespace);
    words.filter(|word| !word.is_empty())
}

/// The modules that modules.alias has for these names of devices, each once, as they stand.
pub fn wanted<'a>(aliases: &'a [u8], devices: &[Vec<u8>]) -> Vec<&'a [u8]> {
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

/// The files of what the module needs, in the order of loading, and its own at last, by
/// modules.dep; below the directory of modules. `None`: there is no such module.
pub fn files<'a>(table: &'a [u8], name: &[u8]) -> Option<Vec<&'a [u8]>> {
    let (own, needs) = table.split(|b| *b == b'\n').find_map(|line| {
        let colon = line.iter().position(|b| *b == b':')?;
        let (own, needs) = line.split_at_checked(colon)?;
        is_same(own, name).then_some((own, needs.get(1..)?))
    })?;
    // depmod writes what is needed by all others last.
    let mut files: Vec<&[u8]> = words(needs).take(MODULES_MAX).collect();
    files.reverse();
    files.push(own);
    Some(files)
}

/// Whether modules.builtin lists the module.
pub fn is_built_in(builtin: &[u8], name: &[u8]) -> bool {
    let mut files = builtin.split(|b| *b == b'\n');
    files.any(|file| !file.is_empty() && is_same(file.trim_ascii(), name))
}

/// The files of modprobe.d, and modules.softdep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    lines: Vec<Setting>,
}

#[derive(Debug, PartialEq, Eq)]
struct Setting {
    word: &'static [u8],
    /// The name of a module; of an alias, a pattern.
    name: Vec<u8>,
    /// What follows.
    rest: Vec<u8>,
}

/// The words that count here.
const WORDS: [&[u8]; 5] = [ALIAS, BLACKLIST, INSTALL, OPTIONS, SOFTDEP];
const ALIAS: &[u8] = b"alias";
const BLACKLIST: &[u8] = b"blacklist";
const INSTALL: &[u8] = b"install";
const OPTIONS: &[u8] = b"options";
const SOFTDEP: &[u8] = b"softdep";

impl Settings {
    /// Adds a file.
    pub fn add(&mut self, text: &[u8]) {
        for line in joined(text) {
            let mut parts = words(&line);
            let (Some(word), Some(name)) = (parts.next(), parts.next()) else {
                continue;
            };
            if let Some(word) = WORDS.into_iter().find(|known| *known == word) {
                let rest: Vec<&[u8]> = parts.collect();
                self.set(word, name, &rest.join(&b' '));
            }
        }
    }

    /// Adds the kernel's command line: `MODULE.OPTION` and `modprobe.blacklist=`.
    pub fn add_command_line(&mut self, text: &[u8]) {
        for word in words(text) {
            if let Some(names) = word.strip_prefix(b"modprobe.blacklist=") {
                for name in names.split(|b| *b == b',') {
                    self.set(BLACKLIST, name, b"");
                }
            } else if let Some(dot) = word.iter().position(|b| *b == b'.')
                && let Some((module, option)) = word.split_at_checked(dot)
                && !module.contains(&b'=')
            {
                self.set(OPTIONS, module, option.get(1..).unwrap_or_default());
            }
        }
    }

    fn set(&mut self, word: &'static [u8], name: &[u8], rest: &[u8]) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(Setting {
                word,
                name: name.to_vec(),
                rest: rest.to_vec(),
            });
        }
    }

    fn of(&self, word: &[u8], module: &[u8]) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter();
        let lines = lines.filter(move |line| line.word == word && is_same(&line.name, module));
        lines.map(|line| line.rest.as_slice())
    }

    /// The modules of `alias` lines for this name.
    pub fn aliases_of(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter();
        let lines = lines.filter(move |l| l.word == ALIAS && glob::matches(&l.name, name));
        lines.map(|line| line.rest.as_slice())
    }

    /// Whether nothing but a person loads it.
    pub fn is_blacklisted(&self, module: &[u8]) -> bool {
        self.of(BLACKLIST, module).next().is_some()
    }

    /// Whether it is loaded by a command, which modprobe(8) knows how to run.
    pub fn has_command(&self, module: &[u8]) -> bool {
        self.of(INSTALL, module).next().is_some()
    }

    /// Its options, as the kernel takes them.
    pub fn options(&self, module: &[u8]) -> Vec<u8> {
        let options: Vec<&[u8]> = self.of(OPTIONS, module).collect();
        options.join(&b' ')
    }

    /// What is loaded before it and after it, if it can be.
    pub fn around(&self, module: &[u8]) -> [Vec<&[u8]>; 2] {
        let mut around = [Vec::new(), Vec::new()];
        for rest in self.of(SOFTDEP, module) {
            let [before, after] = &mut around;
            let mut list = None;
            for word in words(rest) {
                match (word, &mut list) {
                    (b"pre:", _) => list = Some(&mut *before),
                    (b"post:", _) => list = Some(&mut *after),
                    (word, Some(list)) if list.len() < MODULES_MAX => list.push(word),
                    _ => {}
                }
            }
        }
        around
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

    fn set(names: &[&str]) -> Vec<Vec<u8>> {
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
        assert_eq!(
            files(FILES, b"ext4").unwrap(),
            [
                &b"kernel/fs/jbd2/jbd2.ko.xz"[..],
                b"kernel/lib/crc16.ko.xz",
                b"kernel/fs/ext4/ext4.ko.xz"
            ]
        );
        assert_eq!(
            files(FILES, b"snd_pcm").unwrap(),
            [b"kernel/net/snd-pcm.ko"]
        );
        assert_eq!(files(FILES, b"other"), None);
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
            settings.around(b"ext4"),
            [
                alloc::vec![&b"crc32c"[..], b"crypto-x"],
                alloc::vec![&b"late"[..]]
            ]
        );
        assert_eq!(settings.aliases_of(b"eth0").next(), Some(&b"e1000e"[..]));
    }
}
