//! Many files read by all cores, and what comes of them in the files' order: [`in_order`].
//!
//! What a caller needs of a picture (its pixels at one size, a check sum) is made where the picture is
//! decoded, so that only this small result waits for its turn, never a photograph at its full size.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use crate::error::Result;

/// The bytes of results that may wait for an older file. Much: a photograph from a phone takes as long as
/// eighty of the lesson's pictures, and the other cores go on meanwhile.
const MOST_WAITING: usize = 64 << 20;

/// The most results that wait, however small.
const MOST_AHEAD: usize = 1024;

/// Reads `files` with one thread for each core and hands over what `read` makes of each, one by one and
/// in order: `each(index, result)`. Ends with the first error of `each`.
///
/// One slow file does not let the others run away: no file is begun that lies more than [`ahead`] files
/// after the oldest that was not handed over, `result_bytes` being what a result takes.
///
/// Threads are scoped, not pooled: a notebook cell links its own copy of the crate, so a pool kept
/// in a static would be born anew in every cell. They stay outside libtorch, whose own threads slow
/// small operations down tenfold when the cores are busy.
pub(crate) fn in_order<T: Send>(
    files: &[PathBuf],
    result_bytes: usize,
    read: impl Fn(&Path) -> T + Sync,
    mut each: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let threads = threads().min(files.len());
    let ahead = ahead(result_bytes);
    let is_over = AtomicBool::new(false);
    // Each file travels with the way back for its result.
    let (begin, begun) = mpsc::channel::<(&Path, SyncSender<T>)>();
    let begun = Mutex::new(begun);
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let next = begun.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((file, answer)) = next else { break };
            // Nobody takes the answer when the work has ended early.
            let _ = answer.send(read(file));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
        // Taken along, so that it is dropped whatever happens here: that ends the threads.
        let begin = begin;
        let mut hand_over = || {
            let mut rest = files.iter();
            let mut waiting = VecDeque::with_capacity(ahead);
            for index in 0..files.len() {
                for file in rest.by_ref().take(ahead - waiting.len()) {
                    let (answer, result) = mpsc::sync_channel(1);
                    // The threads listen for as long as `begun` is there.
                    let _ = begin.send((file, answer));
                    waiting.push_back(result);
                }
                let next = waiting.pop_front().map(|result| result.recv());
                // None comes only from a thread that panicked; the scope passes that on.
                let Some(Ok(result)) = next else { break };
                each(index, result)?;
            }
            Ok(())
        };
        let outcome = hand_over();
        is_over.store(true, Ordering::Relaxed);
        outcome
    })
}

/// One for each core.
fn threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// How far reading runs ahead, in files: never so little that a core has nothing to do.
fn ahead(result_bytes: usize) -> usize {
    let least = 2 * threads();
    (MOST_WAITING / result_bytes.max(1)).clamp(least, MOST_AHEAD.max(least))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;
    use crate::error::Error;

    fn numbers(n: usize) -> Vec<PathBuf> {
        (0..n)
            .map(|number| PathBuf::from(number.to_string()))
            .collect()
    }

    #[test]
    fn results_come_in_the_order_of_the_files() {
        let files = numbers(500);
        let mut seen = Vec::new();
        let read = |file: &Path| {
            // Some take longer than their neighbours.
            let number = file.to_str().unwrap().parse::<u64>().unwrap();
            std::thread::sleep(Duration::from_micros(number * 7919 % 300));
            file.to_owned()
        };
        let each = |index: usize, file| {
            assert_eq!(index, seen.len());
            seen.push(file);
            Ok(())
        };
        in_order(&files, 1, read, each).unwrap();
        assert_eq!(seen, files);
        in_order(&[], 1, |_| 0, |_, _| Ok(())).unwrap();
    }

    #[test]
    fn behind_a_slow_file_only_so_many_results_wait() {
        let files = numbers(4 * MOST_AHEAD.max(threads()));
        for (result_bytes, most) in [
            (1, MOST_AHEAD.max(2 * threads())),
            (MOST_WAITING, 2 * threads()),
        ] {
            let begun = AtomicUsize::new(0);
            let read = |file: &Path| {
                begun.fetch_add(1, Ordering::SeqCst);
                if file != files[0] {
                    return 0;
                }
                // Time enough for the others to read all there is.
                std::thread::sleep(Duration::from_millis(300));
                begun.load(Ordering::SeqCst)
            };
            let mut meanwhile = 0;
            let each = |_: usize, count: usize| {
                meanwhile = meanwhile.max(count);
                Ok(())
            };
            in_order(&files, result_bytes, read, each).unwrap();
            assert!(
                meanwhile <= most,
                "{meanwhile} files of {result_bytes} bytes"
            );
            assert_eq!(begun.into_inner(), files.len());
        }
    }

    #[test]
    fn an_error_ends_the_reading() {
        let files = numbers(4 * MOST_AHEAD.max(threads()));
        let begun = AtomicUsize::new(0);
        let read = |_: &Path| begun.fetch_add(1, Ordering::SeqCst);
        let each = |index: usize, _: usize| match index {
            3 => Err(Error::Stopped {
                doing: "reading".into(),
            }),
            _ => Ok(()),
        };
        let outcome = in_order(&files, 1, read, each);
        assert!(matches!(outcome, Err(Error::Stopped { .. })));
        assert!(begun.into_inner() < files.len());
    }
}
