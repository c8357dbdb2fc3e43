//! The kernel's device events.
//!
//! An event is an action (`add`, `remove`, `change`, ...) on a device, with variables
//! `KEY=VALUE`. It has three forms: a netlink datagram (`ACTION@DEVPATH`, NUL, and then
//! variables, each with a NUL after it); the environment of a hotplug helper; and, without
//! action and path, the lines of the file `uevent` of a device in sysfs. Sources:
//! lib/kobject_uevent.c of Linux, and Documentation/core-api/kobject.rst.

use alloc::vec::Vec;

use super::decimal;

/// How many variables an event may have: the kernel's own limit (UEVENT_NUM_ENVP).
pub const VARIABLES_MAX: usize = 64;

/// The longest datagram in bytes: a path, and the kernel's 2 KiB of variables.
pub const DATAGRAM_BYTES_MAX: usize = 2048 + 4096 + 64;

/// One event. Names are not empty, hold no `=`, and occur once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uevent {
    vars: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What happened to the device, as far as it matters to rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It came.
    Add,
    /// It went.
    Remove,
    /// Its state changed.
    Change,
    /// Anything else: `move`, `bind`, `online`, ...
    Other,
}

/// The kind of the device's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// Major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The number of the driver.
    pub major: u32,
    /// The number of the device within the driver.
    pub minor: u32,
}

impl Number {
    /// Reads `MAJOR:MINOR`, as in the names in /sys/dev and in the files `dev`.
    pub fn decode(text: &[u8]) -> Option<Self> {
        let colon = text.iter().position(|b| *b == b':')?;
        let (major, minor) = text.split_at_checked(colon)?;
        Some(Self {
            major: decimal(major)?,
            minor: decimal(minor.get(1..)?)?,
        })
    }
}

/// Why a datagram is no event of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not begin with `ACTION@DEVPATH`.
    Header,
    /// It has more than [`VARIABLES_MAX`] variables.
    TooMany,
}

impl Uevent {
    /// Reads a netlink datagram. The header gives ACTION and DEVPATH, which the variables
    /// repeat. What is no variable is ignored.
    pub fn decode_datagram(datagram: &[u8]) -> Result<Self, Malformed> {
        let mut parts = datagram.split(|b| *b == 0);
        let header = parts.next().unwrap_or_default();
        let at = header.iter().position(|b| *b == b'@');
        let (action, path) = at
            .and_then(|at| header.split_at_checked(at))
            .ok_or(Malformed::Header)?;
        let path = path.get(1..).unwrap_or_default();
        if action.is_empty() || !path.starts_with(b"/") {
            return Err(Malformed::Header);
        }
        let mut event = Self::default();
        event.set(b"ACTION", action);
        event.set(b"DEVPATH", path);
        event.read(parts)?;
        Ok(event)
    }

    /// Reads the lines of a file `uevent`. More than [`VARIABLES_MAX`] are left out.
    pub fn decode_lines(text: &[u8]) -> Self {
        let mut event = Self::default();
        let _too_many = event.read(text.split(|b| *b == b'\n'));
        event
    }

    /// Reads an environment. It may be larger than an event.
    pub fn from_environment<'a>(vars: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut event = Self::default();
        for (name, value) in vars {
            event.set(name, value);
        }
        event
    }

    /// The datagram that the kernel would send.
    pub fn encode_datagram(&self) -> Vec<u8> {
        let mut out = Vec::from(self.get(b"ACTION").unwrap_or_default());
        out.push(b'@');
        out.extend_from_slice(self.get(b"DEVPATH").unwrap_or_default());
        out.push(0);
        for (name, value) in &self.vars {
            out.extend_from_slice(name);
            out.push(b'=');
            out.extend_from_slice(value);
            out.push(0);
        }
        out
    }

    fn read<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> Result<(), Malformed> {
        for part in parts {
            let Some(equals) = part.iter().position(|b| *b == b'=') else {
                continue;
            };
            let (name, value) = part.split_at_checked(equals).unwrap_or_default();
            let value = value.get(1..).unwrap_or_default();
            if self.vars.len() >= VARIABLES_MAX && self.get(name).is_none() {
                return Err(Malformed::TooMany);
            }
            self.set(name, value);
        }
        Ok(())
    }

    /// Sets a variable. The value replaces an earlier one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        if name.is_empty() {
            return;
        }
        match self.vars.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = Vec::from(value),
            None => self.vars.push((Vec::from(name), Vec::from(value))),
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.vars.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// All variables, in order.
    pub fn variables(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.vars
    }

    /// What happened.
    pub fn action(&self) -> Action {
        match self.get(b"ACTION") {
            Some(b"add") => Action::Add,
            Some(b"remove") => Action::Remove,
            Some(b"change") => Action::Change,
            _ => Action::Other,
        }
    }

    /// The number of the device, if it has one. Only then it may have a node.
    pub fn number(&self) -> Option<Number> {
        Some(Number {
            major: decimal(self.get(b"MAJOR")?)?,
            minor: decimal(self.get(b"MINOR")?)?,
        })
    }

    /// The kind of the device's node. Only the subsystem `block` has block devices.
    pub fn kind(&self) -> Kind {
        let path = self.get(b"DEVPATH").unwrap_or_default();
        let block = self.get(b"SUBSYSTEM") == Some(b"block")
            || path.windows(7).any(|part| part == b"/block/");
        if block { Kind::Block } else { Kind::Char }
    }

    /// The name of the device, which may hold directories (`input/event0`): DEVNAME, or the
    /// last part of DEVPATH, where sysfs writes `!` for `/`. `None`: the name would lead out
    /// of /dev.
    pub fn name(&self) -> Option<Vec<u8>> {
        if let Some(name) = self.get(b"DEVNAME") {
            return inside_dev(name);
        }
        let last = self.get(b"DEVPATH")?.rsplit(|b| *b == b'/').next()?;
        let slashes = last.iter().map(|b| if *b == b'!' { b'/' } else { *b });
        inside_dev(&slashes.collect::<Vec<u8>>())
    }
}

