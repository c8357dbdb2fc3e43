//! What is written reads back the same, and what somebody mangled is passed over.

use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec;

const GOLDEN: &[u8] = b"sunup-boot 1\n\
    2057611000 note \"init\"\n\
    2058000000 step \"mount /proc\" 2058100000 ok\n\
    2058100000 step \"fstab\" 2059000000 failed \"mount /data: no \\\"device\\\"\"\n\
    2059000001 step \"sysctl\" 2059000002 failed \"\"\n\
    2059000003 idle 2 3900000000\n\
    2060000000 hold \"web\" \"needs db\"\n\
    2060000001 free \"web\"\n\
    2060000002 start \"web\" 98\n\
    2060000003 ready \"web\"\n\
    18446744073709551615 start \"a\\\\b\\x0a\\xc3\\xa4/log\" 0\n";

fn line(at: u64, what: What<&str>) -> Line {
    let owned = |text: &str| text.as_bytes().to_vec();
    let what = match what {
        What::Step {
            name,
            until,
            failure,
        } => What::Step {
            name: owned(name),
            until,
            failure: failure.map(owned),
        },
        What::Start(name, pid) => What::Start(owned(name), pid),
        What::Ready(name) => What::Ready(owned(name)),
        What::Hold(name, why) => What::Hold(owned(name), owned(why)),
        What::Free(name) => What::Free(owned(name)),
        What::Note(name) => What::Note(owned(name)),
        What::Idle(cpus, ns) => What::Idle(cpus, ns),
    };
    let at = Instant(at);
    Line { at, what }
}

fn step<'a>(name: &'a str, until: u64, failure: Option<&'a str>) -> What<&'a str> {
    let until = Instant(until);
    What::Step {
        name,
        until,
        failure,
    }
}

fn golden() -> Record {
    let lines = vec![
        line(2_057_611_000, What::Note("init")),
        line(2_058_000_000, step("mount /proc", 2_058_100_000, None)),
        line(
            2_058_100_000,
            step("fstab", 2_059_000_000, Some("mount /data: no \"device\"")),
        ),
        line(2_059_000_001, step("sysctl", 2_059_000_002, Some(""))),
        line(2_059_000_003, What::Idle(2, 3_900_000_000)),
        line(2_060_000_000, What::Hold("web", "needs db")),
        line(2_060_000_001, What::Free("web")),
        line(2_060_000_002, What::Start("web", 98)),
        line(2_060_000_003, What::Ready("web")),
        line(u64::MAX, What::Start("a\\b\nä/log", 0)),
    ];
    Record {
        lines,
        passed_over: 0,
    }
}

#[test]
fn golden_bytes() {
    let encoded = golden().encode();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(shown(&encoded), shown(GOLDEN));
    assert_eq!(Record::decode(GOLDEN), Some(golden()));
    assert_eq!(golden().newest(), Some(Instant(u64::MAX)));
    assert!(golden().has_note(INIT) && !golden().has_note(UP));
}

#[test]
fn every_cut_gives_the_lines_before_it() {
    for cut in 0..GOLDEN.len() {
        let Some(record) = Record::decode(&GOLDEN[..cut]) else {
            assert!(cut < HEADER.len(), "{cut}");
            continue;
        };
        let whole = GOLDEN[HEADER.len()..cut].split(|b| *b == b'\n').count() - 1;
        assert_eq!(record.lines, golden().lines[..whole], "{cut}");
        let is_cut = GOLDEN[cut - 1] != b'\n';
        assert_eq!(record.passed_over, usize::from(is_cut), "{cut}");
    }
}

#[test]
fn all_bytes_in_a_name_make_one_line() {
    for byte in 0..=255 {
        let name = vec![b'a', byte, b'"', byte];
        let before = Line {
            at: Instant(1),
            what: What::Hold(name.clone(), name),
        };
        let mut encoded = Vec::new();
        before.encode(&mut encoded);
        assert!(encoded.iter().all(|b| matches!(b, b' '..=b'~' | b'\n')));
        assert_eq!(encoded.split(|b| *b == b'\n').count(), 2);
        assert_eq!(
            Line::decode(encoded.strip_suffix(b"\n").unwrap()),
            Some(before)
        );
    }
}

#[test]
fn long_names_are_cut() {
    let mut encoded = Vec::new();
    let name = vec![0xff; 100_000];
    let what = What::Hold(name.clone(), name);
    let at = Instant::MAX;
    Line { at, what }.encode(&mut encoded);
    assert!(encoded.len() < 2100, "{}", encoded.len());
    let read = Line::decode(encoded.strip_suffix(b"\n").unwrap()).unwrap();
    let cut = vec![0xff; TEXT_BYTES_MAX];
    assert_eq!(read.what, What::Hold(cut.clone(), cut));
}

#[test]
fn idle_time_is_the_second_number_of_uptime() {
    assert_eq!(idle_ns(b"2.39 1.07\n"), Some(1_070_000_000));
    assert_eq!(idle_ns(b"350735.47 234388.90\n"), Some(234_388_900_000_000));
    let bad: [&[u8]; 8] = [
        b"",
        b"1.00",
        b"1.00 2",
        b"1.00 2.0",
        b"1.00 2.000",
        b"1.00 .50",
        b"1.00 -2.00",
        b"1.00 99999999999.00",
    ];
    for text in bad {
        assert_eq!(idle_ns(text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn what_is_no_line_is_passed_over() {
    let bad = [
        "",
        " ",
        "1",
        "1 ",
        "x note \"a\"",
        "-1 note \"a\"",
        "+1 note \"a\"",
        "18446744073709551616 note \"a\"",
        "1 note a",
        "1 note \"a",
        "1 note \"a\" ",
        "1 note \"a\"b",
        "1 note  \"a\"",
        "1 note \"a\" \"b\"",
        "1 note \"\\n\"",
        "1 note \"\\x0A\"",
        "1 note \"\\x0\"",
        "1 note \"\\\"",
        "1 note \"\t\"",
        "1 note \"\u{e4}\"",
        "1 step \"a\" 2",
        "1 step \"a\" 2 fine",
        "1 step \"a\" 2 ok \"b\"",
        "1 start \"a\"",
        "1 start \"a\" 4294967296",
        "1 start \"a\" -1",
        "1 hold \"a\"",
        "1 idle 1",
        "1 idle 4294967296 1",
        "1 stop \"a\"",
        "1 NOTE \"a\"",
    ];
    for line in bad {
        assert_eq!(Line::decode(line.as_bytes()), None, "{line:?}");
    }
    let long = format!("1 note \"{}\"", "a".repeat(TEXT_BYTES_MAX + 1));
    assert_eq!(Line::decode(long.as_bytes()), None);
    let mixed = [HEADER, b"garbage\n\n1 ready \"a\"\n\0\n"].concat();
    let read = Record::decode(&mixed).unwrap();
    assert_eq!((read.lines.len(), read.passed_over), (1, 3));
    let bare = line(1, step("a", 2, Some("")));
    assert_eq!(Line::decode(b"1 step \"a\" 2 failed"), Some(bare));
    for no_record in [&b""[..], b"sunup-boot 1", b"sunup-boot 2\n", b"\n"] {
        assert_eq!(Record::decode(no_record), None);
    }
}
