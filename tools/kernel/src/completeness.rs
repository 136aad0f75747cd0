//! Whether a console should run what was typed, or wait for more
//! (<https://jupyter-client.readthedocs.io/en/stable/messaging.html#code-completeness>).

use serde_json::{Value, json};

/// The content of the reply to an `is_complete_request` for this code.
pub fn reply(code: &str) -> Value {
    match open_brackets(code) {
        Some(0) => json!({"status": "complete"}),
        Some(depth) => json!({"status": "incomplete", "indent": "    ".repeat(depth)}),
        None => json!({"status": "invalid"}),
    }
}

/// How many brackets, texts and comments are open at the end; `None` where one is closed that is not open.
fn open_brackets(code: &str) -> Option<usize> {
    let letters: Vec<char> = code.chars().collect();
    let at = |place: usize| letters.get(place).copied().unwrap_or('\0');
    let mut open = Vec::new();
    let mut place = 0;
    while place < letters.len() {
        let before = place.checked_sub(1).map_or('\0', at);
        let is_in_name = before.is_alphanumeric() || before == '_';
        match letters[place] {
            '/' if at(place + 1) == '/' => {
                while place < letters.len() && at(place) != '\n' {
                    place += 1;
                }
            }
            '/' if at(place + 1) == '*' => match comment_end(&letters, place) {
                Some(end) => place = end,
                None => return Some(open.len() + 1),
            },
            'r' if !is_in_name || before == 'b' || before == 'c' => {
                let hashes = (place + 1..).take_while(|&place| at(place) == '#').count();
                if at(place + 1 + hashes) == '"' {
                    match raw_text_end(&letters, place + 2 + hashes, hashes) {
                        Some(end) => place = end,
                        None => return Some(open.len() + 1),
                    }
                } else {
                    place += 1;
                }
            }
            '"' => match text_end(&letters, place + 1, '"') {
                Some(end) => place = end,
                None => return Some(open.len() + 1),
            },
            // A letter, or the name of a lifetime or loop.
            '\'' => {
                place = match (at(place + 1), at(place + 2)) {
                    ('\\', _) => text_end(&letters, place + 1, '\'').unwrap_or(letters.len()),
                    (_, '\'') => place + 3,
                    _ => place + 1,
                };
            }
            bracket @ ('(' | '[' | '{') => {
                open.push(bracket);
                place += 1;
            }
            bracket @ (')' | ']' | '}') => {
                let opened = open.pop()?;
                if !matches!((opened, bracket), ('(', ')') | ('[', ']') | ('{', '}')) {
                    return None;
                }
                place += 1;
            }
            _ => place += 1,
        }
    }
    Some(open.len())
}

/// Behind the quote that ends a text which begins at `start`.
fn text_end(letters: &[char], start: usize, quote: char) -> Option<usize> {
    let mut place = start;
    while place < letters.len() {
        match letters[place] {
            '\\' => place += 2,
            letter if letter == quote => return Some(place + 1),
            _ => place += 1,
        }
    }
    None
}

/// Behind the end of a raw text with so many hashes.
fn raw_text_end(letters: &[char], start: usize, hashes: usize) -> Option<usize> {
    (start..letters.len()).find_map(|place| {
        let end = place + 1 + hashes;
        let is_end = letters[place] == '"'
            && letters
                .get(place + 1..end)?
                .iter()
                .all(|&letter| letter == '#');
        is_end.then_some(end)
    })
}

/// Behind a comment, within which others may stand.
fn comment_end(letters: &[char], start: usize) -> Option<usize> {
    let (mut depth, mut place) = (0, start);
    while place + 1 < letters.len() {
        match (letters[place], letters[place + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                place += 1;
                continue;
            }
        }
        place += 2;
        if depth == 0 {
            return Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_brackets_wait_for_more_and_wrong_ones_are_invalid() {
        for (code, status) in [
            ("let x = 1;", "complete"),
            ("", "complete"),
            ("fn f() {}", "complete"),
            ("fn f<'a>(x: &'a str) -> char { '}' }", "complete"),
            ("'\\''; \"(\"; '('; 'l: loop { break 'l }", "complete"),
            ("r#\"(\"\"#; br\"[\"; // {", "complete"),
            ("/* ( /* [ */ { */ 1", "complete"),
            ("b'(' ; \"\\\"(\"", "complete"),
            ("fn f() {", "incomplete"),
            ("vec![1,", "incomplete"),
            ("\"text", "incomplete"),
            ("r#\"text\"", "incomplete"),
            ("/* /* */", "incomplete"),
            (")", "invalid"),
            ("(]", "invalid"),
            ("fn f() }", "invalid"),
        ] {
            assert_eq!(reply(code)["status"], status, "{code}");
        }
        assert_eq!(reply("fn f() { if x {")["indent"], "        ");
    }
}
