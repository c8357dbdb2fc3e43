//! Values by name, in the order of the names. (Each standard map of such values makes the
//! binary larger by several kilobytes.)

/// See the module.
pub struct Named<T>(Vec<(Vec<u8>, T)>);

impl<T: Default> Named<T> {
    /// Without a name yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_slice().cmp(name))
    }

    /// Whether the name is there.
    pub fn has(&self, name: &[u8]) -> bool {
        self.place(name).is_ok()
    }

    /// The value of a name, which is added if it is not there.
    pub fn of(&mut self, name: &[u8]) -> &mut T {
        let at = match self.place(name) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (name.to_vec(), T::default()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// The value that a name had.
    pub fn remove(&mut self, name: &[u8]) -> Option<T> {
        self.place(name).ok().map(|at| self.0.remove(at).1)
    }

    /// All.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&[u8], &mut T)> {
        self.0
            .iter_mut()
            .map(|(name, value)| (name.as_slice(), value))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }
}
