//! What is checked of each format, and of a service: nothing panics, what comes out
//! has a bound, and what is understood reads back the same after it was written.
//! Who makes the inputs is the [`Player`]: these tests, or `fuzz/`.

#[path = "stage1.rs"]
mod stage1;

use std::collections::BTreeSet;
use std::time::Duration;

use model::boot::Machine;
use model::control::Verb;
use model::device::{Ere, Extent, GROUPS, Groups, Names, Op, Rules};
use model::format::account::{User, group, user};
use model::format::adopt;
use model::format::boot_record::{self, Record};
use model::format::cpio::{self, Inode, Node};
use model::format::crash_loop::CrashLoop;
use model::format::inittab;
use model::format::issue::{self, Facts, LocalTime};
use model::format::mdev_conf;
use model::format::status::Status;
use model::format::svlogd_config::{self, Config};
use model::format::tai64n::Tai64n;
use model::format::time_zone;
use model::format::uevent::{self, Number, Uevent};
use model::format::utmp;
use model::format::{proc_locks, proc_stat};
use model::lines::{Framer, split};
use model::options::{Asked, Opt, Order, Spec, parse};
use model::pid1::Life;
use model::rotate::{Kind, OldLog, Shelf};
use model::shutdown::Schedule;
use model::time::Instant;
use model::{chpst, getty, select};

use crate::mangle::Dice;

#[path = "lives.rs"]
mod lives;
pub use lives::{messages_of_services, services, what_pid_1_left_for_its_successor};

#[path = "disks.rs"]
mod disks;
pub use disks::{block_devices, roots_and_mounts};

#[path = "logs.rs"]
mod logs;
pub use logs::logs_as_shown;

#[path = "settings.rs"]
mod settings;
#[path = "state.rs"]
mod state;
pub use settings::settings;
pub use state::state_lines;

/// Hands inputs to a check.
pub trait Player {
    /// Hands in good inputs and what it makes of them, or any others. The check
    /// returns whether it understood the input, as it does a good one.
    fn cases(&mut self, seeds: &[&[u8]], check: &mut dyn FnMut(&[u8]) -> bool);
}

/// What is told of a mistake is one line, and not much longer than its cause.
fn assert_tellable(reason: &str, input: &[u8]) {
    assert!(reason.chars().all(|c| !c.is_control()), "{reason:?}");
    assert!(reason.len() <= 4 * input.len() + 200, "{}", reason.len());
    assert!(!reason.is_empty());
}

pub fn inittab(player: &mut dyn Player) {
    let seeds: [&[u8]; 3] = [
        b"::sysinit:/etc/runit/stage1\n# say\ntty1::respawn:-/sbin/getty 0 tty1\n",
        b"::askfirst:-/bin/sh\n::ctrlaltdel:reboot\n::shutdown:umount -a -r\n::restart:init\n",
        b"null::once:echo 'a b' > /dev/$x\n /dev/tty2:x:wait:a\\ b:c\r\n",
    ];
    player.cases(&seeds, &mut |text| {
        let (entries, mistakes) = inittab::decode(text);
        assert!(entries.len() <= inittab::ENTRIES_MAX);
        assert!(mistakes.len() <= inittab::MISTAKES_MAX + 1);
        for mistake in &mistakes {
            assert_tellable(&mistake.reason.to_string(), text);
        }
        assert_eq!(
            inittab::decode(&inittab::encode(&entries)),
            (entries.clone(), vec![])
        );
        for entry in &entries {
            let exec = inittab::exec(&entry.command);
            let words = exec.argv.iter().chain([&exec.program]);
            let bytes: usize = words.clone().map(Vec::len).sum();
            assert!(bytes <= 2 * entry.command.len() + 32 && !exec.argv.is_empty());
            assert!(!words.flatten().any(|byte| *byte == 0));
        }
        // Whatever there is, a machine can be made of it.
        let machine = Machine::boot(entries.clone(), Duration::ZERO);
        drop(machine.step(Instant(0), model::pid1::News::Tick.into()));
        mistakes.is_empty() && !entries.is_empty()
    });
}

