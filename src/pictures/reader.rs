//! Many files read by all cores, and what comes of them in the files' order: [`in_order`].
//!
//! What a caller needs of a picture (its pixels at one size, a check sum) is made where the picture is
//! decoded, so that only this small result waits for its turn, never a photograph at its full size.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use crate::error::{Error, Result};
use crate::machine::patience::awaited;
use crate::machine::threads;

/// The bytes of results that may wait for an older file. Much: a photograph from a phone takes as long as
/// eighty of the lesson's pictures, and the other cores go on meanwhile.
const MOST_WAITING: usize = 64 << 20;

/// The most results that wait, however small.
const MOST_AHEAD: usize = 1024;

/// Reads `files` with one thread for each core and hands over what `read` makes of each, one by one and
/// in order: `each(index, result)`. Ends with the first error of `each`, and with that of `check`, which is asked as long
/// as a file does not come: a network drive that has stopped answering keeps its thread, but not the caller.
///
/// One slow file does not let the others run away: no file is begun that lies more than [`ahead`] files
/// after the oldest that was not handed over, `result_bytes` being what a result takes.
///
/// Threads are this call's own, not pooled: a notebook cell links its own copy of the crate, so a pool kept
/// in a static would be born anew in every cell. They stay outside libtorch, whose own threads slow
/// small operations down tenfold when the cores are busy.
pub(crate) fn in_order<T: Send + 'static>(
    files: &[PathBuf],
    result_bytes: usize,
    read: impl Fn(&Path) -> T + Send + Sync + 'static,
    check: &dyn Fn() -> Result<()>,
    mut each: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let ahead = ahead(result_bytes);
    let over = Over::default();
    let begin = start(cores().min(files.len()), read, &over)?;
    let mut rest = files.iter();
    let mut waiting = VecDeque::with_capacity(ahead);
    for (index, file) in files.iter().enumerate() {
        for file in rest.by_ref().take(ahead - waiting.len()) {
            let (answer, result) = mpsc::sync_channel(1);
            // Without a thread that listens the answer's way is closed, which is told below.
            let _ = begin.send((file.clone(), answer));
            waiting.push_back(result);
        }
        let next = waiting.pop_front().map(|result| awaited(&result, check));
        let Some(result) = next.transpose()?.flatten() else {
            return Err(Error::Picture {
                path: file.clone(),
                problem: "the program that decodes it has failed; please report the picture".into(),
            });
        };
        each(index, result)?;
    }
    Ok(())
}

/// Tells the threads when the work is over, however it has ended.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file, and the way back for what comes of it.
type Begun<T> = (PathBuf, SyncSender<T>);

/// Starts the threads, which read what they are sent, or as many of them as the machine gives. They end with the channel,
/// or with the file that they are at when the work is over.
fn start<T: Send + 'static>(
    threads: usize,
    read: impl Fn(&Path) -> T + Send + Sync + 'static,
    over: &Over,
) -> Result<mpsc::Sender<Begun<T>>> {
    let (begin, begun) = mpsc::channel::<Begun<T>>();
    let shared = Arc::new((read, Mutex::new(begun)));
    for number in 0..threads {
        let (shared, is_over) = (shared.clone(), over.0.clone());
        let started = threads::start("reading files", move || {
            let (read, begun) = &*shared;
            while !is_over.load(Ordering::Relaxed) {
                let next = begun.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((file, answer)) = next else { break };
                // Nobody takes the answer when the work has ended early.
                let _ = answer.send(read(&file));
            }
        });
        match started {
            Err(error) if number == 0 => return Err(error),
            Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(begin)
}

/// How many cores there are; one thread reads for each.
fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// How far reading runs ahead, in files: never so little that a core has nothing to do.
fn ahead(result_bytes: usize) -> usize {
    let least = 2 * cores();
    (MOST_WAITING / result_bytes.max(1)).clamp(least, MOST_AHEAD.max(least))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a failing test may stop")]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    fn numbers(n: usize) -> Vec<PathBuf> {
        (0..n)
            .map(|number| PathBuf::from(number.to_string()))
            .collect()
    }

    fn go_on() -> Result<()> {
        Ok(())
    }

    fn stopped() -> Error {
        Error::Stopped {
            doing: "reading".into(),
        }
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
        in_order(&files, 1, read, &go_on, each).unwrap();
        assert_eq!(seen, files);
        in_order(&[], 1, |_| 0, &go_on, |_, _| Ok(())).unwrap();
    }

    #[test]
    fn behind_a_slow_file_only_so_many_results_wait() {
        let files = numbers(4 * MOST_AHEAD.max(cores()));
        for (result_bytes, most) in [
            (1, MOST_AHEAD.max(2 * cores())),
            (MOST_WAITING, 2 * cores()),
        ] {
            let begun = Arc::new(AtomicUsize::new(0));
            let (count, slow) = (begun.clone(), files[0].clone());
            let read = move |file: &Path| {
                count.fetch_add(1, Ordering::SeqCst);
                if file != slow {
                    return 0;
                }
                // Time enough for the others to read all there is.
                std::thread::sleep(Duration::from_millis(300));
                count.load(Ordering::SeqCst)
            };
            let mut meanwhile = 0;
            let each = |_: usize, count: usize| {
                meanwhile = meanwhile.max(count);
                Ok(())
            };
            in_order(&files, result_bytes, read, &go_on, each).unwrap();
            assert!(
                meanwhile <= most,
                "{meanwhile} files of {result_bytes} bytes"
            );
            assert_eq!(begun.load(Ordering::SeqCst), files.len());
        }
    }

    #[test]
    fn an_error_ends_the_reading() {
        let files = numbers(4 * MOST_AHEAD.max(cores()));
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let read = move |_: &Path| count.fetch_add(1, Ordering::SeqCst);
        let each = |index: usize, _: usize| match index {
            3 => Err(stopped()),
            _ => Ok(()),
        };
        let outcome = in_order(&files, 1, read, &go_on, each);
        assert!(matches!(outcome, Err(Error::Stopped { .. })));
        assert!(begun.load(Ordering::SeqCst) < files.len());
    }

    #[test]
    fn a_stop_is_heard_while_a_file_never_comes() {
        let files = numbers(5);
        // A drive that does not answer, until the test is over.
        let (answers, drive) = mpsc::channel::<()>();
        let drive = Mutex::new(drive);
        let read = move |file: &Path| {
            if file == Path::new("2") {
                let _gone = drive.lock().map(|drive| drive.recv());
            }
        };
        let asked = AtomicUsize::new(0);
        let check = || match asked.fetch_add(1, Ordering::SeqCst) {
            2 => Err(stopped()),
            _ => Ok(()),
        };
        let mut read_so_far = 0;
        let outcome = in_order(&files, 1, read, &check, |_, ()| {
            read_so_far += 1;
            Ok(())
        });
        assert!(matches!(outcome, Err(Error::Stopped { .. })));
        assert_eq!((read_so_far, asked.into_inner()), (2, 3));
        drop(answers);
    }

    #[test]
    fn a_picture_whose_decoder_fails_is_named() {
        let read = |file: &Path| assert!(file != Path::new("3"), "the decoder's own fault");
        let outcome = in_order(&numbers(9), 1, read, &go_on, |_, ()| Ok(()));
        let Err(Error::Picture { path, problem }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(path, Path::new("3"));
        assert!(problem.contains("report"), "{problem}");
    }
}
