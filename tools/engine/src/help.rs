//! Completion and explanation of what stands at the cursor.
//!
//! evcxr completes as if the cell stood within every crate: private fields and methods, and what every type
//! has. A reader gets what a reader may use: the crate's public methods first, then others, then fields.

use std::collections::BTreeSet;

use evcxr::CommandContext;
use serde_json::{Value, json};

/// Names that nearly every type has, and that no lesson uses.
const NOISE: [&str; 22] = [
    "into",
    "try_into",
    "from",
    "try_from",
    "clone_into",
    "to_owned",
    "borrow",
    "borrow_mut",
    "type_id",
    "eq",
    "ne",
    "cmp",
    "partial_cmp",
    "lt",
    "le",
    "gt",
    "ge",
    "hash",
    "fmt",
    "clone_from",
    "evcxr_display",
    "clone_to_uninit",
];

/// What completion knows of the crate: which of its names are public.
#[derive(Default)]
pub struct Help {
    public: Names,
    private: Names,
}

/// Names of functions and of fields.
#[derive(Default)]
struct Names {
    functions: BTreeSet<String>,
    fields: BTreeSet<String>,
}

impl Help {
    /// Reads the texts of the crate's source.
    pub fn of(texts: &[String]) -> Self {
        let mut help = Self::default();
        texts.iter().for_each(|text| help.read(text));
        help
    }

    fn read(&mut self, text: &str) {
        for line in text.lines().map(str::trim_start) {
            let (names, line) = match line.strip_prefix("pub ") {
                Some(rest) => (&mut self.public, rest),
                None => {
                    let rest = line
                        .strip_prefix("pub(")
                        .and_then(|rest| rest.split_once(") "));
                    (&mut self.private, rest.map_or(line, |(_, rest)| rest))
                }
            };
            let function = line
                .strip_prefix("fn ")
                .or_else(|| line.strip_prefix("const fn "));
            let (set, line) = match function {
                Some(rest) => (&mut names.functions, rest),
                None => (&mut names.fields, line),
            };
            let end = line.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (name, rest) = line.split_at(end.unwrap_or(0));
            if !name.is_empty() && (function.is_some() || rest.starts_with(": ")) {
                set.insert(name.to_owned());
            }
        }
    }

    /// Where a completion stands in the list; `None` for one that no reader may use. `kind` is evcxr's word:
    /// fields are "instance", as variables are, but behind a dot.
    fn rank(&self, code: &str, kind: &str, is_behind_dot: bool) -> Option<u8> {
        let end = code.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '!');
        let name = &code[..end.unwrap_or(code.len())];
        if NOISE.contains(&name) {
            return None;
        }
        let is_hidden = |public: &BTreeSet<String>, private: &BTreeSet<String>| {
            private.contains(name) && !public.contains(name)
        };
        let (public, private) = (&self.public, &self.private);
        match kind {
            "instance" if !is_behind_dot => Some(0),
            "instance" if is_hidden(&public.fields, &private.fields) => None,
            "instance" => Some(2),
            "function" if is_hidden(&public.functions, &private.functions) => None,
            "function" => Some(u8::from(!public.functions.contains(name))),
            _ => Some(1),
        }
    }

    /// The content of Jupyter's `complete_reply`; `cursor` counts Unicode's code points.
    pub fn complete(&self, context: &mut CommandContext, code: &str, cursor: usize) -> Value {
        let cell = Cell::new(code);
        let code = cell.text.as_str();
        let Ok(found) = context.completions(code, cell.byte_of(cursor)) else {
            return nothing(cursor);
        };
        let before = code.get(..found.start_offset).unwrap_or_default();
        let is_behind_dot = before.ends_with('.');
        let mut ranked: Vec<_> = found
            .completions
            .iter()
            .filter_map(|one| Some((self.rank(&one.code, one.kind, is_behind_dot)?, one)))
            .collect();
        ranked.sort_by(|(a, one), (b, other)| (a, &one.code).cmp(&(b, &other.code)));
        ranked.dedup_by(|(_, one), (_, other)| one.code == other.code);
        let [start, end] =
            [found.start_offset, found.end_offset].map(|place| cell.cursor_of(place));
        let matches: Vec<_> = ranked.iter().map(|(_, one)| one.code.as_str()).collect();
        let types: Vec<_> = ranked
            .iter()
            .map(
                |(_, one)| json!({"text": one.label, "type": one.kind, "start": start, "end": end}),
            )
            .collect();
        json!({
            "status": "ok",
            "matches": matches,
            "cursor_start": start,
            "cursor_end": end,
            "metadata": {"_jupyter_types_experimental": types},
        })
    }
}

/// A `complete_reply` without any.
pub fn nothing(cursor: usize) -> Value {
    json!({
        "status": "ok",
        "matches": [],
        "cursor_start": cursor,
        "cursor_end": cursor,
        "metadata": {},
    })
}

/// The content of Jupyter's `inspect_reply`; `cursor` counts Unicode's code points.
pub fn inspect(context: &mut CommandContext, code: &str, cursor: usize) -> Value {
    let cell = Cell::new(code);
    let code = cell.text.as_str();
    let position = name_end(code, cell.byte_of(cursor));
    let found = context.hover_at(code, position).ok();
    // evcxr says so of what it does not find.
    let found = found.filter(|(plain, _)| plain != "No documentation found");
    json!({
        "status": "ok",
        "found": found.is_some(),
        "data": found.map_or_else(
            || json!({}),
            |(plain, html)| json!({"text/plain": plain, "text/html": html}),
        ),
        "metadata": {},
    })
}