pub fn boot_records(player: &mut dyn Player) {
    let seeds: [&[u8]; 2] = [
        b"sunup-boot 1\n2057611000 note \"init\"\n2058000000 step \"mount\" 2058100000 ok\n\
          2058 step \"fstab\" 2059 failed \"no \\\"device\\\"\"\n5 idle 2 3900000000\n",
        b"sunup-boot 1\n1 hold \"web\" \"needs db\"\n2 free \"web\"\n3 start \"a\\\\b\\x0a\" 98\n\
          4 ready \"web/log\"\n9 note \"up\"\n",
    ];
    player.cases(&seeds, &mut |text| {
        let Some(record) = Record::decode(text) else {
            return false;
        };
        let lines = text.split(|byte| *byte == b'\n').count();
        assert!(record.lines.len() + record.passed_over < lines);
        let again = Record::decode(&record.encode()).expect("a record");
        assert_eq!((again.lines, again.passed_over), (record.lines.clone(), 0));
        for line in &record.lines {
            let mut bytes = Vec::new();
            line.encode(&mut bytes);
            assert!(bytes.len() <= 8 * boot_record::TEXT_BYTES_MAX + 100);
        }
        record.passed_over == 0
    });
}

/// Finds its text anywhere; good enough for plans.
struct Plain(Vec<u8>);

impl Ere for Plain {
    fn compile(ere: &[u8], _: Extent) -> Result<Self, String> {
        Ok(Self(ere.to_vec()))
    }

    fn groups<'t>(&self, text: &'t [u8]) -> Option<Groups<'t>> {
        let found = text.starts_with(self.0.get(..1)?);
        found.then_some([Some(text); GROUPS])
    }
}

fn stays_in_dev(path: &[u8]) -> bool {
    let mut parts = path.split(|byte| *byte == b'/');
    !path.is_empty() && parts.all(|part| ![&b""[..], b".", b".."].contains(&part))
}

pub fn mdev_conf(player: &mut dyn Player) {
    let seeds: [&[u8]; 3] = [
        b"# rules\n-null root:root 666 =mem/ @echo $MDEV\nsd[a-z].* 0:6 660 >disk/%1 *run\n",
        b"$MODALIAS=.* root:root 660 @modprobe\n@8,0-15 root:disk 640 !\n",
        b"SUBSYSTEM=input;.* 0:0 660 =input/ \\\n @a\nloop0 bob 600 >mine\n",
    ];
    let event = b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0MAJOR=8\0MINOR=1\0\
        DEVNAME=sda1\0SUBSYSTEM=block\0MODALIAS=pci:x\0";
    let event = Uevent::decode_datagram(event).unwrap();
    let names = Names {
        user: &|_| Some(User { uid: 7, gid: 7 }),
        group: &|_| Some(7),
    };
    player.cases(&seeds, &mut |text| {
        let (rules, mistakes) = mdev_conf::decode(text);
        assert!(rules.len() <= mdev_conf::RULES_MAX);
        let count = rules.len();
        let (rules, unresolved) = Rules::<Plain>::resolve(rules, &names);
        for mistake in mistakes.iter().chain(&unresolved) {
            assert_tellable(&mistake.reason, text);
        }
        let plan = rules.plan(&event, None);
        assert!(plan.len() <= 8 * (count + 1));
        for op in &plan {
            match op {
                Op::Node { path, .. } | Op::Link { path, .. } | Op::Unlink { path, .. } => {
                    assert!(stays_in_dev(path), "{}", path.escape_ascii());
                }
                Op::Run { command, .. } => assert!(!command.contains(&0)),
                Op::Firmware { .. } => {}
            }
        }
        mistakes.is_empty() && count > 0
    });
}

pub fn files_of_stage_1(player: &mut dyn Player) {
    stage1::check(player);
}

