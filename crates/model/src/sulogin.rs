//! Whom sulogin lets in, by /etc/passwd and /etc/shadow (passwd(5), shadow(5), crypt(5)).
//!
//! The password is the second field of root's line in passwd; if that is `x` or `*`, it is that
//! of root's line in shadow, as in busybox. Three things may follow:
//!
//! - A shell without a question: root has no password, or the files cannot tell one, because
//!   they are missing, unreadable or without a line for root. Only root can bring a machine to
//!   that, or a broken disk, and then nobody could repair it otherwise.
//! - The question: there is a hash of a kind that can be checked.
//! - A refusal: the owner has locked root's password, or it is of a kind that cannot be checked
//!   here, or the files cannot be read only at the moment (no memory, no descriptors), which an
//!   ordinary user can bring about.

use core::fmt::{self, Display};

use crate::format::decimal;

/// The two files.
pub const PASSWD: &str = "/etc/passwd";
/// See [`PASSWD`].
pub const SHADOW: &str = "/etc/shadow";

/// The longest hash that is believed: crypt(5) has none beyond 384 bytes.
const HASH_BYTES_MAX: usize = 384;
/// What root's shell and home are if nothing names them.
const HOME: &[u8] = b"/";

/// A file that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable<'a> {
    /// The reason in words.
    pub reason: &'a str,
    /// Whether it may be readable in a moment: the kernel lacks something.
    pub passing: bool,
}

/// The content of a file.
pub type Content<'a> = Result<&'a [u8], Unreadable<'a>>;

/// Root, as far as the files tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root<'a> {
    /// The working directory of its shell.
    pub home: &'a [u8],
    /// Its shell; empty if none is named.
    pub shell: &'a [u8],
    /// What is to be done.
    pub verdict: Verdict<'a>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// A shell, without a password.
    Open(Why<'a>),
    /// A shell for who knows the password of this hash.
    Ask(Kind, &'a str),
    /// No shell.
    Closed(Why<'a>),
}

/// A kind of hash that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `$y$`
    Yescrypt,
    /// `$5$` and `$6$`
    ShaCrypt,
}

/// Why there is no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// Root has no password.
    NoPassword,
    /// The file cannot be read.
    Unreadable(&'static str, &'a str),
    /// The file has no line for root.
    NoRoot(&'static str),
    /// The password is locked.
    Locked,
    /// The hash is of another kind, or broken.
    Unknown,
}

impl Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPassword => f.write_str("root has no password"),
            Self::Unreadable(file, reason) => write!(f, "{file}: {reason}"),
            Self::NoRoot(file) => write!(f, "{file}: no line for root"),
            Self::Locked => f.write_str("root's password is locked"),
            Self::Unknown => f.write_str("root's password cannot be checked by this sulogin"),
        }
    }
}

/// What the files say.
pub fn root<'a>(passwd: Content<'a>, shadow: Content<'a>) -> Root<'a> {
    let nobody = |verdict| Root {
        home: HOME,
        shell: b"",
        verdict,
    };
    let mut fields = match passwd {
        Err(unreadable) => return nobody(unreadable.verdict(PASSWD)),
        Ok(text) => match line_of_root(text) {
            None => return nobody(Verdict::Open(Why::NoRoot(PASSWD))),
            Some(fields) => fields,
        },
    };
    let password = fields.next().unwrap_or_default();
    let (home, shell) = (fields.nth(3), fields.next());
    Root {
        home: home.filter(|home| !home.is_empty()).unwrap_or(HOME),
        shell: shell.unwrap_or_default(),
        verdict: match password {
            b"x" | b"*" => by_shadow(password, shadow),
            hash => by_hash(hash),
        },
    }
}

/// Without shadow, `x` is a password that nobody knows any more, and `*` is a lock.
fn by_shadow<'a>(password: &[u8], shadow: Content<'a>) -> Verdict<'a> {
    let hash = shadow.map(|text| line_of_root(text).and_then(|mut fields| fields.next()));
    match hash {
        Ok(Some(hash)) => by_hash(hash),
        _ if password == b"*" => Verdict::Closed(Why::Locked),
        Ok(None) => Verdict::Open(Why::NoRoot(SHADOW)),
        Err(unreadable) => unreadable.verdict(SHADOW),
    }
}

impl<'a> Unreadable<'a> {
    fn verdict(self, file: &'static str) -> Verdict<'a> {
        let why = Why::Unreadable(file, self.reason);
        if self.passing {
            Verdict::Closed(why)
        } else {
            Verdict::Open(why)
        }
    }
}

fn by_hash(hash: &[u8]) -> Verdict<'_> {
    if let [b'!' | b'*', ..] = hash {
        return Verdict::Closed(Why::Locked);
    }
    if hash.is_empty() {
        return Verdict::Open(Why::NoPassword);
    }
    let text = core::str::from_utf8(hash)
        .ok()
        .filter(|text| text.len() <= HASH_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()));
    let kind = match hash {
        [b'$', b'y', b'$', ..] => Some(Kind::Yescrypt),
        [b'$', b'5' | b'6', b'$', ..] => Some(Kind::ShaCrypt),
        _ => None,
    };
    match (kind, text) {
        (Some(kind), Some(text)) => Verdict::Ask(kind, text),
        _ => Verdict::Closed(Why::Unknown),
    }
}

/// The fields of root's first line, from the second on.
fn line_of_root(text: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let rest = |line: &'_ [u8]| line.strip_prefix(b"root:").map(<[u8]>::len);
    text.split(|b| *b == b'\n').find_map(|line| {
        let len = rest(line)?;
        let fields = line.get(line.len() - len..)?;
        Some(fields.split(|b| *b == b':'))
    })
}

