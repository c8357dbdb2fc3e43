//! The actions that are to be done, in their order: what follows from the present
//! input comes before what waited already.

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
    /// One more follows from the present input.
    pub fn push(&mut self, action: Action) {
        self.fresh.push(action);
    }

    /// The input is dealt with: what follows from it comes first.
    pub fn end_input(&mut self) {
        let fresh = core::mem::take(&mut self.fresh);
        if self.waiting.is_empty() {
            // The room that a long queue had is given back with it.
            self.waiting = fresh.into();
        } else {
            self.waiting.reserve(fresh.len());
            for action in fresh.into_iter().rev() {
                self.waiting.push_front(action);
            }
        }
    }

    /// What [`Queue::pop`] will be.
    pub fn peek(&self) -> Option<&Action> {
        self.waiting.front()
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<Action> {
        self.waiting.pop_front()
    }

    /// Nothing of what waited is done any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}