pub fn svlogd_config(player: &mut dyn Player) {
    let seeds: [&[u8]; 3] = [
        b"s1000000\nn10\nN5\nt1h\n!gzip\n",
        b"-*\n+*error*\n+a+b\ne*\nE**\n\n# say\np web: \n",
        b"u127.0.0.1:514\nU[::1]:600\ns2k\nn0\n",
    ];
    let lines: [&[u8]; 4] = [b"", b"an error: 7", b"aaab", &[0xff; 300]];
    player.cases(&seeds, &mut |text| {
        let (config, mistakes) = Config::decode(text);
        assert!(mistakes.len() <= svlogd_config::MISTAKES_MAX + 1);
        for mistake in &mistakes {
            assert_tellable(&mistake.reason, text);
        }
        for line in lines {
            let verdict = config.selection.judge(line);
            assert!(!config.selection.is_empty() || (verdict.log && !verdict.alert));
        }
        let processor = config.processor.unwrap_or_default();
        assert!(!processor.contains(&0) && processor.len() + config.prefix.len() <= text.len());
        mistakes.is_empty()
    });
}

pub fn status(player: &mut dyn Player) {
    let seed: &[u8] = b"\x40\0\0\0\x3b\x9a\xca\x0a\x1d\xcd\x65\0\x04\x03\x02\x01\0u\0\x01";
    player.cases(&[seed], &mut |bytes| {
        let Ok(record) = bytes.try_into() else {
            return false;
        };
        let Some(status) = Status::decode(record) else {
            return false;
        };
        let again = status.encode();
        assert_eq!(Status::decode(&again), Some(status));
        // Any byte that is not 0 counts as true; all else is kept as it is.
        assert_eq!(again[..16], record[..16]);
        let text = model::control::text::describe(b"web", &status, None, Tai64n::from_unix(0, 0));
        assert!(text.len() < 200);
        true
    });
}

pub fn crash_loops(player: &mut dyn Player) {
    let seeds: [&[u8]; 2] = [b"5 1 0 0\n", b"4294967295 -1 139 18446744073709551615\n"];
    player.cases(&seeds, &mut |line| {
        let Some(shown) = CrashLoop::decode(line) else {
            return false;
        };
        assert_eq!(CrashLoop::decode(shown.encode().as_bytes()), Some(shown));
        assert!(shown.remark(Instant(0)).len() < 60);
        true
    });
}

pub fn records_of_processes(player: &mut dyn Player) {
    let seeds: [&[u8]; 3] = [
        b"1 setup b 5 0 12 3 done\n",
        b"1 run 0f3a-boot 4026531836 77 123 456789    \n",
        b"1 finish b 5 0 4194304 18446744073709551615\n",
    ];
    player.cases(&seeds, &mut |line| {
        let Some(record) = adopt::decode(line) else {
            return false;
        };
        let mut again = adopt::prefix(record.part, &record.world, record.pipe);
        again.extend(format!("{} {}", record.pid, record.at.0).bytes());
        again.extend(record.mark.bytes());
        again.push(b'\n');
        assert_eq!(adopt::decode(&again), Some(record.clone()));
        assert!(record.pid > 1 && i32::try_from(record.pid).is_ok());
        true
    });
    let plan: &[u8] = b"sunup-shutdown 1\n77 reboot 1795915838\n";
    player.cases(&[plan], &mut |text| {
        let Some(plan) = Schedule::decode(text) else {
            return false;
        };
        assert_eq!(Schedule::decode(plan.encode().as_bytes()), Some(plan));
        plan.pid > 1 && i32::try_from(plan.pid).is_ok()
    });
    let stat: &[u8] = b"77 (a ) b) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 500 7 8 9\n";
    player.cases(&[stat], &mut |line| proc_stat::decode(line).is_some());
    let locks: &[u8] = b"1: FLOCK  ADVISORY  WRITE 77 fe:00:42 0 EOF\n";
    let file = proc_locks::Locked {
        device: (0xfe, 0),
        inode: 42,
    };
    player.cases(&[locks], &mut |text| {
        proc_locks::holder(text, file).is_some_and(|pid| pid > 0)
    });
}

