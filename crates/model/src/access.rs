//! Who else may read the state of a service, and who else may command it: owners and modes
//! of what a supervisor makes in `supervise`.
//!
//! Without any wish everything is as runit has it: the supervisor's user alone. What is
//! granted never includes more than that: the directory and the files of the state are
//! written by the supervisor alone, and the lock is for supervisors.

/// Who is let in besides the supervisor's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who may read the state.
    pub readers: Option<Readers>,
    /// The group that may command services, and read their state.
    pub operators: Option<u32>,
    /// Whose this one service is.
    pub owner: Option<Owner>,
}

/// Who may read the state of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The members of this group.
    Group(u32),
    /// Everybody.
    All,
}

/// A user who may command a service, and the group that may, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: Option<u32>,
}

/// What is made in a service directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The directory `supervise`.
    Directory,
    /// A file of the state that says what /proc tells everybody.
    State,
    /// A file that holds words of the service, or names of others.
    Words,
    /// A fifo for commands.
    Fifo,
}

/// Owner and mode of something that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The permissions.
    pub mode: u32,
    /// The user, if not the supervisor's.
    pub uid: Option<u32>,
    /// The group, if not as it is made.
    pub gid: Option<u32>,
}

impl Grant {
    const fn to_group(mode: u32, gid: u32) -> Self {
        Self {
            mode,
            uid: None,
            gid: Some(gid),
        }
    }

    const fn mode(mode: u32) -> Self {
        Self {
            mode,
            uid: None,
            gid: None,
        }
    }
}

impl Access {
    /// Nobody.
    pub const PLAIN: Self = Self {
        readers: None,
        operators: None,
        owner: None,
    };

    /// Whether nobody is let in: then nothing is granted.
    pub fn is_plain(self) -> bool {
        self == Self::PLAIN
    }

    /// What is granted of something; `None`: it stays as runit has it.
    ///
    /// A file has one group. An owner is seldom a member of the readers', so the state of
    /// a service with an owner is open to all, but for what holds words.
    pub fn grant(self, made: Made) -> Option<Grant> {
        let all = matches!(self.readers, Some(Readers::All));
        let group = match self.readers {
            Some(Readers::Group(gid)) => Some(gid),
            _ => self.operators,
        };
        let of_owner = self.owner.and_then(|owner| owner.gid);
        match made {
            _ if self.is_plain() => None,
            Made::Fifo => self.fifo(),
            Made::Directory if all || self.owner.is_some() => Some(Grant::mode(0o755)),
            Made::State if all || self.owner.is_some() => Some(Grant::mode(0o644)),
            Made::Words if all => Some(Grant::mode(0o644)),
            Made::Words => {
                let readers = self.readers.and(group).or(of_owner).or(group);
                Some(readers.map_or(Grant::mode(0o600), |gid| Grant::to_group(0o640, gid)))
            }
            Made::Directory => group.map(|gid| Grant::to_group(0o750, gid)),
            Made::State => group.map(|gid| Grant::to_group(0o640, gid)),
        }
    }

