//! busybox's /etc/inittab.
//!
//! Each line is one entry, `TTY:IGNORED:ACTION:COMMAND`. Further colons belong to the
//! command. Blank lines are ignored, and so are lines that begin with `#`, also after
//! blanks. In the command, a `#` begins a comment where the shell would see one: at the
//! beginning of a word, outside of quotes. So `a#b`, `$#`, `\#` and `'a # b'` belong to the
//! command (busybox ends the command at any `#`). TTY is a name below /dev (a leading
//! `/dev/` is removed), or empty for the console. If an entry has the tty and the command of
//! an earlier entry, the earlier one is removed.
//!
//! A line that cannot be read is a [`Mistake`]; the other lines count all the same.

use alloc::vec::Vec;
use core::fmt::{self, Display};

use crate::guess::nearest;

/// The longest line, in bytes, without its newline.
pub const LINE_BYTES_MAX: usize = 4096;
/// How many entries a file may have.
pub const ENTRIES_MAX: usize = 256;
/// How many mistakes are reported. One more says that there were more.
pub const MISTAKES_MAX: usize = 16;

/// When a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// First at boot, one after another.
    Sysinit,
    /// After sysinit, one after another.
    Wait,
    /// After wait, all at the same time; init does not wait for them.
    Once,
    /// Started again whenever it ends.
    Respawn,
    /// As respawn, but each time somebody must press Enter first.
    Askfirst,
    /// When Ctrl-Alt-Del is pressed.
    Ctrlaltdel,
    /// When the machine goes down, one after another.
    Shutdown,
    /// What PID 1 becomes when it gets QUIT.
    Restart,
}

/// Names and actions: one table for both directions.
const ACTIONS: [(&str, Action); 8] = [
    ("sysinit", Action::Sysinit),
    ("wait", Action::Wait),
    ("once", Action::Once),
    ("respawn", Action::Respawn),
    ("askfirst", Action::Askfirst),
    ("ctrlaltdel", Action::Ctrlaltdel),
    ("shutdown", Action::Shutdown),
    ("restart", Action::Restart),
];

impl Action {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        ACTIONS
            .iter()
            .find(|(_, a)| *a == self)
            .map_or("", |(name, _)| name)
    }

    /// The action of that name in the file.
    pub fn of_name(name: &str) -> Option<Self> {
        let found = ACTIONS.iter().find(|(known, _)| *known == name);
        found.map(|(_, action)| *action)
    }

    /// Whether the command is started again when it ends.
    pub fn respawns(self) -> bool {
        matches!(self, Self::Respawn | Self::Askfirst)
    }
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Name of the terminal below /dev; empty for the console.
    pub tty: Vec<u8>,
    /// When it runs.
    pub action: Action,
    /// What runs, as in the file.
    pub command: Vec<u8>,
}

impl Entry {
    /// An entry on the console.
    pub fn on_console(action: Action, command: &[u8]) -> Self {
        Self {
            tty: Vec::new(),
            action,
            command: command.to_vec(),
        }
    }

    /// Whether this is the same entry: the same command on the same terminal. The action may
    /// differ.
    pub fn is_same(&self, other: &Self) -> bool {
        self.tty == other.tty && self.command == other.command
    }
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Fewer than four fields.
    Short,
    /// The third field is no action.
    Action(Vec<u8>),
    /// The fourth field is empty.
    NoCommand,
    /// It holds a NUL byte, which arguments and paths cannot hold.
    Nul,
    /// Longer than [`LINE_BYTES_MAX`].
    Long,
    /// More than [`ENTRIES_MAX`] entries. This line and the rest are left out.
    TooMany,
    /// More than [`MISTAKES_MAX`] mistakes. The rest is not reported.
    More,
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("not TTY:IGNORED:ACTION:COMMAND"),
            Self::Action(word) => {
                write!(f, "unknown action '{}'", word.escape_ascii())?;
                let mut names = ACTIONS.iter().map(|(name, _)| *name);
                if let Some(name) = nearest(word, names.clone()) {
                    return write!(f, ", did you mean {name}?");
                }
                f.write_str("; the actions are ")?;
                f.write_str(names.next().unwrap_or_default())?;
                names.try_for_each(|name| write!(f, ", {name}"))
            }
            Self::NoCommand => f.write_str("no command"),
            Self::Nul => f.write_str("a NUL byte"),
            Self::Long => write!(f, "longer than {LINE_BYTES_MAX} bytes"),
            Self::TooMany => write!(f, "more than {ENTRIES_MAX} entries; left out from here on"),
            Self::More => f.write_str("more mistakes follow, which are not listed"),
        }
    }
}

