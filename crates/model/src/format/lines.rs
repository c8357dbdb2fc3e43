//! Files of lines, where `#` or `;` begins a comment, and a wrong line is told and left out.

use alloc::string::String;
use alloc::vec::Vec;

use super::Mistake;

/// No more mistakes of a file are told.
pub const MISTAKES_MAX: usize = 20;

/// Reads each line that holds something, without blanks around it; of these, at most so many.
pub fn each<T>(
    text: &[u8],
    lines_max: usize,
    mut read: impl FnMut(&[u8], usize) -> Result<T, String>,
) -> (Vec<T>, Vec<Mistake>) {
    let (mut found, mut mistakes) = (Vec::new(), Vec::new());
    for (line, number) in text.split(|b| *b == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") || line.starts_with(b";") {
            continue;
        }
        let read = if found.len() < lines_max {
            read(line, number)
        } else {
            Err("too many lines; the rest is left out".into())
        };
        match read {
            Ok(value) => found.push(value),
            Err(reason) => mistakes.push(Mistake {
                line: number,
                reason,
            }),
        }
        if found.len() == lines_max && !mistakes.is_empty() || mistakes.len() == MISTAKES_MAX {
            break;
        }
    }
    (found, mistakes)
}