pub fn events_of_the_kernel(player: &mut dyn Player) {
    let seeds: [&[u8]; 2] = [
        b"add@/devices/a\0ACTION=add\0DEVPATH=/devices/a\0MAJOR=8\0MINOR=0\0DEVNAME=sda\0",
        b"change@/block/x!y\0ACTION=change\0DEVPATH=/block/x!y\0SUBSYSTEM=block\0SEQNUM=9\0",
    ];
    player.cases(&seeds, &mut |bytes| {
        let lines = Uevent::decode_lines(bytes);
        let pairs = bytes.split(|byte| *byte == 0).map(|part| (part, part));
        let environment = Uevent::from_environment(pairs);
        let datagram = Uevent::decode_datagram(bytes);
        for event in [&lines, &environment].into_iter().chain(&datagram) {
            if let Some(name) = event.name() {
                assert!(stays_in_dev(&name), "{}", name.escape_ascii());
            }
            let _ = (event.action(), event.kind(), event.number());
        }
        assert!(lines.variables().len() <= uevent::VARIABLES_MAX);
        let Ok(event) = datagram else { return false };
        assert!(event.variables().len() <= uevent::VARIABLES_MAX);
        // Variables count, and may be worse than the header that they come with.
        let action = event.get(b"ACTION").unwrap_or_default();
        let path = event.get(b"DEVPATH").unwrap_or_default();
        let is_whole = !action.is_empty() && !action.contains(&b'@') && path.starts_with(b"/");
        let again = Uevent::decode_datagram(&event.encode_datagram());
        assert!(!is_whole || again == Ok(event));
        is_whole
    });
    player.cases(&[b"254:1048575", b"0:0"], &mut |text| {
        Number::decode(text).is_some()
    });
}

pub fn utmp_files(player: &mut dyn Player) {
    let record = |line: &'static [u8]| {
        utmp::encode(&utmp::Record {
            kind: utmp::Kind::User,
            pid: 42,
            line,
            user: b"joe",
            host: b"far",
            time_s: 1000,
            time_us: 7,
        })
    };
    let one = record(b"tty1");
    let two = [record(b"tty2"), one].concat();
    player.cases(&[&one, &two], &mut |file| {
        let count = file.len() / utmp::SIZE;
        let place = utmp::place_of(file, b"tty1");
        assert!(place.is_none_or(|place| place <= count));
        let session = utmp::session_of(file, b"tty1");
        assert!(session.is_none_or(|place| place < count));
        for line in utmp::lines_in_use(file) {
            assert!(!line.starts_with(b"/") && !line.split(|b| *b == b'/').any(|p| p == b".."));
        }
        if let Some(place) = session {
            let mut record = *file.as_chunks::<{ utmp::SIZE }>().0.get(place).unwrap();
            utmp::log_out(&mut record, 1, 2);
            assert_eq!(utmp::session_of(&record, b"tty1"), None);
        }
        session.is_some()
    });
    player.cases(&[b"tty1", b"pts/1234567890"], &mut |line| {
        let file = utmp::encode(&utmp::Record {
            kind: utmp::Kind::Login,
            pid: -1,
            line,
            user: line,
            host: line,
            time_s: u32::MAX,
            time_us: u32::MAX,
        });
        utmp::place_of(&file, line).is_some()
    });
}

pub fn time_zones(player: &mut dyn Player) {
    let block = |version: u8, time_bytes: usize| {
        let counts = [0_u32, 0, 0, 1, 2, 4].map(u32::to_be_bytes).concat();
        let time = &100_i64.to_be_bytes()[8 - time_bytes..];
        let kinds = b"\x01\0\0\x0e\x10\0\0\xff\xff\xf1\xf0\x01\0ABC\0";
        [b"TZif", &[version][..], &[0; 15], &counts, time, kinds].concat()
    };
    let file = [&block(b'2', 4)[..], &block(b'2', 8), b"\nXST-5\n"].concat();
    let texts: [&[u8]; 3] = [
        b"CET-1CEST,M3.5.0,M10.5.0/3",
        b"<-02>2<-01>,M12.5.0/-1,59/167:59:59",
        b"EST5EDT4,J60/0,J61",
    ];
    let old = block(0, 4);
    let seeds = [&[&file[..], &old], &texts[..]].concat();
    player.cases(&seeds, &mut |input| {
        let moments = [i64::MIN, -1, 0, 100, 1 << 31, 1 << 57, i64::MAX];
        let found = moments.map(|at| {
            let offset = time_zone::offset_s_by_rule(input, at);
            // A day, and an hour more in summer.
            assert!(offset.is_none_or(|offset| offset.abs() < 26 * 3600));
            offset.or(time_zone::offset_s(input, at))
        });
        found.iter().all(Option::is_some)
    });
}