/// Reads a file: its entries in order, and its mistakes.
pub fn decode(bytes: &[u8]) -> (Vec<Entry>, Vec<Mistake>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|b| *b == b'\n')) {
        match decode_line(line) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                entries.retain(|e| !e.is_same(&entry));
                if entries.len() >= ENTRIES_MAX {
                    note(&mut mistakes, number, Reason::TooMany);
                    break;
                }
                entries.push(entry);
            }
            Err(reason) => note(&mut mistakes, number, reason),
        }
    }
    (entries, mistakes)
}

fn note(mistakes: &mut Vec<Mistake>, line: usize, reason: Reason) {
    let reason = match mistakes.len() {
        n if n < MISTAKES_MAX => reason,
        MISTAKES_MAX => Reason::More,
        _ => return,
    };
    mistakes.push(Mistake { line, reason });
}

fn decode_line(line: &[u8]) -> Result<Option<Entry>, Reason> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Reason::Long);
    }
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    if line.contains(&0) {
        return Err(Reason::Nul);
    }
    let mut fields = line.splitn(4, |b| *b == b':');
    let (Some(tty), Some(_), Some(action), Some(command)) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(Reason::Short);
    };
    let command = before_comment(command).trim_ascii();
    let known = ACTIONS.iter().find(|(name, _)| name.as_bytes() == action);
    let Some((_, action)) = known else {
        return Err(Reason::Action(action.to_vec()));
    };
    if command.is_empty() {
        return Err(Reason::NoCommand);
    }
    let mut tty = tty;
    while let Some(rest) = tty.strip_prefix(b"/dev/") {
        tty = rest;
    }
    Ok(Some(Entry {
        tty: tty.to_vec(),
        action: *action,
        command: command.to_vec(),
    }))
}

/// The part of a command before its comment.
fn before_comment(command: &[u8]) -> &[u8] {
    let mut quote = None;
    let mut in_word = false;
    let mut bytes = command.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (quote, *byte) {
            (None, b'#') if !in_word => return command.get(..at).unwrap_or_default(),
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == byte => quote = None,
            // A backslash quotes the next byte, except between single quotes.
            (None | Some(b'"'), b'\\') => drop(bytes.next()),
            _ => {}
        }
        in_word = quote.is_some() || !byte.is_ascii_whitespace();
    }
    command
}

/// Writes a file from which [`decode`] reads the same entries.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut text = Vec::new();
    for e in entries {
        // The beginning of the line must not look like a comment or an indent.
        if e.tty.starts_with(b"#") || e.tty.trim_ascii_start() != e.tty {
            text.extend_from_slice(b"/dev/");
        }
        text.extend_from_slice(&e.tty);
        text.extend_from_slice(b"::");
        text.extend_from_slice(e.action.name().as_bytes());
        text.push(b':');
        text.extend_from_slice(&e.command);
        text.push(b'\n');
    }
    text
}

/// What asks for root's password, if root has one, and is root's shell then. A PID 1 executes
/// its own program for it.
pub const SULOGIN: &[u8] = b"sulogin -p";

/// What runs without a usable inittab: a boot script, and shells for root. `is_own`: the mounts
/// belong to this machine. If they do not, the last two entries are left out. A container
/// shares the superblocks of its mounts with its host: `umount -r` would make them read-only
/// for both. And swap is always the host's.
pub fn defaults(is_own: bool) -> Vec<Entry> {
    let on = |tty: &[u8]| Entry {
        tty: tty.to_vec(),
        ..Entry::on_console(Action::Askfirst, SULOGIN)
    };
    let mut entries = alloc::vec![
        Entry::on_console(Action::Sysinit, b"/etc/init.d/rcS"),
        on(b""),
        on(b"tty2"),
        on(b"tty3"),
        on(b"tty4"),
        Entry::on_console(Action::Ctrlaltdel, b"reboot"),
        Entry::on_console(Action::Restart, b"init"),
        Entry::on_console(Action::Shutdown, b"umount -a -r"),
        Entry::on_console(Action::Shutdown, b"swapoff -a"),
    ];
    entries.retain(|entry| is_own || entry.action != Action::Shutdown);
    entries
}

