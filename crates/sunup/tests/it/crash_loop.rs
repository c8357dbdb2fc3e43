//! Services that end right after their start: how long they rest, what is said,
//! and what `sv` and the files show. Run scripts write the boot clock themselves;
//! only lower bounds of it are asked for, because a machine may be slow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::crash_loop::CrashLoop;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, applet, debian, down, kill, make_fifo, read_status, until_supervise, wait_exit,
    wait_for,
};

/// Notes when it starts (hundredths of a second since boot), and fails.
const FAILS: &str = "#!/bin/sh\nread -r now rest </proc/uptime\necho $now >>STARTS\nexit 3\n";
/// As [`FAILS`] until there is a file `mended`; then it stays.
const MENDED: &str = "#!/bin/sh\nread -r now rest </proc/uptime\necho $now >>STARTS\n\
    [ -e mended ] || exit 3\nexec sleep 1000\n";
/// What is said of a loop of these two.
const TOLD: &str = "web: crash loop: ended 5 times within a second of its start, \
    last by exit code 3\n";

/// What is said when it is over.
const OVER: &str = "web: crash loop over: it has run for a second\n";
/// What shows it, in a service directory.
const FILE: &str = "supervise/crash-loop";

/// A runsvdir over one service `web`; what it supervises ends with it.
struct World {
    fixture: Fixture,
    supervisor: Child,
}

impl World {
    fn new(run: &str, files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::new(&[("scan/", ""), ("told/", "")]);
        let starts = fixture.path("told/starts");
        let run = run.replace("STARTS", starts.to_str().unwrap());
        fixture.add("scan/web/run", &run);
        for (name, content) in files {
            fixture.add(&format!("scan/web/{name}"), content);
        }
        let supervisor = Self::supervise(&fixture);
        Self {
            fixture,
            supervisor,
        }
    }

    fn supervise(fixture: &Fixture) -> Child {
        let stderr = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(fixture.path("told/stderr"))
            .unwrap();
        applet("runsvdir")
            .arg(fixture.path("scan"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap()
    }

    fn web(&self) -> PathBuf {
        self.fixture.path("scan/web")
    }

    fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("told/stderr")).unwrap()
    }

    /// Waits until something holds of what was told or of the state files in `dir`.
    fn until<T>(&self, what: &str, dir: &Path, check: impl FnMut() -> Option<T>) -> T {
        until_supervise(dir);
        wait_for(
            what,
            &[&dir.join("supervise"), &self.fixture.path("told")],
            check,
        )
    }

    fn until_said(&self, text: &str) {
        self.until(text, &self.web(), || {
            self.said().contains(text).then_some(())
        });
    }

    fn until_no_loop_is_shown(&self) {
        let file = self.web().join(FILE);
        self.until("no file", &self.web(), || (!file.exists()).then_some(()));
    }

    /// The moments (ms) of all starts until now.
    fn starts(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.fixture.path("told/starts")).unwrap_or_default();
        let whole = text
            .split_inclusive('\n')
            .filter_map(|l| l.strip_suffix('\n'));
        let ms = |line: &str| line.replace('.', "").parse::<u64>().unwrap() * 10;
        whole.map(ms).collect()
    }

    /// Waits for gaps of these lengths (ms) or longer between starts, one after the other.
    fn until_gaps(&self, least: &[u64]) {
        self.until("such gaps", &self.web(), || {
            let starts = self.starts();
            let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let fits = |gaps: &[u64]| gaps.iter().zip(least).all(|(gap, least)| gap >= least);
            gaps.windows(least.len()).any(fits).then_some(())
        });
    }

    /// Starts the service in `dir`, which is down, again whenever it has ended,
    /// until that is a crash loop of `lives` or more.
    fn hurry(&self, dir: &Path, lives: u32) -> CrashLoop {
        let begin = self.until("down", dir, || read_status(dir).filter(down));
        // A status is there before the fifo.
        let ok = dir.join("supervise/ok");
        self.until("a fifo", dir, || fs::metadata(&ok).ok());
        fs::remove_file(dir.join("down")).unwrap();
        let mut last = begin.changed;
        control(dir, "u");
        self.until("a crash loop", dir, || {
            let status = read_status(dir).filter(|s| down(s) && s.want_up && s.changed != last)?;
            if let Some(shown) = shown(dir).filter(|shown| shown.lives >= lives) {
                return Some(shown);
            }
            last = status.changed;
            control(dir, "u");
            None
        })
    }

    /// When the last run of a loop started (ms).
    fn last_start(&self) -> u64 {
        *self.starts().last().unwrap()
    }

    fn status(&self, mut sv: Command) -> String {
        let output = sv.arg("status").arg(self.web()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.supervisor.try_wait().unwrap().is_none() {
            kill(self.supervisor.id(), Signal::HUP);
            wait_exit(&mut self.supervisor);
        }
    }
}

