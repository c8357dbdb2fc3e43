//! Makes a plan of operations on device nodes from an event and the rules.
//!
//! Rules are tried in the order of the file. The first rule that matches decides. After a
//! rule that begins with `-`, later rules may match, too. After all rules comes one that
//! matches every device: its own name, `root:root`, 0660. `add` makes the node, `remove`
//! removes it, `change` only runs commands with `*`; other actions have no effect. A device
//! without a number has no node, but commands run for it.
//!
//! With devtmpfs, the kernel has made a node already, with the name of the device. If the
//! node goes elsewhere, it is made there first. Only then is the kernel's own node removed,
//! or replaced by a link.
//!
//! Paths are relative to /dev. The caller brings the regular expressions ([`Ere`]).

use alloc::vec;
use alloc::vec::Vec;

use crate::format::mdev_conf::{Place, When};
use crate::format::uevent::{Action, Kind, Number, Uevent, inside_dev};

mod length;
mod rules;

pub use length::{ERE_BYTES_MAX, ERES_BYTES_MAX};
use rules::Resolved;
pub use rules::{Ere, Extent, GROUPS, Groups, Names, Rules};

/// Owner, group and permissions of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The number of the user.
    pub user: u32,
    /// The number of the group.
    pub group: u32,
    /// Permission bits.
    pub mode: u32,
}

const DEFAULT_ACCESS: Access = Access {
    user: 0,
    group: 0,
    mode: 0o660,
};

/// The type and the number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Block or character.
    pub kind: Kind,
    /// Its number.
    pub number: Number,
}

/// One operation. They must be done in order. If a `Node` cannot be made, the `Link` and
/// `Unlink` operations after it must not be done: the node that the kernel made is better
/// than none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make the node at `path` with this access, and the directories above it. If the node of
    /// this device is there already, only correct it.
    Node {
        /// Where.
        path: Vec<u8>,
        /// What.
        device: Device,
        /// Whose.
        access: Access,
    },
    /// Make a symbolic link at `path`. It replaces an older link or a device node.
    Link {
        /// Where.
        path: Vec<u8>,
        /// The path in the link.
        target: Vec<u8>,
    },
    /// Remove what is at `path`, if it is this device or a link.
    Unlink {
        /// Where.
        path: Vec<u8>,
        /// The device.
        device: Device,
    },
    /// Run a shell command, with the variables of the event in its environment.
    Run {
        /// The text that `sh -c` gets.
        command: Vec<u8>,
        /// The name of the node, for `$MDEV`.
        node: Vec<u8>,
    },
    /// Give this file of /lib/firmware to the kernel, which asks for it.
    Firmware {
        /// The path, relative to /lib/firmware.
        name: Vec<u8>,
    },
}

impl<E: Ere> Rules<E> {
    /// The plan for an event. `root` is the device that holds the root directory: its node
    /// gets a link with the name `root`.
    pub fn plan(&self, event: &Uevent, root: Option<Number>) -> Vec<Op> {
        let action = event.action();
        let Some(name) = event.name().filter(|_| action != Action::Other) else {
            return Vec::new();
        };
        let firmware = event.get(b"FIRMWARE");
        if firmware.is_some() && action == Action::Remove {
            // A request for firmware is over. No device went away.
            return Vec::new();
        }
        let mut plan = Planner {
            action,
            root,
            device: event.number().map(|number| Device {
                kind: event.kind(),
                number,
            }),
            name,
            moved_away: false,
            ops: Vec::new(),
        };
        plan.all(&self.rules, event);
        if let Some(name) = firmware.and_then(inside_dev) {
            plan.ops.push(Op::Firmware { name });
        }
        plan.ops
    }
}

struct Planner {
    action: Action,
    root: Option<Number>,
    /// `None` if the device has no node, or after a rule that says `!`.
    device: Option<Device>,
    name: Vec<u8>,
    moved_away: bool,
    ops: Vec<Op>,
}

