//! The actions to perform, in order: those that follow from the present input come before
//! those that waited already.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Action;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Action>,
    /// Of the present input.
    fresh: Vec<Action>,
}

impl Queue {
    /// Adds an action that follows from the present input.
    pub fn push(&mut self, action: Action) {
        self.fresh.push(action);
    }

    /// The input has been handled: its actions go to the front.
    pub fn end_input(&mut self) {
        let fresh = core::mem::take(&mut self.fresh);
        if self.waiting.is_empty() {
            // This also frees the memory of a long queue.
            self.waiting = fresh.into();
        } else {
            self.waiting.reserve(fresh.len());
            for action in fresh.into_iter().rev() {
                self.waiting.push_front(action);
            }
        }
    }

    /// What [`Queue::pop`] will return.
    pub fn peek(&self) -> Option<&Action> {
        self.waiting.front()
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<Action> {
        self.waiting.pop_front()
    }

    /// Drops all waiting actions.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}
