//! Sorting of lists that are short, or sorted once: the standard sort of the numbers of their
//! items, and then a permutation. Each kind of item that the standard sort is used for itself
//! makes the binary larger by some four kilobytes.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Sorts by a comparison; what is equal stays in its order.
pub fn sort_by<T>(items: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    let order = order(items.len(), &|a, b| match (items.get(a), items.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    let mut from: Vec<Option<T>> = core::mem::take(items).into_iter().map(Some).collect();
    items.extend(order.into_iter().filter_map(|at| from.get_mut(at)?.take()));
}

/// Sorts by a key; what has the same one stays in its order.
pub fn sort_by_key<T, K: Ord>(items: &mut Vec<T>, key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts.
pub fn sort<T: Ord>(items: &mut Vec<T>) {
    sort_by(items, T::cmp);
}

/// A set or a map of these, one after the other: the standard `collect` sorts them first.
pub fn gather<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(items);
    all
}

/// The numbers below `count`, in the order of a comparison.
fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| compare(*a, *b));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::String;
    use alloc::vec;

    #[test]
    fn it_sorts_as_the_standard_sort_does() {
        let mut seed = 1_u32;
        for length in 0..40 {
            let mut items = Vec::new();
            for n in 0..length {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                items.push((seed >> 29, n));
            }
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_by_key(&mut items, |(key, _)| *key);
            assert_eq!(items, expected, "stable");
            sort_by(&mut items, |a, b| b.cmp(a));
            expected.sort_by(|a, b| b.cmp(a));
            assert_eq!(items, expected);
        }
        let mut words: Vec<String> = vec!["b".into(), "a".into()];
        sort(&mut words);
        assert_eq!(words, ["a", "b"]);
        let set: BTreeSet<i32> = gather([2, 1, 2]);
        assert_eq!(set, [1, 2].into());
    }
}