/// The seconds of `-t`; 0 is no limit.
pub fn seconds(text: &[u8]) -> Option<u64> {
    decimal(text).map(u64::from)
}

/// A way on for who gets no shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Whatever comes without the shell.
    On,
    /// The end of the machine, by the program of this name.
    Down(&'static str),
    /// What was typed means nothing.
    Unknown,
}

/// What a typed line chooses.
pub fn way(line: &[u8]) -> Way {
    match line.trim_ascii() {
        b"" => Way::On,
        b"poweroff" => Way::Down("poweroff"),
        b"reboot" => Way::Down("reboot"),
        b"halt" => Way::Down("halt"),
        _ => Way::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Content = Err(Unreadable {
        reason: "No such file or directory",
        passing: false,
    });
    const BUSY: Content = Err(Unreadable {
        reason: "Too many open files in system",
        passing: true,
    });

    fn verdict<'a>(passwd: &'a str, shadow: Content<'a>) -> Verdict<'a> {
        root(Ok(passwd.as_bytes()), shadow).verdict
    }

    #[test]
    fn a_hash_is_asked_for_wherever_it_is() {
        let yes = "$y$j9T$salt$hash";
        let sha = "$6$rounds=5000$salt$hash";
        let shadow = |hash: &str| alloc::format!("bin:*:1::::::\nroot:{hash}:19000:0:99999:7:::\n");
        let (with_yes, with_sha) = (shadow(yes), shadow(sha));
        for x in ["x", "*"] {
            let passwd = alloc::format!("root:{x}:0:0:root:/root:/bin/sh\n");
            assert_eq!(
                verdict(&passwd, Ok(with_yes.as_bytes())),
                Verdict::Ask(Kind::Yescrypt, yes)
            );
        }
        assert_eq!(
            verdict("root:x:0:0", Ok(with_sha.as_bytes())),
            Verdict::Ask(Kind::ShaCrypt, sha)
        );
        assert_eq!(
            verdict("root:$5$s$h:0:0::/:/bin/sh", Ok(with_sha.as_bytes())),
            Verdict::Ask(Kind::ShaCrypt, "$5$s$h")
        );
    }

    #[test]
    fn home_and_shell_are_those_of_the_first_line() {
        let root = root(
            Ok(b"toor:x:0:0::/t:/t\nroot::0:0:a b:/root:/bin/ash\nroot:!:0:0::/2:/2\n"),
            NONE,
        );
        assert_eq!((root.home, root.shell), (&b"/root"[..], &b"/bin/ash"[..]));
        assert_eq!(root.verdict, Verdict::Open(Why::NoPassword));
        let short = super::root(Ok(b"root:"), NONE);
        assert_eq!((short.home, short.shell), (&b"/"[..], &b""[..]));
        assert_eq!(short.verdict, Verdict::Open(Why::NoPassword));
    }

    #[test]
    fn what_is_broken_lets_in_and_says_why() {
        let gone = Why::Unreadable(PASSWD, "No such file or directory");
        assert_eq!(root(NONE, NONE).verdict, Verdict::Open(gone));
        for garbage in ["", "\0\u{1}", "roots:x:0:0", "x:root:", "\nroot"] {
            assert_eq!(
                verdict(garbage, NONE),
                Verdict::Open(Why::NoRoot(PASSWD)),
                "{garbage:?}"
            );
        }
        let x = "root:x:0:0:root:/root:/bin/sh";
        let gone = Why::Unreadable(SHADOW, "No such file or directory");
        assert_eq!(verdict(x, NONE), Verdict::Open(gone));
        assert_eq!(
            verdict(x, Ok(b"garbage")),
            Verdict::Open(Why::NoRoot(SHADOW))
        );
    }

    #[test]
    fn what_is_locked_unknown_or_lacking_for_a_moment_lets_nobody_in() {
        for lock in ["!", "!!", "!$6$s$h", "*LK*"] {
            let passwd = alloc::format!("root:{lock}:0:0::/:/bin/sh");
            assert_eq!(
                verdict(&passwd, NONE),
                Verdict::Closed(Why::Locked),
                "{lock}"
            );
        }
        // The lock of passwd counts where shadow does not say otherwise.
        for shadow in [NONE, BUSY, Ok(&b""[..]), Ok(b"root:*:")] {
            assert_eq!(
                verdict("root:*:0:0", shadow),
                Verdict::Closed(Why::Locked),
                "{shadow:?}"
            );
        }
        let long = alloc::format!("$6$s${}", "h".repeat(400));
        for other in [
            "$1$s$h",
            "$2b$05$x",
            "abJnggxhB/yWI",
            "$6$s$\u{e9}",
            "$y$j 9",
            "X",
            &long,
        ] {
            let passwd = alloc::format!("root:{other}:0:0::/:/bin/sh");
            assert_eq!(
                verdict(&passwd, NONE),
                Verdict::Closed(Why::Unknown),
                "{other}"
            );
        }
        assert!(matches!(
            verdict("root:x:0:0", BUSY),
            Verdict::Closed(Why::Unreadable(SHADOW, _))
        ));
        assert!(matches!(root(BUSY, BUSY).verdict, Verdict::Closed(_)));
    }

    #[test]
    fn a_typed_line_is_a_way_on() {
        assert_eq!(way(b"\n"), Way::On);
        assert_eq!(way(b" poweroff \n"), Way::Down("poweroff"));
        assert_eq!(way(b"reboot"), Way::Down("reboot"));
        assert_eq!(way(b"halt\r\n"), Way::Down("halt"));
        assert_eq!(way(b"help"), Way::Unknown);
    }
}
