//! The same numbers as Keras, torchvision, PyTorch and Pillow, from files: no Python needed.
//!
//! `tests/references/golden.py` (`cargo lab references`) made `tests/golden/*.json` and
//! `*.safetensors` with the libraries themselves; their versions and seeds stand in each file. Here
//! each quantity is made again and held against them. One table is printed at the end, the same as in
//! `tests/golden/README.md`:
//!
//! ```text
//! cargo test --test golden -- --nocapture
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its table"
)]

#[path = "golden/losses.rs"]
mod losses;
#[path = "golden/network.rs"]
mod network;
#[path = "golden/networks.rs"]
mod networks;
#[path = "golden/pictures.rs"]
mod pictures;
#[path = "golden/report.rs"]
mod report;
#[path = "golden/summaries.rs"]
mod summaries;
#[path = "golden/training.rs"]
mod training;

use std::io::Write;

use evcxr_transfer::{Base, Device, Precision, Weights};
use report::Report;

#[test]
fn every_number_is_the_references_number() {
    let cpu = Device::Cpu;
    let mut report = Report::default();
    pictures::pixels(&mut report);
    pictures::scaling(&mut report);
    pictures::folders(&mut report);
    pictures::transforms(&mut report, cpu, "");
    pictures::draws(&mut report);
    summaries::summaries(&mut report);
    network::features(&mut report, cpu, "");
    network::whole_network(&mut report, cpu, "");
    network::heat_maps(&mut report, cpu, "");
    training::initial(&mut report);
    losses::losses(&mut report);
    training::averages(&mut report);
    losses::dropout(&mut report);
    losses::schedules(&mut report);
    training::steps(&mut report, cpu, "");
    network::bf16(&mut report, cpu, "");
    report.close();
    assert_documented(&report);
}

#[test]
fn residual_networks_and_inception_have_keras_numbers() {
    let cpu = Device::Cpu;
    let mut report = Report::default();
    networks::outputs(&mut report, cpu, "");
    networks::tops(&mut report, cpu, "");
    networks::heat_maps(&mut report, cpu, "");
    networks::steps(&mut report, cpu, "");
    networks::bf16(&mut report, cpu, "");
    report.close();
    assert_documented(&report);
}

/// The table in README.md must have these lines, but for the differences, which are another machine's.
fn assert_documented(report: &Report) {
    let readme = std::fs::read_to_string(report::folder().join("README.md")).unwrap();
    for row in &report.rows {
        let line = row.to_string();
        let cells = line.split(" | ").collect::<Vec<_>>();
        let [quantity, reference, _, tolerance, why] = cells[..] else {
            panic!("a line has five cells: {line}")
        };
        let start = format!("{quantity} | {reference} | ");
        let end = format!(" | {tolerance} | {why}");
        assert!(
            readme
                .lines()
                .any(|line| line.starts_with(&start) && line.ends_with(&end)),
            "tests/golden/README.md lacks this line, or has another tolerance:\n{line}"
        );
    }
}

/// On a GPU all is f32 but for the gradients of convolutions that learn, which are TF32.
#[test]
fn a_gpu_gives_the_same_numbers() {
    let (gpu, suffix) = (Device::Cuda(0), ", on a GPU");
    if let Err(error) = Base::vgg16(32, &Weights::seeded(0), gpu, Precision::F32) {
        // Past the test harness, which keeps what passing tests print to itself.
        let line = format!("NOT CHECKED: TF32 and CUDA, since there is no GPU here ({error})\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    let mut report = Report::default();
    pictures::transforms(&mut report, gpu, suffix);
    network::features(&mut report, gpu, suffix);
    network::whole_network(&mut report, gpu, suffix);
    network::heat_maps(&mut report, gpu, suffix);
    networks::outputs(&mut report, gpu, suffix);
    networks::tops(&mut report, gpu, suffix);
    networks::heat_maps(&mut report, gpu, suffix);
    networks::steps(&mut report, gpu, suffix);
    networks::bf16(&mut report, gpu, suffix);
    training::steps(&mut report, gpu, suffix);
    network::bf16(&mut report, gpu, suffix);
    report.close();
}

#[test]
fn the_golden_files_are_small() {
    fn size(path: &std::path::Path) -> u64 {
        if !path.is_dir() {
            return path.metadata().unwrap().len();
        }
        let entries = std::fs::read_dir(path).unwrap();
        entries.map(|entry| size(&entry.unwrap().path())).sum()
    }
    let bytes = size(&report::folder());
    // What was agreed: a clone must not become slow.
    assert!(bytes < 3_000_000, "{bytes} bytes");
}
