//! What `sv log` makes of logs: the search from the end finds what a plain look at all
//! lines finds, and a terminal gets nothing that it obeys.

use model::format::stamp;
use model::format::tai64n::Tai64n;
use model::log::backwards::Backwards;
use model::log::files::{Files, label, twin};
use model::log::script::Logger;
use model::log::since::Since;
use model::log::text;

use super::Player;
use crate::mangle::Dice;

pub fn logs_as_shown(player: &mut dyn Player) {
    let seeds: [&[u8]; 3] = [
        b"@400000006b03150211a21d9e one\nmore\n@400000006b03150311a21d9e two\x1b[2J\n\n",
        b"2026-11-22_13:04:56.85524 a\n2026-11-22T13:04:57.00000 \xff\xfe b\nlast",
        b"@400000006b03150211a21d9e.u\n1h\n2026-11-29 18:00\nexec svlogd -tt ./main\n",
    ];
    player.cases(&seeds, &mut |input| {
        let mut dice = Dice(input.iter().map(|byte| u64::from(*byte)).sum());
        last_lines(input, &mut dice);
        since(input, &mut dice);
        let mut files = Files::default();
        for line in input.split(|byte| *byte == b'\n') {
            shown(line);
            files.add(line);
            if label(line).is_some() {
                assert_eq!(label(&twin(line)), label(line));
            }
            if let Some(since) = Since::parse(line) {
                let ahead = dice.below(50_000) as i64 - 25_000;
                let moment = since.moment(1_000_000_000, |_| ahead);
                assert!(moment < 1 << 42);
            }
        }
        let labels = files.names.iter().map(|name| &name[..25]);
        assert!(labels.is_sorted_by(|one, other| one < other));
        drop(Logger::of_script(input));
        true
    });
}

fn search(text: &[u8], mut search: Backwards, dice: &mut Dice) -> Backwards {
    search.enter(text.len() as u64);
    let mut end = text.len();
    while end > 0 && !search.is_done {
        let begin = end - (1 + dice.below(50)).min(end);
        if !search.feed(begin as u64, &text[begin..end]) {
            break;
        }
        end = begin;
    }
    search
}

fn last_lines(text: &[u8], dice: &mut Dice) {
    let wanted = dice.below(9);
    let found = search(text, Backwards::new(wanted as u64, None), dice);
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let expected = &lines[lines.len() - wanted.min(lines.len())..];
    assert_eq!(found.found, expected.len() as u64);
    assert_eq!(&text[found.start as usize..], expected.concat());
}

fn since(text: &[u8], dice: &mut Dice) {
    let stamps = text.split(|byte| *byte == b'\n').filter_map(stamp::decode);
    let stamps: Vec<Tai64n> = stamps.map(|(at, _)| at).collect();
    let Some(since) = stamps.get(dice.below(stamps.len())) else {
        return;
    };
    let found = search(text, Backwards::new(u64::MAX, Some(*since)), dice);
    let rest = &text[found.start as usize..];
    let mut lines = rest.split(|byte| *byte == b'\n');
    assert!(lines.all(|line| stamp::decode(line).is_none_or(|(at, _)| at >= *since)));
    // Before it is the beginning, or a line that is too old.
    let mut before = text[..found.start as usize].split_inclusive(|byte| *byte == b'\n');
    let before = before.next_back().and_then(stamp::decode);
    assert!(found.start == 0 || before.is_some_and(|(at, _)| at < *since));
}

fn shown(line: &[u8]) {
    let mut out = Vec::new();
    text::escape(line, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.chars().all(|c| c == '\t' || !c.is_control()));
    assert!(text.len() <= 4 * line.len());
    if let Some((at, len)) = stamp::decode(line) {
        assert!(len <= line.len() && at.nanos() < 1_000_000_000);
        let mut out = Vec::new();
        text::time(at, 7200, &mut out);
        assert!(out.ends_with(b" ") && out.len() < 40);
    }
}
