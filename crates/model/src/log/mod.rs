//! What `sv log` decides: which files hold the lines ([`files`]), where the last of them
//! begin ([`backwards`]), from when on they are wanted ([`since`]), how a line is shown
//! ([`text`]), and where a log service writes, by its script ([`script`]).
//!
//! A log is a directory as svlogd, multilog, s6-log and tinylog keep it: `current`, and
//! older files whose names have the time at which they were set aside.

pub mod backwards;
pub mod files;
pub mod script;
pub mod since;
pub mod text;

/// A longer line is shown in pieces, each as a line: so no file takes more memory.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
