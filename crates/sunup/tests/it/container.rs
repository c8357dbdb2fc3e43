//! `sunup container` as containers run it: as process 1 of a pid namespace, with what docker and
//! others may take away: the user, a writable root, /proc, standard input.

use std::fs;
use std::os::unix::fs::chown;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::common::{Fixture, SLEEP, kill, lives, wait_exit, wait_for};

/// The services of the machine that runs the tests are none of the container's.
const COVER: &str = "[ ! -d /etc/service ] || mount -t tmpfs none /etc/service\n";

/// Where a container runs, and in what.
struct Place {
    fixture: Fixture,
    /// Before the container; it is the last word of it that becomes process 1.
    set_up: String,
    before: &'static str,
    /// Root is root there, and may be others.
    as_root: bool,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::new(files);
        fixture.bin(&["container", "sv", "svok"]);
        Self {
            fixture,
            set_up: String::new(),
            before: "",
            as_root: false,
        }
    }

    /// Starts it, with the words of a shell.
    fn start(&self, words: &str) -> Child {
        let script = format!(
            "{COVER}{}\nexec {} container {words}",
            self.set_up, self.before
        );
        let path = format!("{}:/usr/bin:/bin", self.fixture.path("bin").display());
        let user: &[&str] = if self.as_root {
            &[]
        } else {
            &["--user", "--map-root-user"]
        };
        Command::new("unshare")
            .args(user)
            .args(["--mount", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "sh", "-c", &script])
            .current_dir(self.fixture.path("."))
            .env("PATH", path)
            .env_remove("SVDIR")
            .env("SUNUP_RUN", self.fixture.path("run"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs it to its end, and returns its exit code.
    fn code(&self, words: &str) -> i32 {
        wait_exit(&mut self.start(words)).code().unwrap()
    }

    /// Waits until a file is there.
    fn until(&self, name: &str) {
        wait_for(name, &[&self.fixture.path(".")], || {
            self.fixture.path(name).exists().then_some(())
        });
    }

    fn has(&self, name: &str) -> bool {
        self.fixture.path(name).exists()
    }
}

/// Sends a signal to process 1, which must have shown a sign of life before.
fn signal_to(unshare: &Child, signal: Signal) {
    kill(process_1(unshare), signal);
}

fn process_1(unshare: &Child) -> u32 {
    let pid = unshare.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.trim().parse().unwrap()
}

/// A service that tells that it runs, and how it is told to stop.
const TELLS: &str = "#!/bin/sh
cd ../..
trap '>web-stopped; exit 0' TERM
>web-runs
while :; do sleep 1000 & wait $!; done
";

/// Waits for a signal, and exits with a code that tells which; the service runs by then.
const PROGRAM: &str = "#!/bin/sh
trap 'exit 41' TERM; trap 'exit 42' INT; trap 'exit 43' QUIT
trap 'exit 44' HUP; trap 'exit 45' USR1; trap 'exit 46' USR2; trap 'exit 47' ALRM
until [ -e web-runs ]; do sleep 0.01; done
>program-runs
while :; do sleep 1000 & wait $!; done
";

fn with_both() -> Place {
    Place::new(&[("svc/web/run", TELLS), ("program", PROGRAM)])
}

fn clean(place: &Place) {
    for name in ["web-runs", "web-stopped", "program-runs"] {
        drop(fs::remove_file(place.fixture.path(name)));
    }
}

#[test]
fn stop_signals_stop_everything_and_others_go_to_the_program() {
    let place = with_both();
    for (signal, code) in [
        (Signal::TERM, 41),
        (Signal::INT, 42),
        (Signal::QUIT, 43),
        // The program gets TERM in its place.
        (Signal::POWER, 41),
        (Signal::HUP, 44),
        (Signal::USR1, 45),
        (Signal::USR2, 46),
        (Signal::ALARM, 47),
    ] {
        clean(&place);
        let mut unshare = place.start("svc -- ./program");
        place.until("program-runs");
        signal_to(&unshare, signal);
        assert_eq!(wait_exit(&mut unshare).code(), Some(code), "{signal:?}");
        assert!(place.has("web-stopped"), "{signal:?}");
    }
}

/// systemd and podman stop a container by this signal, which has no name.
#[test]
fn rtmin_3_stops_it() {
    let place = with_both();
    let mut unshare = place.start("svc -- ./program");
    place.until("program-runs");
    let pid = process_1(&unshare).to_string();
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -37 {pid}")])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(wait_exit(&mut unshare).code(), Some(41));
    assert!(place.has("web-stopped"));
}

#[test]
fn the_code_is_the_programs() {
    let place = Place::new(&[("svc/web/run", SLEEP)]);
    for (words, code) in [
        ("svc -- true", 0),
        ("svc -- sh -c 'exit 5'", 5),
        ("-- sh -c 'exit 255'", 255),
        ("svc -- sh -c 'kill -KILL $$'", 137),
        ("svc -- sh -c 'kill -SEGV $$'", 139),
        ("-e 143 -e 5 svc -- sh -c 'kill $$'", 0),
        ("-e 143 -e 5 svc -- sh -c 'exit 5'", 0),
        ("-e 143 -e 5 svc -- sh -c 'exit 6'", 6),
    ] {
        assert_eq!(place.code(words), code, "{words}");
    }
}

#[test]
fn a_program_that_cannot_be_executed_starts_no_service() {
    let place = Place::new(&[(
        "svc/web/run",
        "#!/bin/sh\n>../../web-runs\nexec sleep 1000\n",
    )]);
    assert_eq!(place.code("svc -- no-such-program"), 127);
    assert_eq!(place.code("svc -- /etc"), 126);
    assert_eq!(place.code("svc -- /etc/passwd"), 126);
    assert!(!place.has("web-runs"));
    assert!(!place.has("svc/web/supervise"));
}

#[test]
fn mistakes_are_told() {
    let place = Place::new(&[
        ("svc/web/run", SLEEP),
        ("svc/.web/run", SLEEP),
        ("file", ""),
    ]);
    for words in [
        "--main '' svc",
        "--main web/ svc",
        "--main ../svc/web svc",
        "--main .web svc",
        "none",
        "file",
        "svc svc",
        "svc true",
        "--main web svc -- true",
        "--main none svc",
        "--main=web",
        "-e 256 svc",
        "-t x svc",
        "-p NONE svc",
        "-Z svc",
    ] {
        assert_eq!(place.code(words), 100, "{words}");
    }
}

#[test]
fn the_end_of_the_main_service_is_the_end() {
    let app = "#!/bin/sh
until [ -e ../../web-runs ]; do sleep 0.01; done
eval \"$END\"
";
    let finish = "#!/bin/sh\necho $1 $2 >../../finished\n";
    let mut place = Place::new(&[
        ("svc/web/run", TELLS),
        ("svc/app/run", app),
        ("svc/app/finish", finish),
    ]);
    for (end, code, told) in [
        ("exit 0", 0, "0 0\n"),
        ("exit 9", 9, "9 0\n"),
        ("kill -TERM $$", 143, "-1 15\n"),
        ("kill -KILL $$", 137, "-1 9\n"),
    ] {
        clean(&place);
        place.set_up = format!("export END='{end}'");
        assert_eq!(place.code("--main app svc"), code, "{end}");
        assert!(place.has("web-stopped"), "{end}");
        let finished = fs::read_to_string(place.fixture.path("finished")).unwrap();
        assert_eq!(finished, told, "{end}");
    }
    place.set_up = "export END='exit 9'".to_owned();
    assert_eq!(place.code("-e 9 --main app svc"), 0);
}

#[test]
fn a_main_service_that_cannot_be_started_ends_it_with_the_code_of_a_shell() {
    let place = Place::new(&[("svc/app/", ""), ("svc/bad/run", "not executable")]);
    assert_eq!(place.code("--main app svc"), 127);
    assert_eq!(place.code("--main bad svc"), 126);
}

/// No service of the many takes the main one's descriptors; if it cannot have any, nobody waits
/// for ever.
#[test]
fn the_main_service_comes_before_others_and_one_that_is_never_opened_is_the_end() {
    let names = (0..40).map(|i| format!("svc/{i}/run"));
    let names: Vec<String> = names.chain(["svc/zz/run".to_owned()]).collect();
    let files = names.iter().map(|name| match name.as_str() {
        "svc/zz/run" => (name.as_str(), "#!/bin/sh\nexit 12\n"),
        other => (other, SLEEP),
    });
    let mut place = Place::new(&files.collect::<Vec<_>>());
    place.set_up = "ulimit -n 64".to_owned();
    assert_eq!(place.code("--main zz svc"), 12);
    place.set_up = "ulimit -n 20".to_owned();
    assert_eq!(place.code("--main zz svc"), 111);
}

#[test]
fn the_main_service_gets_the_signals() {
    let place = Place::new(&[(
        "svc/app/run",
        "#!/bin/sh
cd ../..
trap 'exit 44' HUP; trap 'exit 45' USR1; trap 'exit 41' TERM
>program-runs
while :; do sleep 1000 & wait $!; done
",
    )]);
    for (signal, code) in [
        (Signal::HUP, 44),
        (Signal::USR1, 45),
        (Signal::TERM, 41),
        (Signal::INT, 41),
    ] {
        clean(&place);
        let mut unshare = place.start("--main app svc");
        place.until("program-runs");
        signal_to(&unshare, signal);
        assert_eq!(wait_exit(&mut unshare).code(), Some(code), "{signal:?}");
    }
}

/// Its start may be under way, or its script for that.
#[test]
fn a_signal_before_the_main_service_runs_waits_for_it() {
    let place = Place::new(&[
        (
            "svc/app/run",
            "#!/bin/sh\ncd ../..\ntrap 'exit 44' HUP; trap 'exit 41' TERM\n>program-runs
while :; do sleep 1000 & wait $!; done\n",
        ),
        (
            "svc/app/control/o",
            "#!/bin/sh\ncd ../..\n>asked\nuntil [ -e go ]; do sleep 0.01; done\n",
        ),
        (
            "svc/app/control/u",
            "#!/bin/sh\ncd ../..\n>asked\nuntil [ -e go ]; do sleep 0.01; done\n",
        ),
    ]);
    let mut unshare = place.start("--main app svc");
    place.until("asked");
    signal_to(&unshare, Signal::HUP);
    fs::write(place.fixture.path("go"), "").unwrap();
    // The shell may have had no time yet to set its trap.
    let code = wait_exit(&mut unshare).code();
    assert!(matches!(code, Some(44 | 129)), "{code:?}");
}

#[test]
fn without_a_main_one_a_stop_is_a_success_and_other_signals_are_ignored() {
    let place = Place::new(&[("svc/web/run", TELLS)]);
    let mut unshare = place.start("svc");
    place.until("web-runs");
    signal_to(&unshare, Signal::HUP);
    signal_to(&unshare, Signal::USR2);
    signal_to(&unshare, Signal::TERM);
    assert_eq!(wait_exit(&mut unshare).code(), Some(0));
    assert!(place.has("web-stopped"));
}

#[test]
fn it_ends_when_no_service_is_wanted_up() {
    let place = Place::new(&[("svc/web/run", SLEEP), ("svc/web/down", "")]);
    assert_eq!(place.code("svc"), 0);
    let once = "#!/bin/sh\nsv down \"$PWD\"\nexec sleep 1000\n";
    let place = Place::new(&[
        ("svc/web/run", once),
        ("svc/web/log/run", "#!/bin/sh\nexec cat\n"),
    ]);
    assert_eq!(place.code("svc"), 0);
}

const DEAF: &str = "#!/bin/sh\ntrap '' TERM INT\n>deaf-runs\nwhile :; do sleep 1000; done\n";

#[test]
fn a_second_stop_signal_kills_what_is_deaf() {
    let place = Place::new(&[("program", DEAF), ("svc/web/run", TELLS)]);
    let mut unshare = place.start("svc -- ./program");
    place.until("deaf-runs");
    place.until("web-runs");
    signal_to(&unshare, Signal::TERM);
    place.until("web-stopped");
    signal_to(&unshare, Signal::INT);
    assert_eq!(wait_exit(&mut unshare).code(), Some(137));
}

#[test]
fn the_grace_is_a_bound_for_what_is_deaf() {
    let deaf = "#!/bin/sh\ntrap '' TERM\n>../../web-runs\nwhile :; do sleep 1000; done\n";
    let place = Place::new(&[("svc/web/run", deaf)]);
    let mut unshare = place.start("--grace 1 svc");
    place.until("web-runs");
    signal_to(&unshare, Signal::TERM);
    assert_eq!(wait_exit(&mut unshare).code(), Some(0));
    // Also when the program ends by itself.
    let program = "until [ -e web-runs ]; do sleep 0.01; done; exit 6";
    clean(&place);
    assert_eq!(place.code(&format!("-t 0 svc -- sh -c '{program}'")), 6);
}

#[test]
fn main_first_keeps_the_services_until_the_program_has_ended() {
    let program = "#!/bin/sh
trap '[ -e web-stopped ] && exit 1; exit 40' TERM
until [ -e web-runs ]; do sleep 0.01; done
>program-runs
while :; do sleep 1000 & wait $!; done
";
    let place = Place::new(&[("program", program), ("svc/web/run", TELLS)]);
    let mut unshare = place.start("--signal-main-first svc -- ./program");
    place.until("program-runs");
    signal_to(&unshare, Signal::TERM);
    assert_eq!(wait_exit(&mut unshare).code(), Some(40));
    assert!(place.has("web-stopped"));
}

/// The signal waits before the container begins: the program gets it, and no service starts.
#[test]
fn a_stop_before_the_start_starts_no_service() {
    let mut place = with_both();
    place.set_up =
        "exec env --block-signal=TERM sh -c 'kill -TERM $$; exec container svc -- ./program'"
            .to_owned();
    // The program does not come to set its traps, or it does, and waits for a service.
    let code = place.code("unused");
    assert!([143, 41].contains(&code), "{code}");
    assert!(!place.has("web-runs"));
}

/// A service that was stopped in order has nothing to do with what the program left behind,
/// which gets TERM when everything else is over.
#[test]
fn strays_get_term_at_the_end() {
    let stray = "#!/bin/sh
trap '[ -e web-stopped ] && >stray-told; exit' TERM
>stray-runs
while :; do sleep 1000 & wait $!; done
";
    let program = "until [ -e web-runs ] && [ -e stray-runs ]; do sleep 0.01; done; exit 3";
    let place = Place::new(&[("stray", stray), ("svc/web/run", TELLS)]);
    let words = format!("svc -- sh -c 'setsid ./stray & {program}'");
    assert_eq!(place.code(&words), 3);
    assert!(place.has("stray-told"));
}

/// The same where it is not process 1, but adopts.
#[test]
fn with_s_it_takes_its_strays_with_it() {
    let stray = "#!/bin/sh\necho $$ >stray.new\nmv stray.new stray\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("run-stray", stray), ("none/", "")]);
    let program = "(setsid ./run-stray &); until [ -e stray ]; do sleep 0.01; done; exit 3";
    let mut container = Command::new(fixture.applet("container"))
        .args(["-s", "-w", "none", "--", "sh", "-c", program])
        .current_dir(fixture.path("."))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(wait_exit(&mut container).code(), Some(3));
    let stray = fs::read_to_string(fixture.path("stray")).unwrap();
    assert!(!lives(stray.trim().parse().unwrap()));
}

#[test]
fn a_thousand_orphans_are_reaped() {
    let program = "#!/bin/sh
(i=0; while [ $i -lt 1000 ]; do (sleep 0 &); i=$((i + 1)); done)
n=1
while [ $n -gt 0 ]; do
    n=0
    for s in /proc/[0-9]*/stat; do
        read -r line <$s || continue
        case $line in *') Z '*|*'(sleep)'*) n=$((n + 1));; esac
    done 2>/dev/null
done
exit 9
";
    let place = Place::new(&[("program", program)]);
    assert_eq!(place.code("-- ./program"), 9);
}

/// What asks `sv` until the service runs, and exits with a code that tells what sv did.
const ASKS: &str = "#!/bin/sh
until sv status \"$PWD/svc/web\" | grep -q '^run: '; do sleep 0.01; done
sv -w 60 restart \"$PWD/svc/web\" || exit 1
sv -w 60 down \"$PWD/svc/web\" || exit 2
sv status \"$PWD/svc/web/\" | grep -q '^down: ' || exit 3
id -u >uid
exit 8
";

/// A read-only root, and no writable service directory: the state is kept elsewhere, and `sv`
/// finds it.
#[test]
fn on_a_read_only_root() {
    let mut place = Place::new(&[
        ("svc/web/run", SLEEP),
        ("svc/web/log/run", "#!/bin/sh\nexec cat\n"),
        ("program", ASKS),
        ("run/", ""),
    ]);
    place.set_up = "mount --bind svc svc && mount -o remount,ro,bind svc && cd .".to_owned();
    private(&place, "run");
    assert_eq!(place.code("svc -- ./program"), 8);
    assert!(!place.has("svc/web/supervise"));
    let states = fs::read_dir(place.fixture.path("run/state")).unwrap();
    assert_eq!(states.count(), 2, "the service's and the logger's");
}

/// What is enabled there is seen to run at once: much sooner than `sv` would wait.
#[test]
fn a_service_is_enabled_on_a_read_only_root() {
    let program = "#!/bin/sh
SVDIR=$PWD/svc SUNUP_DB=$PWD/db sv -w 10000 enable web || exit 1
exit 8
";
    let mut place = Place::new(&[
        ("db/web/run", SLEEP),
        ("svc/", ""),
        ("program", program),
        ("run/", ""),
    ]);
    place.set_up = "mount --bind db db && mount -o remount,ro,bind db && cd .".to_owned();
    private(&place, "run");
    assert_eq!(place.code("svc -- ./program"), 8);
    assert!(!place.has("db/web/supervise"));
}

/// As any user, who may not write to the services' directories, and has no capability.
#[test]
fn as_another_user() {
    let mut place = Place::new(&[("svc/web/run", SLEEP), ("program", ASKS), ("run/", "")]);
    private(&place, "run");
    place.set_up = "chmod 555 svc/web".to_owned();
    place.before = "unshare --user --map-user=65534";
    assert_eq!(place.code("svc -- ./program"), 8);
    let uid = fs::read_to_string(place.fixture.path("uid")).unwrap();
    assert_eq!(uid, "65534\n");
    assert!(!place.has("svc/web/supervise"));
}

/// As root is let into a container of another user, which keeps its state in that user's
/// directory. Whoever is not root here is the same user inside and outside.
#[test]
fn root_finds_the_state_of_process_1() {
    let asks = "#!/bin/sh
until [ -e program-runs ] && [ -e web-runs ]; do sleep 0.01; done
sv status $PWD/svc/web && svok $PWD/svc/web && sv -w 60 down $PWD/svc/web
echo $? >asked.new
mv asked.new asked
";
    let program = "#!/bin/sh
id -u >uid
>program-runs
until [ -e asked ]; do sleep 0.01; done
exit 8
";
    let mut place = Place::new(&[
        ("svc/web/run", TELLS),
        ("program", program),
        ("asks", asks),
        ("run/", ""),
    ]);
    private(&place, "run");
    place.set_up = "mount --bind svc svc && mount -o remount,ro,bind svc && cd .
        ./asks &"
        .to_owned();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        for name in ["run", "."] {
            chown(place.fixture.path(name), Some(65534), Some(65534)).unwrap();
        }
        place.as_root = true;
        // The other user may not get to where the programs are.
        place.set_up += "
            real=$(readlink -f bin/container); rm bin/container; >bin/container
            mount --bind $real bin/container";
        place.before = "setpriv --reuid=65534 --regid=65534 --clear-groups --";
    }
    assert_eq!(place.code("svc -- ./program"), 8);
    let asked = fs::read_to_string(place.fixture.path("asked")).unwrap();
    assert_eq!(asked, "0\n");
    let uid = fs::read_to_string(place.fixture.path("uid")).unwrap();
    assert_eq!(uid, if is_root { "65534\n" } else { "0\n" });
    assert!(!place.has("svc/web/supervise"));
}

