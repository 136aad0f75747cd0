//! What is built into the crate and its tools may be used as they may: every licence goes with "MIT OR Apache-2.0", and
//! every package comes from the registry that the lock file's sums are of.

use std::process::Command;

use serde_json::Value;

/// Licences that ask no more of a program than to name whose work it has in it.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Others, each with the reason why it may stay.
const EXCEPTIONS: [(&str, &str); 1] = [
    // 50 lines behind `dirs`, which evcxr has: in the kernel alone. It asks for changes of its own files only.
    ("option-ext", "MPL-2.0"),
];

/// Whether a licence, written as SPDX has it, lets a program choose allowed ones alone.
fn is_allowed(licence: &str) -> bool {
    // How it was written before SPDX.
    let spaced = licence.replace('/', " OR ");
    let spaced = spaced.replace('(', " ( ").replace(')', " ) ");
    let words = spaced.split_whitespace().collect::<Vec<_>>();
    let mut rest = &words[..];
    any(&mut rest) && rest.is_empty()
}

/// `a OR b`.
fn any(rest: &mut &[&str]) -> bool {
    let mut allowed = all(rest);
    while let ["OR", after @ ..] = rest {
        *rest = after;
        allowed |= all(rest);
    }
    allowed
}

/// `a AND b`, which binds more tightly.
fn all(rest: &mut &[&str]) -> bool {
    let mut allowed = one(rest);
    while let ["AND", after @ ..] = rest {
        *rest = after;
        allowed &= one(rest);
    }
    allowed
}

fn one(rest: &mut &[&str]) -> bool {
    match **rest {
        ["(", ref after @ ..] => {
            *rest = after;
            let allowed = any(rest);
            *rest = rest.split_first().map_or(&[], |(_, after)| after);
            allowed
        }
        [name, "WITH", exception, ref after @ ..] => {
            *rest = after;
            ALLOWED.contains(&&*format!("{name} WITH {exception}"))
        }
        [name, ref after @ ..] => {
            *rest = after;
            ALLOWED.contains(&name)
        }
        [] => false,
    }
}

#[test]
fn every_dependencys_licence_goes_with_ours() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = all["packages"].as_array().unwrap();
    assert!(packages.len() > 300, "{}", packages.len());
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence) && !EXCEPTIONS.contains(&(name, licence)) {
            wrong.push(format!("{name}: {licence}"));
        }
        // Our own have no source.
        if let Some(source) = package["source"].as_str()
            && !source.starts_with("registry+")
        {
            wrong.push(format!("{name} comes from {source}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (name, _) in EXCEPTIONS {
        let is_there = packages.iter().any(|package| package["name"] == name);
        assert!(is_there, "{name} is no exception any more");
    }
}

#[test]
fn licences_are_read_as_spdx_writes_them() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "Apache-2.0 AND ISC",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in [
        "",
        "none",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "GPL-3.0 AND ISC OR GPL-2.0",
        "(MIT AND GPL-3.0) OR LGPL-2.1",
        "MIT MIT",
        "MIT WITH anything",
    ] {
        assert!(!is_allowed(refused), "{refused}");
    }
}