/// The same while a cell runs, whose end the context waits for.
pub fn later() -> Value {
    json!({
        "status": "ok",
        "found": true,
        "data": {"text/plain": "A cell is running; help comes when it has ended."},
        "metadata": {},
    })
}

/// Behind the name that is asked about: the one at the cursor, or the function in whose brackets the cursor
/// stands; with the opening bracket, by which evcxr knows a call.
fn name_end(code: &str, position: usize) -> usize {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (before, after) = code.split_at(position);
    let end = position + after.find(|c| !is_name(c)).unwrap_or(after.len());
    let start = before.rfind(|c| !is_name(c)).map_or(0, |place| {
        place + before[place..].chars().next().map_or(1, char::len_utf8)
    });
    // Behind an opening bracket the call is meant, and a number has no help.
    let is_number = code[start..end].starts_with(|c: char| c.is_ascii_digit());
    if start < end && !is_number && !before.ends_with('(') {
        return end + usize::from(code[end..].starts_with('('));
    }
    let mut depth = 0;
    for (place, letter) in code[..position].char_indices().rev() {
        match letter {
            ')' => depth += 1,
            '(' if depth == 0 => return place + 1,
            '(' => depth -= 1,
            ';' | '{' | '}' if depth == 0 => break,
            _ => {}
        }
    }
    position
}

/// A cell as rust-analyzer wants it: its lines end with one letter, where editors may have written two.
struct Cell {
    text: String,
    /// For each code point of the cell as it came, and for its end, the byte of `text`.
    bytes: Vec<usize>,
}

impl Cell {
    fn new(code: &str) -> Self {
        let (mut text, mut bytes) = (String::with_capacity(code.len()), Vec::new());
        let mut letters = code.chars().peekable();
        while let Some(letter) = letters.next() {
            bytes.push(text.len());
            if letter != '\r' || letters.peek() != Some(&'\n') {
                text.push(letter);
            }
        }
        bytes.push(text.len());
        Self { text, bytes }
    }

    /// The byte at a cursor of Jupyter's.
    fn byte_of(&self, cursor: usize) -> usize {
        self.bytes.get(cursor).copied().unwrap_or(self.text.len())
    }

    /// Jupyter's cursor at a byte.
    fn cursor_of(&self, byte: usize) -> usize {
        self.bytes.partition_point(|&place| place < byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_offered_public_methods_first_then_others_then_fields() {
        let mut help = Help::default();
        help.read(
            "pub struct Base {\n    pub size: usize,\n    graph: Graph,\n    pub(crate) both: u8,\n}\n\
             pub fn summary(&self) {}\n    fn inner(&self) {}\n    pub(crate) fn shown(&self) {}\n\
             pub fn both(&self) {}\n    pub const fn len(&self) {}\n",
        );
        let ranks = [
            ("summary()", "function", Some(0)),
            ("both()", "function", Some(0)),
            ("len()", "function", Some(0)),
            ("clone()", "function", Some(1)),
            ("size", "instance", Some(2)),
            ("x", "instance", Some(2)),
            ("graph", "instance", None),
            ("both", "instance", None),
            ("inner()", "function", None),
            ("shown()", "function", None),
            ("into()", "function", None),
            ("evcxr_display()", "function", None),
        ];
        for (code, kind, rank) in ranks {
            assert_eq!(help.rank(code, kind, true), rank, "{kind} {code}");
        }
        // A variable of the reader's, whatever fields are called.
        assert_eq!(help.rank("graph", "instance", false), Some(0));
        assert_eq!(help.rank("Head", "class", false), Some(1));
    }

    #[test]
    fn the_name_at_the_cursor_or_around_it_is_asked_about() {
        let code = "lab.fit().learning_rate(1e-4, f(2))";
        let upto = |place: usize| &code[..name_end(code, place)];
        assert_eq!(upto(5), "lab.fit(");
        assert_eq!(upto(12), "lab.fit().learning_rate(");
        assert_eq!(upto(code.len()), code);
        assert_eq!(upto(24), "lab.fit().learning_rate(");
        assert_eq!(upto(26), "lab.fit().learning_rate(");
        assert_eq!(upto(30), "lab.fit().learning_rate(1e-4, f(");
        assert_eq!(upto(29), "lab.fit().learning_rate(");
        assert_eq!(name_end("a + ", 4), 4);
    }

    #[test]
    fn cursors_count_code_points_whatever_they_are_and_however_lines_end() {
        // One code point of two bytes, two that are drawn as one, one of four bytes.
        let code = "// ä a\u{308} 🐈\r\nlab.\r\nx";
        let cell = Cell::new(code);
        assert_eq!(cell.text, code.replace('\r', ""));
        let letters: Vec<char> = code.chars().collect();
        for (cursor, letter) in letters.iter().enumerate() {
            let byte = cell.byte_of(cursor);
            let expected = if *letter == '\r' { '\n' } else { *letter };
            assert_eq!(cell.text[byte..].chars().next(), Some(expected), "{cursor}");
            // Between the two letters of a line's end stands nothing.
            let before = cursor > 0 && letters[cursor - 1] == '\r';
            assert_eq!(cell.cursor_of(byte), cursor - usize::from(before));
        }
        assert_eq!(cell.byte_of(99), cell.text.len());
        assert_eq!(cell.cursor_of(cell.text.len()), letters.len());
    }
}
