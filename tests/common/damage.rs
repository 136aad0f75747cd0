//! Seeded damage to files, for tests of what reads them: the same cases on every machine.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "only tests have it"
)]

use std::ops::Range;
use std::time::{Duration, Instant};

/// What a number written in figures becomes: the ends of what it may be, and beyond.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "255",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "-9223372036854775808",
    "1e308",
    "1e999",
    "0.5",
];

/// The same for numbers in bytes.
const VALUES: [u64; 8] = [
    0,
    1,
    0x7f,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// A source of damage that follows from a number alone.
pub struct Damage(u64);

impl Damage {
    pub fn new(case: u64) -> Self {
        Self(case)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A damaged copy: one to four changes.
    pub fn of(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        bytes
    }

    /// A place in so many bytes: in the middle, or near either end, where formats have their headers.
    fn place(&mut self, length: usize) -> usize {
        let near = length.min(1 << (3 + self.below(9)));
        match self.below(4) {
            0 => self.below(length),
            1 => length - 1 - self.below(near),
            _ => self.below(near),
        }
    }

    fn range(&mut self, length: usize) -> Range<usize> {
        let start = self.place(length);
        let most = 1 << self.below(10);
        start..start + self.below(most.min(length - start)) + 1
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let place = self.place(bytes.len());
        match self.below(9) {
            0 | 1 => bytes[place] ^= 1 << self.below(8),
            2 => bytes[place] = self.next() as u8,
            3 | 4 => {
                let value = VALUES[self.below(VALUES.len())];
                let width = [1, 2, 4, 8][self.below(4)].min(bytes.len() - place);
                match self.below(2) {
                    0 => bytes[place..place + width].copy_from_slice(&value.to_le_bytes()[..width]),
                    _ => bytes[place..place + width]
                        .copy_from_slice(&value.to_be_bytes()[8 - width..]),
                }
            }
            5 => bytes.truncate(place),
            6 => drop(bytes.drain(self.range(bytes.len()))),
            7 => {
                let part = bytes[self.range(bytes.len())].to_vec();
                match self.below(2) {
                    0 => drop(bytes.splice(place..place, part)),
                    _ => part
                        .into_iter()
                        .zip(&mut bytes[place..])
                        .for_each(|(from, to)| *to = from),
                }
            }
            _ => {
                let is_figure = |byte: &u8| byte.is_ascii_digit();
                let Some(start) = bytes[place..].iter().position(is_figure) else {
                    return;
                };
                let start = place + start;
                let rest = bytes[start..].iter();
                let end = start + rest.take_while(|byte| is_figure(byte)).count();
                let number = NUMBERS[self.below(NUMBERS.len())];
                bytes.splice(start..end, number.bytes());
            }
        }
    }
}

/// The case that is at work, told where a test fails in it.
struct Case<'a>(&'a str, &'a str, u64);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: case {} on {}", self.0, self.2, self.1);
        }
    }
}

/// Hands damaged versions of `files`, by name and content, to a reader, which says whether it takes one: `few` of
/// them, or as many as fit into the seconds that the environment's `EVCXR_TRANSFER_FUZZ` names. How many were refused.
///
/// A case takes a hundredth of a second where nothing is wrong; one that takes 20 is a reader that was led astray.
pub fn damaged(
    what: &str,
    files: &[(String, Vec<u8>)],
    few: u64,
    mut takes: impl FnMut(&str, &[u8]) -> bool,
) -> u64 {
    let long = std::env::var("EVCXR_TRANSFER_FUZZ").ok();
    let long = long.map(|seconds| Duration::from_secs(seconds.parse().expect("whole seconds")));
    let began = Instant::now();
    let (mut refused, mut slowest) = (0, (Duration::ZERO, 0));
    let is_on = |case: u64| match long {
        Some(long) => began.elapsed() < long,
        None => case < few,
    };
    let mut case = 0;
    while is_on(case) {
        let (name, whole) = &files[(case % files.len() as u64) as usize];
        let bytes = Damage::new(case).of(whole);
        let at_work = Case(what, name, case);
        let start = Instant::now();
        refused += u64::from(!takes(name, &bytes));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "it took {took:?}");
        drop(at_work);
        slowest = slowest.max((took, case));
        case += 1;
    }
    println!(
        "{what}: {case} cases, {refused} refused, the slowest took {:.2} s (case {})",
        slowest.0.as_secs_f64(),
        slowest.1
    );
    refused
}
