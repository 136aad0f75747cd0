//! Where the checkout lies, which not every program that it needs can work with.

use checkout::place::Place;

use crate::trouble::{Result, Trouble};

/// Refuses a path with which nothing can be built.
///
/// evcxr and the linker split what they are given at blanks, and lists of folders, as in `LD_LIBRARY_PATH`, are
/// split at colons.
pub fn check(place: &Place) -> Result<()> {
    let path = place.root.display();
    let what = match place.root.to_str() {
        None => "is not written in UTF-8",
        Some(text) if text.contains(char::is_whitespace) => "has a blank in it",
        Some(text) if text.contains([':', '"', '\\']) => {
            "has a colon, a quote or a backslash in it"
        }
        Some(_) => return Ok(()),
    };
    Err(Trouble::new(
        format!("the checkout's path {what}, with which cells cannot be built: {path}"),
        "move the checkout to a folder without it, such as `~/evcxr_transfer`, then run the command again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_path_that_cannot_be_built_in_is_refused_with_the_remedy() {
        let checked = |root: OsString| check(&Place { root: root.into() });
        checked("/home/me/evcxr_transfer-1.0/é".into()).unwrap();
        let raw = OsString::from_vec(b"/a\xff".to_vec());
        for (root, words) in [
            ("/with a/blank".into(), "a blank"),
            ("/tab\tbed".into(), "a blank"),
            ("/a:b".into(), "a colon"),
            (raw, "UTF-8"),
        ] {
            let trouble = checked(root).unwrap_err();
            assert!(trouble.what.contains(words), "{trouble}");
            assert!(trouble.remedy.contains("move the checkout"), "{trouble}");
        }
    }
}