pub fn issue_files(player: &mut dyn Player) {
    let now = LocalTime {
        year: i64::MAX,
        month: 255,
        day: 255,
        weekday: 255,
        hour: 255,
        minute: 255,
        second: 255,
    };
    let facts = Facts {
        system: b"Linux",
        node: b"host",
        release: b"1",
        version: b"2",
        machine: b"m",
        domain: b"d",
        line: b"/dev/tty1",
        now,
    };
    let seeds: [&[u8]; 2] = [b"on \\l \\m %% \\d \\t\n", b"\\s \\n \\r \\v \\o %h\\\n"];
    player.cases(&seeds, &mut |text| {
        let shown = issue::expand(text, &facts);
        assert!(shown.len() <= 40 * text.len());
        true
    });
}

pub fn archives(player: &mut dyn Player) {
    let inode = |name: &'static [u8], node| Inode {
        names: vec![name.into()],
        perm: 0o755,
        node,
    };
    let linked = Inode {
        names: vec![b"bin/a"[..].into(), b"bin/b"[..].into()],
        perm: 0o644,
        node: Node::File(b"content"[..].into()),
    };
    let inodes = [
        inode(b"bin", Node::Directory),
        linked,
        inode(b"init", Node::Symlink(b"bin/a"[..].into())),
    ];
    let encode = |inodes: &[Inode<'_>]| {
        let mut bytes = Vec::new();
        cpio::encode(inodes, 0, |part| bytes.extend_from_slice(part)).map(|()| bytes)
    };
    let archive = encode(&inodes).unwrap();
    let small = encode(&inodes[..1]).unwrap();
    player.cases(&[&archive, &small], &mut |bytes| {
        let Ok(inodes) = cpio::decode(bytes) else {
            return false;
        };
        let names = inodes.iter().flat_map(|inode| &inode.names);
        let total: usize = names.map(|name| name.len()).sum();
        assert!(total <= bytes.len());
        // What somebody else wrote may have names that we write for nobody.
        if let Ok(again) = encode(&inodes) {
            let decoded = cpio::decode(&again).unwrap();
            assert_eq!(encode(&decoded), Ok(again));
        }
        true
    });
}

