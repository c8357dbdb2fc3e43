//! What people see of services: the renderings of snapshots in every state, with hostile
//! names among them, as golden files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use model::format::crash_loop::CrashLoop;
use model::format::state::last::{Last, Outcome};
use model::format::state::ready::Ready;
use model::format::state::reason::Reason;
use model::format::state::status_text::StatusText;
use model::format::status::{Phase, Status};
use model::format::tai64n::Tai64n;
use model::kind::Kind;
use model::moment::Moment;
use model::process::Exit;
use model::snapshot::line::line;
use model::snapshot::metrics::metrics;
use model::snapshot::table::{View, row, table};
use model::snapshot::{Snapshot, State, Usage};
use model::time::Instant;

const NOW_S: i64 = 1_764_440_283;
const NOW: Moment = Moment {
    at: Instant(1_000_000_000_000),
    wall: Tai64n::from_unix(NOW_S, 0),
};

/// Is what it is for so many seconds: `d` down, `r` run, `f` finish; pid or 0; then `u`
/// wanted, `t` got TERM, `p` paused.
fn seen(name: &str, age_s: i64, phase: char, pid: u32, flags: &str) -> Snapshot {
    Snapshot {
        name: name.into(),
        dir: format!("/etc/service/{name}").into(),
        enabled: true,
        supervised: Some(true),
        normally_up: Some(true),
        status: Some(Status {
            changed: Tai64n::from_unix(NOW_S - age_s, 0),
            pid,
            paused: flags.contains('p'),
            want_up: flags.contains('u'),
            got_term: flags.contains('t'),
            phase: match phase {
                'd' => Phase::Down,
                'r' => Phase::Run,
                _ => Phase::Finish,
            },
        }),
        usage: (pid != 0).then_some(Usage {
            memory_bytes: u64::from(pid) * 1_000_000,
            cpu_ms: Some(1234),
        }),
        ..Snapshot::default()
    }
}

fn ended(exit: Exit, outcome: Outcome, age_s: i64) -> Last {
    Last {
        exit,
        outcome,
        at: Tai64n::from_unix(NOW_S - age_s, 0),
        restarts: 11,
        pid: 7,
        lived_ms: Some(300),
        given_up: false,
    }
}

fn services() -> Vec<Snapshot> {
    let all = [plain(), waiting(), failing(), unseen()];
    all.into_iter().flatten().collect()
}

fn plain() -> Vec<Snapshot> {
    let mut rare = seen("rare", 100, 'r', 40, "u");
    rare.normally_up = Some(false);
    vec![
        seen("agetty@tty1", 5, 'r', 1, "u"),
        seen("chronyd", 200_000, 'r', 12, "u"),
        seen("dbus", 7200, 'r', 1234, "u"),
        seen("done", 90_000_000, 'r', 0, "u"),
        seen("once", 59, 'r', 300, ""),
        seen("paused", 60, 'r', 30, "up"),
        seen("stopping", 3, 'r', 31, "t"),
        seen("finish", 0, 'f', 32, "u"),
        seen("down", 3600, 'd', 0, ""),
        // The clock was set back.
        seen("early", -100, 'r', 33, "u"),
        seen(
            "a-name-of-a-length-that-nobody-would-type-twice",
            4000,
            'r',
            4_000_000,
            "u",
        ),
        rare,
    ]
}

fn waiting() -> Vec<Snapshot> {
    let mut starting = seen("web", 2, 'r', 99, "u");
    let at = starting.status.unwrap().changed;
    starting.own.ready = Some(Ready {
        pid: 99,
        at,
        source: None,
    });
    starting.own.told = Some(StatusText::new(
        99,
        at,
        b"loading \"a\" \x1b[2J of 3 large tables and then some more",
    ));
    let mut held = seen("api", 30, 'd', 0, "u");
    held.own.reason = Some(Reason::Held {
        by: Kind::Needs,
        name: "web".into(),
        why: "starting".into(),
    });
    let mut stop = seen("db", 30, 'r', 41, "");
    stop.own.reason = Some(Reason::Stop("api".into()));
    vec![starting, held, stop]
}

fn failing() -> Vec<Snapshot> {
    let mut crashing = seen("mail", 1, 'd', 0, "u");
    crashing.crash_loop = Some(CrashLoop {
        lives: 12,
        ended: (1, 0),
        next: Some(NOW.at.plus_ms(4200)),
    });
    crashing.own.last = Some(ended(Exit::Code(1), Outcome::Exit, 1));
    let mut killed = seen("killed", 1, 'd', 0, "u");
    killed.crash_loop = Some(CrashLoop {
        lives: 1,
        ended: (-1, 139),
        next: None,
    });
    let mut failed = seen("batch", 86_400, 'd', 0, "");
    failed.own.last = Some(Last {
        given_up: true,
        ..ended(Exit::Code(111), Outcome::Setup, 86_400)
    });
    let mut again = seen("again", 0, 'd', 0, "u");
    again.own.last = Some(ended(Exit::Signal(11), Outcome::Signal, 0));
    let mut lives = seen("again2", 1, 'r', 50, "u");
    lives.own.last = Some(ended(Exit::Code(2), Outcome::Exit, 2));
    // It lives for long since then.
    let mut recovered = seen("recovered", 10, 'r', 51, "u");
    recovered.own.last = Some(ended(Exit::Code(2), Outcome::Exit, 500));
    let mut logged = seen("logged", 600, 'r', 60, "u");
    logged.log = Some(Box::new(seen("log", 600, 'd', 0, "")));
    let mut mute = seen("mute", 600, 'r', 61, "u");
    mute.log = Some(Box::new(Snapshot {
        supervised: Some(false),
        ..seen("log", 600, 'd', 0, "")
    }));
    vec![
        crashing, killed, failed, again, lives, recovered, logged, mute,
    ]
}

