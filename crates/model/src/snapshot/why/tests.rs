//! Each row of what is said.

use super::*;
use crate::control::text::Own;
use crate::format::crash_loop::CrashLoop;
use crate::format::state::ready::{Ready, Source};
use crate::format::state::reason::Reason;
use crate::format::status::{Phase, Status};
use crate::kind::Kind;
use crate::time::Instant;
use alloc::boxed::Box;

const NOW: i64 = 10_000;

/// As in the tests of [`Snapshot`]: phase, pid, flags; so many seconds ago.
fn seen(phase: u8, pid: u32, flags: &str, ago: i64) -> Snapshot {
    Snapshot {
        name: b"web".to_vec(),
        dir: b"/s/web".to_vec(),
        enabled: true,
        supervised: Some(true),
        normally_up: Some(true),
        status: Some(Status {
            changed: Tai64n::from_unix(NOW - ago, 0),
            pid,
            paused: flags.contains('p'),
            want_up: flags.contains('u'),
            got_term: flags.contains('t'),
            phase: match phase {
                b'd' => Phase::Down,
                b'r' => Phase::Run,
                _ => Phase::Finish,
            },
        }),
        ..Snapshot::default()
    }
}

fn case(seen: &Snapshot) -> Case<'_> {
    Case {
        seen,
        now: Moment {
            at: Instant(20_000_000_000),
            wall: Tai64n::from_unix(NOW, 0),
        },
        place: Place::Scanned,
        scan: b"/s".to_vec(),
        scanners: Vec::new(),
        fault: None,
        down_since: None,
        timeout_up_ms: None,
        chain: Vec::new(),
        root: None,
    }
}

/// The word, the text, and the command.
fn shown(case: &Case) -> String {
    let answer = case.answer();
    let command = answer.command.unwrap_or_default();
    format!("{} | {} | {command}", answer.why.word(), answer.text)
}

fn last(exit: Exit, outcome: Outcome, lived_ms: u64) -> Last {
    Last {
        exit,
        outcome,
        at: Tai64n::from_unix(NOW, 0),
        restarts: 3,
        pid: 7,
        lived_ms: Some(lived_ms),
        given_up: false,
    }
}

#[test]
fn where_it_is_not_supervised() {
    let mut gone = seen(b'd', 0, "u", 5);
    gone.supervised = Some(false);
    let mut case = case(&gone);
    for (place, expected) in [
        (
            Place::Nowhere,
            "not-enabled | there is no such service in /s, nor in the database | sv list -a",
        ),
        (
            Place::Database(b"/etc/sv/web".to_vec()),
            "not-enabled | it is not enabled: it is in /etc/sv/web, and not in /s | sv enable web",
        ),
        (
            Place::Dangling(b"../sv/web".to_vec()),
            "dangling | its link in /s leads to ../sv/web, which does not exist | ",
        ),
        (
            Place::NoDirectory,
            "not-enabled | /s/web is no directory, and so no service | ",
        ),
        (
            Place::NoScanDirectory("SVDIR is empty".into()),
            "not-enabled | SVDIR is empty | ",
        ),
        (
            Place::Scanned,
            "no-supervisor | nobody supervises it: no runsvdir runs that watches /s | runsvdir -P /s",
        ),
    ] {
        case.place = place;
        assert_eq!(shown(&case), expected);
    }
    case.scanners.push((1, b"/var/service".to_vec()));
    assert_eq!(
        shown(&case),
        "no-supervisor | nobody supervises it: runsvdir (pid 1) watches /var/service, and not /s | \
         SVDIR=/var/service sv list"
    );
    case.scanners.push((9, b"/s".to_vec()));
    assert_eq!(
        shown(&case),
        "no-supervisor | it has no supervisor, though runsvdir (pid 9) watches /s; a new service gets \
         one within 5 seconds, and runsvdir reports what fails | "
    );
    let hidden = Snapshot {
        supervised: None,
        status: None,
        trouble: Some("permission denied".into()),
        ..gone.clone()
    };
    assert_eq!(
        shown(&super::tests::case(&hidden)),
        "unknown | it cannot be seen by this user (permission denied); root can, and SUNUP_READERS \
         lets others | "
    );
}

