//! `sv why`, on real services.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, geteuid};

use super::super::common::{
    Fixture, SLEEP, copy_program, down, kill, running, status, sunup, until_ready, yield_until,
};
use super::super::runsvdir::Runsvdir;
use super::json::{Json, Schema};
use super::{printed, sv, text};

/// Waits until it says that.
fn says(scan: &Path, name: &str, expected: &str) {
    let mut said = String::new();
    let found = yield_until_or(&mut said, |said| {
        *said = text(&sv(scan, &["why", name]).output().unwrap());
        matches(said, expected)
    });
    assert!(found, "{said:?} is not {expected:?}");
}

fn yield_until_or(said: &mut String, mut check: impl FnMut(&mut String) -> bool) -> bool {
    let mut looks = 0;
    yield_until(|| {
        looks += 1;
        check(said)
            .then_some(true)
            .or((looks > 4000).then_some(false))
    })
}

/// `#` stands for any number.
fn matches(said: &str, expected: &str) -> bool {
    let plain = |text: &str| {
        let mut plain = String::new();
        for c in text.chars() {
            let c = if c.is_ascii_digit() { '#' } else { c };
            if c != '#' || !plain.ends_with('#') {
                plain.push(c);
            }
        }
        plain
    };
    plain(said) == plain(expected)
}

/// One service for each reason.
fn services() -> Fixture {
    Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/held/run", SLEEP),
        ("scan/held/needs/mid", ""),
        ("scan/mid/run", SLEEP),
        ("scan/mid/needs/ftp", ""),
        ("scan/asks/run", SLEEP),
        ("scan/asks/needs/irc", ""),
        ("scan/ftp/run", SLEEP),
        ("scan/ftp/down", ""),
        ("scan/one/run", "#!/bin/sh\nexit 1\n"),
        ("scan/gone/run", "#!/bin/sh\nnosuchcommand\n"),
        ("scan/crlf/run", "#!/bin/sh\r\nexec sleep 1000\n"),
        ("scan/plain/run", "exec sleep 1000\n"),
        ("scan/slow/run", SLEEP),
        ("scan/slow/notification-fd", "0\n"),
        ("scan/slow/timeout-up", "600000\n"),
        ("scan/stays/run", "#!/bin/sh\nexit 78\n"),
        ("scan/stays/restart", "always 78\n"),
        ("scan/lost -> ../sv/lost", ""),
        ("db/irc/run", SLEEP),
    ])
}

#[test]
fn each_reason_as_it_comes() {
    let fixture = services();
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    let dir = scan.display();
    let says = |name: &str, expected: &str| says(&scan, name, expected);
    says("web", "web: it runs since 5s; nothing holds it\n");
    says(
        "ftp",
        "ftp: it is down since 5s, and a file `down` that is 5s old says not to start it at \
                 boot; `sv enable ftp` removes that, too\n  try: sv start ftp\n",
    );
    says(
        "held",
        "held: it waits for mid, which waits for ftp; about ftp: it is down since 5s, and a \
                  file `down` that is 5s old says not to start it at boot; `sv enable ftp` removes \
                  that, too\n  try: sv start ftp\n",
    );
    says(
        "one",
        "one: it ends again and again; it ended with exit 1 at once\n  try: sv log one\n",
    );
    says(
        "gone",
        "gone: it ends again and again; it ended with exit 127 at once: a command in run \
                  was not found\n  try: sv log gone\n",
    );
    says(
        "crlf",
        &format!(
            "crlf: it cannot start: the first line of {dir}/crlf/run ends in CR, as on \
                  Windows\n  try: sed -i 's/\\r$//' {dir}/crlf/run\n"
        ),
    );
    says(
        "plain",
        &format!(
            "plain: it cannot start: {dir}/plain/run is not executable\n  \
                  try: chmod +x {dir}/plain/run\n"
        ),
    );
    says(
        "slow",
        "slow: it starts since 5s, and is not ready yet; it is stopped if it is not ready in \
                  500s\n  try: sv log slow\n",
    );
    says(
        "stays",
        "stays: it gave up and stays down since 5s, because it ended with exit 78 at once\n  try: sv start stays\n",
    );
    says(
        "lost",
        &format!("lost: its link in {dir} leads to ../sv/lost, which does not exist\n"),
    );
    says(
        "nope",
        &format!(
            "nope: there is no such service in {dir}, nor in the database\n  \
                  try: sv list -a\n"
        ),
    );

    let with_db = |name: &str| {
        let mut why = sv(&scan, &["why", name]);
        text(&why.env("SUNUP_DB", fixture.path("db")).output().unwrap())
    };
    let db = fixture.path("db/irc");
    let irc = format!(
        "it is not enabled: it is in {}, and not in {dir}\n  try: sv enable irc\n",
        db.display()
    );
    assert_eq!(with_db("irc"), format!("irc: {irc}"));
    assert_eq!(
        with_db("asks"),
        format!("asks: it waits for irc; about irc: {irc}")
    );

    printed(&scan, &["pause", "web"]);
    says("web", "web: it is paused since 5s\n  try: sv cont web\n");
    printed(&scan, &["-w60", "stop", "web"]);
    says(
        "web",
        "web: it is down since 5s, because a command stopped it\n  try: sv start web\n",
    );
    let json = printed(&scan, &["why", "-j", "web"]);
    let json = Json::of(json.trim_end());
    Schema::below("`sv why -j`").check(&json);
    assert_eq!(
        (json.text("why"), json.text("command")),
        ("stopped", "sv start web")
    );
}

