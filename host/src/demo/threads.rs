//! Work on many scenes at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// `work(.., 0)` to `work(.., count - 1)`, in this order, computed by `threads`
/// threads that each `begin` with a state of their own. Not rayon: a classifier
/// waits for a pool of its own, and a waiting rayon thread would begin the next
/// scene inside the one it is in.
pub fn each<S, T: Send>(
    threads: usize,
    count: usize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut state = begin();
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return done;
            }
            done.push((i, work(&mut state, i)));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let running: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut all = take();
        for thread in running {
            match thread.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn order_does_not_depend_on_threads() {
        let squares: Vec<usize> = (0..100).map(|i| i * i).collect();
        for threads in [0, 1, 3] {
            assert_eq!(each(threads, 100, || (), |(), i| i * i), squares);
        }
        assert!(each(2, 0, || (), |(), i| i).is_empty());
    }
}