impl Planner {
    fn all<E: Ere>(&mut self, rules: &[Resolved<E>], event: &Uevent) {
        let number = event.number();
        let name = self.name.clone();
        let mut last = false;
        for rule in rules {
            let Some(groups) = rule.groups(event, &name, number) else {
                continue;
            };
            if rule.place == Place::Nowhere {
                self.device = None;
            }
            let node = node_path(&rule.place, &groups, &name);
            let linked = matches!(rule.place, Place::MovedAndLinked(_));
            self.one(node, rule.access, linked, rule.command.as_ref());
            last = !rule.go_on;
            if last {
                break;
            }
        }
        if !last {
            self.one(name, DEFAULT_ACCESS, false, None);
        }
        self.leave_own_name();
    }

    /// The part of one rule in the plan. `node`: where the rule wants the node.
    fn one(
        &mut self,
        node: Vec<u8>,
        access: Access,
        linked: bool,
        command: Option<&(When, Vec<u8>)>,
    ) {
        let device = self.device;
        if let Some(device) = device.filter(|_| self.action == Action::Add) {
            self.make(&node, device, access, linked);
        }
        if let Some((when, command)) = command {
            let now = match self.action {
                Action::Add => *when != When::Remove,
                Action::Remove => *when != When::Add,
                Action::Change | Action::Other => *when == When::Any,
            };
            if now {
                self.ops.push(Op::Run {
                    command: command.clone(),
                    node: node.clone(),
                });
            }
        }
        if let Some(device) = device.filter(|_| self.action == Action::Remove) {
            if linked && node != self.name {
                self.unlink(self.name.clone(), device);
            }
            self.unlink(node, device);
        }
    }

    fn make(&mut self, node: &[u8], device: Device, access: Access, linked: bool) {
        self.ops.push(Op::Node {
            path: Vec::from(node),
            device,
            access,
        });
        if linked && node != self.name {
            self.ops.push(Op::Link {
                path: self.name.clone(),
                target: relative(node, &self.name),
            });
        } else if node != self.name {
            self.moved_away = true;
        }
        if self.root == Some(device.number) && device.kind == Kind::Block {
            self.ops.push(Op::Link {
                path: vec![b'r', b'o', b'o', b't'],
                target: Vec::from(node),
            });
        }
    }

    fn unlink(&mut self, path: Vec<u8>, device: Device) {
        self.ops.push(Op::Unlink { path, device });
    }

    /// Removes the kernel's own node if the node moved and no rule wants one there.
    fn leave_own_name(&mut self) {
        let wanted = self.ops.iter().any(|op| match op {
            Op::Node { path, .. } | Op::Link { path, .. } => *path == self.name,
            _ => false,
        });
        if let Some(device) = self.device.filter(|_| self.moved_away && !wanted) {
            self.unlink(self.name.clone(), device);
        }
    }
}

/// Where a rule puts the node of the device `name`.
fn node_path(place: &Place, groups: &Groups, name: &[u8]) -> Vec<u8> {
    let (Place::Moved(path) | Place::MovedAndLinked(path)) = place else {
        return Vec::from(name);
    };
    let mut path = substitute(path, groups);
    if path.ends_with(b"/") {
        path.extend_from_slice(name);
    }
    // A group may hold `..`. Then the device keeps its own name.
    inside_dev(&path).unwrap_or_else(|| Vec::from(name))
}

/// Replaces `%0` to `%9`. If there is no such group, the `%` stays.
fn substitute(path: &[u8], groups: &Groups) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let digit = tail.first().filter(|_| *first == b'%');
        let group = digit.and_then(|d| *groups.get(usize::from(d.checked_sub(b'0')?))?);
        if let Some(group) = group {
            out.extend_from_slice(group);
            rest = tail.get(1..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// The path in a link at `link` that leads to `node`; both are relative to /dev.
fn relative(node: &[u8], link: &[u8]) -> Vec<u8> {
    let directories = link.split(|b| *b == b'/').skip(1).count();
    let mut target = b"../".repeat(directories);
    target.extend_from_slice(node);
    target
}

#[cfg(test)]
mod tests;