/// What runs first if the kernel command line says `single`: root's shell on the console. When
/// it ends, the boot goes on with the other entries.
pub fn single_user(others: Vec<Entry>) -> Vec<Entry> {
    let mut all = alloc::vec![Entry::on_console(Action::Sysinit, SULOGIN)];
    all.extend(others);
    all
}

/// How a command is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Path or name of the program.
    pub program: Vec<u8>,
    /// Its arguments. The `argv[0]` of a login shell begins with a dash.
    pub argv: Vec<Vec<u8>>,
    /// Whether the command began with a dash. Then it is a login shell, and gets its terminal
    /// as the controlling terminal.
    pub login: bool,
}

/// Splits a command at blanks. If it holds a character that means something to the shell,
/// gives it to the shell instead.
pub fn exec(command: &[u8]) -> Exec {
    const SHELL: &[u8] = b"~`!$^&*()=|\\{}[];\"'<>?";
    let (login, plain) = match command.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, command),
    };
    if plain.iter().any(|b| SHELL.contains(b)) {
        let argv0: &[u8] = if login { b"-/bin/sh" } else { b"/bin/sh" };
        let script = [&b"exec "[..], plain].concat();
        return Exec {
            program: b"/bin/sh".to_vec(),
            argv: alloc::vec![argv0.to_vec(), b"-c".to_vec(), script],
            login,
        };
    }
    let words = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(u8::is_ascii_whitespace)
            .filter(|w| !w.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let argv = words(command);
    let program = words(plain).into_iter().next().unwrap_or_default();
    Exec {
        program,
        argv,
        login,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn entry(tty: &str, action: Action, command: &str) -> Entry {
        Entry {
            tty: tty.into(),
            action,
            command: command.into(),
        }
    }

    #[test]
    fn a_usual_file() {
        let (entries, mistakes) = decode(
            b"# boot\n::sysinit:/etc/init.d/rcS\n\n  # login\n\
              ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100\n\
              /dev/tty1::askfirst:-/bin/sh\n\
              ::once:echo a:b#c # d\r\n\
              id:3:ctrlaltdel: /sbin/reboot",
        );
        assert_eq!(mistakes, vec![]);
        assert_eq!(
            entries,
            vec![
                entry("", Action::Sysinit, "/etc/init.d/rcS"),
                entry(
                    "ttyS0",
                    Action::Respawn,
                    "/sbin/getty -L ttyS0 115200 vt100"
                ),
                entry("tty1", Action::Askfirst, "-/bin/sh"),
                entry("", Action::Once, "echo a:b#c"),
                entry("id", Action::Ctrlaltdel, "/sbin/reboot"),
            ]
        );
    }

    #[test]
    fn a_comment_begins_where_a_word_could_begin() {
        for (written, command) in [
            // A line of Buildroot's. busybox runs the same.
            (
                "/sbin/getty -L  console 0 vt100 # GENERIC_SERIAL",
                "/sbin/getty -L  console 0 vt100",
            ),
            (
                "/bin/mount -o remount,rw /\t# REMOUNT_ROOTFS_RW",
                "/bin/mount -o remount,rw /",
            ),
            ("-/bin/sh #a shell", "-/bin/sh"),
            ("a #b # c", "a"),
            ("a#b", "a#b"),
            ("a b#", "a b#"),
            ("echo $#", "echo $#"),
            ("echo ${#x}", "echo ${#x}"),
            ("echo \\# x", "echo \\# x"),
            ("echo \\ # x", "echo \\ # x"),
            ("echo 'a # b' # c", "echo 'a # b'"),
            ("echo \"a # b\" # c", "echo \"a # b\""),
            ("echo \"a \\\" # b\" # c", "echo \"a \\\" # b\""),
            ("echo 'a \\' # b", "echo 'a \\'"),
            ("echo \"it's\" # b", "echo \"it's\""),
            ("echo ''#a", "echo ''#a"),
            ("echo it\\'s # it's", "echo it\\'s"),
            ("echo 'never # closed", "echo 'never # closed"),
        ] {
            let text = alloc::format!("::once:{written}\n");
            let (entries, _) = decode(text.as_bytes());
            assert_eq!(entries, vec![entry("", Action::Once, command)], "{written}");
            assert_eq!(decode(&encode(&entries)).0, entries, "{written}");
        }
        for nothing in ["::once:# a", "::once:#a", "::once: # a"] {
            let (entries, mistakes) = decode(nothing.as_bytes());
            assert_eq!(entries, vec![], "{nothing}");
            assert_eq!(mistakes.first().unwrap().reason, Reason::NoCommand);
        }
    }

    #[test]
    fn mistakes_are_named_and_the_rest_goes_on() {
        let mut text = b"nonsense\n::sysinit\n::frob:x\n::once:\n::once:a\0b\n".to_vec();
        text.extend_from_slice(&[b'x'; LINE_BYTES_MAX + 1]);
        text.extend_from_slice(b"\n::once:good\n");
        let (entries, mistakes) = decode(&text);
        assert_eq!(entries, vec![entry("", Action::Once, "good")]);
        let told: Vec<_> = mistakes
            .iter()
            .map(|m| (m.line, m.reason.to_string()))
            .collect();
        let expect = [
            (1, "not TTY:IGNORED:ACTION:COMMAND"),
            (2, "not TTY:IGNORED:ACTION:COMMAND"),
            (
                3,
                "unknown action 'frob'; the actions are sysinit, wait, once, respawn, \
                 askfirst, ctrlaltdel, shutdown, restart",
            ),
            (4, "no command"),
            (5, "a NUL byte"),
            (6, "longer than 4096 bytes"),
        ];
        assert_eq!(told, expect.map(|(n, s)| (n, s.to_string())));
    }

    #[test]
    fn the_action_that_was_meant_is_guessed() {
        let (_, mistakes) = decode(b"::respwan:x\n");
        let reason = mistakes.first().map(|m| m.reason.to_string());
        let expect = "unknown action 'respwan', did you mean respawn?";
        assert_eq!(reason.as_deref(), Some(expect));
    }

    #[test]
    fn the_same_command_on_the_same_tty_moves_to_its_last_place() {
        let (entries, _) = decode(b"::once:a\n::once:b\n::wait:a\ntty1::wait:a\n");
        assert_eq!(
            entries,
            vec![
                entry("", Action::Once, "b"),
                entry("", Action::Wait, "a"),
                entry("tty1", Action::Wait, "a"),
            ]
        );
    }

    #[test]
    fn what_exceeds_a_bound_is_told_once() {
        let mut text = Vec::new();
        for i in 0..ENTRIES_MAX + 2 {
            text.extend_from_slice(alloc::format!("::once:c{i}\n").as_bytes());
        }
        let (entries, mistakes) = decode(&text);
        assert_eq!(entries.len(), ENTRIES_MAX);
        assert_eq!(
            mistakes,
            vec![Mistake {
                line: ENTRIES_MAX + 1,
                reason: Reason::TooMany
            }]
        );
        let (_, mistakes) = decode(&b"bad\n".repeat(1000));
        assert_eq!(mistakes.len(), MISTAKES_MAX + 1);
        assert_eq!(mistakes.last().unwrap().reason, Reason::More);
    }

    #[test]
    fn encode_and_decode_round_trip() {
        let all: Vec<Entry> = ACTIONS
            .iter()
            .map(|(name, action)| entry("tty1", *action, name))
            .chain(defaults(true))
            .collect();
        assert_eq!(decode(&encode(&all)), (all, vec![]));
    }

    #[test]
    fn commands_are_split_or_handed_to_the_shell() {
        let words = |list: &[&str]| list.iter().map(|w| w.as_bytes().to_vec()).collect();
        let cases: [(&str, &str, &[&str], bool); 5] = [
            ("/bin/a  b\tc", "/bin/a", &["/bin/a", "b", "c"], false),
            ("-/bin/sh", "/bin/sh", &["-/bin/sh"], true),
            ("-sh -l", "sh", &["-sh", "-l"], true),
            ("a >b", "/bin/sh", &["/bin/sh", "-c", "exec a >b"], false),
            ("-a $b", "/bin/sh", &["-/bin/sh", "-c", "exec a $b"], true),
        ];
        for (command, program, argv, login) in cases {
            let argv: Vec<Vec<u8>> = words(argv);
            let program = program.as_bytes().to_vec();
            assert_eq!(
                exec(command.as_bytes()),
                Exec {
                    program,
                    argv,
                    login
                },
                "{command}"
            );
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 1_u64;
        for _ in 0..2000 {
            let mut text = Vec::new();
            for _ in 0..200 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push(b":#\n\0 a-;once"[(seed >> 33) as usize % 13 % 12]);
            }
            let (entries, _) = decode(&text);
            assert_eq!(decode(&encode(&entries)).0, entries);
            for e in entries {
                exec(&e.command);
            }
        }
    }
}
