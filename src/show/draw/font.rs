//! How texts are set and measured, in pixels of the finished picture.

use std::borrow::Cow;

use ab_glyph::{Font as _, FontRef, GlyphId};
use plotters::style::{FontDesc, FontFamily, FontStyle};

use crate::error::{Error, Result};
use crate::show::draw::colour::{BLACK, Colour};

/// How a text is set: the font's height in pixels, weight, and whether it reads upwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Font {
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) upwards: bool,
    pub(crate) colour: Colour,
}

impl Font {
    pub(crate) fn new(size: f64) -> Self {
        Self {
            size,
            bold: false,
            upwards: false,
            colour: BLACK,
        }
    }

    pub(crate) fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    pub(crate) fn upwards(mut self) -> Self {
        self.upwards = true;
        self
    }

    /// The width of a text in pixels.
    pub(crate) fn width(self, text: &str) -> Result<f64> {
        register_fonts()?;
        let text = spelled(text);
        let (width, _) = self.plotters(1.0).box_size(&text).map_err(Error::figure)?;
        Ok(f64::from(width))
    }

    /// The text in lines no wider than `width` pixels, broken at spaces; at most `most` of them, the last
    /// one shortened if need be.
    pub(crate) fn wrap(self, text: &str, width: f64, most: usize) -> Result<Vec<String>> {
        let mut lines: Vec<String> = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if lines.len() + 1 >= most {
                lines.push(self.fit(rest, width)?);
                break;
            }
            // A line may end before "97.3 %", not within it.
            let spaces = rest.match_indices(' ').map(|(place, _)| place);
            let spaces = spaces.filter(|place| !rest[place + 1..].starts_with('%'));
            let mut end = None;
            for place in spaces.chain([rest.len()]) {
                if self.width(&rest[..place])? > width {
                    break;
                }
                end = Some(place);
            }
            // A word that is wider than a line is shortened there.
            let end = end.or_else(|| rest.find(' ')).unwrap_or(rest.len());
            lines.push(self.fit(&rest[..end], width)?);
            rest = rest[end..].trim_start();
        }
        Ok(lines)
    }

    /// The text, with its end replaced by an ellipsis where it is wider than `width` pixels.
    pub(crate) fn fit(self, text: &str, width: f64) -> Result<String> {
        if self.width(text)? <= width {
            return Ok(text.to_owned());
        }
        let characters: Vec<char> = text.chars().collect();
        let (mut fits, mut too_long) = (0, characters.len());
        while too_long - fits > 1 {
            let middle = (fits + too_long) / 2;
            let shortened = shortened(&characters, middle);
            if self.width(&shortened)? <= width {
                fits = middle
            } else {
                too_long = middle
            }
        }
        Ok(shortened(&characters, fits))
    }

    /// The font as plotters names it, `scale` times as large.
    pub(crate) fn plotters(self, scale: f64) -> FontDesc<'static> {
        let style = if self.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        FontDesc::new(FontFamily::SansSerif, self.size * scale, style)
    }
}

/// The text as the font can show it: a sign that it has no shape for stands as its Unicode number, 猫 as
/// `[732B]`. Two such names would be the same empty boxes.
pub(crate) fn spelled(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let Ok(font) = FontRef::try_from_slice(dejavu::sans::regular()) else {
        return Cow::Borrowed(text);
    };
    let is_lacking = |sign: char| font.glyph_id(sign) == GlyphId(0);
    if !text.chars().any(is_lacking) {
        return Cow::Borrowed(text);
    }
    let spell = |sign: char| match is_lacking(sign) {
        true => format!("[{:04X}]", u32::from(sign)),
        false => sign.to_string(),
    };
    Cow::Owned(text.chars().map(spell).collect())
}

/// Whether the font has no shape for some sign of a text.
pub(crate) fn is_lacking(text: &str) -> bool {
    matches!(spelled(text), Cow::Owned(_))
}

fn shortened(characters: &[char], keep: usize) -> String {
    let kept: String = characters.iter().take(keep).collect();
    format!("{}…", kept.trim_end())
}

/// Gives plotters the same font on every machine. plotters keeps its fonts in a static, which
/// starts afresh in every cell; so this is done for each drawing.
pub(crate) fn register_fonts() -> Result<()> {
    let fonts = [
        (FontStyle::Normal, dejavu::sans::regular()),
        (FontStyle::Bold, dejavu::sans::bold()),
    ];
    for (style, bytes) in fonts {
        plotters::style::register_font("sans-serif", style, bytes)
            .map_err(|_| Error::figure("the built-in font cannot be read"))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn signs_without_a_shape_stand_as_their_numbers() {
        for text in ["cats", "Kätzchen", "кошки", "γάτα", "✗ → …"] {
            assert_eq!(spelled(text), text);
        }
        assert_eq!(spelled("猫 (cat)"), "[732B] (cat)");
        assert_ne!(spelled("猫"), spelled("犬"));
        let font = Font::new(26.0);
        assert_eq!(font.width("猫").unwrap(), font.width("[732B]").unwrap());
        // What fits stays as it is: a page has fonts of its own for an SVG.
        assert_eq!(font.fit("猫", 200.0).unwrap(), "猫");
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis_and_fits() {
        let font = Font::new(26.0);
        let cut = font
            .fit("a_rather_long_file_name_of_a_picture.jpg", 200.0)
            .unwrap();
        assert!(cut.ends_with('…') && cut.starts_with("a_rather"), "{cut}");
        assert!(font.width(&cut).unwrap() <= 200.0);
        assert_eq!(font.fit("cat", 200.0).unwrap(), "cat");
        assert_eq!(font.fit("cat", 1.0).unwrap(), "…");
    }
}
