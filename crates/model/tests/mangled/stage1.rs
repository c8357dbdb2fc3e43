//! The files that stage 1 reads: whatever is in them, what comes out has a bound, stays where it
//! belongs, and can be given to the kernel.

use std::collections::BTreeSet;

use model::format::fstab::{self, Options};
use model::format::modules_alias::{self, Settings};
use model::format::{lines, modules_load, sysctl, tmpfiles};
use model::{glob, stage1};

use super::{Player, assert_tellable};

const SEEDS: [&[u8]; 7] = [
    b"UUID=12-AB / ext4 errors=remount-ro 0 1\n/dev/x none swap sw,pri=5,discard=once 0 0\n",
    b"/a/b /c\\040d none bind,ro,x-y,rslave\ntmpfs /a tmpfs size=1,\"a,b\",user\n",
    b"# s\nkernel.printk = 3 4\n-net.ipv4.conf.*.rp_filter=1\nnet/ipv4/conf/a.b/x=\n-net.x\n",
    b"alias pci:v0000[1-9A]*d*sv* e-1000\nblacklist x_y\noptions e-1000 a=1 \\\n b=2\nsoftdep a pre: b post: c\n",
    b"kernel/fs/ext4.ko.xz: kernel/a-b.ko kernel/c.ko.zst\nkernel/c.ko.zst:\nloop\nc io=1\n",
    b"d /run/a 0755 root 5 10d -\nL+ \"/tmp/x y\" - - - - /z\\n\nr! /tmp/.X[0-9]*-lock\nw /sys/a - - - - %%\n",
    b"# my\nbox.example.org\n",
];

pub fn check(player: &mut dyn Player) {
    player.cases(&SEEDS, &mut |text| {
        // Each seed is understood by one of them at least.
        [
            table(text),
            settings(text),
            modules(text),
            files(text),
            stage1::hostname(text).is_ok(),
        ]
        .contains(&true)
    });
}

fn table(text: &[u8]) -> bool {
    let (entries, mistakes) = fstab::decode(text);
    assert!(entries.len() <= fstab::ENTRIES_MAX && mistakes.len() <= fstab::MISTAKES_MAX);
    for mistake in &mistakes {
        assert_tellable(&mistake.reason, text);
    }
    let order = fstab::in_order(&entries);
    let lines: BTreeSet<usize> = order.iter().map(|entry| entry.line).collect();
    assert_eq!((order.len(), lines.len()), (entries.len(), entries.len()));
    for entry in &entries {
        assert!(entry.is_swap() || entry.target.starts_with(b"/"));
        assert!(entry.swap_flags() >= 0);
        let options = Options::decode(&entry.options);
        let calls = options.calls();
        assert!((1..=3).contains(&calls.len()));
        for call in calls.iter().chain([&options.remount()]) {
            assert!(!call.data.contains(&0) && call.data.len() <= entry.options.len());
        }
    }
    mistakes.is_empty() && !entries.is_empty()
}

fn stays_below(path: &[u8]) -> bool {
    path.split(|b| *b == b'/')
        .all(|part| ![&b""[..], b".", b".."].contains(&part))
}

fn settings(text: &[u8]) -> bool {
    let (settings, mistakes) = sysctl::decode(text);
    assert!(settings.len() <= sysctl::SETTINGS_MAX && mistakes.len() <= lines::MISTAKES_MAX);
    for setting in &settings {
        assert!(
            stays_below(&setting.path),
            "{}",
            setting.path.escape_ascii()
        );
        assert!(!setting.path.contains(&0));
    }
    mistakes.is_empty() && !settings.is_empty()
}

fn modules(text: &[u8]) -> bool {
    let (wanted, mistakes) = modules_load::decode(text);
    assert!(wanted.len() <= modules_load::MODULES_MAX && mistakes.len() <= lines::MISTAKES_MAX);
    assert!(wanted.iter().all(|wanted| !wanted.name.contains(&b'/')));
    let names: Vec<Vec<u8>> = wanted.into_iter().map(|wanted| wanted.name).collect();
    assert!(modules_alias::wanted(text, &names).len() <= modules_alias::MODULES_MAX);
    let mut set = Settings::default();
    set.add(text);
    set.add_command_line(text);
    let mut found = false;
    for name in &names {
        found |= modules_alias::files(text, name).is_some_and(|files| !files.is_empty());
        let around = set.around(name);
        assert!(
            around
                .iter()
                .all(|soft| soft.len() <= modules_alias::MODULES_MAX)
        );
        assert!(set.options(name).len() <= 2 * text.len());
        let _ = (
            set.is_blacklisted(name),
            set.has_command(name),
            glob::matches(text, name),
        );
    }
    found || !names.is_empty() && mistakes.is_empty()
}

fn files(text: &[u8]) -> bool {
    let (lines, mistakes, passed_over) = tmpfiles::decode(text);
    assert!(lines.len() + passed_over.len() <= tmpfiles::LINES_MAX);
    for mistake in &mistakes {
        assert_tellable(&mistake.reason, text);
    }
    for line in &lines {
        let mut parts = line.path.split(|b| *b == b'/');
        assert!(parts.all(|part| part != b"..") && !line.path.contains(&0));
        let places: [&[u8]; 6] = [b"/run", b"/tmp", b"/var", b"/dev", b"/sys", b"/proc"];
        assert!(places.iter().any(|place| line.path.starts_with(place)));
        assert!(line.mode.is_none_or(|mode| mode <= 0o7777) && !line.argument.contains(&0));
    }
    mistakes.is_empty() && !lines.is_empty()
}
