//! Each file that our programs read at boot, replaced by what it should not be. The machine
//! comes to a prompt or to root's shell all the same, says what is wrong, and powers off.

use std::borrow::Cow;

use lab::image;
use lab::machine::End;
use lab::tree::Tree;
use model::format::cpio::Node;
use rustix::process::Signal;

use crate::entered::{LOGIN, boot, console, end, ours, until};

/// What stands in place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Garbage,
    Directory,
    Dangling,
    Fifo,
    Nothing,
    Empty,
    Long,
}

const KINDS: [Kind; 7] = [
    Kind::Garbage,
    Kind::Directory,
    Kind::Dangling,
    Kind::Fifo,
    Kind::Nothing,
    Kind::Empty,
    Kind::Long,
];

fn put(tree: &mut Tree, name: &str, perm: u32, kind: Kind) {
    let name = name.as_bytes();
    tree.remove(name);
    let file = |bytes: Vec<u8>| Node::File(Cow::Owned(bytes));
    match kind {
        Kind::Nothing => {}
        Kind::Dangling => tree.put_link(name, b"/nowhere/at/all"),
        Kind::Garbage => {
            let bytes = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
            tree.put(name, perm, file(bytes.collect()));
        }
        Kind::Directory => tree.put(name, 0o755, Node::Directory),
        Kind::Fifo => tree.put(name, perm, Node::Fifo),
        Kind::Empty => tree.put(name, perm, file(Vec::new())),
        Kind::Long => {
            // A shell would print another line as a whole.
            let mut line = vec![b'x'; 10 << 20];
            line[0] = b'#';
            tree.put(name, perm, file(line));
        }
    }
}