/// A path relative to /dev in its plainest form: without a leading `/dev/`, without empty
/// parts and `.`. `None`: nothing is left, or the path would lead out of /dev.
pub fn inside_dev(path: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let path = path.strip_prefix(b"/dev/").unwrap_or(path);
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return None,
            part if part.contains(&0) => return None,
            part => {
                if !plain.is_empty() {
                    plain.push(b'/');
                }
                plain.extend_from_slice(part);
            }
        }
    }
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    /// As a kernel sent it for a loop device.
    const LOOP: &[u8] = b"add@/devices/virtual/block/loop0\0ACTION=add\0\
        DEVPATH=/devices/virtual/block/loop0\0SUBSYSTEM=block\0MAJOR=7\0MINOR=0\0\
        DEVNAME=loop0\0DEVTYPE=disk\0SEQNUM=1210\0";

    #[test]
    fn a_datagram_reads_and_writes_back() {
        let event = Uevent::decode_datagram(LOOP).unwrap();
        assert_eq!(event.action(), Action::Add);
        assert_eq!(event.number(), Some(Number { major: 7, minor: 0 }));
        assert_eq!(event.kind(), Kind::Block);
        assert_eq!(event.name().unwrap(), b"loop0");
        assert_eq!(event.get(b"SEQNUM"), Some(&b"1210"[..]));
        assert_eq!(event.encode_datagram(), LOOP);
    }

    #[test]
    fn a_sysfs_file_has_lines() {
        let event = Uevent::decode_lines(b"MAJOR=13\nMINOR=64\nDEVNAME=input/event0\nA=b=c\n");
        assert_eq!(event.name().unwrap(), b"input/event0");
        assert_eq!(event.kind(), Kind::Char);
        assert_eq!(event.get(b"A"), Some(&b"b=c"[..]));
        assert_eq!(event.action(), Action::Other);
    }

    #[test]
    fn what_is_no_kernel_event_is_refused() {
        for bad in [
            &b""[..],
            b"libudev\0\xfe\xed\xca\xfe",
            b"@/devices/x\0",
            b"add@\0ACTION=add\0",
            b"add@devices\0",
        ] {
            assert_eq!(Uevent::decode_datagram(bad), Err(Malformed::Header));
        }
        let mut many = vec![];
        many.extend_from_slice(b"add@/x\0");
        for i in 0..VARIABLES_MAX - 2 {
            many.extend_from_slice(format!("V{i}=\0").as_bytes());
        }
        assert!(Uevent::decode_datagram(&many).is_ok());
        many.extend_from_slice(b"ONE=more\0");
        assert_eq!(Uevent::decode_datagram(&many), Err(Malformed::TooMany));
    }

    #[test]
    fn without_devname_the_path_names_the_device() {
        let name = |path: &[u8]| {
            let mut event = Uevent::default();
            event.set(b"DEVPATH", path);
            event.name()
        };
        assert_eq!(name(b"/devices/virtual/net/lo").unwrap(), b"lo");
        assert_eq!(
            name(b"/devices/pci0/cciss!c0d0").unwrap(),
            b"cciss/c0d0".as_slice()
        );
        assert_eq!(name(b"/devices/.."), None);
        assert_eq!(name(b"/"), None);
        assert_eq!(Uevent::default().name(), None);
    }

    #[test]
    fn a_name_stays_inside_dev() {
        assert_eq!(inside_dev(b"/dev/sda").unwrap(), b"sda");
        assert_eq!(inside_dev(b"./a//b/").unwrap(), b"a/b");
        assert_eq!(inside_dev(b"..a/b..").unwrap(), b"..a/b..");
        for outside in [&b"a/../b"[..], b"..", b"", b"/", b"/dev/", b"a\0b"] {
            assert_eq!(inside_dev(outside), None);
        }
    }

    #[test]
    fn a_number_is_two_decimals() {
        assert_eq!(
            Number::decode(b"254:17"),
            Some(Number {
                major: 254,
                minor: 17
            })
        );
        for bad in [&b"254"[..], b":1", b"1:", b"1:2:3", b"a:1", b"1:2\n"] {
            assert_eq!(Number::decode(bad), None);
        }
    }
}
