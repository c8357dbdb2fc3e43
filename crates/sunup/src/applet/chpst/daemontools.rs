//! The tools of daemontools, with their own command lines: chpst does their work.

use model::chpst::{self, Account};
use model::options::{Opt, Order, Parsed, Spec};
use rustix::process::Resource;

use super::state::{Lock, State, Who};
use super::{Applet, Call, chpst_resources, finish, limits, usage_error};
use crate::personality;

/// envdir DIR PROG
pub const ENVDIR: Applet = Applet {
    spec: &ENVDIR_SPEC,
    run: |call| {
        with_first(&ENVDIR_SPEC, call, |dir| State {
            variables_dir: Some(dir),
            ..State::default()
        })
    },
};

const ENVDIR_SPEC: Spec = Spec {
    name: "envdir",
    synopsis: "DIR PROG [ARGUMENT...]",
    about: "run a program with variables from the files of a directory",
    ..PLAIN
};

/// envuidgid ACCOUNT PROG
pub const ENVUIDGID: Applet = Applet {
    spec: &ENVUIDGID_SPEC,
    run: |call| {
        with_first(&ENVUIDGID_SPEC, call, |user| State {
            shown_account: Some(user_alone(user)),
            ..State::default()
        })
    },
};

const ENVUIDGID_SPEC: Spec = Spec {
    name: "envuidgid",
    synopsis: "ACCOUNT PROG [ARGUMENT...]",
    about: "run a program with UID and GID set to an account's numbers",
    ..PLAIN
};

/// setuidgid ACCOUNT PROG
pub const SETUIDGID: Applet = Applet {
    spec: &SETUIDGID_SPEC,
    run: |call| {
        with_first(&SETUIDGID_SPEC, call, |user| State {
            account: Some(user_alone(user)),
            ..State::default()
        })
    },
};

const SETUIDGID_SPEC: Spec = Spec {
    name: "setuidgid",
    synopsis: "ACCOUNT PROG [ARGUMENT...]",
    about: "run a program as another user",
    ..PLAIN
};

/// pgrphack PROG
pub const PGRPHACK: Applet = Applet {
    spec: &PGRPHACK_SPEC,
    run: |call| {
        let state = State {
            new_session: true,
            ..State::default()
        };
        finish(&PGRPHACK_SPEC, Ok(state), &call.args.operands)
    },
};

const PGRPHACK_SPEC: Spec = Spec {
    name: "pgrphack",
    synopsis: "PROG [ARGUMENT...]",
    about: "run a program in a session and process group of its own",
    ..PLAIN
};

/// setlock [-nNxX] FILE PROG
pub const SETLOCK: Applet = Applet {
    spec: &SETLOCK_SPEC,
    run: |call| {
        with_first(&SETLOCK_SPEC, call, |file| State {
            lock: Some(Lock {
                path: file,
                wait: last_of(call.args, *b"nN") != Some(b'n'),
                silent: last_of(call.args, *b"xX") == Some(b'x'),
            }),
            ..State::default()
        })
    },
};

const SETLOCK_SPEC: Spec = Spec {
    name: "setlock",
    synopsis: "[-nNxX] FILE PROG [ARGUMENT...]",
    about: "run a program while a file is locked",
    options: &[
        Opt::flag(b'n', "do not wait for the lock"),
        Opt::flag(b'N', "wait for the lock (default)"),
        Opt::flag(b'x', "if another process has it, exit 0 and print nothing"),
        Opt::flag(
            b'X',
            "if another process has it, report that and exit 111 (default)",
        ),
    ],
    ..PLAIN
};

/// softlimit [LIMITS] PROG
pub const SOFTLIMIT: Applet = Applet {
    spec: &SOFTLIMIT_SPEC,
    run: |call| {
        let state = limits(call.args, softlimit_resources).map(|limits| State {
            limits,
            ..State::default()
        });
        finish(&SOFTLIMIT_SPEC, state, &call.args.operands)
    },
};

const SOFTLIMIT_SPEC: Spec = Spec {
    name: "softlimit",
    synopsis: "[-a|-c|-d|-f|-l|-m|-o|-p|-r|-s|-t N]... PROG [ARGUMENT...]",
    about: "run a program with soft limits",
    options: &[
        Opt::valued(b'a', "BYTES", "limit the total of all segments"),
        Opt::valued(b'c', "BYTES", "limit core files"),
        Opt::valued(b'd', "BYTES", "limit the data segment"),
        Opt::valued(b'f', "BYTES", "limit the size of files"),
        Opt::valued(b'l', "BYTES", "limit locked memory"),
        Opt::valued(b'm', "BYTES", "limit memory: -d, -s, -l and -a at once"),
        Opt::valued(b'o', "N", "limit open files"),
        Opt::valued(b'p', "N", "limit processes of the user"),
        Opt::valued(b'r', "BYTES", "limit resident memory"),
        Opt::valued(b's', "BYTES", "limit the stack"),
        Opt::valued(b't', "SEC", "limit CPU time"),
    ],
    notes: "A limit of = is the hard limit.",
    ..PLAIN
};

/// What an option of softlimit limits. The same letters are options of busybox's chpst.
pub fn softlimit_resources(letter: u8) -> &'static [Resource] {
    match letter {
        b'a' => &[Resource::As],
        b'l' => &[Resource::Memlock],
        b's' => &[Resource::Stack],
        other => chpst_resources(other),
    }
}

/// What all of these tools have in common.
const PLAIN: Spec = Spec {
    name: "",
    synopsis: "",
    about: "",
    options: &[],
    order: Order::Posix,
    notes: "",
    usage_code: 100,
};

/// In these tools colons are a part of the name; in busybox the name is read as by chpst.
fn user_alone(user: &[u8]) -> Who<'_> {
    if personality::is_busybox() {
        return chpst::account(user);
    }
    Ok(Account::Named {
        user,
        groups: Vec::new(),
    })
}

/// Sets the state that the first operand asks for; the rest is the program.
fn with_first<'a>(spec: &Spec, call: &'a Call, state: impl FnOnce(&'a [u8]) -> State<'a>) -> u8 {
    match call.args.operands.split_first() {
        Some((first, program)) => finish(spec, Ok(state(first)), program),
        None => usage_error(spec, "operands are missing"),
    }
}

/// The one of two options that came last.
fn last_of(args: &Parsed, letters: [u8; 2]) -> Option<u8> {
    let given = args.options.iter().rev().map(|(letter, _)| *letter);
    given.into_iter().find(|letter| letters.contains(letter))
}