/// A file, and what comes of it.
struct Row {
    file: &'static str,
    perm: u32,
    /// What a person can go on with.
    prompt: &'static str,
    /// What is said, by kind, before or after the machine is told to power off.
    said: [&'static str; 7],
}

/// Of a kind that is as good as any other.
const NOT_BROKEN: &str = "not broken";
const OFFER: &str = "Please press Enter to activate this console. ";
const SHELL: &str = "# ";

/// Boots our image with `more` and with the file as each of the kinds that the row has.
fn check(more: fn(&mut Tree), append: &str, row: &Row) {
    let mut ours = ours();
    more(&mut ours);
    std::thread::scope(|scope| {
        let cases = KINDS.into_iter().zip(row.said);
        for (kind, said) in cases.filter(|(_, said)| *said != NOT_BROKEN) {
            let mut tree = ours.clone();
            put(&mut tree, row.file, row.perm, kind);
            let archive = image::archive(&tree).unwrap();
            let one = move || {
                let mut machine = boot(archive, append);
                let name = format!("{} as {kind:?}", row.file);
                until(&mut machine, row.prompt, &name);
                machine.signal(Signal::USR2).unwrap();
                let end = end(&mut machine);
                let shown = console(&machine);
                assert_eq!(end, End::PowerOff, "{name}:\n{shown}");
                assert!(shown.contains(said), "{name}: no {said:?}:\n{shown}");
            };
            let started = scope.spawn(one);
            // Two processors: machines that wait for nothing come one after another.
            if row.prompt != OFFER {
                started.join().unwrap();
            }
        }
    });
}

/// Makes a test of each row.
macro_rules! rows {
    ($more:expr, $append:expr, $($name:ident: $file:expr, $perm:expr, $prompt:expr, $said:expr;)+) => {$(
        #[test]
        fn $name() {
            let row = Row { file: $file, perm: $perm, prompt: $prompt, said: $said };
            check($more, $append, &row);
        }
    )+};
}

fn nothing(_: &mut Tree) {}

// The order of what is said: garbage, a directory, a dangling link, a fifo, nothing, an empty
// file, ten megabytes of one line.
rows! { nothing, "",
    inittab: "etc/inittab", 0o644, OFFER, [
        "/etc/inittab: no entry; the defaults are used",
        "/etc/inittab: Is a directory; the defaults are used",
        "/etc/inittab: No such file or directory; the defaults are used",
        "/etc/inittab: not a file; the defaults are used",
        "/etc/inittab: No such file or directory; the defaults are used",
        "/etc/inittab: no entry; the defaults are used",
        "/etc/inittab: longer than 262144 bytes; the rest is left out",
    ];
    passwd: "etc/passwd", 0o644, LOGIN, [
        "", "/etc/passwd: read: Is a directory", "", "/etc/passwd: read: not a file", "", "",
        "/etc/passwd: longer than 4194304 bytes; the rest is left out",
    ];
    group: "etc/group", 0o644, LOGIN, [
        "/etc/mdev.conf: line 5: tty: no such group",
        "/etc/group: read: Is a directory",
        "/etc/mdev.conf: line 5: tty: no such group",
        "/etc/group: read: not a file",
        "/etc/mdev.conf: line 5: tty: no such group",
        "/etc/mdev.conf: line 5: tty: no such group",
        "/etc/group: longer than 4194304 bytes; the rest is left out",
    ];
    hostname: "etc/hostname", 0o644, " login: ", [
        "/etc/hostname: set the name: ",
        "/etc/hostname: read: Is a directory",
        "/etc/hostname: read: No such file or directory",
        "/etc/hostname: read: not a file",
        "/etc/hostname: read: No such file or directory",
        "/etc/hostname: set the name: no name in it",
        "/etc/hostname: read: longer than 65536 bytes",
    ];
    fstab: "etc/fstab", 0o644, LOGIN, [
        "/etc/fstab: line 1: ", "/etc/fstab: read: Is a directory", "",
        "/etc/fstab: read: not a file", "", "", "/etc/fstab: longer than ",
    ];
    mdev_conf: "etc/mdev.conf", 0o644, LOGIN, [
        "mdev: /etc/mdev.conf: line 1: ", "mdev: /etc/mdev.conf: read: Is a directory", "",
        "mdev: /etc/mdev.conf: read: not a file", "", "", "/etc/mdev.conf: longer than ",
    ];
    issue: "etc/issue", 0o644, LOGIN, [
        "", "getty: /etc/issue: read: Is a directory; going on without it", "",
        "getty: /etc/issue: read: not a file; going on without it", "", "", "",
    ];
    stage_3: "etc/runit/3", 0o755, LOGIN, [
        "process '/etc/runit/3' (pid ", "can't run '/etc/runit/3': Permission denied", "",
        "can't run '/etc/runit/3': Permission denied", "", "", "",
    ];
    // An empty directory of services is none that is broken.
    services: "etc/runit/sv", 0o755, OFFER, [
        "/etc/runit/sv: Not a directory; name", NOT_BROKEN, "/etc/runit/sv: No such file or directory",
        "/etc/runit/sv: Not a directory; name", "/etc/runit/sv: No such file or directory",
        "/etc/runit/sv: Not a directory; name", "/etc/runit/sv: Not a directory; name",
    ];
    the_service_of_the_login: "etc/runit/sv/tty1/run", 0o755, SHELL, [
        "tty1: start /etc/runit/sv/tty1/run: Exec format error",
        "tty1: start /etc/runit/sv/tty1/run: Permission denied; it is not a file",
        "tty1: start /etc/runit/sv/tty1/run: No such file or directory",
        "tty1: start /etc/runit/sv/tty1/run: Permission denied; it is not a file",
        "tty1: start /etc/runit/sv/tty1/run: No such file or directory",
        "tty1: start /etc/runit/sv/tty1/run: Exec format error",
        "tty1: start /etc/runit/sv/tty1/run: Exec format error",
    ];
    another_service: "etc/runit/sv/mdev/run", 0o755, LOGIN, [
        "mdev: start /etc/runit/sv/mdev/run: Exec format error",
        "mdev: start /etc/runit/sv/mdev/run: Permission denied; it is not a file",
        "mdev: start /etc/runit/sv/mdev/run: No such file or directory",
        "mdev: start /etc/runit/sv/mdev/run: Permission denied; it is not a file",
        "mdev: start /etc/runit/sv/mdev/run: No such file or directory",
        "mdev: start /etc/runit/sv/mdev/run: Exec format error",
        "mdev: start /etc/runit/sv/mdev/run: Exec format error",
    ];
}

/// The files of a root with a password, which is `geheim`.
fn with_a_password(tree: &mut Tree) {
    tree.put_file(b"etc/passwd", false, b"root:x:0:0::/:/bin/sh\n".to_vec());
    let hash = "root:$5$saltsalt$cKRA0A5uaKu0/NNi2WMrB.mMOAVMowckrDNQ4fKUJ06:1::::::\n";
    tree.put(
        "etc/shadow".as_bytes(),
        0o600,
        Node::File(Cow::Borrowed(hash.as_bytes())),
    );
}

rows! { with_a_password, "single",
    // busybox's shell looks its user up before it shows a prompt, and waits at a fifo.
    passwd_in_single_user: "etc/passwd", 0o644, "starting a shell", [
        "sulogin: /etc/passwd: no line for root: starting a shell",
        "sulogin: /etc/passwd: Is a directory: starting a shell",
        "sulogin: /etc/passwd: No such file or directory: starting a shell",
        "sulogin: /etc/passwd: not a file: starting a shell",
        "sulogin: /etc/passwd: No such file or directory: starting a shell",
        "sulogin: /etc/passwd: no line for root: starting a shell",
        "sulogin: /etc/passwd: no line for root: starting a shell",
    ];
    shadow_in_single_user: "etc/shadow", 0o600, SHELL, [
        "sulogin: /etc/shadow: no line for root: starting a shell",
        "sulogin: /etc/shadow: Is a directory: starting a shell",
        "sulogin: /etc/shadow: No such file or directory: starting a shell",
        "sulogin: /etc/shadow: not a file: starting a shell",
        "sulogin: /etc/shadow: No such file or directory: starting a shell",
        "sulogin: /etc/shadow: no line for root: starting a shell",
        "sulogin: /etc/shadow: no line for root: starting a shell",
    ];
    // What else is broken does not matter before it is read.
    inittab_in_single_user: "etc/inittab", 0o644,
        "Root's password for a shell, or Control-D to go on without: ", [""; 7];
}

fn by_the_script(tree: &mut Tree) {
    let inittab = "::sysinit:/etc/runit/stage1\n::respawn:/usr/bin/runsvdir -P /etc/runit/sv\n";
    tree.put_file(b"etc/inittab", false, inittab.into());
}

rows! { by_the_script, "",
    hostname_by_the_script: "etc/hostname", 0o644, " login: ", [""; 7];
    fstab_by_the_script: "etc/fstab", 0o644, LOGIN, [""; 7];
    the_script: "etc/runit/stage1", 0o755, " login: ", [
        "process '/etc/runit/stage1' (pid ",
        "can't run '/etc/runit/stage1': Permission denied",
        "can't run '/etc/runit/stage1': No such file or directory",
        "can't run '/etc/runit/stage1': Permission denied",
        "can't run '/etc/runit/stage1': No such file or directory",
        "",
        "",
    ];
}

/// Our image, as runit knows machines.
fn in_three_stages(tree: &mut Tree) {
    tree.put_link(b"sbin/init", b"/sbin/runit-init");
    let stages: [(&[u8], &str); 2] = [
        (b"etc/runit/1", "#!/bin/sh\nexec /sbin/stage1\n"),
        (
            b"etc/runit/2",
            "#!/bin/sh\nexec runsvdir -P /etc/runit/sv\n",
        ),
    ];
    for (name, script) in stages {
        tree.put_file(name, true, script.into());
    }
}

rows! { in_three_stages, "",
    stage_1_of_runit: "etc/runit/1", 0o755, " login: ", [
        "can't run /etc/runit/1: Exec format error",
        "can't run /etc/runit/1: Permission denied",
        "can't run /etc/runit/1: No such file or directory",
        "can't run /etc/runit/1: Permission denied",
        "can't run /etc/runit/1: No such file or directory",
        "can't run /etc/runit/1: Exec format error",
        "can't run /etc/runit/1: Exec format error",
    ];
    stage_2_of_runit: "etc/runit/2", 0o755, SHELL, [
        "can't run /etc/runit/2: Exec format error",
        "can't run /etc/runit/2: Permission denied",
        "can't run /etc/runit/2: No such file or directory",
        "can't run /etc/runit/2: Permission denied",
        "can't run /etc/runit/2: No such file or directory",
        "can't run /etc/runit/2: Exec format error",
        "can't run /etc/runit/2: Exec format error",
    ];
    stage_3_of_runit: "etc/runit/3", 0o755, LOGIN, [
        "can't run /etc/runit/3: Exec format error",
        "can't run /etc/runit/3: Permission denied",
        "can't run /etc/runit/3: No such file or directory",
        "can't run /etc/runit/3: Permission denied",
        "can't run /etc/runit/3: No such file or directory",
        "can't run /etc/runit/3: Exec format error",
        "can't run /etc/runit/3: Exec format error",
    ];
}
