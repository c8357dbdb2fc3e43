//! /etc/modules and the files of modules-load.d (modules-load.d(5)): modules of the kernel that
//! are loaded at boot. A line is a name; in /etc/modules, settings of the module may follow.

use alloc::string::String;
use alloc::vec::Vec;

use super::Mistake;
use super::lines::each;

/// No more lines of a file are taken.
pub const MODULES_MAX: usize = 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its number, from 1.
    pub line: usize,
    /// The name of the module, or another name of it.
    pub name: Vec<u8>,
    /// Its settings, as the kernel takes them.
    pub settings: Vec<u8>,
}

/// Reads a file.
pub fn decode(text: &[u8]) -> (Vec<Wanted>, Vec<Mistake>) {
    each(text, MODULES_MAX, |line, number| {
        let end = line.iter().position(u8::is_ascii_whitespace);
        let (name, settings) = line
            .split_at_checked(end.unwrap_or(line.len()))
            .unwrap_or_default();
        if name.contains(&b'/') || line.contains(&0) {
            return Err(String::from("not the name of a module"));
        }
        Ok(Wanted {
            line: number,
            name: name.to_vec(),
            settings: settings.trim_ascii().to_vec(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_distributions() {
        let text = b"# /etc/modules: kernel modules to load at boot time.\n\nloop\n\
            ; systemd's comment\n  snd-pcm \nlp io=0x378 irq=7\n/lib/x.ko\n";
        let (wanted, mistakes) = decode(text);
        let shown: Vec<(usize, &[u8], &[u8])> = wanted
            .iter()
            .map(|w| (w.line, &w.name[..], &w.settings[..]))
            .collect();
        assert_eq!(
            shown,
            [
                (3, &b"loop"[..], &b""[..]),
                (5, b"snd-pcm", b""),
                (6, b"lp", b"io=0x378 irq=7"),
            ]
        );
        assert_eq!(mistakes.len(), 1);
        assert_eq!(mistakes[0].line, 7);
    }
}
