//! Services under supervision: they answer, come back, stop and start, and
//! outlive their supervisor.

use crate::guest::{Guest, on_both, pids};

on_both!(
    httpd_answers_and_its_log_is_written,
    a_killed_daemon_comes_back_and_its_logger_stays,
    restart_down_and_up,
    a_killed_runsvdir_is_replaced_and_no_service_restarts,
    a_terminated_runsvdir_is_replaced_and_no_service_restarts,
    services_come_and_go_with_their_directories,
    services_start_in_order,
    the_milestone_of_the_login_waits_for_what_it_wants,
);

const LOG: &str = "/var/log/httpd/current";

fn httpd_answers_and_its_log_is_written(m: &mut Guest) {
    let page = m.sh("await 'wget -qO- http://localhost/ 2>/dev/null'");
    assert!(page.contains("supervised daemon"), "{page}");
    m.sh(&format!("await 'grep -q response:200 {LOG}'"));
    // svlogd -tt: a time stamp a person can read.
    let line = m.sh(&format!("grep -m1 response:200 {LOG}"));
    let (stamp, _) = line.split_once(' ').unwrap();
    assert_eq!(stamp.len(), "2026-01-01_00:00:00.00000".len(), "{line}");
}

fn a_killed_daemon_comes_back_and_its_logger_stays(m: &mut Guest) {
    let before = services(m);
    m.sh(&format!("kill -9 {}", before[0]));
    m.sh(&format!(
        "await 'P=$(cat /etc/runit/sv/httpd/supervise/pid); [ -n \"$P\" ] && [ $P != {} ]'",
        before[0]
    ));
    let after = services(m);
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1..], before[1..]);
}

fn restart_down_and_up(m: &mut Guest) {
    let before = services(m)[0];
    let said = m.sh("sv -w 60 restart httpd");
    assert!(said.starts_with("ok: run: httpd: (pid "), "{said}");
    assert_ne!(services(m)[0], before);
    let said = m.sh("sv -v -w 60 down httpd");
    assert!(said.starts_with("ok: down: httpd: "), "{said}");
    let (_, code) = m.try_sh("wget -qO- http://127.0.0.1/");
    assert_eq!(code, 1);
    let said = m.sh("sv -v -w 60 up httpd");
    assert!(said.starts_with("ok: run: httpd: (pid "), "{said}");
}

fn a_killed_runsvdir_is_replaced_and_no_service_restarts(m: &mut Guest) {
    replaces_runsvdir(m, "KILL");
}

fn a_terminated_runsvdir_is_replaced_and_no_service_restarts(m: &mut Guest) {
    replaces_runsvdir(m, "TERM");
}

fn replaces_runsvdir(m: &mut Guest, signal: &str) {
    let before = services(m);
    let old = m.sh("pidof runsvdir");
    m.sh(&format!("kill -{signal} {old}"));
    // A keeper that holds some of the seven until they are taken over answers, too.
    m.sh(&format!(
        "await 'P=$(pidof runsvdir) && [ \"$P\" != {old} ] && \
            [ $(grep -c \"FLOCK.* $P \" /proc/locks) -ge 7 ]'"
    ));
    m.sh("await 'sv check httpd tty1 mdev'");
    assert_eq!(services(m), before);
    // No second copy runs, and commands are heard.
    assert_eq!(m.sh("ps | grep -c '[h]ttpd -f'"), "1");
    assert_eq!(m.sh("pidof mdev | wc -w"), "1");
    restart_down_and_up(m);
}

fn services_come_and_go_with_their_directories(m: &mut Guest) {
    m.sh("mkdir /tmp/guest; printf '#!/bin/sh\\nexec sleep 1000000\\n' >/tmp/guest/run");
    m.sh("chmod +x /tmp/guest/run; mv /tmp/guest /etc/runit/sv/");
    let said = m.sh("sv -w 60 start guest");
    assert!(said.starts_with("ok: run: guest: (pid "), "{said}");
    let pid = m.sh("cat /etc/runit/sv/guest/supervise/pid");
    m.sh("mv /etc/runit/sv/guest /tmp/");
    m.sh(&format!(
        "await '! kill -0 {pid} 2>/dev/null'; await 'rm -rf /tmp/guest'"
    ));
}

fn services_start_in_order(m: &mut Guest) {
    m.sh("await 'sv check httpd'");
    for name in ["network", "seed", "multi-user"] {
        let status = m.sh(&format!("sv status {name}"));
        assert!(status.starts_with(&format!("done: {name}: ")), "{status}");
    }
    let ready = m.sh("cat /etc/runit/sv/mdev/supervise/ready");
    assert!(ready.ends_with(" notification-fd"), "{ready}");
    let page = m.sh("wget -qO- http://127.0.0.1/boot.txt");
    assert!(page.contains("first page"), "{page}");
    m.sh("sv -w 60 stop httpd network; sv up httpd");
    m.sh("await 'sv status httpd | grep \"waits for network\"'");
    m.sh("sv up network; await 'sv check httpd'");
}

/// The login itself goes on: it may be the one that the test types at.
fn the_milestone_of_the_login_waits_for_what_it_wants(m: &mut Guest) {
    m.sh("mkdir /tmp/dbus; printf '#!/bin/sh\\nexec sleep 1000000\\n' >/tmp/dbus/run");
    m.sh("chmod +x /tmp/dbus/run; echo 0 >/tmp/dbus/notification-fd; mv /tmp/dbus /etc/runit/sv/");
    m.sh("await 'sv status dbus | grep starting'; sv -w 60 stop multi-user; sv up multi-user");
    let waits = m.sh("await 'sv status multi-user | grep waits'");
    assert!(waits.ends_with("want up, waits for dbus"), "{waits}");
    m.sh("sv ready dbus; await 'sv status multi-user | grep ^done'");
    m.sh("sv exit dbus; rm -rf /etc/runit/sv/dbus");
}

/// The pids of httpd, its logger, the login and mdev, all of which run.
fn services(m: &mut Guest) -> Vec<u32> {
    m.sh("await 'sv check httpd tty1 mdev'");
    let said =
        m.sh("for s in httpd httpd/log tty1 mdev; do cat /etc/runit/sv/$s/supervise/pid; done");
    let pids = pids(&said);
    assert_eq!(pids.len(), 4, "{said}");
    pids
}
