//! The files of our own in a service directory.

use model::settings::{SETTINGS, Settings};

use super::Player;

/// Contents that each file may have.
fn seeds(name: &str) -> &'static [&'static [u8]] {
    match name {
        "backoff" => &[b"60\n", b"\n 86400 \n\n", b""],
        "notification-fd" => &[b"0\n", b"3", b" 1023 \n# the last\n"],
        "timeout-up" | "timeout-kill" | "timeout-finish" | "give-up" => {
            &[b"0\n", b"5000\n", b"4294967295"]
        }
        "down-signal" | "reload-signal" => &[b"INT\n", b"sigrtmin+3", b" 15 \n", b"RTMAX-1\n"],
        "owner" => &[b"dev\n", b"1000:1000", b"\nwww-data:staff\n"],
        "kill" => &[b"process\n", b"\ngroup"],
        "notify" => &[b"", b"ready\n", b"status all\nready\n"],
        "restart" => &[b"always\n", b"failure 78 100\nTERM RTMIN+1\n", b"never 0"],
        other => panic!("there are no seeds for {other}"),
    }
}

/// What is understood is shown in printable characters, and what is not leaves the
/// settings as they are.
pub fn settings(player: &mut dyn Player) {
    for setting in &SETTINGS {
        player.cases(seeds(setting.name), &mut |content| {
            let mut found = Settings::default();
            let decoded = (setting.decode)(content, &mut found);
            let shown = format!("{found:?}");
            assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            assert!(found.timeout_up != Some(0) && found.timeout_kill != Some(0));
            assert!(found.timeout_finish != Some(0) && found.give_up != Some(0));
            assert!(found.notification_fd.is_none_or(|number| number < 1024));
            if let Some(restart) = found.restart {
                let words = format!("{restart:?}");
                let mut again = Settings::default();
                let decoded = (setting.decode)(words.as_bytes(), &mut again);
                assert_eq!((decoded, again), (Ok(()), found));
            }
            if let Err(mistake) = &decoded {
                let mut reason = mistake.reason.bytes();
                assert!(mistake.line > 0 && reason.all(|byte| matches!(byte, b' '..=b'~')));
                assert_eq!(found, Settings::default());
            }
            decoded.is_ok()
        });
    }
}
