//! The kernel's modules that the root needs: those that /etc/modules names, in its order, each
//! after those that it needs itself. What else modprobe(8) knows (aliases, modprobe.d) does not
//! count here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::format::modules_alias::{self, module_name};
use model::format::modules_load;
use rustix::io::Errno;

use crate::machine::console;
use crate::sys::{file, module};

const LIST: &str = "/etc/modules";
const LIST_BYTES_MAX: usize = 256 * 1024;
/// depmod's files are longer than any that people write.
const TABLE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Loads them all; what fails is said.
pub fn load() {
    let Ok((text, _)) = file::read_lines(Path::new(LIST), LIST_BYTES_MAX) else {
        return;
    };
    let (wanted, mistakes) = modules_load::decode(&text);
    for mistake in mistakes {
        let (line, reason) = (mistake.line, mistake.reason);
        console::say(&format!("{LIST}: line {line}: {reason}"));
    }
    let release = rustix::system::uname();
    let release = OsStr::from_bytes(release.release().to_bytes());
    let place = Path::new("/lib/modules").join(release);
    let table = |name| file::read(&place.join(name), TABLE_BYTES_MAX).unwrap_or_default();
    let (needs, built_in) = (table("modules.dep"), table("modules.builtin"));
    for one in wanted {
        let done = match modules_alias::files(&needs, &one.name) {
            Some(paths) => load_one(&place, &paths, &one),
            None if modules_alias::is_built_in(&built_in, &one.name) => Ok(()),
            None => Err(format!("no such module in {}", place.display())),
        };
        if let Err(why) = done {
            let name = one.name.escape_ascii();
            console::say(&format!("{LIST}: line {}: {name}: {why}", one.line));
        }
    }
}

/// Loads what it needs and itself.
fn load_one(place: &Path, paths: &[&[u8]], one: &modules_load::Wanted) -> Result<(), String> {
    for path in paths {
        let is_own = module_name(path) == module_name(&one.name);
        let settings = if is_own { one.settings.as_slice() } else { b"" };
        let path = place.join(OsStr::from_bytes(path));
        match module::load(&path, settings) {
            // There is nothing that it is for.
            Err(e) if Errno::from_io_error(&e) == Some(Errno::NODEV) => {}
            loaded => loaded.map_err(|e| format!("{}: load: {e}", path.display()))?,
        }
    }
    Ok(())
}
