//! What several runs of several programs come to: medians, spreads, ratios, as a table and as JSON.

use std::collections::BTreeMap;

/// A quantity that the programs of `benches/` measure.
pub struct Measure {
    /// As the programs print it.
    pub name: &'static str,
    /// As the table shows it.
    pub title: &'static str,
    /// Whether more is better: a rate; else it is a time or an amount of memory.
    pub is_rate: bool,
}

const fn measure(name: &'static str, title: &'static str, is_rate: bool) -> Measure {
    Measure {
        name,
        title,
        is_rate,
    }
}

/// In the order of the table.
pub const MEASURES: [Measure; 9] = [
    measure("decode", "decoding and resizing, pictures/s a core", true),
    measure("forward", "features of decoded pictures, pictures/s", true),
    measure(
        "extraction",
        "part 1: features from files, pictures/s",
        true,
    ),
    measure("head_epoch", "part 1: an epoch of the head, s", false),
    measure("frozen_epoch", "part 2: an epoch, s", false),
    measure("frozen_run", "part 2: all epochs from files, s", false),
    measure("tuned_epoch", "part 3: an epoch, s", false),
    measure("tuned_run", "part 3: all epochs from files, s", false),
    measure("memory", "peak memory of the process, MB", false),
];

/// The values of one measure in the runs of one program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number the mean of the middle two.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of some values; none without any.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
        };
        Some(Self {
            median,
            least,
            most,
        })
    }
}

/// How often better ours is than the best of the peers: above 1 is better, whatever the measure.
pub fn ratio(ours: f64, peers: &[f64], is_rate: bool) -> Option<f64> {
    let best = if is_rate {
        peers.iter().copied().max_by(f64::total_cmp)
    } else {
        peers.iter().copied().min_by(f64::total_cmp)
    }?;
    Some(if is_rate { ours / best } else { best / ours })
}

/// The results of all runs in one precision.
pub struct Comparison {
    /// "f32" or "bf16".
    pub precision: String,
    /// The programs, ours first, perhaps in two ways, each with its runs' values of each measure.
    pub programs: Vec<(String, BTreeMap<String, Vec<f64>>)>,
}

impl Comparison {
    /// The spreads of a measure, one for each program; none for one that does not measure it.
    fn row(&self, measure: &Measure) -> Vec<Option<Spread>> {
        let spread = |(_, values): &(String, BTreeMap<String, Vec<f64>>)| {
            values.get(measure.name).and_then(|all| Spread::of(all))
        };
        self.programs.iter().map(spread).collect()
    }

    /// Ours against the best peer.
    fn ratio(&self, measure: &Measure) -> Option<f64> {
        let row = self.row(measure);
        let ours = row.first()?.as_ref()?;
        let is_peer = |(name, _): &&(String, _)| !name.starts_with("ours");
        let all = self.programs.iter().zip(&row);
        let peers = all.filter(|(program, _)| is_peer(program));
        let peers: Vec<f64> = peers
            .filter_map(|(_, spread)| Some(spread.as_ref()?.median))
            .collect();
        ratio(ours.median, &peers, measure.is_rate)
    }

    /// A Markdown table: a line for each measure, a column for each program, the ratio last.
    pub fn table(&self) -> String {
        let mut lines = vec![vec![self.precision.clone()]];
        lines[0].extend(self.programs.iter().map(|(name, _)| name.clone()));
        lines[0].push("ours / best peer".to_owned());
        for measure in &MEASURES {
            let row = self.row(measure);
            if row.iter().all(Option::is_none) {
                continue;
            }
            let mut line = vec![measure.title.to_owned()];
            line.extend(row.iter().map(|cell| cell.map_or("-".to_owned(), shown)));
            let ratio = self.ratio(measure);
            line.push(ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2} x")));
            lines.push(line);
        }
        markdown(&lines)
    }

    /// The same as a JSON object, with every run's values.
    pub fn json(&self) -> String {
        let number = |value: f64| match value.is_finite() {
            true => value.to_string(),
            false => "null".to_owned(),
        };
        let list = |values: &Vec<f64>| {
            let values: Vec<String> = values.iter().map(|&value| number(value)).collect();
            format!("[{}]", values.join(", "))
        };
        let programs = self.programs.iter().map(|(name, values)| {
            let values = values.iter().map(|(name, all)| (name.as_str(), list(all)));
            (name.as_str(), object(values))
        });
        let ratios = MEASURES
            .iter()
            .filter_map(|measure| Some((measure.name, number(self.ratio(measure)?))));
        object([
            ("precision", text(&self.precision)),
            ("runs", object(programs)),
            ("ratios", object(ratios)),
        ])
    }
}

