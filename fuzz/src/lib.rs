//! The checks of `crates/model/tests/mangled`, with other inputs than that test has:
//! those of libFuzzer, through cargo-fuzz and a nightly compiler (`targets/`), or any
//! number of mangled ones (`main.rs`), which every compiler can make.

#[path = "../../crates/model/tests/mangled/formats.rs"]
pub mod formats;
#[path = "../../crates/model/tests/mangled/mangle.rs"]
pub mod mangle;

use formats::Player;

/// A check by its name.
pub type Check = (&'static str, fn(&mut dyn Player));

/// All of them.
pub const CHECKS: &[Check] = &[
    ("archives", formats::archives),
    ("block_devices", formats::block_devices),
    ("boot_records", formats::boot_records),
    ("command_lines", formats::command_lines),
    ("crash_loops", formats::crash_loops),
    ("events_of_the_kernel", formats::events_of_the_kernel),
    ("files_of_stage_1", formats::files_of_stage_1),
    ("inittab", formats::inittab),
    ("issue_files", formats::issue_files),
    ("lines_and_old_logs", formats::lines_and_old_logs),
    ("logs_as_shown", formats::logs_as_shown),
    ("mdev_conf", formats::mdev_conf),
    ("messages_of_services", formats::messages_of_services),
    ("names_at_a_terminal", formats::names_at_a_terminal),
    ("patterns", formats::patterns),
    ("records_of_processes", formats::records_of_processes),
    ("roots_and_mounts", formats::roots_and_mounts),
    ("services", formats::services),
    ("settings", formats::settings),
    ("state_lines", formats::state_lines),
    ("status", formats::status),
    ("svlogd_config", formats::svlogd_config),
    ("time_zones", formats::time_zones),
    ("utmp_files", formats::utmp_files),
    (
        "what_pid_1_left_for_its_successor",
        formats::what_pid_1_left_for_its_successor,
    ),
    ("words", formats::words),
];

/// One input that somebody else has made.
struct One<'a>(&'a [u8]);

impl Player for One<'_> {
    fn cases(&mut self, _: &[&[u8]], check: &mut dyn FnMut(&[u8]) -> bool) {
        // Whether it is understood is of no concern.
        let _ = check(self.0);
    }
}

/// Gives the check of that name one input.
///
/// # Panics
/// There is none of that name; or the check fails.
pub fn one(name: &str, input: &[u8]) {
    let found = CHECKS.iter().find(|(known, _)| *known == name);
    let (_, check) = found.unwrap_or_else(|| panic!("no check is called {name}"));
    check(&mut One(input));
}
