//! The work of building a kernel: in a directory beside its place, which is removed
//! whatever happens, and renamed when all is done. One build at a time; what a killed one
//! left is removed by the next. The log stays, beside the place.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::recipe::Recipe;
use super::source::Source;
use crate::sys;

/// The beginning of the names of directories in which something is built.
const BUILDING: &str = "building-";

/// So many lines of a log tell why it failed.
const TAIL_LINES: usize = 20;

/// Builds the kernel of a recipe in its `place`.
///
/// # Errors
/// What a step says, with the end of its log, and an interrupt.
pub fn build(recipe: &Recipe, source: &Source, place: &Path, jobs: usize) -> Result<()> {
    let dir = place.parent().context("a kernel needs a place")?;
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let _lock = lock(dir)?;
    if place.exists() {
        return Ok(());
    }
    sweep(dir)?;
    let work = tempfile::Builder::new().prefix(BUILDING).tempdir_in(dir)?;
    let log = log_of(place);
    let mut steps = Steps::new(work.path(), &log, Stop::listen()?)?;
    let done = steps.all(recipe, source, jobs);
    steps.bar.finish_and_clear();
    if let Err(e) = done {
        return Err(if steps.stop.was_asked() {
            eprintln!("lab: interrupted; removing what was built so far");
            e.context("interrupted: nothing is left of it")
        } else {
            e.context(format!("build the kernel; {}", tail(&log)))
        });
    }
    fs::rename(work.path().join("result"), place)
        .with_context(|| format!("make {}", place.display()))
}

/// Where the log of what is built for a place is.
fn log_of(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".log");
    name.into()
}

/// Waits until nobody else builds.
fn lock(dir: &Path) -> Result<File> {
    let lock = File::create(dir.join("lock"))?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        eprintln!("lab: another `cargo lab kernel` is building; waiting for it");
        flock(&lock, FlockOperation::LockExclusive)?;
    }
    Ok(lock)
}

/// Removes what killed builds left. Nobody else builds now.
fn sweep(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(BUILDING) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines
        .get(lines.len().saturating_sub(TAIL_LINES)..)
        .unwrap_or_default();
    format!("{} ends with:\n{}\n", log.display(), last.join("\n"))
}

/// Ends the step that is running when somebody asks lab to end.
#[derive(Clone, Default)]
struct Stop(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    asked: bool,
    /// The process group of the step.
    running: Option<Pid>,
}

impl Stop {
    /// Listens to signals from now on, until lab ends: a second Ctrl-C must not
    /// interrupt the cleaning up after the first.
    fn listen() -> Result<Self> {
        let stop = Self::default();
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let heard = stop.clone();
        thread::spawn(move || {
            for _ in signals.forever() {
                heard.ask();
            }
        });
        Ok(stop)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Asked) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self) {
        self.with(|state| {
            state.asked = true;
            // Its leader is not reaped as long as it is noted here.
            if let Some(group) = state.running {
                let _ = kill_process_group(group, Signal::TERM);
            }
        });
    }

    fn was_asked(&self) -> bool {
        self.with(|state| state.asked)
    }
}

/// The steps of a build, their log and what is shown of them.
struct Steps<'a> {
    work: &'a Path,
    log: File,
    bar: ProgressBar,
    stop: Stop,
}

impl<'a> Steps<'a> {
    fn new(work: &'a Path, log: &Path, stop: Stop) -> Result<Self> {
        // What was there is another build's.
        drop(fs::remove_file(log));
        let mut open = OpenOptions::new();
        let file = open.create_new(true).append(true).open(log);
        Ok(Self {
            work,
            log: file.with_context(|| format!("write {}", log.display()))?,
            bar: bar(log),
            stop,
        })
    }

    /// From the source package to the directory `result`.
    fn all(&mut self, recipe: &Recipe, source: &Source, jobs: usize) -> Result<()> {
        self.show(&format!("unpacking {}", source.tarball.display()));
        let sources = self.work.join("source");
        fs::create_dir(&sources)?;
        let mut tar = sys::pristine("tar");
        tar.args(["-x", "--strip-components=1", "-f"]);
        self.run(tar.arg(&source.tarball).arg("-C").arg(&sources))?;

        self.show("configuring");
        self.make(&[recipe.base.goal()])?;
        let config = self.work.join("out/.config");
        fs::write(&config, recipe.merge(&fs::read_to_string(&config)?))?;
        self.make(&["olddefconfig"])?;
        for line in recipe.refused(&fs::read_to_string(&config)?) {
            self.say(&format!(
                "lab: the kernel did not take this setting: {line}"
            ));
        }

        self.show("compiling");
        self.make(&[&format!("-j{jobs}"), "bzImage", "modules"])?;
        self.lay_out(&config)
    }

    fn lay_out(&mut self, config: &Path) -> Result<()> {
        let result = self.work.join("result");
        fs::create_dir(&result)?;
        let modules = format!("INSTALL_MOD_PATH={}", result.display());
        // Whoever makes an image writes its own lists of modules.
        self.make(&[
            "INSTALL_MOD_STRIP=1",
            "DEPMOD=true",
            &modules,
            "modules_install",
        ])?;
        for entry in fs::read_dir(result.join("lib/modules"))? {
            // Links to where it was built.
            for link in ["build", "source"] {
                drop(fs::remove_file(
                    entry
                        .as_ref()
                        .map_or(PathBuf::new(), fs::DirEntry::path)
                        .join(link),
                ));
            }
        }
        let image = self.work.join("out/arch/x86/boot/bzImage");
        fs::copy(image, super::image(&result)).context("copy the kernel")?;
        fs::copy(config, result.join("config")).context("copy the configuration")?;
        Ok(())
    }

