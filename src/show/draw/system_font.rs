//! A [`SystemFont`]: one of the machine's own fonts, for signs that the built-in one has no shape for, such as Chinese
//! and Japanese ones.

use std::fs;
use std::path::{Path, PathBuf};

use ab_glyph::{Font as _, FontVec, Glyph, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

use crate::machine::environment;
use crate::show::draw::drawing::Align;
use crate::show::draw::font::Font;

/// Where Linux and macOS keep fonts; a user's own are below the home folder.
const FOLDERS: [&str; 4] = [
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
];
const OWN_FOLDERS: [&str; 3] = [".local/share/fonts", ".fonts", "Library/Fonts"];

/// How many files are looked into at most, and how large one may be: a figure must not take seconds.
const MOST_FILES: usize = 200;
const LARGEST: u64 = 64 << 20;

/// Parts of the names of fonts for Chinese, Japanese and Korean, which are looked at first.
const LIKELY: [&str; 10] = [
    "cjk", "wqy", "gothic", "mincho", "hei", "ming", "han", "pingfang", "hiragino", "unifont",
];

/// A font of the machine's.
pub(crate) struct SystemFont(FontVec);

impl SystemFont {
    /// The first of the machine's fonts that has a shape for every one of these signs.
    pub(crate) fn with(signs: &[char]) -> Option<Self> {
        let home = environment::home();
        let own = home
            .iter()
            .flat_map(|home| OWN_FOLDERS.map(|folder| home.join(folder)));
        let folders = FOLDERS.map(PathBuf::from).into_iter().chain(own);
        Self::below(&folders.collect::<Vec<_>>(), signs)
    }

    fn below(folders: &[PathBuf], signs: &[char]) -> Option<Self> {
        let mut files = Vec::new();
        for folder in folders {
            collect(folder, 6, &mut files);
        }
        files.sort_by_key(|path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = name.to_lowercase();
            (!LIKELY.iter().any(|part| name.contains(part)), path.clone())
        });
        let fonts = files
            .iter()
            .take(MOST_FILES)
            .filter_map(|path| Self::read(path));
        fonts.into_iter().find(|font| font.has(signs))
    }

    fn read(path: &Path) -> Option<Self> {
        let is_small = fs::metadata(path).is_ok_and(|found| found.len() <= LARGEST);
        let bytes = is_small.then(|| fs::read(path).ok()).flatten()?;
        // A collection's first font; a file with one font is its own first.
        FontVec::try_from_vec_and_index(bytes, 0).ok().map(Self)
    }

    fn has(&self, signs: &[char]) -> bool {
        signs
            .iter()
            .all(|&sign| self.0.glyph_id(sign) != GlyphId(0))
    }

    /// Sets `text` on a picture, its middle at the height of `at`, as large as `font` would have it `scale` times.
    pub(crate) fn set(
        &self,
        image: &mut RgbImage,
        text: &str,
        at: (f64, f64),
        align: Align,
        font: Font,
        scale: f64,
    ) {
        let scaled = self.0.as_scaled(PxScale::from((font.size * scale) as f32));
        let mut glyphs: Vec<Glyph> = Vec::new();
        let mut width = 0.0;
        for sign in text.chars() {
            let mut glyph = scaled.scaled_glyph(sign);
            glyph.position = point(width, 0.0);
            width += scaled.h_advance(glyph.id);
            glyphs.push(glyph);
        }
        let start = match align {
            Align::Left => 0.0,
            Align::Centre => -width / 2.0,
            Align::Right => -width,
        };
        // From the middle of the letters down to the line that they stand on.
        let down = (scaled.ascent() + scaled.descent()) / 2.0;
        let (red, green, blue) = font.colour;
        for glyph in glyphs {
            let Some(outline) = self.0.outline_glyph(glyph) else {
                continue;
            };
            let bounds = outline.px_bounds();
            outline.draw(|x, y, coverage| {
                let along = f64::from(start + bounds.min.x + x as f32);
                let across = f64::from(down + bounds.min.y + y as f32);
                let (x, y) = match font.upwards {
                    true => (at.0 + across, at.1 - along),
                    false => (at.0 + along, at.1 + across),
                };
                if x < 0.0 || y < 0.0 {
                    return;
                }
                if let Some(Rgb(pixel)) = image.get_pixel_mut_checked(x as u32, y as u32) {
                    let share = coverage.clamp(0.0, 1.0);
                    for (below, ink) in pixel.iter_mut().zip([red, green, blue]) {
                        let mixed = f32::from(*below) * (1.0 - share) + f32::from(ink) * share;
                        *below = mixed.round() as u8;
                    }
                }
            });
        }
    }
}

/// Adds the font files in a folder and `depth` folders down.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ["ttf", "otf", "ttc"].iter().any(|known| ending == *known) {
            files.push(path);
        } else if depth > 0 && path.is_dir() {
            collect(&path, depth - 1, files);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_font_is_found_by_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("truetype/dejavu");
        fs::create_dir_all(&inside).unwrap();
        fs::write(inside.join("damaged.ttf"), b"no font").unwrap();
        let folders = [folder.path().to_owned(), folder.path().join("missing")];
        assert!(SystemFont::below(&folders, &['a']).is_none());
        fs::write(inside.join("a.TTF"), dejavu::sans::regular()).unwrap();
        assert!(SystemFont::below(&folders, &['a', 'ж']).is_some());
        assert!(SystemFont::below(&folders, &['a', '猫']).is_none());
    }

    #[test]
    fn text_stands_where_it_is_meant_to() {
        let font = FontVec::try_from_vec(dejavu::sans::regular().to_vec()).unwrap();
        let font = SystemFont(font);
        let ink = |align, upwards, at| {
            let mut image = RgbImage::from_pixel(200, 200, Rgb([255; 3]));
            let how = Font::new(20.0);
            let how = if upwards { how.upwards() } else { how };
            font.set(&mut image, "HHHH", at, align, how, 2.0);
            let dark = image
                .enumerate_pixels()
                .filter(|(.., pixel)| pixel.0[0] < 128);
            let dark = dark.map(|(x, y, _)| (x, y)).collect::<Vec<_>>();
            let range =
                |values: Vec<u32>| (*values.iter().min().unwrap(), *values.iter().max().unwrap());
            let columns = dark.iter().map(|(x, _)| *x).collect();
            (
                range(columns),
                range(dark.iter().map(|(_, y)| *y).collect()),
            )
        };
        // Capitals of 40 pixels are some 25 high and 95 wide together.
        let ((left, right), (top, bottom)) = ink(Align::Left, false, (50.0, 100.0));
        assert!(
            (50..56).contains(&left) && (140..155).contains(&right),
            "{left} {right}"
        );
        assert!(
            (80..90).contains(&top) && (105..118).contains(&bottom),
            "{top} {bottom}"
        );
        let ((left, right), _) = ink(Align::Centre, false, (100.0, 100.0));
        assert!((i64::from(left + right) - 200).abs() < 6, "{left} {right}");
        let ((_, right), _) = ink(Align::Right, false, (150.0, 100.0));
        assert!((143..151).contains(&right), "{right}");
        // Upwards the text grows to the top.
        let (_, (top, bottom)) = ink(Align::Left, true, (100.0, 150.0));
        assert!(
            (48..62).contains(&top) && (144..151).contains(&bottom),
            "{top} {bottom}"
        );
        // What leads out of the picture is cut off.
        ink(Align::Right, false, (30.0, 5.0));
    }
}