fn unseen() -> Vec<Snapshot> {
    let gone = Snapshot {
        supervised: Some(false),
        trouble: Some("fail: gone: runsv not running".into()),
        ..seen("gone", 5, 'r', 70, "u")
    };
    let dangling = Snapshot {
        supervised: Some(false),
        status: None,
        trouble: Some(
            "fail: dangling: unable to change to service directory: file does not exist".into(),
        ),
        ..seen("dangling", 5, 'd', 0, "u")
    };
    let secret = Snapshot {
        supervised: None,
        status: None,
        trouble: Some("warning: secret: unable to open supervise/ok: access denied".into()),
        ..seen("secret", 5, 'd', 0, "u")
    };
    let disabled = Snapshot {
        name: b"sshd".into(),
        dir: b"/etc/sv/sshd".into(),
        supervised: Some(false),
        ..Snapshot::default()
    };
    let hostile = [
        &b"\x1b[31mred\x1b[2J"[..],
        b"tab\tline\n",
        b"\xff\xfe",
        "日本語".as_bytes(),
        b"",
    ];
    let hostile = hostile.into_iter().map(|name| Snapshot {
        name: name.into(),
        ..seen("", 100, 'r', 80, "u")
    });
    let all = [gone, dangling, secret, disabled].into_iter();
    all.chain(hostile).collect()
}

/// It is reviewed when it changes: `UPDATE_GOLDEN=1 cargo test -p model --test face`.
fn is_golden(file: &str, text: &str) {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(
        golden == text,
        "it looks otherwise; review it with UPDATE_GOLDEN=1 and git diff {path}"
    );
}

fn rows(cpu: Option<u64>) -> String {
    services().iter().map(|seen| row(seen, cpu, NOW)).collect()
}

fn widest(text: &str) -> usize {
    text.lines().map(str::len).max().unwrap()
}

#[test]
fn tables_of_each_width() {
    let mut text = String::new();
    for (title, cpu, width, is_coloured) in [
        ("a pipe", None, None, false),
        ("80 columns", None, Some(80), false),
        ("60 columns", None, Some(60), false),
        ("200 columns", None, Some(200), false),
        ("80 columns, sv top", Some(1005), Some(80), false),
        ("80 columns, in colour", None, Some(80), true),
    ] {
        let shown = table(&rows(cpu), View { width, is_coloured });
        assert!(is_coloured || widest(&shown) <= width.unwrap_or(usize::MAX));
        let shown = shown.replace('\x1b', "\\e");
        text.extend(["# ", title, "\n", &shown, "\n"]);
    }
    is_golden("table.txt", &text);
}

#[test]
fn no_width_breaks_a_row_or_hides_who_it_is_about() {
    let all = services();
    let states: Vec<State> = all.iter().map(Snapshot::state).collect();
    assert!(State::ALL.iter().all(|state| states.contains(state)));
    for width in 1..300 {
        for cpu in [None, Some(99)] {
            let view = View {
                width: Some(width),
                is_coloured: false,
            };
            let shown = table(&rows(cpu), view);
            assert!(
                shown
                    .bytes()
                    .all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte))
            );
            assert_eq!(shown.lines().count(), all.len() + 1);
            assert!(width < 13 || widest(&shown) <= width, "{width}");
            assert!(shown.lines().all(|line| !line.ends_with(' ')), "{width}");
            let has_states = all
                .iter()
                .zip(shown.lines().skip(1))
                .all(|(seen, line)| line.contains(seen.state().word()));
            assert!(has_states, "{width}");
        }
    }
}

#[test]
fn lines_of_a_watch() {
    let mut text = String::new();
    for seen in services() {
        for before in [None, Some(State::Starting)] {
            text.extend([&line(before, &seen, NOW), "\n"]);
        }
    }
    is_golden("lines.txt", &text);
}

/// What promtool (2.42, of Debian's prometheus) had nothing to say about.
#[test]
fn metrics_of_every_state() {
    let text = metrics(&services());
    is_golden("metrics.txt", &text);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut families = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            break;
        }
        // HELP, TYPE, and then rows of that name alone.
        let help = line.strip_prefix("# HELP ").unwrap();
        let (name, about) = help.split_once(' ').unwrap();
        assert!(name.chars().all(is_name) && about.ends_with('.'));
        assert!(!families.contains(&name), "{name} twice");
        families.push(name);
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        assert_eq!(lines.next(), Some(&*format!("# TYPE {name} {kind}")));
        let mut labels = Vec::new();
        while let Some(row) = lines.next_if(|line| !line.starts_with('#')) {
            let row = row
                .strip_prefix(name)
                .and_then(|row| row.strip_prefix("{service=\""));
            let (label, value) = row.unwrap().rsplit_once("\"} ").unwrap();
            let label = label.split("\",state=").next().unwrap();
            let escaped = label
                .replace("\\\\", "")
                .replace("\\\"", "")
                .replace("\\n", "");
            assert!(
                !escaped.contains(['\\', '"']) && !label.contains(char::is_control),
                "{label}"
            );
            assert!(value.parse::<f64>().is_ok(), "{value}");
            assert!(!labels.contains(&label), "{label} twice");
            labels.push(label);
        }
        assert!(!labels.is_empty(), "{name}");
    }
    assert_eq!((lines.next(), families.len()), (None, 9));
}
