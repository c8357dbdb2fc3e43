//! The lines in `supervise`. They hold in one line, and are printable.

use model::format::state::BYTES_MAX;
use model::format::state::last::Last;
use model::format::state::ready::Ready;
use model::format::state::reason::Reason;
use model::format::state::status_text::StatusText;

use super::Player;

/// Reads a line, and what is understood back.
fn check<T: PartialEq + std::fmt::Debug>(
    line: &[u8],
    decode: fn(&[u8]) -> Option<T>,
    encode: fn(&T) -> String,
) -> bool {
    let Some(found) = decode(line) else {
        return false;
    };
    let again = encode(&found);
    assert!(line.len() <= BYTES_MAX && again.len() <= BYTES_MAX);
    let text = again.strip_suffix('\n').unwrap();
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    assert_eq!(decode(again.as_bytes()), Some(found));
    true
}

pub fn state_lines(player: &mut dyn Player) {
    let ready: [&[u8]; 2] = [
        b"812 @400000006553f10a00000005 starting\n",
        b"4294967295 @400000006553f10a00000005 notification-fd\n",
    ];
    player.cases(&ready, &mut |line| {
        check(line, Ready::decode, Ready::encode)
    });
    let last: [&[u8]; 3] = [
        b"78 0 exit @400000006553f10a00000005 3 812 5012 given-up\n",
        b"-1 9 signal @400000006553f10a00000005 0 1 18446744073709551615\n",
        b"-1 0 unknown @400000006553f10a00000005 0 1 -\n",
    ];
    player.cases(&last, &mut |line| check(line, Last::decode, Last::encode));
    let reason: [&[u8]; 4] = [
        b"needs db: crash loop, exit 1\n",
        b"after \\xff: b: starting\n",
        b"stop waits for web\n",
        b"KILL at 12000000001\n",
    ];
    player.cases(&reason, &mut |line| {
        check(line, Reason::decode, Reason::encode)
    });
    let text: &[u8] = b"812 @400000006553f10a00000005 loading \\\"a\\\"  40%\n";
    player.cases(&[text], &mut |line| {
        check(line, StatusText::decode, StatusText::encode)
    });
}
