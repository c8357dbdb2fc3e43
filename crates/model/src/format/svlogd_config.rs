//! The file `config` of a log directory (svlogd(8), CONFIG).
//!
//! Each line is one setting: a letter, and directly after it the value. Empty lines and
//! lines that begin with `#` are ignored. A line that cannot be understood has no effect,
//! and is reported with its number. (runit reports nothing, and takes the digits that it
//! finds, or 0.)

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::select::{Effect, Selection};

/// The settings of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `s`: the size in bytes at which `current` is rotated; 0: never.
    pub size_max: u64,
    /// `n`: how many old logs are kept; 0: all.
    pub keep_max: u64,
    /// `N`: how many old logs are kept even on a full file system; `None`: all.
    pub keep_min: Option<u64>,
    /// `t`: the age in seconds at which `current` is rotated; 0: never.
    pub age_max_s: u64,
    /// `!`: the shell command that processes each rotated log.
    pub processor: Option<Vec<u8>>,
    /// `+ - e E`: which lines go where.
    pub selection: Selection,
    /// `p`: the prefix of each line.
    pub prefix: Vec<u8>,
    /// `u` or `U`: where lines are also sent.
    pub remote: Option<SocketAddr>,
    /// `U`: lines are only sent, and not written to the log.
    pub remote_only: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            size_max: 1_000_000,
            keep_max: 10,
            keep_min: None,
            age_max_s: 0,
            processor: None,
            selection: Selection::default(),
            prefix: Vec::new(),
            remote: None,
            remote_only: false,
        }
    }
}

/// A line that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// How many mistakes are reported. One more says that there were more.
pub const MISTAKES_MAX: usize = 16;

/// The port of syslog, for addresses without a port.
const SYSLOG_PORT: u16 = 514;

impl Config {
    /// Reads a config. Returns also the mistakes; all other lines count.
    pub fn decode(text: &[u8]) -> (Self, Vec<Mistake>) {
        let mut config = Self::default();
        let mut mistakes = Vec::new();
        for (i, line) in text.split(|b| *b == b'\n').enumerate() {
            if let Err(reason) = config.apply(line) {
                let reason = match mistakes.len() {
                    n if n < MISTAKES_MAX => reason,
                    MISTAKES_MAX => {
                        "a mistake, as in further lines, which are not listed".to_string()
                    }
                    _ => continue,
                };
                mistakes.push(Mistake {
                    line: i + 1,
                    reason,
                });
            }
        }
        (config, mistakes)
    }

    /// Whether lines go to the log as they are.
    pub fn is_plain(&self) -> bool {
        self.selection.is_empty() && self.prefix.is_empty() && self.remote.is_none()
    }

    fn apply(&mut self, line: &[u8]) -> Result<(), String> {
        let Some((letter, value)) = line.split_first() else {
            return Ok(());
        };
        match letter {
            b'#' => {}
            b's' => self.size_max = number(value, &[(b'k', 1024), (b'm', 1024 * 1024)])?,
            b'n' => self.keep_max = number(value, &[])?,
            b'N' => self.keep_min = Some(number(value, &[])?),
            b't' => self.age_max_s = number(value, &[(b'm', 60), (b'h', 3600)])?,
            b'!' if value.contains(&0) => return Err("a NUL byte in a command".to_string()),
            b'!' => self.processor = (!value.is_empty()).then(|| value.to_vec()),
            b'+' => self.selection.push(Effect::Log(true), value),
            b'-' => self.selection.push(Effect::Log(false), value),
            b'e' => self.selection.push(Effect::Alert(true), value),
            b'E' => self.selection.push(Effect::Alert(false), value),
            b'p' => self.prefix = value.to_vec(),
            b'u' | b'U' => {
                self.remote = Some(address(value)?);
                self.remote_only = *letter == b'U';
            }
            _ if line.trim_ascii().is_empty() => {}
            _ => {
                return Err(alloc::format!(
                    "unknown setting {}; known are s n N t ! + - e E p u U",
                    letter.escape_ascii()
                ));
            }
        }
        Ok(())
    }
}

/// A number, perhaps with one of the suffixes. Blanks after it are ignored.
fn number(value: &[u8], suffixes: &[(u8, u64)]) -> Result<u64, String> {
    let text = value.trim_ascii_end();
    let suffix = suffixes.iter().find(|(s, _)| text.last() == Some(s));
    let (digits, unit) = match suffix {
        Some((_, unit)) => (text.get(..text.len() - 1).unwrap_or_default(), *unit),
        None => (text, 1),
    };
    let number = || {
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let n: u64 = core::str::from_utf8(digits).ok()?.parse().ok()?;
        n.checked_mul(unit)
    };
    number().ok_or_else(|| alloc::format!("not a number: {}", text.escape_ascii()))
}