const SPEC: Spec = Spec {
    name: "x",
    synopsis: "[-v] [-w SEC] WORD",
    about: "takes words",
    options: &[
        Opt::flag(b'v', "say more"),
        Opt::valued(b'w', "SEC", "wait"),
    ],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

pub fn command_lines(player: &mut dyn Player) {
    let seeds: [&[u8]; 3] = [
        b"-v\0-w7\0up\0web",
        b"--\0-x\0--help",
        b"-vvw\x001\0status\0--version",
    ];
    player.cases(&seeds, &mut |text| {
        let args: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
        for order in [Order::Posix, Order::Permute] {
            match parse(&Spec { order, ..SPEC }, &args) {
                Err(mistake) => assert_tellable(&mistake, text),
                Ok(Asked::Run(parsed)) => {
                    let of_options: usize = parsed.options.len();
                    assert!(of_options <= text.len() && parsed.operands.len() <= args.len());
                    let letters: BTreeSet<u8> = parsed.options.iter().map(|o| o.0).collect();
                    assert!(letters.is_subset(&BTreeSet::from([b'v', b'w'])));
                }
                Ok(Asked::Help | Asked::Version) => {}
            }
        }
        if let Err(mistake) = getty::operands(&args) {
            assert_tellable(&mistake, text);
        }
        true
    });
}

pub fn words(player: &mut dyn Player) {
    let seeds: [&[u8]; 6] = [
        b"restart",
        b":1000:1000",
        b"bob:staff:tty",
        b"force-stop",
        b"65536",
        b"\\015AT\\\\",
    ];
    let passwd = b"root:x:0:0::/:\nbob:x:1000:x::/:\n\xff:x:1:1\n";
    player.cases(&seeds, &mut |word| {
        if let Err(mistake) = Verb::parse(word, &[]) {
            assert_tellable(&mistake, word);
        }
        if let Err(mistake) = chpst::account(word) {
            assert_tellable(&mistake, word);
        }
        let _ = (chpst::Limit::parse(word), chpst::nice(word));
        let _ = (getty::number(word), getty::modem_speed(word));
        assert!(getty::unescape(word).len() <= word.len());
        let value = chpst::env_value(word).unwrap_or_default();
        assert!(value.len() <= word.len() && !value.contains(&0));
        let _ = (user(passwd, word), group(word, b"bob"), user(word, b"bob"));
        true
    });
}

pub fn names_at_a_terminal(player: &mut dyn Player) {
    let seeds: [&[u8]; 3] = [b"joe\r", b"J\x7fr\xc3\xb6\x08\x15x\n", b"\x03"];
    player.cases(&seeds, &mut |keys| {
        let mut line = getty::NameLine::default();
        for key in keys {
            (line, _) = line.step(*key);
            assert!(line.name.len() <= getty::NAME_BYTES_MAX);
        }
        true
    });
}

pub fn lines_and_old_logs(player: &mut dyn Player) {
    let seeds: [&[u8]; 2] = [b"a line\nanother\n\nlast", b"@400000006b03150211a21d9e.u\n"];
    player.cases(&seeds, &mut |input| {
        let input = input.get(..500).unwrap_or(input);
        let mut dice = Dice(input.iter().map(|byte| u64::from(*byte)).sum());
        // However it is read, every byte is passed on once, and in order.
        let mut framer = Framer::new(dice.below(20) + 1);
        let (mut rest, mut passed) = (input, Vec::new());
        let mut buffer: Vec<u8> = Vec::new();
        while !rest.is_empty() {
            let (read, left) = rest.split_at(rest.len().min(1 + dice.below(30)));
            rest = left;
            buffer.extend_from_slice(read);
            let ready = framer.ready(&buffer);
            let block: Vec<u8> = buffer.drain(..ready.bytes).collect();
            assert_eq!(split(&block).collect::<Vec<_>>().concat(), block);
            passed.extend(block);
        }
        passed.extend(buffer);
        assert_eq!(passed, input);
        let logs: Vec<OldLog> = split(input).filter_map(OldLog::parse).collect();
        let shelf = Shelf::default();
        let now = Tai64n::from_unix(1_000_000_000, 0);
        let waiting = shelf.in_order(&logs, Kind::Waiting, now);
        assert!(waiting.iter().all(|log| logs.contains(log)));
        let oldest = shelf.surplus(&logs, Kind::Any, 0, None, now);
        assert!(oldest.is_none_or(|log| logs.contains(&log)));
        for log in logs {
            assert_eq!(OldLog::parse(log.as_bytes()), Some(log));
        }
        true
    });
}

/// Patterns of svlogd(8): those without a star or a plus match themselves alone, and
/// no pattern takes longer than its line is long.
pub fn patterns(player: &mut dyn Player) {
    let seeds: [&[u8]; 4] = [b"*\nany", b"a*b+c\na-bcc", b"+a\naaa", b"plain\nplain"];
    player.cases(&seeds, &mut |input| {
        let (pattern, line) = match input.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&input[..at], &input[at + 1..]),
            None => (input, input),
        };
        let is_plain = !pattern.contains(&b'*') && !pattern.contains(&b'+');
        let is_match = select::matches(pattern, line);
        assert!(!is_plain || is_match == (pattern == line));
        assert!(select::matches(b"*", line));
        is_match
    });
}
