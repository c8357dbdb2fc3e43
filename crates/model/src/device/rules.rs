//! Rules made ready: names of users and groups looked up, expressions compiled.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Access;
use super::length::{ERE_BYTES_MAX, ERES_BYTES_MAX, written_out};
use crate::format::account::User;
use crate::format::mdev_conf::{Condition, Id, Mistake, Place, Rule, When, Which, note};
use crate::format::uevent::{Number, Uevent};

/// How many groups `%0` to `%9` can name; `%0` is the whole match.
pub const GROUPS: usize = 10;

/// How much of an expression a message shows.
const ERE_BYTES_TOLD: usize = 64;

/// What each group of an expression matched; `None` if it is not there or took
/// no part.
pub type Groups<'t> = [Option<&'t [u8]>; GROUPS];

/// An extended regular expression, ready to use.
pub trait Ere: Sized {
    /// Reads one; the error says what is wrong with it.
    fn compile(ere: &[u8], extent: Extent) -> Result<Self, String>;
    /// Matches `text`; `None` if it does not match.
    fn groups<'t>(&self, text: &'t [u8]) -> Option<Groups<'t>>;
}

/// How much of the text an expression must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it: names and `$VAR=`.
    Whole,
    /// Any part of it: conditions `VAR=...;`.
    Part,
}

/// The rules with names and expressions resolved.
pub struct Rules<E> {
    pub(super) rules: Vec<Resolved<E>>,
}

pub(super) struct Resolved<E> {
    pub(super) go_on: bool,
    conditions: Vec<(Vec<u8>, E)>,
    which: Matcher<E>,
    pub(super) access: Access,
    pub(super) place: Place,
    pub(super) command: Option<(When, Vec<u8>)>,
}

enum Matcher<E> {
    Name(E),
    Number { major: u32, minors: (u32, u32) },
    Variable(Vec<u8>, E),
}

/// Finds the number of a user or group by name.
pub struct Names<'a> {
    /// Users, with the groups of their own.
    pub user: &'a dyn Fn(&[u8]) -> Option<User>,
    /// Groups.
    pub group: &'a dyn Fn(&[u8]) -> Option<u32>,
}

impl<E: Ere> Rules<E> {
    /// Resolves what [`crate::format::mdev_conf::decode`] read; a rule that cannot be is left out.
    pub fn resolve(rules: Vec<Rule>, names: &Names) -> (Self, Vec<Mistake>) {
        let mut resolved = Vec::new();
        let mut mistakes = Vec::new();
        let mut left = ERES_BYTES_MAX;
        for rule in rules {
            let line = rule.line;
            match bounded(&rule, &mut left).and_then(|()| resolve(rule, names)) {
                Ok(rule) => resolved.push(rule),
                Err(reason) => note(&mut mistakes, line, reason),
            }
        }
        (Self { rules: resolved }, mistakes)
    }

    /// Whether any rule looks at an event's variables or hands them to a command;
    /// if not, name and number are enough to plan with.
    pub fn use_variables(&self) -> bool {
        self.rules.iter().any(|rule| {
            let looks = matches!(rule.which, Matcher::Variable(..));
            looks || !rule.conditions.is_empty() || rule.command.is_some()
        })
    }
}

fn resolve<E: Ere>(rule: Rule, names: &Names) -> Result<Resolved<E>, String> {
    let condition = |c: Condition, extent| Ok((c.variable, compile(&c.ere, extent)?));
    let conditions = rule.conditions.into_iter();
    let conditions: Result<_, String> = conditions.map(|c| condition(c, Extent::Part)).collect();
    let which = match rule.which {
        Which::Name(ere) => Matcher::Name(compile(&ere, Extent::Whole)?),
        Which::Number { major, minors } => Matcher::Number { major, minors },
        Which::Variable(c) => {
            let (variable, ere) = condition(c, Extent::Whole)?;
            Matcher::Variable(variable, ere)
        }
    };
    let (user, own_group) = match rule.user {
        Id::Number(number) => (number, number),
        Id::Name(name) => {
            let user = known(&name, "user", names.user)?;
            (user.uid, user.gid)
        }
    };
    let group = match rule.group {
        None => own_group,
        Some(Id::Number(number)) => number,
        Some(Id::Name(name)) => known(&name, "group", names.group)?,
    };
    Ok(Resolved {
        go_on: rule.go_on,
        conditions: conditions?,
        which,
        access: Access {
            user,
            group,
            mode: rule.mode,
        },
        place: rule.place,
        command: rule.command.map(|c| (c.when, c.text)),
    })
}

/// Takes the rule's expressions from what is `left` for those of the file.
fn bounded(rule: &Rule, left: &mut usize) -> Result<(), String> {
    let of_device = match &rule.which {
        Which::Name(ere) => Some(ere),
        Which::Variable(condition) => Some(&condition.ere),
        Which::Number { .. } => None,
    };
    let conditions = rule.conditions.iter().map(|c| &c.ere);
    for ere in of_device.into_iter().chain(conditions) {
        let bytes = written_out(ere);
        if bytes > ERE_BYTES_MAX {
            let what = format!("longer than {ERE_BYTES_MAX} bytes, repetitions written out");
            return Err(about(ere, &what));
        }
        *left = left.checked_sub(bytes).ok_or_else(|| {
            let what = "the file's expressions are longer than";
            about(
                ere,
                &format!("{what} {ERES_BYTES_MAX} bytes, repetitions written out"),
            )
        })?;
    }
    Ok(())
}

fn compile<E: Ere>(ere: &[u8], extent: Extent) -> Result<E, String> {
    E::compile(ere, extent).map_err(|e| about(ere, &e))
}

/// What is wrong with an expression. Of a long one the beginning is enough to find it.
fn about(ere: &[u8], what: &str) -> String {
    match ere.get(..ERE_BYTES_TOLD) {
        Some(start) if start.len() < ere.len() => format!("{}...: {what}", start.escape_ascii()),
        _ => format!("{}: {what}", ere.escape_ascii()),
    }
}

fn known<T>(name: &[u8], what: &str, find: &dyn Fn(&[u8]) -> Option<T>) -> Result<T, String> {
    find(name).ok_or_else(|| format!("{}: no such {what}", name.escape_ascii()))
}

impl<E: Ere> Resolved<E> {
    /// The groups of the match, if the rule is for this device.
    pub(super) fn groups<'t>(
        &self,
        event: &'t Uevent,
        name: &'t [u8],
        number: Option<Number>,
    ) -> Option<Groups<'t>> {
        let holds = |(variable, ere): &(Vec<u8>, E)| {
            let value = event.get(variable);
            value.is_some_and(|value| ere.groups(value).is_some())
        };
        match &self.which {
            Matcher::Number { major, minors } => {
                let number = number?;
                let (first, last) = *minors;
                let inside = number.major == *major && (first..=last).contains(&number.minor);
                inside.then_some([Some(&b""[..]); GROUPS])
            }
            Matcher::Name(ere) => ere.groups(name),
            Matcher::Variable(variable, ere) => ere.groups(event.get(variable)?),
        }
        .filter(|_| self.conditions.iter().all(holds))
    }
}