/// "103", "4.71", "0.231", with the range where runs differ.
fn shown(spread: Spread) -> String {
    let number = |value: f64| match value {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        1.0..10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    let (median, least, most) = (
        number(spread.median),
        number(spread.least),
        number(spread.most),
    );
    if least == most {
        return median;
    }
    format!("{median} ({least} to {most})")
}

/// Lines of cells with columns of even width.
fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let row = |cells: &[String]| {
        let cells = cells.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let mut rows: Vec<String> = lines.iter().map(|line| row(line)).collect();
    rows.insert(1.min(rows.len()), row(&rule));
    rows.join("\n")
}

/// A JSON object; the values are JSON already.
pub fn object<'a>(entries: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let entries = entries.into_iter();
    let entries: Vec<String> = entries
        .map(|(key, value)| format!("{}: {value}", text(key)))
        .collect();
    format!("{{{}}}", entries.join(", "))
}

/// A JSON text.
pub fn text(words: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in words.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => quoted += &format!("\\u{:04x}", u32::from(letter)),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_the_ends() {
        let spread = |median, least, most| {
            Some(Spread {
                median,
                least,
                most,
            })
        };
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0]), spread(3.0, 3.0, 3.0));
        assert_eq!(Spread::of(&[5.0, 1.0, 3.0]), spread(3.0, 1.0, 5.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 9.0]), spread(3.0, 1.0, 9.0));
    }

    #[test]
    fn above_one_is_better_for_rates_and_for_times() {
        assert_eq!(ratio(150.0, &[50.0, 100.0], true), Some(1.5));
        assert_eq!(ratio(4.0, &[9.0, 8.0], false), Some(2.0));
        assert_eq!(ratio(8.0, &[4.0], false), Some(0.5));
        assert_eq!(ratio(1.0, &[], true), None);
    }

    fn values(all: &[(&str, &[f64])]) -> BTreeMap<String, Vec<f64>> {
        let all = all.iter();
        all.map(|(name, values)| ((*name).to_owned(), values.to_vec()))
            .collect()
    }

    #[test]
    fn the_table_compares_medians_with_the_best_peer() {
        let comparison = Comparison {
            precision: "f32".into(),
            programs: vec![
                (
                    "ours".into(),
                    values(&[("extraction", &[31.0, 30.0, 29.0]), ("tuned_epoch", &[2.0])]),
                ),
                (
                    "Keras".into(),
                    values(&[("extraction", &[20.0]), ("tuned_epoch", &[5.0])]),
                ),
                ("ours, plain f32".into(), values(&[("extraction", &[25.0])])),
                ("PyTorch".into(), values(&[("extraction", &[15.0])])),
            ],
        };
        let expected = "\
| f32                                     | ours              | Keras | ours, plain f32 | PyTorch | ours / best peer |
| --------------------------------------- | ----------------- | ----- | --------------- | ------- | ---------------- |
| part 1: features from files, pictures/s | 30.0 (29.0 to 31.0) | 20.0  | 25.0    | 15.0    | 1.50 x           |
| part 3: an epoch, s                     | 2.00              | 5.00  | -       | -       | 2.50 x           |";
        let squeezed = |text: &str| text.replace(['-', ' '], "");
        assert_eq!(squeezed(&comparison.table()), squeezed(expected));
        let lines: Vec<usize> = comparison
            .table()
            .lines()
            .map(|line| line.chars().count())
            .collect();
        assert!(lines.iter().all(|length| *length == lines[0]), "{lines:?}");
        assert_eq!(
            comparison.json(),
            r#"{"precision": "f32", "runs": {"ours": {"extraction": [31, 30, 29], "tuned_epoch": [2]}, "#.to_owned()
                + r#""Keras": {"extraction": [20], "tuned_epoch": [5]}, "ours, plain f32": {"extraction": [25]}, "PyTorch": {"extraction": [15]}}, "#
                + r#""ratios": {"extraction": 1.5, "tuned_epoch": 2.5}}"#
        );
    }

    #[test]
    fn json_texts_are_escaped() {
        assert_eq!(text("a \"b\" \\ \n"), r#""a \"b\" \\ \u000a""#);
    }
}
