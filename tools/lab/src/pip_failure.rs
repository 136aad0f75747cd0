//! pip's failures, each said in one line with its remedy.

use crate::trouble::Trouble;

/// Turns pip's many lines about a failure into one with a remedy.
pub fn explain(lines: &[String]) -> Trouble {
    let has = |words: &[&str]| {
        lines
            .iter()
            .any(|line| words.iter().any(|word| line.contains(word)))
    };
    if has(&["No space left on device"]) {
        return Trouble::new(
            "the disk filled up while packages were installed",
            "make room (set-up needs 8 GB, also in the folder for temporary files, TMPDIR) and run the command again",
        );
    }
    if has(&[
        "CERTIFICATE_VERIFY_FAILED",
        "SSLError",
        "SSLCertVerificationError",
    ]) {
        return Trouble::new(
            "the package index cannot be trusted: its certificate was refused",
            "check the clock of this machine; behind a company proxy set PIP_CERT to its certificate file",
        );
    }
    // Before "No matching distribution", which pip also says when it could not ask at all.
    if has(&[
        "NewConnectionError",
        "Failed to establish a new connection",
        "Connection refused",
        "Name or service not known",
        "Temporary failure in name resolution",
        "nodename nor servname",
        "ConnectTimeout",
        "ProxyError",
        "Max retries exceeded",
        "Read timed out",
        "Connection broken",
        "Network is unreachable",
        "IncompleteRead",
        "incomplete-download",
    ]) {
        return Trouble::new(
            "the package index cannot be reached, or the connection broke off",
            "check the network (and HTTPS_PROXY, PIP_INDEX_URL if you set them) and run the command again: \
             it goes on with what it has",
        );
    }
    if has(&[
        "No matching distribution found for torch==",
        "from versions: none",
    ]) {
        return Trouble::new(
            format!(
                "there is no package of PyTorch 2.11.0 for this machine ({} {}) and its Python",
                std::env::consts::OS,
                std::env::consts::ARCH
            ),
            "it exists for Linux with glibc (x86_64, aarch64) and for macOS on Apple silicon; \
             elsewhere set LIBTORCH to a libtorch 2.11 of your own",
        );
    }
    if has(&["DO NOT MATCH THE HASHES"]) {
        return Trouble::new(
            "a downloaded package was damaged",
            "run `.venv/bin/python -m pip cache purge`, then the command again",
        );
    }
    let said = lines
        .iter()
        .rev()
        .find_map(|line| line.trim().strip_prefix("ERROR: "))
        .or_else(|| {
            lines
                .iter()
                .rev()
                .map(|line| line.trim())
                .find(|line| !line.is_empty())
        })
        .unwrap_or("it gave no reason");
    Trouble::new(
        format!("pip failed: {said}"),
        "run the command again; if it fails in the same way, `cargo lab clean` and start anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_network_is_not_taken_for_a_missing_package() {
        let lines = [
            "WARNING: Retrying (...) after connection broken by 'NewConnectionError(...)': /torch/",
            "ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: none)",
            "ERROR: No matching distribution found for torch==2.11.0",
        ]
        .map(str::to_owned);
        assert!(explain(&lines).what.contains("cannot be reached"));
        assert!(explain(&lines[1..]).what.contains("no package of PyTorch"));
        let other = ["ERROR: something odd".to_owned(), String::new()];
        assert_eq!(explain(&other).what, "pip failed: something odd");
    }
}
