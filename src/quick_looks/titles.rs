//! What titles say of values: shapes and numbers in short.

/// "(60, 4, 4, 512)".
pub(crate) fn in_brackets(shape: &[usize]) -> String {
    let sizes = shape.iter().map(usize::to_string).collect::<Vec<_>>();
    match sizes.as_slice() {
        [size] => format!("({size},)"),
        sizes => format!("({})", sizes.join(", ")),
    }
}

/// A number for a title: "6", "0.0312", "1.2e-7".
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 && value.abs() < 1e6 => format!("{value}"),
        1e-3..1e5 => {
            let digits = 2 - value.abs().log10().floor() as i32;
            let text = format!("{value:.0$}", digits.clamp(0, 6) as usize);
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_titles_are_short() {
        let texts = [0.0, 6.0, -3.0, 0.5, 0.81649, 123.456, 1.2e-7, 5e9].map(short);
        let expected = ["0", "6", "-3", "0.5", "0.816", "123", "1.2e-7", "5.0e9"];
        assert_eq!(texts, expected);
    }
}