#[test]
fn services_that_are_being_stopped() {
    let run = "#!/bin/sh\ntrap '' TERM\n: >ready\nwhile :; do sleep 1000; done\n";
    let fixture = Fixture::new(&[
        ("scan/hang/run", run),
        ("scan/hang/timeout-kill", "900000\n"),
    ]);
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    until_ready(&scan.join("hang"));
    status(&scan.join("hang"), "run", running);
    printed(&scan, &["down", "hang"]);
    says(
        &scan,
        "hang",
        "hang: it was told to stop and has not ended; it gets KILL in 900s\n  \
                         try: sv force-stop hang\n",
    );
    printed(&scan, &["kill", "hang"]);
    status(&scan.join("hang"), "down", down);
}

#[test]
fn the_last_lines_of_its_log_follow() {
    let run = "#!/bin/sh\nexec 2>&1\nfor n in 1 2 3 4 5 6 7; do echo \"line $n\"; done\nexec sleep 1000\n";
    let fixture = Fixture::new(&[
        ("scan/web/run", run),
        (
            "scan/web/log/run",
            "#!/bin/sh\nexec ../../../bin/svlogd ./main\n",
        ),
        ("scan/web/log/main/", ""),
    ]);
    fixture.applet("svlogd");
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    let lines = "  last lines of its log:\nline 3\nline 4\nline 5\nline 6\nline 7\n";
    says(
        &scan,
        "web",
        &format!("web: it runs since 5s; nothing holds it\n{lines}"),
    );
    let log = scan.join("web/log");
    printed(&scan, &["-w60", "force-stop", log.to_str().unwrap()]);
    says(
        &scan,
        "web",
        &format!(
            "web: it runs since 5s, but its log service does not (down)\n  \
                                 try: sv start {}\n{lines}",
            log.display()
        ),
    );
}

#[test]
fn who_watches_what() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("other/ftp/run", SLEEP)]);
    let other = fixture.path("other");
    let ftp = text(&sv(&other, &["why", "ftp"]).output().unwrap());
    assert!(ftp.starts_with("ftp: nobody supervises it: "), "{ftp}");
    let scanner = Runsvdir::start(&fixture);
    status(&fixture.path("scan/web"), "run", running);
    let pid = scanner.child.id();
    let scan = fixture.path("scan");
    // Other tests have theirs: what is asked for is named, if it is there.
    kill(pid, Signal::KILL);
    drop(scanner);
    let web = text(&sv(&scan, &["why", "web"]).output().unwrap());
    assert!(web.starts_with("web: nobody supervises it: "), "{web}");
}

/// Whoever has named no service, or named it where none can be, is told so.
#[test]
fn what_is_no_service_has_no_reason() {
    let fixture = Fixture::new(&[("scan/file", ""), ("scan/web/run", SLEEP)]);
    let scan = fixture.path("scan");
    let none = fixture.path("none");
    let file = format!(
        "file: {}/file is no directory, and so no service\n",
        scan.display()
    );
    let missing = format!(
        "web: {}: No such file or directory; make it and start `runsvdir` on it, or let SVDIR \
         name another\n",
        none.display()
    );
    let nameless = format!(
        ": there is no such service in {}, nor in the database\n  try: sv list -a\n",
        scan.display()
    );
    for (dir, name, expected) in [
        (&scan, "file", &file[..]),
        (&none, "web", &missing),
        (
            &"".into(),
            "web",
            "web: SVDIR is empty: it names no directory\n",
        ),
        (&scan, "", &nameless),
    ] {
        let output = sv(dir, &["why", name]).output().unwrap();
        assert_eq!(text(&output), expected);
        assert_eq!(output.status.code(), Some(1));
    }
}

/// As a shell completes it, where the service is.
#[test]
fn a_path_without_a_directory_is_looked_up_here() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let scan = fixture.path("scan");
    for (dir, name, told) in [
        ("scan", "web/", " ."),
        ("scan/web", ".", " ./.."),
        ("scan/web/supervise", "..", " ../.."),
    ] {
        std::fs::create_dir_all(fixture.path(dir)).unwrap();
        let mut why = sv(&scan, &["why", name]);
        let said = text(&why.current_dir(fixture.path(dir)).output().unwrap());
        let first = said.lines().next().unwrap_or_default();
        assert!(first.ends_with(told), "{name}: {first}");
    }
}

/// An ordinary user, from whom `supervise` is hidden.
#[test]
fn what_a_user_cannot_see() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    status(&scan.join("web"), "run", running);
    let supervise = scan.join("web/supervise");
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let copy = fixture.path("sunup");
    copy_program(sunup(), &copy);
    let mut why = Command::new(&copy);
    why.args(["sv", "why", "web"]).env("SVDIR", &scan);
    if geteuid().is_root() {
        set_mode(&fixture.path("."), 0o755);
        why.uid(65_534);
    } else {
        set_mode(&supervise, 0);
    }
    let output = why.output().unwrap();
    set_mode(&supervise, 0o700);
    let said = text(&output);
    assert!(
        said.starts_with("web: it cannot be seen by this user ("),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}