    /// The owner's group takes the place of the operators'.
    fn fifo(self) -> Option<Grant> {
        let uid = self.owner.map(|owner| owner.uid);
        let gid = self.owner.and_then(|owner| owner.gid).or(self.operators);
        let mode = if gid.is_some() { 0o620 } else { 0o600 };
        (uid.is_some() || gid.is_some()).then_some(Grant { mode, uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    const READERS: [(&str, Option<Readers>); 3] = [
        ("-", None),
        ("4", Some(Readers::Group(4))),
        ("*", Some(Readers::All)),
    ];
    const OPERATORS: [Option<u32>; 2] = [None, Some(5)];
    const OWNERS: [Option<Owner>; 3] = [
        None,
        Some(Owner { uid: 7, gid: None }),
        Some(Owner {
            uid: 7,
            gid: Some(8),
        }),
    ];
    const MADE: [Made; 4] = [Made::Directory, Made::State, Made::Words, Made::Fifo];

    fn shown(grant: Option<Grant>) -> String {
        let id = |id: Option<u32>| id.map_or("-".into(), |id| format!("{id}"));
        grant.map_or("-".into(), |g| {
            format!("{:o}:{}:{}", g.mode, id(g.uid), id(g.gid))
        })
    }

    /// Readers, operators, owner; directory, state, words, fifos.
    const TABLE: [&str; 18] = [
        "- - -    - - - -",
        "- - 7    755:-:- 644:-:- 600:-:- 600:7:-",
        "- - 7:8  755:-:- 644:-:- 640:-:8 620:7:8",
        "- 5 -    750:-:5 640:-:5 640:-:5 620:-:5",
        "- 5 7    755:-:- 644:-:- 640:-:5 620:7:5",
        "- 5 7:8  755:-:- 644:-:- 640:-:8 620:7:8",
        "4 - -    750:-:4 640:-:4 640:-:4 -",
        "4 - 7    755:-:- 644:-:- 640:-:4 600:7:-",
        "4 - 7:8  755:-:- 644:-:- 640:-:4 620:7:8",
        "4 5 -    750:-:4 640:-:4 640:-:4 620:-:5",
        "4 5 7    755:-:- 644:-:- 640:-:4 620:7:5",
        "4 5 7:8  755:-:- 644:-:- 640:-:4 620:7:8",
        "* - -    755:-:- 644:-:- 644:-:- -",
        "* - 7    755:-:- 644:-:- 644:-:- 600:7:-",
        "* - 7:8  755:-:- 644:-:- 644:-:- 620:7:8",
        "* 5 -    755:-:- 644:-:- 644:-:- 620:-:5",
        "* 5 7    755:-:- 644:-:- 644:-:- 620:7:5",
        "* 5 7:8  755:-:- 644:-:- 644:-:- 620:7:8",
    ];

    #[test]
    fn what_is_granted_by_each_wish() {
        let mut rows: Vec<String> = Vec::new();
        for (word, readers) in READERS {
            for operators in OPERATORS {
                for owner in OWNERS {
                    let access = Access {
                        readers,
                        operators,
                        owner,
                    };
                    let operators = operators.map_or("-".into(), |gid| format!("{gid}"));
                    let owner = owner.map_or("-".into(), |owner| {
                        let gid = owner.gid.map_or(String::new(), |gid| format!(":{gid}"));
                        format!("{}{gid}", owner.uid)
                    });
                    let grants = MADE.map(|made| shown(access.grant(made))).join(" ");
                    rows.push(format!("{word} {operators} {owner:<4} {grants}"));
                    let nothing = MADE.iter().all(|made| access.grant(*made).is_none());
                    assert_eq!(nothing, access.is_plain());
                }
            }
        }
        let squeezed = TABLE.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        let rows = rows
            .iter()
            .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(rows.eq(squeezed), "{TABLE:#?}");
    }

    /// Nobody but the supervisor ever writes into the directory or to a file.
    #[test]
    fn nobody_is_let_in_to_change_anything_but_by_a_command() {
        for (_, readers) in READERS {
            for operators in OPERATORS {
                for owner in OWNERS {
                    let access = Access {
                        readers,
                        operators,
                        owner,
                    };
                    for made in MADE {
                        let Some(grant) = access.grant(made) else {
                            continue;
                        };
                        let is_fifo = made == Made::Fifo;
                        assert_eq!(grant.mode & 0o002, 0);
                        assert!(is_fifo || grant.mode & 0o022 == 0 && grant.uid.is_none());
                        // Whose commands these are is not read by others.
                        assert!(!is_fifo || grant.mode & 0o044 == 0);
                        // No permission for a group that nobody chose.
                        assert!(grant.gid.is_some() || grant.mode >> 3 & 7 == grant.mode & 7);
                    }
                }
            }
        }
    }
}
