//! The committed notebooks on the installed kernel, run by the program behind `cargo lab run`.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs notebooks into `folder`, offline and on the few samples, as `cargo lab run` does.
fn execute(folder: &std::path::Path, notebooks: &[&std::path::Path]) -> Output {
    let data = crate::common::few_samples();
    let _turn = crate::common::turn();
    Command::new(crate::common::repository(".venv/bin/python"))
        .arg(crate::common::repository("tools/lab/execute.py"))
        .arg(folder)
        .args(notebooks)
        .env("EVCXR_TRANSFER_OFFLINE", "1")
        .env("EVCXR_TRANSFER_DATA", data.path())
        // Weights that this machine has elsewhere would give other results.
        .env("KERAS_HOME", data.path())
        .env_remove("EVCXR_TRANSFER_WEIGHTS")
        .env_remove("EVCXR_TRANSFER_MIRROR")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("`cargo lab test` installs the notebook's Python")
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The code cells of a notebook.
fn code_cells(path: &std::path::Path) -> Vec<Value> {
    let notebook: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    notebook["cells"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|cell| cell["cell_type"] == "code")
        .cloned()
        .collect()
}

/// The cell with this id, and the data of its result.
fn result<'a>(cells: &'a [Value], id: &str) -> &'a Value {
    let cell = cells
        .iter()
        .find(|cell| cell["id"] == id)
        .unwrap_or_else(|| panic!("there is no cell {id}"));
    let is = |kind: &'static str| move |output: &&Value| output["output_type"] == kind;
    // A history shows itself where its curves have grown.
    outputs(cell)
        .iter()
        .find(is("execute_result"))
        .or_else(|| outputs(cell).iter().rfind(is("display_data")))
        .map_or_else(
            || panic!("{id} shows nothing: {cell}"),
            |output| &output["data"],
        )
}

/// A value of a bundle, whose lines notebooks store one by one.
fn joined(data: &Value, mime: &str) -> String {
    match &data[mime] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// Runs a committed notebook offline, in a copy of its folder, since notebooks save files beside
/// themselves; its code cells with their fresh outputs. None may fail, and each must give what the
/// committed outputs have.
fn fresh(name: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let committed = crate::common::repository("notebooks").join(name);
    let notebook = folder.path().join(name);
    std::fs::copy(&committed, &notebook).unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let output = execute(&out, &[&notebook]);
    assert!(output.status.success(), "{}", text(&output));
    let page = out.join(name).with_extension("html");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("image/png;base64"),
        "{name}.html has no picture"
    );
    // What nbconvert says of a picture that has no words.
    assert!(
        !page.contains("No description has been provided"),
        "{name}.html: pictures without a text"
    );

    let cells = code_cells(&out.join(name));
    let committed = code_cells(&committed);
    let (counts, committed_counts) = (counts(&cells), counts(&committed));
    assert_eq!(cells.len(), committed.len());
    for (number, (cell, committed)) in cells.iter().zip(&committed).enumerate() {
        assert_eq!(cell["execution_count"], number + 1, "{cell}");
        let mut found = kinds(cell);
        if number == 0 {
            // There the kernel may say what it waits for, such as a build of the crate.
            found.retain(|kind| kind != "stream stdout");
        }
        for output in cell["outputs"].as_array().unwrap() {
            assert_ne!(output["name"], "stderr", "{cell}");
            assert_ne!(output["output_type"], "error", "{cell}");
        }
        assert_eq!(
            (
                committed["execution_count"].as_u64(),
                kinds(committed),
                shapes(committed, &committed_counts)
            ),
            (Some(number as u64 + 1), found, shapes(cell, &counts)),
            "{}: the committed outputs (first) are not those of a fresh run. If that is meant, run \
             `cargo lab run notebooks/*.ipynb` and copy .lab/run/*.ipynb to notebooks/",
            cell["id"]
        );
        for (kind, picture) in pictures(cell) {
            let beginning = match kind {
                "image/jpeg" => "/9j/",
                _ => "iVBORw0KGgo",
            };
            assert!(picture.starts_with(beginning), "{}: no {kind}", cell["id"]);
            // 1 MB, and a third more as base64.
            assert!(
                picture.len() < 1_400_000,
                "{}: {} bytes",
                cell["id"],
                picture.len()
            );
        }
    }
    cells
}

fn outputs(cell: &Value) -> &[Value] {
    cell["outputs"].as_array().map_or(&[], Vec::as_slice)
}

