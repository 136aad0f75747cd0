//! What a reader sees in Chromium: the lesson's notebook after Run All Cells, and a training run that is stopped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "says where the screenshots are, for `--nocapture`"
)]

mod common;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The code cells whose output is a picture, one each.
const PICTURES: [&str; 16] = [
    "show-pictures",
    "resized-picture",
    "curves",
    "augment-show",
    "train-frozen",
    "fine-tune",
    "predict-picture",
    "most-wrong",
    "compare",
    "first-filters",
    "tenth-filters",
    "photograph",
    "classify",
    "first-maps",
    "block-maps",
    "grad-cam",
];

/// Those whose output has a table.
const TABLES: [&str; 11] = [
    "open-lab",
    "open-base",
    "history-table",
    "build-model",
    "freeze",
    "augmentation",
    "open-block5",
    "filter-shapes",
    "open-vgg",
    "report",
    "confusion-matrix",
];

/// Those that train, and for how many epochs.
const TRAININGS: [(&str, usize); 4] = [
    ("train-head", 10),
    ("train-frozen", 10),
    ("fine-tune", 10),
    ("train-small", 20),
];

/// An empty folder for a test's screenshots.
fn screenshots(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    println!("screenshots: {}", folder.display());
    folder
}

/// Errors, text on stderr, pictures that are not loaded or wider than the page: the program in
/// `tests/references` refuses them all.
#[test]
#[ignore = "needs Chromium; `cargo lab test` runs it where there is one"]
fn the_lesson_can_be_read_in_a_browser() {
    let _turn = common::turn();
    let screenshots = screenshots("browser");
    let notebook = common::repository("notebooks/01_transfer_learning.ipynb");
    let pictures = common::few_samples();
    let arguments = [&notebook, &screenshots, pictures.path()];
    let summary = common::python("notebook_browser.py", &arguments);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    println!(
        "Chromium {}, seconds: {}",
        summary["chromium"], summary["seconds"]
    );

    let cells = summary["cells"].as_array().unwrap();
    assert!(cells.len() >= 45, "{} cells", cells.len());
    let cell = |id: &str| {
        cells
            .iter()
            .find(|cell| cell["id"] == id)
            .unwrap_or_else(|| panic!("there is no cell {id}"))
    };
    for (number, cell) in cells.iter().enumerate() {
        assert_eq!(cell["number"], number + 1, "{cell}");
    }
    for id in PICTURES {
        assert_eq!(cell(id)["images"], 1, "{id}");
    }
    for id in TABLES {
        assert!(cell(id)["tables"].as_u64() >= Some(1), "{id}");
    }
    // Each epoch has one line: those that show its progress are replaced. Of many epochs the first and the last
    // stay, and the best where that is neither.
    for (id, epochs) in TRAININGS {
        let text = cell(id)["text"].as_str().unwrap();
        let lines = |epoch: usize| text.matches(&format!("Epoch {epoch}/{epochs} ")).count();
        if epochs <= 10 {
            for epoch in 1..=epochs {
                assert_eq!(lines(epoch), 1, "{id}, epoch {epoch}:\n{text}");
            }
        } else {
            assert_eq!((lines(1), lines(epochs)), (1, 1), "{id}:\n{text}");
            let shown = (1..=epochs).map(lines).sum::<usize>();
            assert!((2..=3).contains(&shown), "{id}, {shown} lines:\n{text}");
            assert!(
                text.contains("`history.table()` shows all"),
                "{id}:\n{text}"
            );
        }
    }
    let files = std::fs::read_dir(&screenshots).unwrap().count();
    assert_eq!(summary["screenshots"], files);
    // A light and a dark one for the title and each of its eleven sections at least.
    assert!(files >= 24, "{files} screenshots");
}

/// That the bar moves and the figure changes while the cell runs is what the program waits for.
#[test]
#[ignore = "needs Chromium; `cargo lab test` runs it where there is one"]
fn a_training_run_moves_grows_and_stops_under_its_cell() {
    let _turn = common::turn();
    let screenshots = screenshots("live");
    let summary = common::python("notebook_live.py", &[&screenshots]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    for name in ["JupyterLab", "Notebook"] {
        let page = &summary["pages"][name];
        let text = |key: &str| page[key].as_str().unwrap();
        println!("{name}: stopped after {} s", page["stopping"]);
        assert_eq!(page["figures"], 1, "{name}: one figure that grows");
        // Between its steps, before its validation, or before its first step.
        let stopped = [
            "stopped in epoch",
            "stopped after epoch",
            "stopped before epoch",
        ];
        assert!(
            stopped.iter().any(|words| text("trained").contains(words)),
            "{name}: {page}"
        );
        assert!(text("used").contains("accuracy"), "{name}: {page}");
        for moment in ["running-1", "running-2", "used"] {
            assert!(screenshots.join(format!("{name}-{moment}.png")).is_file());
        }
    }
}
