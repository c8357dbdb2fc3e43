//! What services of a runsvdir are given, and what they may do: they command themselves,
//! get loggers, and fail without harm to each other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::super::common::{
    Fixture, SLEEP, down, ends, group_and_session, kill, lives, make_fifo, running, status,
    until_ready, wait_for, yield_until,
};
use super::Runsvdir;

/// Many run scripts take their own service down by sv, on purpose or when they
/// find that they are not needed; the first run may be as fast as it likes.
#[test]
fn a_first_run_may_command_its_own_service() {
    let names: Vec<String> = (0..50).map(|n| format!("scan/{n}")).collect();
    let fixture = Fixture::new(&[("scan/", "")]);
    let sv = fixture.applet("sv");
    let run = format!("#!/bin/sh\necho >>runs\nexec {} down .\n", sv.display());
    for name in &names {
        fixture.add(&format!("{name}/run"), &run);
    }
    let runsvdir = Runsvdir::start(&fixture);
    for name in &names {
        let dir = fixture.path(name);
        status(&dir, "down", |s| down(s) && !s.want_up);
        assert_eq!(fs::read_to_string(dir.join("runs")).unwrap(), "\n");
    }
    runsvdir.hang_up();
}

/// What a service is told before it ends counts first, however late and in whatever
/// order its supervisor hears of it.
#[test]
fn a_last_command_counts_before_the_end() {
    const RUN: &str = "#!/bin/sh\nsleep 1.1\n: >ready\nread word <go\n\
        printf d >supervise/control\n";
    let fixture = Fixture::new(&[
        ("scan/web/run", RUN),
        // In the place of TERM, which another life may end by before it can tell of itself.
        ("scan/web/control/t", "#!/bin/sh\n"),
        ("scan/other/run", SLEEP),
    ]);
    let dir = fixture.path("scan/web");
    let go = dir.join("go");
    make_fifo(&go);
    let runsvdir = Runsvdir::start(&fixture);
    let other = status(&fixture.path("scan/other"), "other", running);
    let web = status(&dir, "web", running);
    // It has lived for a second: after less it would not be started at once.
    until_ready(&dir);
    kill(runsvdir.child.id(), Signal::STOP);
    kill(other.pid, Signal::KILL);
    assert!(ends(other.pid));
    fs::write(&go, "go\n").unwrap();
    assert!(ends(web.pid));
    kill(runsvdir.child.id(), Signal::CONT);
    status(&dir, "down", |s| down(s) && !s.want_up);
    runsvdir.hang_up();
}