fn shown(dir: &Path) -> Option<CrashLoop> {
    CrashLoop::decode(&fs::read(dir.join(FILE)).ok()?)
}

fn control(dir: &Path, bytes: &str) {
    fs::write(dir.join("supervise/control"), bytes).unwrap();
}

/// The form of the status of a service in the gap of a crash loop: runit's text,
/// and how many seconds are left.
fn assert_remark(text: &str, web: &Path) {
    let before = format!("down: {}: ", web.display());
    let rest = text.strip_prefix(&before).expect(text);
    let (age, rest) = rest.split_once("s, ").unwrap();
    age.parse::<u64>().unwrap();
    let rest = rest.strip_prefix("normally up, want up, crash loop, next start in ");
    let left = rest.and_then(|rest| rest.strip_suffix("s\n")).expect(text);
    let left: u64 = left.parse().unwrap();
    assert!((1..=60).contains(&left), "{text}");
}

/// D14, and what holds without the file: a second, for ever, and runit's text.
#[test]
fn without_the_file_the_gap_stays_a_second_and_the_loop_is_told() {
    let world = World::new(FAILS, &[]);
    world.until_gaps(&[990; 6]);
    world.until_said(TOLD);
    let said = world.said();
    let (told, over) = (said.matches(TOLD).count(), said.matches(OVER).count());
    assert!(told == over || told == over + 1, "once for each: {said}");
    assert!(!world.web().join(FILE).exists());
    let text = world.status(applet("sv"));
    assert!(!text.contains("crash"), "{text}");
}

/// D14: the gap doubles up to what the file says.
#[test]
fn with_the_file_the_gap_grows() {
    let world = World::new(FAILS, &[("backoff", "2\n")]);
    world.until_gaps(&[990, 1990, 1990]);
}

/// D14: `sv status` tells of the loop and of the next start; a run that lives
/// ends the loop.
#[test]
fn a_crash_loop_is_shown_until_a_run_lives() {
    let world = World::new(MENDED, &[("backoff", ""), ("down", "")]);
    let web = world.web();
    // The gap is a minute by now: as long as these tests have patience.
    let shown = world.hurry(&web, 7);
    assert_eq!(shown.ended, (3, 0));
    let next_ms = shown.next.unwrap().0 / 1_000_000;
    assert!(next_ms >= world.last_start() + 60_000, "{shown:?}");
    world.until_said(TOLD);
    assert_remark(&world.status(applet("sv")), &web);
    // Debian's reads the same record, and stat is as ever.
    let reference = world.status(Command::new(debian("sv")));
    assert!(
        reference.ends_with("s, normally up, want up\n"),
        "{reference}"
    );
    let stat = fs::read_to_string(web.join("supervise/stat")).unwrap();
    assert_eq!(stat, "down\n");

    fs::write(web.join("mended"), "").unwrap();
    control(&web, "u");
    world.until_no_loop_is_shown();
    world.until("the end", &web, || {
        world.said().ends_with(OVER).then_some(())
    });
    let text = world.status(applet("sv"));
    assert!(text.starts_with("run: ") && text.ends_with("s\n"), "{text}");
    assert!(!text.contains("crash"), "{text}");
}

