//! The rules of /etc/mdev.conf.
//!
//! Each line is one rule, with blanks between its fields:
//!
//! ```text
//! [-][VAR=ERE;]...WHICH  USER[:GROUP]  MODE  [=PATH | >PATH | !]  [@|$|*COMMAND]
//! ```
//!
//! WHICH is an extended regular expression for the whole device name,
//! `@MAJOR,MINOR[-MINOR]`, or `$VAR=ERE` for the whole value of a variable of
//! the event. At the beginning of a field, `#` starts a comment. A backslash at the end of a
//! line joins the next line to it. This module keeps expressions and names as text;
//! [`crate::device`] compiles and looks them up.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::uevent::inside_dev;
use super::{decimal, octal_mode};

/// How many rules a file may have.
pub const RULES_MAX: usize = 4096;
/// The longest rule in bytes, with all lines that a backslash joins.
pub const RULE_BYTES_MAX: usize = 64 * 1024;
/// How many conditions a rule may have.
pub const CONDITIONS_MAX: usize = 16;
/// How many mistakes are reported. One more says that there were more.
pub const MISTAKES_MAX: usize = 16;

/// One rule, as in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The line where it begins, from 1.
    pub line: usize,
    /// `-`: later rules may match, too.
    pub go_on: bool,
    /// Conditions on variables of the event.
    pub conditions: Vec<Condition>,
    /// The devices that it is for.
    pub which: Which,
    /// The node's owner.
    pub user: Id,
    /// The node's group; `None`: the user's own, or the group of the same number.
    pub group: Option<Id>,
    /// The node's permissions.
    pub mode: u32,
    /// Where the node goes.
    pub place: Place,
    /// What to run.
    pub command: Option<Command>,
}

/// A variable of the event and an expression for its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The variable's name.
    pub variable: Vec<u8>,
    /// The expression.
    pub ere: Vec<u8>,
}

/// Which devices a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Devices whose whole name matches.
    Name(Vec<u8>),
    /// Devices with this major number, and a minor number in the range, ends included.
    Number {
        /// Major number.
        major: u32,
        /// Lowest and highest minor number.
        minors: (u32, u32),
    },
    /// Devices for which the whole value of a variable matches.
    Variable(Condition),
}

/// A user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// By number.
    Number(u32),
    /// By name, from /etc/passwd or /etc/group.
    Name(Vec<u8>),
}

/// Where the node goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To the name of the device.
    Own,
    /// `=PATH`: elsewhere.
    Moved(Vec<u8>),
    /// `>PATH`: elsewhere; the name of the device is a symbolic link to it.
    MovedAndLinked(Vec<u8>),
    /// `!`: nowhere; mdev does not touch the node.
    Nowhere,
}

/// A shell command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// On which events it runs.
    pub when: When,
    /// The text that `sh -c` gets.
    pub text: Vec<u8>,
}

/// On which events a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// `@`: when a device comes.
    Add,
    /// `$`: when a device goes.
    Remove,
    /// `*`: both, and when a device changes.
    Any,
}

/// A line that is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Adds a mistake, unless there are so many that this one is not reported.
pub(crate) fn note(mistakes: &mut Vec<Mistake>, line: usize, reason: String) {
    if mistakes.len() <= MISTAKES_MAX {
        mistakes.push(Mistake { line, reason });
    }
}

/// Reads the file. A bad line has no effect on other lines.
pub fn decode(text: &[u8]) -> (Vec<Rule>, Vec<Mistake>) {
    let mut rules = Vec::new();
    let mut mistakes = Vec::new();
    let mut lines = (1..).zip(text.split(|b| *b == b'\n'));
    while let Some((line, text)) = logical_line(&mut lines) {
        match text.and_then(|text| rule(line, &text)) {
            Ok(None) => {}
            Ok(Some(_)) if rules.len() >= RULES_MAX => {
                let reason = format!("more than {RULES_MAX} rules; the rest is left out");
                note(&mut mistakes, line, reason);
                break;
            }
            Ok(Some(rule)) => rules.push(rule),
            Err(reason) => note(&mut mistakes, line, reason),
        }
    }
    (rules, mistakes)
}

/// The next line, with its number, and with the lines that a backslash joins to it.
fn logical_line<'t>(
    lines: &mut impl Iterator<Item = (usize, &'t [u8])>,
) -> Option<(usize, Result<Vec<u8>, String>)> {
    let (number, mut line) = lines.next()?;
    let mut all = Vec::new();
    let mut is_long = false;
    loop {
        let joins = line.strip_suffix(b"\\");
        let part = joins.unwrap_or(line);
        is_long |= all.len().saturating_add(part.len()) > RULE_BYTES_MAX;
        if !is_long {
            all.extend_from_slice(part);
        }
        match joins.and_then(|_| lines.next()) {
            Some((_, next)) => line = next,
            None => break,
        }
    }
    let result = if is_long {
        Err(format!("a rule of more than {RULE_BYTES_MAX} bytes"))
    } else {
        Ok(all)
    };
    Some((number, result))
}

