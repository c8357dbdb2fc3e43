//! Device events and rules in, a plan of operations on device nodes out.
//!
//! Rules are tried in the order of the file. The first that matches decides, but
//! one that starts with `-` lets the next ones match as well; behind them all
//! stands a rule that matches every device: its own name, `root:root`, 0660.
//! `add` makes the node, `remove` takes it away, `change` only runs commands
//! marked `*`; other actions do nothing. A device without a number has no node,
//! but commands run for it.
//!
//! A kernel with devtmpfs has made the node already, at the device's own name. So
//! a node that goes elsewhere is made there first, and only then does the kernel's
//! own go away or give place to a link.
//!
//! Paths are relative to /dev. Regular expressions come from outside, through
//! [`Ere`].

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
    /// User number.
    pub user: u32,
    /// Group number.
    pub group: u32,
    /// Permission bits.
    pub mode: u32,
}

const DEFAULT_ACCESS: Access = Access {
    user: 0,
    group: 0,
    mode: 0o660,
};

/// A node's type and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Block or character.
    pub kind: Kind,
    /// Its number.
    pub number: Number,
}

/// One operation, in the order in which they are to be done. If a `Node` cannot
/// be made, the `Link` and `Unlink` operations after it must not be done: what
/// the kernel made is better than nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The node is at `path` with this access, and so are the directories above
    /// it. What is there already and is this device is corrected, not made anew.
    Node {
        /// Where.
        path: Vec<u8>,
        /// What.
        device: Device,
        /// Whose.
        access: Access,
    },
    /// A symbolic link at `path`, in place of an older link or device node.
    Link {
        /// Where.
        path: Vec<u8>,
        /// What it holds.
        target: Vec<u8>,
    },
    /// Nothing is at `path` any more, if what is there is this device or a link.
    Unlink {
        /// Where.
        path: Vec<u8>,
        /// What goes.
        device: Device,
    },
    /// A shell command, with the event's variables in its environment.
    Run {
        /// What `sh -c` is given.
        command: Vec<u8>,
        /// The node's name, for `$MDEV`.
        node: Vec<u8>,
    },
    /// The kernel asks for this file of /lib/firmware, relative to it.
    Firmware {
        /// The file.
        name: Vec<u8>,
    },
}

impl<E: Ere> Rules<E> {
    /// What is to be done about an event. `root` is the device that holds the
    /// root directory: its node gets a link called `root`.
    pub fn plan(&self, event: &Uevent, root: Option<Number>) -> Vec<Op> {
        let action = event.action();
        let Some(name) = event.name().filter(|_| action != Action::Other) else {
            return Vec::new();
        };
        let firmware = event.get(b"FIRMWARE");
        if firmware.is_some() && action == Action::Remove {
            // A request for firmware is over; no device went.
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

    /// One rule's part of the plan: `node` is where it wants the node.
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

    /// The kernel's own node goes if the node moved and no rule wants one there.
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
    // A group may hold `..`: such a device keeps its own name.
    inside_dev(&path).unwrap_or_else(|| Vec::from(name))
}

/// Replaces `%0` to `%9`; the `%` of a group that is not there stands for itself.
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

/// What a link at `link` must hold to lead to `node`, both relative to /dev.
fn relative(node: &[u8], link: &[u8]) -> Vec<u8> {
    let directories = link.split(|b| *b == b'/').skip(1).count();
    let mut target = b"../".repeat(directories);
    target.extend_from_slice(node);
    target
}

#[cfg(test)]
mod tests;
