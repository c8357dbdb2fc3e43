//! /etc/sysctl.conf and the files of sysctl.d (sysctl.d(5)): settings of the kernel.
//!
//! A line is `KEY = VALUE`. A dash before the key: a failure is no news. `-KEY` alone: no
//! pattern sets this key. `#` and `;` begin comments.

use alloc::string::String;
use alloc::vec::Vec;

use super::Mistake;
use super::lines::each;

/// No more lines of a file are taken.
pub const SETTINGS_MAX: usize = 4096;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its number, from 1.
    pub line: usize,
    /// The file below /proc/sys; parts of it may be patterns.
    pub path: Vec<u8>,
    /// What is written there. `None`: patterns leave this file alone.
    pub value: Option<Vec<u8>>,
    /// Whether a failure is no news.
    pub may_fail: bool,
}

/// Reads a file.
pub fn decode(text: &[u8]) -> (Vec<Setting>, Vec<Mistake>) {
    each(text, SETTINGS_MAX, setting)
}

fn setting(line: &[u8], number: usize) -> Result<Setting, String> {
    let (may_fail, rest) = match line.strip_prefix(b"-") {
        Some(rest) => (true, rest.trim_ascii_start()),
        None => (false, line),
    };
    let equals = rest.iter().position(|b| *b == b'=');
    let (key, value) = match equals.and_then(|at| rest.split_at_checked(at)) {
        Some((key, value)) => (key, value.get(1..).map(|value| value.trim_ascii().to_vec())),
        None if may_fail => (rest, None),
        None => return Err("not KEY = VALUE".into()),
    };
    let path = path(key.trim_ascii());
    let mut parts = path.split(|b| *b == b'/');
    if parts.any(|part| part.is_empty() || part == b"." || part == b"..") || path.contains(&0) {
        return Err("not the name of a setting".into());
    }
    Ok(Setting {
        line: number,
        path,
        value,
        may_fail,
    })
}

/// Either character may part the key; the first one of them in it does, and then the other
/// stands for it: `net.ipv4.conf.eth0/1.forwarding`, `net/ipv4/conf/eth0.1/forwarding`.
fn path(key: &[u8]) -> Vec<u8> {
    let dots = key.iter().find(|b| b"./".contains(b)) == Some(&b'.');
    let swap = |byte: &u8| match byte {
        b'.' if dots => b'/',
        b'/' if dots => b'.',
        byte => *byte,
    };
    key.iter().map(swap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::lines::MISTAKES_MAX;

    fn shown(text: &[u8]) -> Vec<(usize, String, Option<String>, bool)> {
        let (settings, mistakes) = decode(text);
        assert_eq!(mistakes, []);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let shown = settings.into_iter();
        shown
            .map(|s| (s.line, text(s.path), s.value.map(text), s.may_fail))
            .collect()
    }

    /// As Debian, Void and systemd write it.
    #[test]
    fn files_of_distributions() {
        let text = b"# comment\n;kernel.domainname = example.com\n\n\
            kernel.printk = 3 4 1 3\n\
            net.ipv4.conf.*.rp_filter = 2\n\
            -net.ipv4.conf.all.rp_filter\n\
            -net.ipv4.ping_group_range = 0 2147483647\n\
            net/ipv4/conf/eth0.1/forwarding=1\n\
            net.ipv4.conf.eth0/1.forwarding=1\n\
            kernel.core_pattern=|/bin/x %p=%e\n\
            vm.overcommit_memory=\n";
        let value = |text: &str| Some(text.into());
        assert_eq!(
            shown(text),
            [
                (4, "kernel/printk".into(), value("3 4 1 3"), false),
                (5, "net/ipv4/conf/*/rp_filter".into(), value("2"), false),
                (6, "net/ipv4/conf/all/rp_filter".into(), None, true),
                (
                    7,
                    "net/ipv4/ping_group_range".into(),
                    value("0 2147483647"),
                    true
                ),
                (
                    8,
                    "net/ipv4/conf/eth0.1/forwarding".into(),
                    value("1"),
                    false
                ),
                (
                    9,
                    "net/ipv4/conf/eth0.1/forwarding".into(),
                    value("1"),
                    false
                ),
                (
                    10,
                    "kernel/core_pattern".into(),
                    value("|/bin/x %p=%e"),
                    false
                ),
                (11, "vm/overcommit_memory".into(), value(""), false),
            ]
        );
    }

    #[test]
    fn what_is_no_setting_is_told() {
        let (settings, mistakes) = decode(b"kernel.x\n../../etc/x = 1\n= 1\na//b=1\nok=1\n");
        let lines: Vec<usize> = mistakes.iter().map(|m| m.line).collect();
        assert_eq!((lines, settings.len()), (alloc::vec![1, 2, 3, 4], 1));
        let (settings, mistakes) = decode(&b"x\n".repeat(100));
        assert_eq!((settings.len(), mistakes.len()), (0, MISTAKES_MAX));
    }
}
