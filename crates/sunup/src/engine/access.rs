//! Who is let in besides the supervisor's user ([`model::access`]): what the environment
//! and the file `owner` of a service ask for. What cannot be had is reported, and nobody is
//! let in.

use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;

use model::access::{Access, Owner, Readers};
use model::format::owner::Named;
use model::settings::{OWNER, Settings};
use rustix::process::{getegid, geteuid, getgroups};

use super::setting_file::read_setting;
use crate::{accounts, say};

const READERS: &str = "SUNUP_READERS";
const OPERATORS: &str = "SUNUP_OPERATORS";

/// What the environment asks for, for all services.
pub fn of_environment(who: &str) -> Access {
    let group = |variable| {
        let name = asked(variable)?;
        let found = accounts::group(&name).and_then(|gid| may_give(gid).map(|()| gid));
        let told = |reason| say::offer(who, format_args!("{variable}: {reason}; taken for nobody"));
        found.map_err(told).ok()
    };
    let is_all = asked(READERS).is_some_and(|name| name == b"*");
    let readers = if is_all {
        Some(Readers::All)
    } else {
        group(READERS).map(Readers::Group)
    };
    Access {
        readers,
        operators: group(OPERATORS),
        owner: None,
    }
}

fn asked(variable: &str) -> Option<Vec<u8>> {
    let name = std::env::var_os(variable).map(OsStringExt::into_vec);
    name.filter(|name| !name.is_empty())
}

/// Whom the file `owner` of a service names, if there is one.
///
/// # Errors
/// Why nobody is let in, in words.
pub fn owner(home: BorrowedFd) -> Result<Option<Owner>, String> {
    let mut found = Settings::default();
    read_setting(home, &OWNER, &mut found)?;
    let Some(Named { user, group }) = found.owner else {
        return Ok(None);
    };
    let uid = accounts::user(user.as_bytes())?;
    let own = geteuid().as_raw();
    if own != 0 && own != uid {
        let user = user.as_bytes().escape_ascii();
        return Err(format!(
            "{user}: only a supervisor of root's lets others in"
        ));
    }
    let gid = group.map(|group| accounts::group(group.as_bytes()));
    let gid = gid.transpose()?;
    gid.map(may_give).transpose()?;
    Ok(Some(Owner { uid, gid }))
}

/// Whether this process may give a file to a group.
fn may_give(gid: u32) -> Result<(), String> {
    let is_member = || {
        let others = getgroups().unwrap_or_default();
        getegid().as_raw() == gid || others.iter().any(|other| other.as_raw() == gid)
    };
    if geteuid().is_root() || is_member() {
        Ok(())
    } else {
        Err(format!("this process is not in group {gid}"))
    }
}