/// Which kinds of outputs a cell has: "stream stdout", or a result's media types.
fn kinds(cell: &Value) -> Vec<String> {
    let of_one = |output: &Value| match output["data"].as_object() {
        // What a bar leaves when its work is done.
        Some(data) if output["output_type"] == "display_data" && data.len() == 1 => {
            "stream stdout".to_owned()
        }
        // Photographs are JPEG and drawn pictures may be PNG, whichever is smaller.
        Some(data) => {
            let kinds = data.keys().map(|kind| match is_picture(kind) {
                true => "image",
                false => kind.as_str(),
            });
            kinds.collect::<Vec<_>>().join(" ")
        }
        None => format!("stream {}", output["name"].as_str().unwrap_or_default()),
    };
    let all = outputs(cell).iter().map(of_one).collect::<Vec<_>>();
    // Beside a result, progress comes only where the work takes long.
    let results = all.iter().filter(|kind| *kind != "stream stdout");
    let results = results.cloned().collect::<Vec<_>>();
    if results.is_empty() { all } else { results }
}

/// The kinds of files that a picture may come as.
const PICTURES: [&str; 2] = ["image/png", "image/jpeg"];

fn is_picture(kind: &str) -> bool {
    PICTURES.contains(&kind)
}

/// A cell's pictures: of which kind each is, and its base64 text.
fn pictures(cell: &Value) -> Vec<(&'static str, String)> {
    let of_one = |output: &Value| PICTURES.map(|kind| (kind, joined(&output["data"], kind)));
    let all = outputs(cell).iter().flat_map(of_one);
    all.filter(|(_, picture)| !picture.is_empty()).collect()
}

/// A cell's texts, one after the other.
fn texts(cell: &Value) -> String {
    let of_one =
        |output: &Value| joined(&output["data"], "text/plain") + &joined(output, "text") + "\n";
    outputs(cell).iter().map(of_one).collect()
}

/// How many pictures the notebook's data have, as in "Found 60 images belonging to 2 classes".
fn counts(cells: &[Value]) -> Vec<String> {
    let all = cells.iter().map(texts).collect::<String>();
    let found = all
        .split("Found ")
        .skip(1)
        .filter_map(|text| text.split_once(" images"));
    found.map(|(count, _)| count.to_owned()).collect()
}

/// All sizes such as "(N, 4, 4, 512)" that a cell's texts have, in order. N stands for a number of pictures:
/// the committed outputs may come from other data than a fresh run.
fn shapes(cell: &Value, counts: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for part in texts(cell).split('(').skip(1) {
        let inside = part.split(')').next().unwrap_or_default();
        let is_size = |word: &str| word == "None" || word.trim().parse::<usize>().is_ok();
        let Some((first, rest)) = inside.split_once(',') else {
            continue;
        };
        if inside.trim_end_matches(',').split(", ").all(is_size) {
            let is_count = counts.iter().any(|count| count == first);
            // A photograph has its own height and width.
            let is_photo = rest.ends_with(", 3") && rest.matches(", ").count() == 1;
            let first = if is_count { "N" } else { first };
            found.push(match is_photo {
                true => "H, W, 3".to_owned(),
                false => format!("{first},{rest}"),
            });
        }
    }
    found
}

/// Whether these cells show pictures, and these others tables.
fn show(cells: &[Value], tables: &[&str], pictures: &[&str]) {
    for id in tables {
        assert!(
            joined(result(cells, id), "text/html").contains("<table"),
            "{id}"
        );
    }
    for id in pictures {
        let data = result(cells, id);
        assert!(
            PICTURES.iter().any(|kind| !joined(data, kind).is_empty()),
            "{id}"
        );
    }
}

