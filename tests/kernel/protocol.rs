//! The installed kernel "Rust (transfer)" against Jupyter's own test suite for kernels, `jupyter_kernel_test`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// The suite's tests. One that a later version brings has to be configured first.
const TESTS: [&str; 10] = [
    "test_completion",
    "test_display_data",
    "test_error",
    "test_execute_result",
    "test_execute_stderr",
    "test_execute_stdout",
    "test_history",
    "test_inspect",
    "test_is_complete",
    "test_kernel_info",
];

/// Those that do not apply, and why.
const SKIPPED: [(&str, &str); 2] = [
    (
        "test_pager",
        "payloads are deprecated, and Rust has nothing that pages",
    ),
    (
        "test_clear_output",
        "what changes under a cell is one display, which is updated",
    ),
];

#[test]
fn jupyters_own_tests_of_a_kernel_pass() {
    let answer = crate::common::on_kernels("kernel_protocol.py", &json!({}));
    let names = |value: &Value| -> BTreeSet<String> {
        match value {
            Value::Object(map) => map.keys().cloned().collect(),
            list => serde_json::from_value(list.clone()).unwrap(),
        }
    };
    let (passed, skipped) = (names(&answer["passed"]), names(&answer["skipped"]));
    let failed = answer["failed"].as_object().unwrap();
    println!(
        "jupyter_kernel_test {}: {} passed, {} failed, {} skipped",
        answer["version"],
        passed.len(),
        failed.len(),
        skipped.len()
    );
    for (name, reason) in SKIPPED {
        println!("  skipped: {name}: {reason}");
    }
    let failures: Vec<String> = failed
        .iter()
        .map(|(name, text)| format!("{name}: {}", text.as_str().unwrap()))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(passed, TESTS.map(str::to_owned).into());
    assert_eq!(skipped, SKIPPED.map(|(name, _)| name.to_owned()).into());
}