#[test]
fn what_was_told_to_be_so() {
    let row = |seen: Snapshot| shown(&case(&seen));
    let paused = row(seen(b'r', 7, "up", 61));
    assert_eq!(paused, "paused | it is paused since 1m | sv cont web");
    let stopped = row(seen(b'd', 0, "", 7200));
    let expected = "stopped | it is down since 2h, because a command stopped it | sv start web";
    assert_eq!(stopped, expected);

    let mut down = seen(b'd', 0, "", 59);
    down.normally_up = Some(false);
    let mut of_down = case(&down);
    let expected = "down-file | it is down since 59s, and a file `down` says not to start it at \
                    boot; `sv enable web` removes that, too | sv start web";
    assert_eq!(shown(&of_down), expected);
    of_down.down_since = Some(Tai64n::from_unix(NOW - 200_000, 0));
    assert!(shown(&of_down).contains("a file `down` that is 2d old says"));

    let mut stopping = seen(b'r', 7, "t", 30);
    let expected = "stopping | it was told to stop and has not ended; it is up since 30s | \
                    sv force-stop web";
    assert_eq!(row(stopping.clone()), expected);
    stopping.own.reason = Some(Reason::Kill(Instant(31_500_000_000)));
    let expected = "stopping | it was told to stop and has not ended; it gets KILL in 12s | \
                    sv force-stop web";
    assert_eq!(row(stopping), expected);
    let mut waits = seen(b'r', 7, "", 30);
    waits.own.reason = Some(Reason::Stop("api".into()));
    let expected = "stopping | it is to stop, and waits until api has ended, which needs it | ";
    assert_eq!(row(waits), expected);
    let once = row(seen(b'r', 7, "", 30));
    assert_eq!(
        once,
        "runs | it runs since 30s; when it ends, it is not started again | "
    );
}

#[test]
fn what_it_waits_for() {
    let mut held = seen(b'd', 0, "u", 5);
    held.own.reason = Some(Reason::Held {
        by: Kind::Needs,
        name: "api".into(),
        why: "held".into(),
    });
    let mut case = case(&held);
    case.chain = ["api", "db"].map(String::from).to_vec();
    assert_eq!(
        shown(&case),
        "held | it waits for api, which waits for db: these wait for each other | \
         sv start --now web"
    );
    case.root = Some(Answer {
        why: Why::Stopped,
        text: "it is down since 2h, because a command stopped it".into(),
        command: Some("sv start db".into()),
    });
    assert_eq!(
        shown(&case),
        "held | it waits for api, which waits for db; about db: it is down since 2h, because a \
         command stopped it | sv start db"
    );
}

#[test]
fn how_it_ends() {
    let code = |code, ms| end(&last(Exit::Code(code), Outcome::Exit, ms));
    for (said, expected) in [
        (code(1, 1234), "ended with exit 1 after 1.2s"),
        (code(0, 60_000), "ended with exit 0 after 60.0s"),
        (
            code(0, 90),
            "ended with exit 0 at once: does it go to the background? run must stay in the foreground",
        ),
        (
            code(100, 0),
            "ended with exit 100 at once: a program was called in a wrong way",
        ),
        (
            code(111, 0),
            "ended with exit 111 at once: it could not be set up (chpst and its like exit so); \
             its output says why",
        ),
        (
            code(126, 0),
            "ended with exit 126 at once: a command in run is not executable",
        ),
        (
            code(127, 0),
            "ended with exit 127 at once: a command in run was not found",
        ),
        (
            code(137, 0),
            "ended with exit 137 at once: a command in run was killed by a signal (the code less 128)",
        ),
        (
            end(&last(Exit::Signal(9), Outcome::Signal, 5000)),
            "was killed by KILL after 5.0s: by somebody, or by the kernel because memory was short",
        ),
        (
            end(&last(Exit::Signal(11), Outcome::Signal, 5000)),
            "was killed by SEGV after 5.0s: a mistake in the program",
        ),
        (
            end(&last(Exit::Signal(15), Outcome::Signal, 5000)),
            "was killed by TERM after 5.0s",
        ),
        (
            end(&last(Exit::Unknown, Outcome::Unknown, 5000)),
            "ended in a way that nobody saw after 5.0s",
        ),
        (
            end(&last(Exit::Signal(15), Outcome::Timeout, 5000)),
            "was not ready in its time (timeout-up)",
        ),
        (
            end(&last(Exit::Code(3), Outcome::Setup, 100)),
            "its setup ended with exit 3 at once",
        ),
    ] {
        assert_eq!(said, expected);
    }
}

