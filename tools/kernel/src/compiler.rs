//! What the compiler's text says to the reader of a notebook.

/// Whether a line of stderr is cargo's "   Compiling tch v0.24.0".
pub fn is_progress(line: &str) -> bool {
    line.trim_start().starts_with("Compiling ")
}

/// The compiler's text, with what to do about it first.
pub fn explain(text: &str) -> String {
    let remedy =
        remedy(text).unwrap_or("evcxr_transfer does not compile; mend it, then run the cell again");
    if text.is_empty() {
        remedy.to_owned()
    } else {
        format!("{remedy}\n\n{text}")
    }
}

/// What to do about a failure that has nothing to do with the crate's source.
pub fn remedy(text: &str) -> Option<&'static str> {
    if text.contains("No space left on device") {
        Some("the disk is full: make room, then run the cell again")
    } else if text.contains("Could not resolve host") || text.contains("failed to download") {
        Some("a crate could not be downloaded: check the network, then run the cell again")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_what_to_do_first() {
        let full = explain("error: No space left on device (os error 28)");
        assert!(full.starts_with("the disk is full"), "{full}");
        let broken = explain("error[E0425]: cannot find value `x`\n --> src/lab.rs:3:4");
        assert!(broken.starts_with("evcxr_transfer does not compile"));
        assert!(broken.contains("src/lab.rs:3:4"));
    }

    #[test]
    fn cargos_lines_are_known() {
        assert!(is_progress("   Compiling tch v0.24.0"));
        assert!(!is_progress("error: could not compile `tch`"));
    }
}