/// A command ends a gap that is longer than anybody waits; a stop ends the loop.
#[test]
fn commands_are_obeyed_in_a_long_gap() {
    let world = World::new(FAILS, &[("backoff", "3600\n"), ("down", "")]);
    let web = world.web();
    let lives = world.hurry(&web, 9).lives;
    let mut last = None;
    world.until("another life", &web, || {
        let status = read_status(&web).filter(down)?;
        let another = shown(&web).filter(|shown| shown.lives > lives);
        let next = another.and_then(|shown| shown.next);
        // One that took a second has begun the count anew.
        if next.is_none() && last.replace(status.changed) != Some(status.changed) {
            control(&web, "u");
        }
        next
    });
    control(&web, "d");
    world.until_no_loop_is_shown();
    world.until("want down", &web, || {
        read_status(&web).filter(|s| down(s) && !s.want_up)
    });
    let text = world.status(applet("sv"));
    assert!(text.ends_with("s, normally up\n"), "{text}");
}

/// Each kind of nonsense is said once, and the default is taken.
#[test]
fn a_backoff_that_cannot_be_read_is_said_and_taken_for_the_default() {
    type Make = fn(&Path);
    let cases: [(Make, &str); 4] = [
        (
            |file| fs::write(file, "\n1h\n").unwrap(),
            "line 2: 1h: not a whole number of seconds from 1 to 86400",
        ),
        (
            |file| fs::write(file, "7".repeat(1000)).unwrap(),
            "longer than 256 bytes",
        ),
        (|file| fs::create_dir(file).unwrap(), "Is a directory"),
        (|file| make_fifo(file), "not a file"),
    ];
    for (make, reason) in cases {
        let world = World::new(FAILS, &[("down", "")]);
        make(&world.web().join("backoff"));
        let shown = world.hurry(&world.web(), 7);
        let next_ms = shown.next.unwrap().0 / 1_000_000;
        assert!(next_ms >= world.last_start() + 60_000, "{shown:?}");
        let said = world.said();
        let lines = said.lines().filter(|line| line.contains("web/backoff: "));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(lines[0].contains(reason), "{said}");
        assert!(lines[0].ends_with("; taken for 60 seconds"), "{said}");
    }
}

/// A successor of a killed supervisor begins to count anew, and removes what is
/// not true any more.
#[test]
fn a_successor_counts_anew() {
    let mut world = World::new(FAILS, &[("backoff", "3600\n"), ("down", "")]);
    let web = world.web();
    world.hurry(&web, 9);
    kill(world.supervisor.id(), Signal::KILL);
    wait_exit(&mut world.supervisor);
    assert!(web.join(FILE).exists());
    let starts = world.starts().len();
    world.supervisor = World::supervise(&world.fixture);
    world.until_no_loop_is_shown();
    // The gap after so many lives is longer than this waits.
    world.until("two more starts", &web, || {
        (world.starts().len() >= starts + 2).then_some(())
    });
}

/// Whichever way it ends.
#[test]
fn a_supervision_that_ends_leaves_no_loop() {
    for signal in [Signal::HUP, Signal::TERM] {
        let mut world = World::new(FAILS, &[("backoff", "3600\n"), ("down", "")]);
        world.hurry(&world.web(), 9);
        kill(world.supervisor.id(), signal);
        wait_exit(&mut world.supervisor);
        assert!(!world.web().join(FILE).exists(), "{signal:?}");
    }
}

/// The logger has a file of its own.
#[test]
fn a_logger_backs_off_too() {
    let files = [
        ("log/run", "#!/bin/sh\nexit 1\n"),
        ("log/backoff", "3600"),
        ("log/down", ""),
    ];
    let world = World::new(SLEEP, &files);
    let shown = world.hurry(&world.web().join("log"), 5);
    assert_eq!(shown.ended, (1, 0));
    world.until_said("runsvdir: web/log: crash loop: ended 5 times");
    let text = world.status(applet("sv"));
    assert!(
        text.starts_with("run: ") && text.contains("; down: log: "),
        "{text}"
    );
    assert!(text.contains(", want up, crash loop"), "{text}");
}
