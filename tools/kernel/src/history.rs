//! What the reader has run, for a console's arrow keys and `history_request`
//! (<https://jupyter-client.readthedocs.io/en/stable/messaging.html#history>).

use std::collections::{HashSet, VecDeque};

use serde_json::{Value, json};

/// How many cells are remembered.
const MOST: usize = 10_000;

/// The cells of this session, by their number.
#[derive(Default)]
pub struct History {
    cells: VecDeque<(u64, String)>,
}

impl History {
    /// Remembers a cell.
    pub fn add(&mut self, number: u64, code: &str) {
        if self.cells.len() == MOST {
            self.cells.pop_front();
        }
        self.cells.push_back((number, code.to_owned()));
    }

    /// The content of the reply to a `history_request` with this content.
    pub fn reply(&self, question: &Value) -> Value {
        let number = |key: &str| question[key].as_u64();
        let most = number("n").and_then(|n| usize::try_from(n).ok());
        let cells: Vec<&(u64, String)> = match question["hist_access_type"].as_str() {
            // Of this session only, which is number 0: others are not kept.
            Some("range") => {
                let (start, stop) = (number("start").unwrap_or(0), number("stop"));
                let is_wanted = |cell: u64| cell >= start && stop.is_none_or(|stop| cell < stop);
                let cells = self.cells.iter();
                cells.filter(|(cell, _)| is_wanted(*cell)).collect()
            }
            Some("search") => {
                let pattern: Vec<char> = question["pattern"]
                    .as_str()
                    .unwrap_or("*")
                    .chars()
                    .collect();
                let mut seen = HashSet::new();
                let is_unique = question["unique"] == true;
                let cells = self.cells.iter().rev().filter(|(_, code)| {
                    matches(&pattern, &code.chars().collect::<Vec<_>>())
                        && (!is_unique || seen.insert(code))
                });
                last(cells.collect(), most)
            }
            _ => last(self.cells.iter().rev().collect(), most),
        };
        let has_output = question["output"] == true;
        let entries: Vec<Value> = cells
            .iter()
            .map(|(cell, code)| match has_output {
                true => json!([0, cell, [code, null]]),
                false => json!([0, cell, code]),
            })
            .collect();
        json!({"status": "ok", "history": entries})
    }
}

/// The first `most` of cells that stand from the last to the first, in the order in which they were run.
fn last(mut cells: Vec<&(u64, String)>, most: Option<usize>) -> Vec<&(u64, String)> {
    cells.truncate(most.unwrap_or(usize::MAX));
    cells.reverse();
    cells
}

/// Whether a text is that of a pattern in which `*` stands for any text and `?` for any letter.
fn matches(pattern: &[char], text: &[char]) -> bool {
    // Where the last `*` stands, and how much of the text it has taken.
    let (mut star, mut taken) = (None, 0);
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                (star, taken) = (Some(p), t);
                p += 1;
            }
            Some(&letter) if letter == '?' || letter == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some(place) = star else { return false };
                taken += 1;
                (p, t) = (place + 1, taken);
            }
        }
    }
    pattern[p..].iter().all(|&letter| letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(history: &History, question: Value) -> Vec<String> {
        let reply = history.reply(&question);
        let entries = reply["history"].as_array().unwrap();
        let code = |entry: &Value| entry[2].as_str().unwrap().to_owned();
        entries.iter().map(code).collect()
    }

    #[test]
    fn cells_are_found_by_their_end_their_numbers_and_their_text() {
        let mut history = History::default();
        for (number, code) in (1..).zip(["let a = 1;", "a", "let b = 2;", "a"]) {
            history.add(number, code);
        }
        let tail = json!({"hist_access_type": "tail", "n": 2});
        assert_eq!(codes(&history, tail), ["let b = 2;", "a"]);
        let range = json!({"hist_access_type": "range", "session": 0, "start": 2, "stop": 4});
        assert_eq!(codes(&history, range), ["a", "let b = 2;"]);
        let search = json!({"hist_access_type": "search", "pattern": "let*", "n": 1});
        assert_eq!(codes(&history, search), ["let b = 2;"]);
        let unique = json!({"hist_access_type": "search", "pattern": "?", "unique": true});
        assert_eq!(codes(&history, unique), ["a"]);
        let output = history.reply(&json!({"hist_access_type": "tail", "n": 1, "output": true}));
        assert_eq!(output["history"], json!([[0, 4, ["a", null]]]));
    }

    /// As Python's `fnmatch.fnmatchcase` answers.
    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, is_match) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*b*", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "a", false),
            ("*a*b*c", "xaxbxbc", true),
        ] {
            let [pattern, text] = [pattern, text].map(|text| text.chars().collect::<Vec<_>>());
            assert_eq!(matches(&pattern, &text), is_match, "{pattern:?} {text:?}");
        }
    }
}