#[test]
fn what_ends_again_and_again() {
    let mut crashing = seen(b'd', 0, "u", 0);
    let row = |seen: &Snapshot| shown(&case(seen));
    let expected = "crash-loop | it has ended, and starts again in a moment | sv log web";
    assert_eq!(row(&crashing), expected);
    crashing.own.last = Some(last(Exit::Code(1), Outcome::Exit, 100));
    let expected =
        "crash-loop | it ends again and again; it ended with exit 1 at once | sv log web";
    assert_eq!(row(&crashing), expected);
    crashing.crash_loop = Some(CrashLoop {
        lives: 9,
        ended: (1, 0),
        next: Some(Instant(27_900_000_000)),
    });
    let expected = "crash-loop | it ends again and again; it ended with exit 1 at once; next \
                    start in 8s | sv log web";
    assert_eq!(row(&crashing), expected);
    // It is up just now.
    let mut up = seen(b'r', 7, "u", 1);
    up.own.last = crashing.own.last;
    assert!(row(&up).starts_with("crash-loop | it ends again"));
    up.status = seen(b'r', 7, "u", 5).status;
    assert_eq!(row(&up), "runs | it runs since 5s; nothing holds it | ");

    crashing.crash_loop = None;
    let mut faulty = case(&crashing);
    for (fault, expected) in [
        (Fault::Missing, "/s/web/run does not exist | sv log web"),
        (
            Fault::NotExecutable,
            "/s/web/run is not executable | chmod +x /s/web/run",
        ),
        (
            Fault::Interpreter(b"/bin/zsh".to_vec()),
            "/s/web/run is for /bin/zsh, which does not exist | sv log web",
        ),
        (
            Fault::Interpreter(b"/bin/sh\r".to_vec()),
            "the first line of /s/web/run ends in CR, as on Windows | sed -i 's/\\r$//' /s/web/run",
        ),
    ] {
        faulty.fault = Some(fault);
        assert_eq!(
            shown(&faulty),
            format!("crash-loop | it cannot start: {expected}")
        );
    }

    let mut failed = seen(b'd', 0, "", 90);
    failed.own.last = Some(Last {
        given_up: true,
        ..last(Exit::Code(78), Outcome::Exit, 2500)
    });
    let expected = "given-up | it gave up and stays down since 1m, because it ended with exit 78 \
                    after 2.5s | sv start web";
    assert_eq!(row(&failed), expected);
    let mut finish = seen(b'f', 7, "u", 3);
    assert_eq!(row(&finish), "finishing | its finish runs since 3s | ");
    finish.own.last = Some(last(Exit::Code(1), Outcome::Exit, 2500));
    let expected =
        "finishing | its finish runs since 3s; the run before ended with exit 1 after 2.5s | ";
    assert_eq!(row(&finish), expected);
}

#[test]
fn what_runs() {
    let row = |seen: &Snapshot| shown(&case(seen));
    let mut run = seen(b'r', 7, "u", 3 * 3600);
    let ready = Ready {
        pid: 7,
        at: Tai64n::from_unix(NOW - 5, 0),
        source: Some(Source::Message),
    };
    run.own = Own {
        ready: Some(ready),
        ..Own::default()
    };
    assert_eq!(
        row(&run),
        "runs | it runs since 3h and is ready; nothing holds it | "
    );
    assert_eq!(
        row(&seen(b'r', 0, "u", 30)),
        "done | it is a oneshot, and done since 30s | "
    );

    let mut log = seen(b'd', 0, "", 10);
    log.dir = b"/s/web/log".to_vec();
    run.log = Some(Box::new(log));
    assert_eq!(
        row(&run),
        "logger-down | it runs since 3h, but its log service does not (down) | sv start /s/web/log"
    );
    run.log = Some(Box::new(seen(b'r', 8, "u", 10)));
    assert!(row(&run).starts_with("runs | "));

    run.own.ready = Some(Ready {
        source: None,
        ..ready
    });
    run.status = seen(b'r', 7, "u", 20).status;
    let mut starting = case(&run);
    let expected = "starting | it starts since 20s, and is not ready yet";
    assert_eq!(shown(&starting), format!("{expected} | sv log web"));
    starting.timeout_up_ms = Some(30_000);
    let expected = format!("{expected}; it is stopped if it is not ready in 10s | sv log web");
    assert_eq!(shown(&starting), expected);
    let hangs = seen(b'd', 7, "u", 20);
    assert_eq!(row(&hangs), "starting | it starts since 20s | sv log web");
}

#[test]
fn names_are_quoted_for_a_shell() {
    for (name, expected) in [
        (&b"getty@tty1"[..], "getty@tty1"),
        (b"a b", "$'a b'"),
        (b"a'b\\\x1b", r"$'a\'b\\\x1b'"),
        (b"$(x)", "$'$(x)'"),
        (b"", "$''"),
    ] {
        assert_eq!(quoted(name), expected);
    }
}
