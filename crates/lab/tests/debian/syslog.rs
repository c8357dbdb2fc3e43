//! socklog: the system log of Debian's machines with runit, one svlogd with a
//! log for each facility and Debian's own config in each.
use super::guest::{Guest, by_both};

by_both![lines_arrive_by_facility, rotation_by_signal];

const LOGS: &str = "/var/log/runit/socklog";

fn lines_arrive_by_facility(guest: &mut Guest) {
    guest.sh("await 'sv check socklog-unix'");
    guest.sh("logger -p mail.notice -t postman a letter");
    guest.sh("logger -p user.info -t somebody a word");
    for (log, line) in [
        ("main", "mail.notice: .* postman: a letter"),
        ("mail", "mail.notice: .* postman: a letter"),
        ("main", "user.info: .* somebody: a word"),
        ("user", "user.info: .* somebody: a word"),
    ] {
        guest.sh(&format!("await \"grep -q '{line}' {LOGS}/{log}/current\""));
    }
    guest.sh(&format!("! grep letter {LOGS}/user/current"));
    guest.sh(&format!("! grep word {LOGS}/mail/current"));
    // A stamp that people can read, as -tt has it.
    guest.sh(&format!(
        "grep -E '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}_[0-9:]{{8}}\\.[0-9]{{5}} user.info: ' {LOGS}/user/current"
    ));
}

/// `sv alarm` is how an administrator has a log rotated now.
fn rotation_by_signal(guest: &mut Guest) {
    guest.sh("await 'sv check socklog-unix'");
    guest.sh("logger -p news.notice before");
    guest.sh(&format!("await 'grep before {LOGS}/news/current'"));
    guest.sh("sv alarm /etc/service/socklog-unix/log");
    guest.sh(&format!("await 'cat {LOGS}/news/@*.s'"));
    guest.sh("logger -p news.notice after");
    guest.sh(&format!("await 'grep after {LOGS}/news/current'"));
    guest.sh(&format!("grep before {LOGS}/news/@*.s"));
}
