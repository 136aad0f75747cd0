//! Text as it comes out of a pipe, in pieces that end anywhere.

/// Bytes that become lines.
#[derive(Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no line break behind that.
    searched: usize,
}

impl Lines {
    /// Adds what has been read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// The next whole line, without its break.
    pub fn next(&mut self) -> Option<String> {
        let unread = self.bytes.get(self.searched..)?;
        let Some(length) = unread.iter().position(|&byte| byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + length;
        let line = String::from_utf8_lossy(&self.bytes[self.start..end]).into_owned();
        (self.start, self.searched) = (end + 1, end + 1);
        Some(line)
    }

    /// What has no line break yet, but for the bytes of a letter that is not complete.
    pub fn rest(&mut self) -> String {
        let rest = &self.bytes[self.start..];
        let whole = match std::str::from_utf8(rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => rest.len(),
        };
        let text = String::from_utf8_lossy(&rest[..whole]).into_owned();
        self.start += whole;
        self.searched = self.searched.max(self.start);
        text
    }

    /// All that is left, of which no more comes: half a letter is shown as the sign for one that is none.
    pub fn end(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.bytes[self.start..]).into_owned();
        self.start = self.bytes.len();
        self.searched = self.start;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_letters_may_come_in_pieces() {
        let mut lines = Lines::default();
        let bytes = "a\nbä\nc".as_bytes();
        let mut found = Vec::new();
        for piece in bytes.chunks(2) {
            lines.push(piece);
            while let Some(line) = lines.next() {
                found.push(line);
            }
        }
        assert_eq!(found, ["a", "bä"]);
        assert_eq!(lines.rest(), "c");
        assert!(lines.is_empty());
        lines.push(&"ä".as_bytes()[..1]);
        assert_eq!(lines.rest(), "", "half a letter waits");
        lines.push(&"ä".as_bytes()[1..]);
        assert_eq!(lines.rest(), "ä");
        lines.push(&"ä".as_bytes()[..1]);
        assert_eq!(lines.rest() + &lines.end(), "\u{fffd}");
        assert!(lines.is_empty());
    }
}