fn rule(line: usize, text: &[u8]) -> Result<Option<Rule>, String> {
    let (which, rest) = field(text);
    if which.is_empty() {
        return Ok(None);
    }
    let (owner, rest) = field(rest);
    let (mode, rest) = field(rest);
    if mode.is_empty() {
        return Err("a rule needs DEVICE USER[:GROUP] MODE".into());
    }
    let (go_on, which) = match which.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, which),
    };
    let (conditions, which) = conditions(which)?;
    let (user, group) = owners(owner)?;
    let (place, rest) = place(rest)?;
    Ok(Some(Rule {
        line,
        go_on,
        conditions,
        which: decode_which(which)?,
        user,
        group,
        mode: octal_mode(mode)
            .ok_or_else(|| format!("{}: not an octal mode", mode.escape_ascii()))?,
        place,
        command: command(rest)?,
    }))
}

/// The next field, and what follows it. The field is empty at the end and at a comment.
fn field(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    if text.starts_with(b"#") {
        return (b"", b"");
    }
    let end = text.iter().position(u8::is_ascii_whitespace);
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or_default()
}

/// Takes every `VAR=ERE;` from the front. A `$` begins WHICH. If there is no `=` before the
/// `;`, the text is an expression for the name.
fn conditions(mut text: &[u8]) -> Result<(Vec<Condition>, &[u8]), String> {
    let mut found = Vec::new();
    while !text.starts_with(b"$") {
        let Some(end) = text.iter().position(|b| *b == b';') else {
            break;
        };
        let (condition, rest) = text.split_at_checked(end).unwrap_or_default();
        let Some(condition) = decode_condition(condition) else {
            break;
        };
        if found.len() >= CONDITIONS_MAX {
            return Err(format!("more than {CONDITIONS_MAX} conditions"));
        }
        found.push(condition);
        text = rest.get(1..).unwrap_or_default();
    }
    Ok((found, text))
}

fn decode_condition(text: &[u8]) -> Option<Condition> {
    let equals = text.iter().position(|b| *b == b'=')?;
    let (variable, ere) = text.split_at_checked(equals)?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    (!variable.is_empty() && variable.iter().all(plain)).then(|| Condition {
        variable: Vec::from(variable),
        ere: Vec::from(ere.get(1..).unwrap_or_default()),
    })
}

fn decode_which(text: &[u8]) -> Result<Which, String> {
    match text {
        [] => Err("the rule names no device".into()),
        [b'@', numbers @ ..] => decode_numbers(numbers)
            .ok_or_else(|| format!("{}: not @MAJOR,MINOR[-MINOR]", text.escape_ascii())),
        [b'$', condition @ ..] => decode_condition(condition)
            .map(Which::Variable)
            .ok_or_else(|| format!("{}: not $VARIABLE=REGEX", text.escape_ascii())),
        name => Ok(Which::Name(Vec::from(name))),
    }
}

fn decode_numbers(text: &[u8]) -> Option<Which> {
    let (major, minors) = split_once(text, b',')?;
    let (first, last) = split_once(minors, b'-').unwrap_or((minors, minors));
    Some(Which::Number {
        major: decimal(major)?,
        minors: (decimal(first)?, decimal(last)?),
    })
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (left, right) = text.split_at_checked(text.iter().position(|b| *b == at)?)?;
    Some((left, right.get(1..)?))
}

fn owners(text: &[u8]) -> Result<(Id, Option<Id>), String> {
    let (user, group) = match split_once(text, b':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if user.is_empty() || group.is_some_and(|group| group.is_empty() || group.contains(&b':')) {
        return Err(format!("{}: not USER[:GROUP]", text.escape_ascii()));
    }
    let id = |text| decimal(text).map_or_else(|| Id::Name(Vec::from(text)), Id::Number);
    Ok((id(user), group.map(id)))
}

fn place(text: &[u8]) -> Result<(Place, &[u8]), String> {
    let (word, rest) = field(text);
    let place = match word {
        b"!" => Place::Nowhere,
        [b'=', path @ ..] => Place::Moved(decode_path(path)?),
        [b'>', path @ ..] => Place::MovedAndLinked(decode_path(path)?),
        _ => return Ok((Place::Own, text)),
    };
    Ok((place, rest))
}

/// A path inside /dev, in plain form. A final slash is kept, because it has a meaning.
fn decode_path(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut path = inside_dev(text)
        .ok_or_else(|| format!("{}: not a path inside /dev", text.escape_ascii()))?;
    if text.ends_with(b"/") {
        path.push(b'/');
    }
    Ok(path)
}

fn command(text: &[u8]) -> Result<Option<Command>, String> {
    let text = text.trim_ascii();
    let (when, text) = match text {
        [] | [b'#', ..] => return Ok(None),
        [b'@', text @ ..] => (When::Add, text),
        [b'$', text @ ..] => (When::Remove, text),
        [b'*', text @ ..] => (When::Any, text),
        _ => {
            return Err(format!(
                "{}: not =PATH, >PATH, ! or a command after @, $ or *",
                text.escape_ascii()
            ));
        }
    };
    let text = text.trim_ascii_start();
    if text.is_empty() || text.contains(&0) {
        return Err("the command is empty or holds a NUL".into());
    }
    Ok(Some(Command {
        when,
        text: Vec::from(text),
    }))
}

#[cfg(test)]
mod tests;
