//! The smallest machine of docs/machine-init.md, with its inittab and its login.

use lab::machine::End;
use lab::workspace;

use crate::guest::{Change, Guest, Host, on_its_own};

/// The block behind a line of the page.
fn block(page: &str, title: &str) -> String {
    let after = page.split_once(title).unwrap().1;
    let block = after.split("```").nth(1).unwrap();
    block.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn the_smallest_inittab_in_namespaces() {
    let page = workspace::root().join("docs/machine-init.md");
    let page = std::fs::read_to_string(page).unwrap();
    let inittab = block(&page, "\n/etc/inittab:\n").leak();
    // The terminal of this machine is another, and nobody has a password there.
    let login = block(&page, "\n`/etc/sv/tty1/run`:\n");
    assert!(login.contains(" tty1\n"), "{login}");
    let login = login.replace(" tty1", " ttyS0 -l /bin/su").leak();
    let changes = [
        // It would stop services, too.
        Change::Without("3"),
        Change::Plain("etc/inittab", inittab),
        Change::Script("etc/service/tty1/run", login),
        Change::Script("etc/service/web/run", "#!/bin/sh\nexec sleep 1000\n"),
    ];
    on_its_own(Host::Namespaces, &changes, check);
}

fn check(mut m: Guest) {
    m.expect("Boot stage completed in ");
    m.expect(" login: ");
    m.type_line("root");
    m.expect("# ");
    let said = m.sh("await 'sv check web'; sv status web; grep ' /dev/pts ' /proc/mounts");
    assert!(said.contains("\nrun: web: (pid "), "{said}");
    m.type_line("poweroff");
    m.expect("ok: down: /etc/service/web: ");
    assert_eq!(m.end(), End::PowerOff);
}