#[test]
fn the_lesson_runs_from_top_to_bottom() {
    let cells = fresh("01_transfer_learning.ipynb");
    assert!(cells.len() >= 45, "{} cells", cells.len());
    // What the lesson's figures say, in the cells that show them.
    assert!(joined(result(&cells, "open-base"), "text/plain").contains("14,714,688"));
    assert!(joined(result(&cells, "train-head"), "text/plain").contains("4,195,329"));
    assert!(joined(result(&cells, "extract-train"), "text/plain").contains("(26, 4, 4, 512)"));
    assert!(joined(result(&cells, "extract-validation"), "text/plain").contains("(14, 4, 4, 512)"));
    assert!(joined(result(&cells, "build-model"), "text/plain").contains("16,812,353"));
    assert_eq!(
        joined(result(&cells, "count-trainable"), "text/plain"),
        "30"
    );
    assert_eq!(joined(result(&cells, "count-frozen"), "text/plain"), "4");
    let open = joined(result(&cells, "open-block5"), "text/plain");
    let rows = open
        .lines()
        .filter(|line| line.ends_with("true") || line.ends_with("false"));
    assert_eq!(rows.count(), 19, "{open}");
    assert!(joined(result(&cells, "small-network"), "text/plain").contains("3,453,121"));
    assert!(joined(result(&cells, "evaluate-model"), "text/plain").starts_with("accuracy"));
    assert!(joined(result(&cells, "save-model"), "text/plain").starts_with("saved "));
    let shapes = joined(result(&cells, "filter-shapes"), "text/plain");
    assert!(
        shapes.contains("(3, 3, 512, 512)") && shapes.contains("(3, 3, 3, 64)"),
        "{shapes}"
    );
    assert!(joined(result(&cells, "open-vgg"), "text/plain").contains("(None, 224, 224, 64)"));
    assert!(joined(result(&cells, "block-maps"), "text/plain").contains("320 pictures"));
    for (id, last) in [
        ("train-frozen", "Epoch 10/10"),
        ("fine-tune", "Epoch 10/10"),
        ("train-small", "Epoch 20/20"),
    ] {
        let cell = cells.iter().find(|cell| cell["id"] == id).unwrap();
        assert!(texts(cell).contains(last), "{cell}");
    }
    let tables = [
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
    let pictures = [
        "show-pictures",
        "resized-picture",
        "curves",
        "compare-scalings",
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
    show(&cells, &tables, &pictures);
}

#[test]
fn own_pictures_are_checked_trained_on_and_predicted() {
    let cells = fresh("02_your_own_pictures.ipynb");
    let found = joined(result(&cells, "check-data"), "text/plain");
    assert!(
        found.contains("checks/broken.png") && found.contains("dots/3.png"),
        "{found}"
    );
    let mended = joined(result(&cells, "mend-data"), "text/plain");
    assert!(mended.contains("Nothing to mend"), "{mended}");
    assert!(joined(result(&cells, "open-base"), "text/plain").contains("(54, 3, 3, 512)"));
    let tables = ["open-lab", "check-data", "build-model", "report"];
    let pictures = [
        "show-data",
        "plane",
        "train-head",
        "augmentation",
        "compare",
        "confusion",
        "predictions",
        "most-wrong",
        "grad-cam",
        "load-and-predict",
        "predict-folder",
    ];
    show(&cells, &tables, &pictures);
}

#[test]
fn quick_looks_need_no_training() {
    let cells = fresh("03_quick_looks.ipynb");
    let pictures = cells
        .iter()
        .filter(|cell| !pictures(cell).is_empty())
        .count();
    assert!(pictures >= 20, "{pictures} cells show a picture");
    show(
        &cells,
        &["open-vgg"],
        &["lines", "histogram", "small-heatmap", "patterns"],
    );
}

#[test]
fn networks_are_compared_side_by_side() {
    let cells = fresh("04_other_networks.ipynb");
    for (id, width) in [("vgg16", 512), ("resnet50", 2048), ("inception", 2048)] {
        let features = joined(result(&cells, id), "text/plain");
        assert!(features.contains(&format!("(26, {width})")), "{features}");
    }
    let table = joined(result(&cells, "table"), "text/plain");
    for row in [
        "vgg16|14.7 million|512",
        "resnet50|23.6 million|2048",
        "inception_v3|21.8 million|2048",
    ] {
        let parts = row.split('|').collect::<Vec<_>>();
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        // No network asked, no true weights told.
        let line = table.lines().find(|line| has_all(line)).unwrap_or(&table);
        assert!(line.ends_with("random"), "{row} in {table}");
    }
    show(&cells, &["table", "batch-norm"], &["compare"]);
}

/// Each of evcxr's three ways to end a failing cell, of which Jupyter calls two "ok".
#[test]
fn failing_cells_are_found_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let cases = [
        ("error", "let x: u32 = \\\"no\\\";", "mismatched types"),
        (
            "question",
            "std::fs::read(\\\"no/such/file\\\")?;",
            "No such file",
        ),
        (
            "panic",
            "let v: Vec<u8> = Vec::new();\\nv[3];",
            "index out of bounds",
        ),
        (
            "err",
            "Err::<u8, &str>(\\\"this went wrong\\\")",
            "this went wrong",
        ),
    ];
    let mut notebooks = Vec::new();
    for (name, code, _) in &cases {
        let path = folder.path().join(format!("{name}.ipynb"));
        let cell = |id: &str, source: &str| {
            format!(
                r#"{{"cell_type": "code", "id": "{id}", "metadata": {{}}, "execution_count": null, "outputs": [], "source": "{source}"}}"#
            )
        };
        let text = format!(
            r#"{{"cells": [{}, {}, {}], "metadata": {{"kernelspec": {{"name": "rust_transfer", "display_name": "Rust (transfer)", "language": "rust"}}}}, "nbformat": 4, "nbformat_minor": 5}}"#,
            cell("good", "let a = 1;"),
            cell("bad", code),
            cell("never", "println!(\\\"never\\\");"),
        );
        std::fs::write(&path, text).unwrap();
        notebooks.push(path);
    }
    let paths: Vec<&std::path::Path> = notebooks.iter().map(|path| path.as_path()).collect();
    let output = execute(&out, &paths);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = text(&output);
    for (name, _, reason) in &cases {
        assert!(
            said.contains(reason),
            "{name}: {reason} is missing in\n{said}"
        );
        let cells = code_cells(&out.join(format!("{name}.ipynb")));
        assert_eq!(
            cells[2]["outputs"].as_array().map(Vec::len),
            Some(0),
            "{name}: the cell after the failure was run"
        );
        assert!(out.join(format!("{name}.html")).is_file());
    }
}