/// Whoever may write where the state is kept could command the services.
#[test]
fn state_is_kept_where_nobody_else_may_write() {
    use std::os::unix::fs::PermissionsExt;
    let mut place = Place::new(&[("svc/web/run", TELLS), ("run/", "")]);
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(place.fixture.path("run"), open).unwrap();
    place.set_up = "mount --bind svc svc && mount -o remount,ro,bind svc
        mount -t tmpfs none /run"
        .to_owned();
    let program = "until [ -e web-runs ]; do sleep 0.01; done; ls /run/sunup/state | wc -l >states";
    assert_eq!(place.code(&format!("svc -- sh -c '{program}'")), 0);
    let states = fs::read_to_string(place.fixture.path("states")).unwrap();
    assert_eq!(states.trim(), "1", "in the next directory of the list");
    assert!(!place.has("run/state"));
}

fn private(place: &Place, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(place.fixture.path(name), mode).unwrap();
}

#[test]
fn without_proc_and_with_a_closed_standard_input() {
    let mut place = with_both();
    place.set_up = "mount -t tmpfs none /proc; exec <&-".to_owned();
    let mut unshare = place.start("svc -- ./program");
    place.until("program-runs");
    signal_to(&unshare, Signal::TERM);
    assert_eq!(wait_exit(&mut unshare).code(), Some(41));
    assert!(place.has("web-stopped"));
}

/// The program is in the foreground of the terminal; the services have /dev/null, and may write.
#[test]
fn the_program_has_the_terminal() {
    let program = "#!/bin/sh
until [ -s web-stdin ]; do sleep 0.01; done
read -r own _ _ _ group session tty front _ </proc/$$/stat
[ $tty != 0 ] && [ $front = $group ] && [ $$ = $group ] && echo in front
read -r line && echo got $line
exit 6
";
    let web = "#!/bin/sh\ncd ../..\necho from a service\nreadlink /proc/$$/fd/0 >web-stdin\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("svc/web/run", web), ("program", program)]);
    let line = format!(
        "{} -s svc -- ./program",
        fixture.applet("container").display()
    );
    let mut script = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(fixture.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(script.stdin.as_mut().unwrap(), b"a line\n").unwrap();
    let got = script.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&got.stdout);
    assert_eq!(got.status.code(), Some(6), "{said}");
    for told in ["from a service", "in front", "got a line"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let stdin = fs::read_to_string(fixture.path("web-stdin")).unwrap();
    assert_eq!(stdin, "/dev/null\n");
}