/// `A.B.C.D`, `A.B.C.D:PORT`, an IPv6 address, or `[IPV6]:PORT`.
fn address(value: &[u8]) -> Result<SocketAddr, String> {
    let text = core::str::from_utf8(value.trim_ascii_end()).unwrap_or_default();
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, SYSLOG_PORT));
    }
    text.parse().map_err(|_| {
        let shown = value.escape_ascii().to_string();
        alloc::format!("not an IP address, or IP:PORT or [IPV6]:PORT: {shown}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Config {
        let (config, mistakes) = Config::decode(text.as_bytes());
        assert_eq!(mistakes, [], "{text}");
        config
    }

    fn reason(text: &str) -> String {
        let (config, mistakes) = Config::decode(text.as_bytes());
        assert_eq!(config, Config::default());
        let [mistake] = &mistakes[..] else {
            panic!("{mistakes:?}")
        };
        assert_eq!(mistake.line, 1);
        mistake.reason.clone()
    }

    #[test]
    fn nothing_means_the_defaults() {
        let config = good("");
        assert_eq!((config.size_max, config.keep_max), (1_000_000, 10));
        assert_eq!((config.keep_min, config.age_max_s), (None, 0));
        assert!(config.is_plain());
        assert_eq!(good("# s5\n\n#\n   \n\r\n"), Config::default());
    }

    #[test]
    fn every_letter() {
        let config =
            good("s5000\nn3\nN1\nt60\n!gzip -9\n-*\n+ok *\ne*err*\nEx*\npweb: \nu127.0.0.1:5140");
        assert_eq!((config.size_max, config.keep_max), (5000, 3));
        assert_eq!((config.keep_min, config.age_max_s), (Some(1), 60));
        assert_eq!(config.processor.as_deref(), Some(&b"gzip -9"[..]));
        assert_eq!(config.prefix, b"web: ");
        assert_eq!(config.remote, "127.0.0.1:5140".parse().ok());
        assert!(!config.remote_only && !config.is_plain());
        assert!(config.selection.judge(b"ok 1").log);
        assert!(!config.selection.judge(b"no").log);
        assert!(config.selection.judge(b"an err").alert);
    }

    #[test]
    fn units_and_trailing_blanks() {
        assert_eq!(good("s1k").size_max, 1024);
        assert_eq!(good("s2m\r\n").size_max, 2 * 1024 * 1024);
        assert_eq!(good("s100 ").size_max, 100);
        assert_eq!(good("t5m").age_max_s, 300);
        assert_eq!(good("t2h").age_max_s, 7200);
    }

    #[test]
    fn addresses() {
        let remote = |text: &str| good(text).remote.map(|a| a.to_string());
        assert_eq!(remote("u10.0.0.1").as_deref(), Some("10.0.0.1:514"));
        assert_eq!(remote("U10.0.0.1:9").as_deref(), Some("10.0.0.1:9"));
        assert_eq!(remote("u::1").as_deref(), Some("[::1]:514"));
        assert_eq!(remote("u[fe80::1]").as_deref(), Some("[fe80::1]:514"));
        assert_eq!(remote("u[::1]:5140").as_deref(), Some("[::1]:5140"));
        assert!(good("U::1").remote_only);
        for bad in ["u", "uhost", "u1.2.3", "u1.2.3.4:x", "u1.2.3.4:99999"] {
            assert!(reason(bad).starts_with("not an IP address"), "{bad}");
        }
    }

    #[test]
    fn mistakes_leave_the_rest() {
        for bad in [
            "s",
            "sx",
            "s1x",
            "n-3",
            "n+3",
            "t1d",
            "s99999999999999999999",
            "s99999999999999m",
        ] {
            assert!(reason(bad).starts_with("not a number: "), "{bad}");
        }
        assert!(reason("x1").starts_with("unknown setting x"));
        let (config, mistakes) = Config::decode(b"n5\nfoo\ns700\nN\xff\n");
        assert_eq!((config.keep_max, config.size_max), (5, 700));
        let lines: Vec<usize> = mistakes.iter().map(|m| m.line).collect();
        assert_eq!(lines, [2, 4]);
    }

    #[test]
    fn any_bytes_are_understood_or_reported() {
        let mut seed = 1_u64;
        for _ in 0..2000 {
            let text: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    b"snNt!+-eEpuU#0123456789kmh.:[]*\n\n\n\r \xff\0"[(seed >> 33) as usize % 38]
                })
                .collect();
            let lines = text.split(|b| *b == b'\n').count();
            let (_, mistakes) = Config::decode(&text);
            assert!(
                mistakes
                    .iter()
                    .all(|m| (1..=lines).contains(&m.line) && !m.reason.is_empty())
            );
        }
    }

    /// An empty `!` removes the processor. Patterns may be empty.
    #[test]
    fn empty_values() {
        assert_eq!(good("!cat\n!").processor, None);
        assert!(!good("-").selection.judge(b"").log);
    }
}