    fn make(&mut self, words: &[&str]) -> Result<()> {
        let mut make = sys::pristine("make");
        make.arg("-C").arg(self.work.join("source"));
        make.arg(format!("O={}", self.work.join("out").display()));
        // The same sources give the same kernel.
        make.env("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970");
        make.env("KBUILD_BUILD_USER", "sunup")
            .env("KBUILD_BUILD_HOST", "lab");
        self.run(make.args(words))
    }

    /// Runs a step; what it says goes into the log, and what it builds is shown.
    fn run(&mut self, command: &mut Command) -> Result<()> {
        writeln!(self.log, "{command:?}")?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log.try_clone()?)
            .env("LC_ALL", "C")
            .process_group(0);
        sys::end_with_parent(command);
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = self.stop.with(|state| {
            if state.asked {
                bail!("{name}: not started");
            }
            let child = command.spawn().with_context(|| format!("run {name}"))?;
            state.running = Some(Pid::from_child(&child));
            Ok(child)
        })?;
        let followed = child
            .stdout
            .take()
            .map_or(Ok(()), |out| self.follow(BufReader::new(out)));
        // A signal to its group is safe until it is reaped.
        let pid = WaitId::Pid(Pid::from_child(&child));
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(pid.clone(), ended).is_err_and(|e| e == Errno::INTR) {}
        let status = self.stop.with(|state| {
            state.running = None;
            child.wait()
        })?;
        followed?;
        if !status.success() {
            bail!("{name}: {status}");
        }
        Ok(())
    }

    fn follow(&mut self, mut out: impl BufRead) -> Result<()> {
        let mut line = Vec::new();
        while out.read_until(b'\n', &mut line)? > 0 {
            self.log.write_all(&line)?;
            if let Some(what) = built(&String::from_utf8_lossy(&line)) {
                self.bar.inc(1);
                self.bar.set_message(what);
            }
            line.clear();
        }
        Ok(())
    }

    /// Shows what comes now.
    fn show(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Says something that stays.
    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

/// One line that says what is being built; off a terminal, only where the log is.
fn bar(log: &Path) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        eprintln!("lab: building a kernel; {} tells", log.display());
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) =
        ProgressStyle::with_template("lab: kernel: {elapsed} {pos} files: {wide_msg}")
    {
        bar.set_style(style);
    }
    bar
}

/// What a line of the kernel's make says is being built: `  CC [M]  drivers/block/loop.o`.
fn built(line: &str) -> Option<String> {
    let rest = line.strip_prefix("  ")?;
    let (tool, rest) = rest.split_once(' ')?;
    let is_tool = tool
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let file = rest.trim().trim_start_matches("[M]").trim_start();
    (is_tool && !tool.is_empty() && !file.is_empty()).then(|| format!("{tool} {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_make_builds() {
        let want = |text: &str| Some(text.to_owned());
        assert_eq!(built("  CC      kernel/fork.o\n"), want("CC kernel/fork.o"));
        assert_eq!(
            built("  CC [M]  drivers/block/loop.o\n"),
            want("CC drivers/block/loop.o")
        );
        assert_eq!(
            built("  HOSTCC  scripts/mod/mk_elfconfig.o"),
            want("HOSTCC scripts/mod/mk_elfconfig.o")
        );
        for line in [
            "",
            "make[1]: Entering",
            "  CC",
            "  note: this",
            "Kernel: arch/x86/boot/bzImage is ready",
        ] {
            assert_eq!(built(line), None, "{line}");
        }
    }

    #[test]
    fn a_step_that_fails_shows_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut steps = Steps::new(dir.path(), &log, Stop::default()).unwrap();
        let mut shell = Command::new("sh");
        // The two streams are in no order.
        let script = "echo oops >&2; seq 100; echo '  CC      a.o'; echo why; exit 3";
        let e = steps.run(shell.args(["-c", script])).unwrap_err();
        assert_eq!(e.to_string(), "sh: exit status: 3");
        assert_eq!(steps.bar.position(), 1);
        let tail = tail(&log);
        assert!(tail.contains("why") && tail.contains("\n100\n"), "{tail}");
        assert_eq!(tail.lines().count(), TAIL_LINES + 1, "{tail}");
        assert!(fs::read_to_string(&log).unwrap().contains("oops\n"));
    }

    #[test]
    fn who_is_asked_to_stop_ends_the_step_with_all_its_processes_and_starts_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, stop) = (dir.path().join("fifo"), Stop::default());
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let mut steps = Steps::new(dir.path(), &dir.path().join("log"), stop.clone()).unwrap();
        let opened = fifo.clone();
        let asker = thread::spawn(move || {
            // As soon as the step writes there.
            fs::read(opened).unwrap();
            stop.ask();
        });
        // The output is at its end only when both have ended.
        let script = "sleep 1000000 & : >\"$0\"; exec sleep 1000000";
        let e = steps
            .run(Command::new("sh").args(["-c", script]).arg(&fifo))
            .unwrap_err();
        assert!(e.to_string().starts_with("sh: signal: 15"), "{e}");
        asker.join().unwrap();
        let e = steps.run(&mut Command::new("true")).unwrap_err();
        assert_eq!(e.to_string(), "true: not started");
    }

    #[test]
    fn what_a_killed_build_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["building-x/source", "kernel-1-0"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        sweep(dir.path()).unwrap();
        assert!(!dir.path().join("building-x").exists());
        assert!(dir.path().join("kernel-1-0").exists());
    }
}
