//! How the tools talk: whole lines, plain text, and times and sizes as people write them.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

/// One line to stdout. A reader that went away (`cargo lab doctor | head -1`) is no error.
pub fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// One line to stderr.
pub fn error(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// "3.2 s", "1 min 32 s".
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// "531 MB", "4.7 GB": decimal units, as download pages and `df -H` use them.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(duration(Duration::from_millis(3240)), "3.2 s");
        assert_eq!(duration(Duration::from_secs(92)), "1 min 32 s");
        assert_eq!(size(12), "1 kB");
        assert_eq!(size(530_600_000), "530 MB");
        assert_eq!(size(4_720_000_000), "4.7 GB");
    }
}
