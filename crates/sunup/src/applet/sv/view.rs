//! How standard output shows a table: as wide as the terminal, in colour if that is wanted.

use std::env::var_os;
use std::io::IsTerminal;

use model::snapshot::table::View;
use rustix::termios::tcgetwinsize;

/// See the module. A terminal that does not know how wide it is may be told by COLUMNS; a
/// pipe gets the whole width.
pub fn of_stdout() -> View {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok();
    let of_terminal = size.map(|size| usize::from(size.ws_col));
    let told = || var_os("COLUMNS")?.to_str()?.parse().ok();
    let has_width = |width: &usize| *width > 0;
    View {
        width: of_terminal
            .filter(has_width)
            .or_else(told)
            .filter(has_width),
        is_coloured: is_coloured(),
    }
}

/// Only on a terminal that has colours, and if NO_COLOR does not say no (no-color.org).
fn is_coloured() -> bool {
    let is_set = |name| var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && !is_set("NO_COLOR")
        && var_os("TERM").is_none_or(|term| term != "dumb")
}