#[test]
fn bad_services_are_named_and_harm_no_other() {
    let fixture = Fixture::new(&[
        ("scan/empty/", ""),
        ("scan/noexec/run", "echo"),
        ("scan/nointerpreter/run", "#!/does/not/exist\n"),
        ("scan/nested/run", "#! ../nointerpreter/run -x\n"),
        ("scan/dos/run", "#! /bin/sh\r\nexec true\r\n"),
        ("scan/noformat/run", "echo no first line"),
        ("scan/nosupervise/run", SLEEP),
        ("scan/nosupervise/supervise", "a file"),
        ("scan/good/run", SLEEP),
    ]);
    fs::set_permissions(
        fixture.path("scan/noformat/run"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let runsvdir = Runsvdir::start(&fixture);
    status(&fixture.path("scan/good"), "good", running);
    let complaints = [
        "runsvdir: empty: start SCAN/empty/run: No such file or directory\n",
        "runsvdir: noexec: start SCAN/noexec/run: Permission denied; make it executable with chmod +x\n",
        "runsvdir: nointerpreter: start SCAN/nointerpreter/run: No such file or directory; \
         its first line names /does/not/exist, which does not exist\n",
        "runsvdir: nested: start SCAN/nested/run: No such file or directory; \
         what its interpreter ../nointerpreter/run needs does not exist\n",
        "runsvdir: dos: start SCAN/dos/run: No such file or directory; \
         its first line names /bin/sh\\r, which does not exist: \
         the line ends in CR (an editor of DOS); remove it\n",
        "runsvdir: noformat: start SCAN/noformat/run: Exec format error; a script must begin with a line like #!/bin/sh\n",
        "runsvdir: nosupervise: make supervise: Not a directory; trying again\n",
    ];
    let real = fs::canonicalize(fixture.path("scan")).unwrap();
    for complaint in complaints {
        let complaint = complaint.replace("SCAN", real.to_str().unwrap());
        wait_for(&complaint, &[&fixture.path("")], || {
            runsvdir.said().contains(&complaint).then_some(())
        });
    }
    fs::remove_file(fixture.path("scan/nosupervise/supervise")).unwrap();
    fixture.add("scan/empty/run", SLEEP);
    status(&fixture.path("scan/nosupervise"), "mended", running);
    status(&fixture.path("scan/empty"), "mended", running);
    // Each complaint was made once, however often it was tried.
    for line in runsvdir.said().lines() {
        assert_eq!(runsvdir.said().matches(line).count(), 1, "{line}");
    }
    runsvdir.hang_up();
}

/// A tree as it is used: sessions of their own, but no session leaders, so that
/// `exec setsid` in a run script does not fork (it would look like an end).
#[test]
fn sessions_are_as_under_runit() {
    let fixture = Fixture::new(&[
        ("scan/plain/run", SLEEP),
        ("scan/setsid/run", "#!/bin/sh\nexec setsid sleep 1000\n"),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let plain = status(&fixture.path("scan/plain"), "plain", running).pid;
    let (group, session) = group_and_session(plain);
    assert_eq!(group, session);
    assert_ne!(session, plain);
    assert_ne!(session, group_and_session(std::process::id()).1);
    let leader = status(&fixture.path("scan/setsid"), "setsid", running).pid;
    yield_until(|| (group_and_session(leader).1 == leader).then_some(()));
    runsvdir.hang_up();
}

/// D19: a logger that comes while its service runs gets what the service says
/// from its next start on; one that goes reads until its service has ended.
#[test]
fn log_comes_and_goes_while_supervised() {
    let fixture = Fixture::new(&[
        ("scan/web/run", "#!/bin/sh\necho up\nexec sleep 1000\n"),
        ("new/run", "#!/bin/sh\nexec cat >>../lines\n"),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let (web, log) = (fixture.path("scan/web"), fixture.path("scan/web/log"));
    let control = |byte: &str| fs::write(web.join("supervise/control"), byte).unwrap();
    let lines = |text: &str| {
        wait_for("lines", &[&web], || {
            (fs::read_to_string(web.join("lines")).ok()? == text).then_some(())
        });
    };
    let first = status(&web, "run", running).pid;
    fs::rename(fixture.path("new"), &log).unwrap();
    let logger = status(&log, "logger", running).pid;
    assert_eq!(status(&web, "as it was", running).pid, first);
    control("t");
    let second = status(&web, "restarted", |s| running(s) && s.pid != first).pid;
    lines("up\n");

    // Away for a moment only.
    fs::rename(&log, fixture.path("away")).unwrap();
    fs::rename(fixture.path("away"), &log).unwrap();
    control("t");
    let third = status(&web, "restarted", |s| running(s) && s.pid != second).pid;
    lines("up\nup\n");
    assert_eq!(status(&log, "as it was", running).pid, logger);

    fs::rename(&log, fixture.path("away")).unwrap();
    wait_for("the look at log", &[&web], || {
        // Nothing tells of it, but the logger's end after the next start.
        control("t");
        let pid = status(&web, "restarted", running).pid;
        (pid != third && !lives(logger)).then_some(())
    });
    status(&fixture.path("away"), "down", down);

    // Another directory in its place, while the service is down.
    control("d");
    status(&web, "down", down);
    fixture.add("new/run", "#!/bin/sh\nexec cat >>../others\n");
    fs::rename(fixture.path("new"), &log).unwrap();
    let logger = status(&log, "another logger", running).pid;
    fs::rename(&log, fixture.path("gone")).unwrap();
    assert!(ends(logger));
    fs::rename(fixture.path("away"), &log).unwrap();
    status(&log, "the first again", running);
    control("u");
    status(&web, "up", running);
    runsvdir.hang_up();
}

/// The supervisor takes what descriptors it may have; its services get what it
/// was started with. (The hard limit is the kernel's for process 1.)
#[test]
fn the_limit_of_descriptors_is_lifted_for_the_supervisor_alone() {
    let script = "#!/bin/sh\necho $(ulimit -Sn) $(ulimit -Hn) >limits\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("scan/web/run", script)]);
    let stderr = fixture.path("stderr");
    let child = Command::new("/bin/sh")
        .args(["-c", "ulimit -Sn 1000; ulimit -Hn 4096; exec \"$@\"", "sh"])
        .arg(fixture.applet("runsvdir"))
        .arg(fixture.path("scan"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let runsvdir = Runsvdir {
        child,
        scan: fixture.path("scan"),
        stderr,
    };
    let limits = wait_for("limits", &[&fixture.path("scan/web")], || {
        let limits = fs::read_to_string(fixture.path("scan/web/limits")).ok()?;
        limits.ends_with('\n').then_some(limits)
    });
    assert_eq!(limits, "1000 4096\n");
    let lifts = "ulimit -Sn 1000; ulimit -Hn 4096; ulimit -Hn 5000 2>/dev/null";
    let may_lift = Command::new("/bin/sh")
        .args(["-c", lifts])
        .status()
        .unwrap();
    let most = if may_lift.success() {
        fs::read_to_string("/proc/sys/fs/nr_open").unwrap()
    } else {
        "4096".to_owned()
    };
    let has = fs::read_to_string(format!("/proc/{}/limits", runsvdir.child.id())).unwrap();
    let line = has
        .lines()
        .find(|l| l.starts_with("Max open files"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3..5], [most.trim(), most.trim()], "{line}");
    runsvdir.hang_up();
}

/// A full pipe as standard error holds nothing up. Who reads it later is told how much
/// is missing.
#[test]
fn nobody_has_to_listen() {
    let fixture = Fixture::new(&[
        ("scan/bad/finish", "#!/bin/sh\n: >told\n"),
        ("scan/good/run", SLEEP),
        ("worse/finish", "#!/bin/sh\nexit 1\n"),
    ]);
    let (reader, full) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    while rustix::io::write(&full, &[b'.'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&full, rustix::fs::OFlags::WRONLY).unwrap();
    let runsvdir = Runsvdir::start_with(&fixture, full);
    // What comes after the complaint.
    let bad = fixture.path("scan/bad");
    wait_for("finish", &[&bad], || {
        bad.join("told").exists().then_some(())
    });
    status(&fixture.path("scan/good"), "run", running);
    fs::write(fixture.path("scan/good/supervise/control"), "d").unwrap();
    status(&fixture.path("scan/good"), "down", down);
    let mut got = Vec::new();
    let mut read = || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = rustix::io::read(&reader, &mut buffer) {
            got.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8(got.clone()).unwrap()
    };
    assert!(!read().contains("bad"));
    fs::rename(fixture.path("worse"), fixture.path("scan/worse")).unwrap();
    let text = yield_until(|| Some(read()).filter(|text| text.contains("worse")));
    let mut lines = text.trim_start_matches('.').lines();
    let count = lines.next().unwrap().strip_prefix("runsvdir: ").unwrap();
    let count = count.strip_suffix(" lines were lost here, for nobody read them");
    assert!(count.unwrap().parse::<u32>().unwrap() >= 1, "{text}");
    assert!(lines.next().unwrap().contains("worse"), "{text}");
    runsvdir.hang_up();
}
