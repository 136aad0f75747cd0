//! Cells on the installed kernel "Rust (transfer)", through a real Jupyter client.
//!
//! `cargo lab setup` (or `cargo lab test`) has installed the kernel. Each test starts kernels of its own;
//! they take turns, because a kernel with a libtorch in it needs 2 GB.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Runs notebooks (lists of cells) and returns the answers: `[notebook][cell]`.
fn run(order: &Value) -> Vec<Vec<Value>> {
    by_notebook(&crate::common::on_kernels("notebook_cells.py", order))
}

/// The cells' answers, notebook by notebook.
fn by_notebook(answers: &Value) -> Vec<Vec<Value>> {
    assert_eq!(answers["left"], 0, "processes have outlived their kernels");
    answers["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notebook| notebook.as_array().unwrap().clone())
        .collect()
}

/// A cell's value: its result, or the curves that a history shows where they have grown.
fn value(answer: &Value) -> &Value {
    let last = |key: &str| answer[key].as_array().and_then(|results| results.last());
    last("results")
        .or_else(|| last("moving"))
        .unwrap_or_else(|| panic!("no value: {answer}"))
}

/// Runs one notebook.
fn cells(cells: &[&str]) -> Vec<Value> {
    run(&json!({ "notebooks": [cells] })).remove(0)
}

/// The cell has ended well: no error, nothing on stderr, no `Err(..)` as a result.
fn assert_fine(code: &str, answer: &Value) {
    let text = answer["results"][0]["text/plain"]
        .as_str()
        .unwrap_or_default();
    assert!(
        answer["status"] == "ok" && answer["stderr"] == "" && !text.starts_with("Err("),
        "{code}\n{}",
        serde_json::to_string_pretty(answer).unwrap()
    );
}

const OPEN: &str = "use evcxr_transfer::prelude::*;
let lab = Lab::open()?.samples().device(Device::Cpu);
lab";

/// Every public call that a cell can make, as `let` where it gives something to keep, and as the
/// cell's end where it shows something. evcxr has to find each type by itself. In two notebooks, which run at the
/// same time: what leads to a trained model, and what one looks at.
const CALLS_OF_TRAINING: &[&str] = &[
    OPEN,
    "let options = lab.fit().epochs(2).batch_size(10).learning_rate(1e-4).seed(3);",
    "options.check()?",
    "options",
    "let table = lab.table();",
    "table",
    "let quick = Lab::open()?.offline().quick();\nlet full = Lab::open()?.offline().full().seeded_weights(2);",
    "let base = lab.vgg16(150)?;",
    "base",
    "let layers = base.layers().to_vec();\nlet size = base.size();",
    "layers.len()",
    "let summary = base.summary();",
    "summary",
    "let count = base.num_parameters();\nlet shape = base.output_shape().to_vec();",
    "let first = base.layer_weights(\"block1_conv1\")?;\nlet kernel = first.array(\"kernel\")?;",
    "let weights = Weights::seeded(5);",
    "let deep = lab.vgg19(64)?;",
    "let deep = deep.batch_size(4).scaling(Scaling::Caffe);",
    "deep",
    "let data = lab.cats_and_dogs()?;",
    "data",
    "data.train",
    "let tree = data.tree();\nlet counts = data.train.counts();\nlet notes = data.train.notes().to_vec();",
    "let classes = data.train.classes().to_vec();\nlet files = data.train.files().to_vec();",
    "let few = data.train.take(8);\nlet both = data.take(8, 4);",
    "let whole = few.without_unreadable()?;\nlet unreadable = few.unreadable()?;",
    "few.show(4)?",
    "let grid = few.show(8)?;",
    "grid",
    "let photo = Photo::open(&files[0])?;",
    "photo",
    "let small = photo.resize(32, 32, Interpolation::Bilinear)?;",
    "let pixels = small.to_array();\npixels.shape()",
    "let train = base.extract_features(&few)?;\ntrain",
    "let validation = base.extract_features(&data.validation)?;",
    "let array = train.array()?;\narray.shape()",
    "let tensor = train.tensor();\ntensor.size()",
    "let (mut head, history) = train_head(&train, &validation, &options)?;",
    "head",
    "history",
    "history.table()",
    "history.plot()",
    "let best = history.best();\nlet last = history.last();",
    "let more = head.fit(&train, &validation, &options)?;",
    "let mut other = Head::dense(16).dropout(0.3).build(&train, 0)?;",
    "let evaluation = head.evaluate(&validation)?;",
    "evaluation",
    "let probabilities = head.predict(&validation)?;\nprobabilities.shape()",
    "let place = std::env::temp_dir();\nlet saved = head.save(place.join(\"every_call_head.safetensors\"))?;",
    "saved",
    "let loaded = HeadModel::load(saved.path(), Device::Cpu)?;",
    "train.save(place.join(\"every_call_features.safetensors\"))?",
    "let again = Features::load(place.join(\"every_call_features.safetensors\"), Device::Cpu)?;",
    "history.save(place.join(\"every_call_history.json\"))?",
    "let json = history.to_json();\nlet csv = history.to_csv();",
    "let augment = Augment::lesson();\naugment",
    "let own = Augment::none().rotation(20.0).width_shift(0.1).height_shift(0.1).shear(5.0)
        .zoom(0.1).horizontal_flip().vertical_flip().brightness(0.8, 1.2).fill(Fill::Reflect);",
    "own.check()?;\nlet drawn = own.transforms(2, (32, 32), 7)?;\nlet first = drawn[0];",
    "few.show_augmented(&augment, 4)?",
    "let fit = lab.fit().epochs(1).steps_per_epoch(1).batch_size(4).optimizer(Optimizer::adam()).early_stopping(2)
        .schedule(Schedule::Cosine).class_weights(&[1.0, 2.0]).head_learning_rate(1e-3).precision(Precision::F32);",
    "fit.table()",
    "let small_base = lab.vgg16(48)?;",
    "let mut model = Classifier::new(&small_base, Head::dense(16), few.classes())?;\nmodel",
    "let names = model.trainable_weights();\nlet open = model.num_trainable_parameters();",
    "model.freeze_base()",
    "model.unfreeze_from(\"block5_conv1\")?",
    "let found = model.lr_find(&both, &augment, &lab.fit().steps_per_epoch(3).batch_size(4))?;",
    "found",
    "found.table()",
    "let rate = found.suggestion();\nlet rates = found.rates().to_vec();",
    "let place = std::env::temp_dir();\nlet checkpoint = place.join(\"every_call_run.safetensors\");",
    "let simple = lab.fit().epochs(1).batch_size(4).checkpoint(&checkpoint).checkpoint_every(1);",
    "let frozen_history = model.train_frozen(&both, &augment, &simple)?;",
    "let tuned_history = model.fine_tune(\"block5_conv3\", &both, &Augment::none(), &simple)?;",
    "let run = model.fit(&both, &augment, &fit)?;\nrun",
    "let ending = run.ending();",
    "History::compare(&[(\"frozen\", &frozen_history), (\"tuned\", &tuned_history)])",
    "let mut begun = lab.load(&checkpoint)?;\nlet whole = begun.resume(&both, &simple.clone().epochs(2))?;",
    "model.history()",
    "let told = model.evaluate(&both.validation)?;\ntold",
    "let prediction = model.predict(&files[0])?;\nprediction",
    "let class = prediction.class().to_owned();\nlet all_probabilities = prediction.probabilities();",
    "let same = model.predict(&photo)?;\nlet path = model.predict(files[0].to_str().unwrap())?;",
    "let predictions = model.predict_folder(data.validation.folder())?;\npredictions",
    "predictions.show(4)?",
    "model.save(place.join(\"every_call_model.safetensors\"))?",
    "let mut reloaded = Classifier::load(place.join(\"every_call_model.safetensors\"), Device::Cpu)?;",
    "reloaded.set_precision(Precision::F32)?",
    "let is_unfinished = reloaded.is_unfinished();",
];

const CALLS_OF_LOOKING: &[&str] = &[
    OPEN,
    "let base = lab.vgg16(150)?;\nlet small_base = lab.vgg16(48)?;\nlet data = lab.cats_and_dogs()?;
let few = data.train.take(8);\nlet both = data.take(8, 4);\nlet files = data.train.files().to_vec();
let photo = Photo::open(&files[0])?;",
    "let train = small_base.extract_features(&few)?;\nlet array = train.array()?;\nlet tensor = train.tensor();",
    "let mut model = Classifier::new(&small_base, Head::dense(16), few.classes())?;",
    "base.filter_shapes()",
    "let filters = base.filters(\"block1_conv1\")?;\nfilters",
    "filters.first(6)",
    "filters.choose(&[3, 5])",
    "let by_index = base.filters(9)?;\nlet values = by_index.array();",
    "base.convolutions()",
    "let maps = base.feature_maps(&photo, \"block1_conv1\")?;\nmaps",
    "maps.grid(8, 8)",
    "maps.choose(&[1, 2, 3])",
    "let several = base.feature_maps_of(&files[0], &[2, 5, 9, 13, 17])?;",
    "let report = model.report(&both.validation)?;\nreport",
    "report.confusion_matrix()",
    "report.plot_confusion_matrix()",
    "report.most_wrong(4)?",
    "report.show(4)?",
    "report.roc_curve()?",
    "let area = report.area_under_curve()?;\nlet counts = report.confusion();\nlet scores = report.scores();",
    "let mistakes = report.mistakes();",
    "let whole_network = lab.with_top(Architecture::Vgg16)?;",
    "whole_network.classify(&photo, 5)?",
    "several",
    "several.layers()[4].grid(2, 8)",
    "let heat = model.grad_cam(&photo, \"block5_conv3\")?;\nheat",
    "let other = model.grad_cam(&files[0], GradCam::at(11).class(\"dogs\").plus_plus())?;",
    "heat.plot()?",
    "let over = other.overlay()?;\nlet where_to = other.array();\nover",
    "whole_network.grad_cam(&photo, \"block5_conv3\")?",
    "let covered = model.occlusion_map(&photo, Occlusion::patch(24).stride(24).class(\"dogs\"))?;\ncovered",
    "let losses = covered.array();\nlet most_covered = covered.overlay()?;\nlosses.shape()",
    "covered.plot()?",
    "model.occlusion_map(&files[0], Occlusion::default())?",
    "let patterns = small_base.filter_patterns(\"block3_conv1\", &[0, 1, 2, 3])?;\npatterns",
    "let longer = base.filter_patterns(ActivationMaximization::at(1).steps(2).step_size(2.0).size(64).seed(7), &[5])?;",
    "longer.plot()",
    "let pictures = longer.pictures();\nlet pairs = longer.activations().to_vec();\nlet raw = longer.array();\nraw.shape()",
    "let numbers = maps.array();\nnumbers.shape()",
    "let mut small_net = lab.small_conv_net(48, few.classes())?;\nsmall_net",
    "let (transferred, both_histories) = Classifier::transfer(&small_base, &both, &lab.fit().epochs(1).batch_size(4))?;",
    "let checks = data.check()?;\nchecks",
    "let own = Data::split(data.train.folder(), 0.2, 42)?;\nown",
    "let sound = own.without_unreadable()?;\nlet copies = checks.copies().to_vec();\nchecks.table()",
    "let plane = train.pca()?;\nplane",
    "let points = plane.array();\nlet shares = plane.explained_variance_ratio();",
    "show_images(&points)?",
    "show_images(&photo)?",
    "plot_lines(&[(\"first\", &points.column(0)), (\"second\", &points.column(1))])?.axes(\"picture\", \"place\")",
    "plot_lines(&[(\"loss\", &vec![0.7, 0.5])])?.title(\"Loss\").size(600, 400)",
    "histogram(&tensor, 20)?",
    "histogram(&array, 20)?",
    "heatmap(&report.confusion())?",
    "heatmap(&ndarray::arr2(&[[1, 2], [3, 4]]))?",
    "let anything = evcxr_transfer::Values::from(&tensor);\nanything",
    "let stop = evcxr_transfer::Stop::new();\nlet stoppable = lab.fit().stop(&stop);\nstop",
    "let zeros = Tensor::zeros([2, 3], (tch::Kind::Float, Device::Cpu));\nzeros.size()",
    "let sum = &zeros + 1.0;\nlet list = vec![zeros.shallow_clone(), sum];",
    "let filled = ndarray::Array2::<f32>::zeros((2, 3));\nfilled.sum()",
];

/// Four calls at most share a cell, of which only the last may show something: a cell takes two seconds to compile, whatever
/// is in it.
fn joined(calls: &[&str]) -> Vec<String> {
    let mut cells: Vec<Vec<&str>> = Vec::new();
    for call in calls {
        let has_room = |cell: &Vec<&str>| cell.len() < 4 && cell[cell.len() - 1].ends_with(';');
        match cells.last_mut() {
            Some(cell) if has_room(cell) => cell.push(call),
            _ => cells.push(vec![call]),
        }
    }
    cells.iter().map(|cell| cell.join("\n")).collect()
}

/// Runs a list of calls; each of `tables` shows HTML, each of `pictures` a PNG.
fn assert_calls(calls: &[&str], tables: &[&str], pictures: &[&str]) {
    let calls = joined(calls);
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let answers = cells(&calls);
    assert_eq!(answers.len(), calls.len());
    for (code, answer) in calls.iter().zip(&answers) {
        assert_fine(code, answer);
        let last = code.lines().last().unwrap();
        let results = answer["results"].as_array().unwrap();
        let shows = !last.ends_with(';');
        assert!(results.len() <= usize::from(shows), "{code}\n{answer}");
        if shows {
            let text = value(answer)["text/plain"].as_str().unwrap();
            assert_ne!(text, "()", "{code}");
            assert!(!text.is_empty(), "{code}");
        }
        let stdout = answer["stdout"].as_str().unwrap();
        assert!(
            stdout.is_empty() || stdout.ends_with('\n'),
            "{code} leaves an unfinished line: {stdout:?}"
        );
        assert!(!stdout.contains('\r'), "{code}: {stdout:?}");
    }
    // What people look at: a table as HTML, a picture as PNG or JPEG, each with a text beside it.
    let kinds_of_pictures = &["image/png", "image/jpeg"][..];
    for (kinds, codes) in [(&["text/html"][..], tables), (kinds_of_pictures, pictures)] {
        for code in codes {
            let is_end = |cell: &str| cell == *code || cell.ends_with(&format!("\n{code}"));
            let number = calls.iter().position(|cell| is_end(cell)).unwrap();
            let value = value(&answers[number]);
            assert!(
                kinds.iter().any(|kind| value.get(*kind).is_some()),
                "{code} shows no {}: {}",
                kinds.join(" or "),
                answers[number]
            );
        }
    }
    assert_eq!(answers[0]["number"], 1, "Jupyter counts cells from 1");
}

#[test]
fn every_public_call_that_leads_to_a_model_works_in_a_cell_and_its_value_stays() {
    let tables = [
        OPEN,
        "base",
        "deep",
        "options",
        "summary",
        "table",
        "head",
        "history.table()",
        "model.freeze_base()",
        "found.table()",
    ];
    let pictures = [
        "few.show(4)?",
        "grid",
        "photo",
        "history",
        "history.plot()",
        "few.show_augmented(&augment, 4)?",
        "found",
        "predictions.show(4)?",
    ];
    assert_calls(CALLS_OF_TRAINING, &tables, &pictures);
}

#[test]
fn every_public_call_that_looks_works_in_a_cell_and_its_value_stays() {
    let pictures = [
        "let plane = train.pca()?;\nplane",
        "show_images(&photo)?",
        "histogram(&tensor, 20)?",
        "heatmap(&report.confusion())?",
    ];
    assert_calls(CALLS_OF_LOOKING, &[OPEN], &pictures);
}

#[test]
fn interrupting_a_training_run_or_a_disk_that_does_not_answer_keeps_the_model() {
    let notebook = [
        OPEN,
        // An epoch is one step, so that some have passed after three seconds on a busy machine, too.
        "let base = lab.vgg16(48)?;\nlet data = lab.cats_and_dogs()?.take(20, 10);",
        "let mut model = Classifier::new(&base, Head::dense(16), data.train.classes())?;",
        "println!(\"begins\");
let history = model.train_frozen(&data, &Augment::lesson(), &lab.fit().epochs(100_000))?;
history.ending().unwrap()",
        "assert!(!model.history().epochs.is_empty());\nmodel.evaluate(&data.validation)?",
        // A stop that is over stops nobody.
        "let more = model.fit(&data, &Augment::none(), &lab.fit().epochs(1))?;\nmore.ending().is_none()",
        // A pipe that nobody writes to keeps whoever opens it, as a network drive that is gone does.
        "let folder = std::env::temp_dir().join(format!(\"pipe_{}\", std::process::id()));
std::fs::create_dir(&folder)?;
let [cat, weights, table] =
    [\"cat.jpg\", \"vgg16.safetensors\", \"labels.csv\"].map(|name| folder.join(name));
std::process::Command::new(\"mkfifo\").args([&cat, &weights, &table]).status()?.success()",
        "println!(\"runs\");\nPhoto::open(&cat)?",
        "println!(\"runs\");\nWeights::load(&weights)?",
        "println!(\"runs\");\nClassifier::load(&weights, Device::Cpu)?",
        "println!(\"runs\");\nDataset::from_csv(&table, &folder, Target::Labels, &[\"labels\"])?",
        "std::fs::remove_dir_all(&folder)?;\nmodel.history().epochs.is_empty()",
    ];
    let hanging = notebook.len() - 5..notebook.len() - 1;
    let mut interrupts = vec![json!({"cell": 3, "after": 3.0})];
    interrupts.extend(
        hanging
            .clone()
            .map(|cell| json!({"cell": cell, "after": 0.5})),
    );
    let answers = run(&json!({"notebooks": [notebook], "interrupts": interrupts})).remove(0);
    for (number, (code, answer)) in notebook.iter().zip(&answers).enumerate() {
        if !hanging.contains(&number) {
            assert_fine(code, answer);
            continue;
        }
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains("stopped while reading"), "{code}: {error}");
        let stopping = answer["stopping"].as_f64().unwrap();
        assert!(stopping < 5.0, "{code}: {stopping}");
    }
    let text = |number: usize| {
        answers[number]["results"][0]["text/plain"]
            .as_str()
            .unwrap()
    };
    // Between its steps, before its validation, or before its first step.
    let stopped = [
        "stopped in epoch",
        "stopped after epoch",
        "stopped before epoch",
    ];
    assert!(
        stopped.iter().any(|words| text(3).contains(words)),
        "{}",
        text(3)
    );
    // A batch of 20 pictures of 48 pixels takes a tenth of a second; the machine may be busy.
    let stopping = answers[3]["stopping"].as_f64().unwrap();
    assert!(stopping < 5.0, "{stopping}");
    assert!(text(4).contains("accuracy"), "{}", text(4));
    assert_eq!([5, hanging.end].map(text), ["true", "false"]);
}

#[test]
fn errors_are_one_line_with_the_remedy_and_lose_nothing() {
    // (the failing cell, what its text must name)
    const FAILING: &[(&str, &[&str])] = &[
        ("let tiny = lab.vgg16(16)?;", &["16", "32"]),
        (
            "let none = Dataset::open(\"no/such/folder\")?;",
            &["no/such/folder"],
        ),
        ("Photo::open(\"no.jpg\")?", &["no.jpg"]),
        (
            "let h = HeadModel::load(\"no.safetensors\", Device::Cpu)?;",
            &["no.safetensors"],
        ),
        (
            "base.layer_weights(\"block9_conv1\")?",
            &["block9_conv1", "block1_conv1"],
        ),
        ("lab.fit().epochs(0).check()?", &["epochs"]),
        ("Weights::load(\"/dev/null\")?", &["/dev/null"]),
        ("history.save(\"curves.gif\")?", &[".png"]),
    ];
    let mut notebook = vec![
        OPEN,
        "let base = lab.vgg16(150)?;",
        "let data = lab.cats_and_dogs()?;",
        "let f = base.extract_features(&data.validation)?;",
        "let (mut head, history) = train_head(&f, &f, &lab.fit().epochs(1))?;",
    ];
    let first = notebook.len();
    notebook.extend(FAILING.iter().map(|(code, _)| *code));
    // A panic inside tch with gradients switched off around it, and then training.
    notebook.push("let before = head.predict(&f)?;");
    notebook.push("tch::no_grad(|| Tensor::from_slice(&[1f32]).reshape([7]));");
    notebook.push("let after = head.fit(&f, &f, &lab.fit().epochs(1))?;");
    notebook.push("head.predict(&f)? != before");
    notebook.push("base.num_parameters()");
    let answers = cells(&notebook);
    for (code, answer) in notebook[..first].iter().zip(&answers) {
        assert_fine(code, answer);
    }
    for (number, (code, parts)) in FAILING.iter().enumerate() {
        let answer = &answers[first + number];
        assert_eq!(answer["status"], "error", "{code}: {answer}");
        assert_eq!(answer["stderr"], "", "{code}");
        let text = answer["error"].as_str().unwrap();
        let mut lines = text.lines();
        // The error's value, and the same as the line that Jupyter shows.
        let value = lines.next().unwrap();
        assert!(lines.next().unwrap().contains(value), "{code}: {text}");
        assert_eq!(lines.next(), None, "{code}: {text}");
        assert!(!text.contains("frame #"), "{code}: {text}");
        for part in *parts {
            assert!(text.contains(part), "{code}: {part} is missing in: {text}");
        }
    }
    let end = &answers[first + FAILING.len()..];
    assert_fine("prediction", &end[0]);
    assert!(
        end[1]["error"].as_str().unwrap().contains("shape '[7]'"),
        "{}",
        end[1]
    );
    assert_fine("training after a panic", &end[2]);
    assert_eq!(
        end[3]["results"][0]["text/plain"], "true",
        "the head has not learned: a caught panic left gradients off"
    );
    assert_eq!(end[4]["results"][0]["text/plain"], "14714688");
}

#[test]
fn notebooks_at_once_run_their_own_cells() {
    let notebook = |name: &str| -> Vec<String> {
        let mut cells = vec!["use evcxr_transfer::prelude::*;".to_owned()];
        for number in 0..12 {
            cells.push(format!("let v{number} = \"{name}{number}\".to_owned();"));
            cells.push(format!("println!(\"{{}}\", v{number});"));
        }
        cells
    };
    let answers = run(&json!({
        "notebooks": [notebook("a"), notebook("b")],
        "together": true,
    }));
    for (name, answers) in ["a", "b"].iter().zip(&answers) {
        for answer in answers {
            assert_fine(name, answer);
        }
        for number in 0..12 {
            assert_eq!(
                answers[2 + 2 * number]["stdout"],
                format!("{name}{number}\n")
            );
        }
    }
}

#[test]
fn fifty_cells_leave_threads_and_memory_as_they_are() {
    let mut notebook = vec![
        OPEN.to_owned(),
        "let base = lab.vgg16(150)?;\nlet data = lab.cats_and_dogs()?;\nlet few = data.train.take(8);"
            .to_owned(),
    ];
    for _ in 0..50 {
        notebook.push("let features = base.extract_features(&few)?;\nfeatures".to_owned());
    }
    let answers = run(&json!({ "notebooks": [notebook] })).remove(0);
    for answer in &answers {
        assert_fine("one of fifty", answer);
    }
    let of = |number: usize, key: &str| answers[number][key].as_u64().unwrap();
    let (early, late) = (11, answers.len() - 1);
    assert!(of(early, "threads") > 0, "the process was not found");
    assert_eq!(of(early, "threads"), of(late, "threads"), "threads pile up");
    // Each cell is a library that stays loaded: 26 MB for 200 plain cells, measured. The limit is 6 MB a cell;
    // activations that are not freed would be 46 MB (8 pictures, 150 x 150 x 64 numbers).
    let grown = of(late, "memory").saturating_sub(of(early, "memory"));
    assert!(
        grown < 250_000_000,
        "{} MB more after 40 cells",
        grown / 1_000_000
    );
}

/// Prints how many bytes the largest library has that a cell of this session became, and the search path of cells.
const LARGEST_CELL: &str = r#"let work = std::env::var("EVCXR_TMPDIR")?;
let mut largest = 0;
for target in std::fs::read_dir(work + "/target")?.flatten() {
    for file in std::fs::read_dir(target.path().join("debug/deps")).into_iter().flatten().flatten() {
        if file.file_name().to_string_lossy().starts_with("libcode_") {
            largest = largest.max(file.metadata()?.len());
        }
    }
}
println!("{largest} {}", std::env::var("PATH")?);"#;

#[test]
fn sessions_build_with_the_versions_of_our_lock_file_and_leave_nothing() {
    let lock = std::fs::read_to_string(crate::common::repository("Cargo.lock")).unwrap();
    let answers = run(&json!({
        "notebooks": [[
            "use evcxr_transfer::prelude::*;",
            "println!(\"{}\", std::fs::read_to_string(std::env::var(\"EVCXR_TMPDIR\")? + \"/Cargo.lock\")?);",
            "println!(\"{}\", std::env::var(\"EVCXR_TMPDIR\")?);",
            LARGEST_CELL,
        ]],
        "kill": true,
    }));
    // Some 75 kB, without the crate and libtorch: linked into each cell they made 1.1 MB, and a third of its time. Those that cargo
    // builds lie in another folder: none here means that it builds every cell, a quarter of its time.
    let printed = answers[0][3]["stdout"].as_str().unwrap();
    let (largest, path) = printed.split_once(' ').unwrap();
    let largest: u64 = largest.parse().unwrap();
    assert!(largest > 0, "cargo has built every cell");
    assert!(
        !cfg!(target_os = "linux") || largest < 200_000,
        "a cell of {largest} bytes"
    );
    // Where evcxr finds the kernel's own stand-ins for Rust's programs.
    assert!(!path.contains(".lab/bin"), "{path}");
    let used = answers[0][1]["stdout"].as_str().unwrap();
    let ours = packages(&lock);
    let mut compared = 0;
    for package in packages(used) {
        if package.0 == "ctx" || package.0 == "tch-view" {
            continue;
        }
        assert!(ours.contains(&package), "{package:?} is not in Cargo.lock");
        compared += 1;
    }
    assert!(compared > 100, "only {compared} packages were compared");
    let work = answers[0][2]["stdout"].as_str().unwrap().trim();
    assert!(!work.is_empty());
    // The kernel was killed; its janitor needs a moment.
    let folder = Path::new(work).parent().unwrap();
    let patience = Instant::now();
    while folder.exists() {
        assert!(
            patience.elapsed() < Duration::from_secs(20),
            "{} is still there",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_changed_crate_is_built_at_the_next_start_and_the_cell_says_so() {
    // Without its stamp the ready-built crate counts as one of unknown age: as after an edit, but
    // without touching the sources that other tests are built from. Until it is built again no other test may
    // start a kernel: it would build it, or have no engine in advance.
    let answers = {
        let _alone = crate::common::alone();
        std::fs::remove_file(crate::common::repository(".lab/template.stamp")).unwrap();
        let order = json!({ "notebooks": [[OPEN]] });
        by_notebook(&crate::common::talk("notebook_cells.py", &order)).remove(0)
    };
    assert_fine(OPEN, &answers[0]);
    let stdout = answers[0]["stdout"].as_str().unwrap();
    assert!(
        stdout.contains("evcxr_transfer") && stdout.contains("has changed"),
        "{stdout:?}"
    );
    let again = cells(&["let after = 1;"]);
    assert_eq!(again[0]["stdout"], "", "it was built for good");
}

#[test]
fn a_kernel_that_cannot_start_says_why_under_the_cell() {
    // A repository in which nothing but the kernel's own program is installed.
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join(".lab/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    std::fs::copy(
        crate::common::repository(".lab/bin/kernel"),
        bin.join("kernel"),
    )
    .unwrap();
    let spec = folder.path().join("kernels/incomplete");
    std::fs::create_dir_all(&spec).unwrap();
    std::fs::write(
        spec.join("kernel.json"),
        json!({
            "argv": [bin.join("kernel"), "{connection_file}"],
            "display_name": "incomplete",
            "language": "rust",
        })
        .to_string(),
    )
    .unwrap();
    let answers = run(&json!({
        "notebooks": [["1 + 1", "2 + 2"]],
        "kernel": "incomplete",
        "jupyter_path": folder.path(),
    }));
    for answer in &answers[0] {
        assert_eq!(answer["status"], "error", "{answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains("cargo lab setup"), "{error}");
    }
}

/// Loops until it is asked to stop, as the crate's loops do.
const LOOKS: &str = "println!(\"runs\");
let file = std::env::var(\"EVCXR_TRANSFER_STOP\")?;
while !std::path::Path::new(&file).exists() {
    std::thread::sleep(std::time::Duration::from_millis(100));
}
println!(\"stopped\");";

/// Loops until it is ended.
const NEVER_LOOKS: &str = "println!(\"runs\");
loop {
    std::thread::sleep(std::time::Duration::from_millis(100));
}";

#[test]
fn interrupting_a_cell_that_looks_keeps_the_variables_and_stops_no_other_cell() {
    let notebook = [
        "let kept = 42;",
        LOOKS,
        "kept",
        "std::path::Path::new(&std::env::var(\"EVCXR_TRANSFER_STOP\")?).exists()",
        LOOKS,
        "kept",
    ];
    let answers = run(&json!({
        "notebooks": [notebook],
        "interrupts": [
            {"cell": 1, "after": 0.5},
            // Nothing runs.
            {"cell": 2},
            {"cell": 4, "after": 0.5},
        ],
    }))
    .remove(0);
    for (code, answer) in notebook.iter().zip(&answers) {
        assert_fine(code, answer);
    }
    for number in [1, 4] {
        let answer = &answers[number];
        let stdout: Vec<&str> = answer["stdout"].as_str().unwrap().lines().collect();
        assert_eq!(stdout, ["runs", "stopped"]);
        // Before that it said how long the cell has.
        let told = json!([{"text/plain": "stopped; all variables are kept"}]);
        assert_eq!(answer["moving"], told);
        assert_eq!(
            answer["replies"],
            json!(["ok"]),
            "one interrupt, one answer"
        );
    }
    assert_eq!(answers[2]["replies"], json!(["ok"]));
    assert_eq!(answers[3]["results"][0]["text/plain"], "false");
    for number in [2, 5] {
        assert_eq!(answers[number]["results"][0]["text/plain"], "42");
    }
}

#[test]
fn interrupting_a_cell_that_never_looks_ends_it_after_ten_seconds_or_at_the_second_interrupt() {
    let notebook = [
        "let lost = 42;",
        NEVER_LOOKS,
        "lost",
        NEVER_LOOKS,
        "let lost = 43;",
        LOOKS,
        "lost",
    ];
    let answers = run(&json!({
        "notebooks": [notebook],
        "interrupts": [
            {"cell": 1, "after": 0.5},
            {"cell": 3, "after": 0.5},
            {"cell": 3, "after": 1.5},
            {"cell": 5, "after": 0.5},
        ],
    }))
    .remove(0);
    let stopping = |number: usize| answers[number]["stopping"].as_f64().unwrap();
    for number in [1, 2, 3] {
        assert_eq!(answers[number]["status"], "error", "{}", answers[number]);
    }
    assert!(stopping(1) >= 10.0, "not after ten seconds: {}", answers[1]);
    assert_eq!(answers[1]["replies"], json!(["ok"]));
    // The ten seconds of the first interrupt end nine after the second.
    assert!(
        stopping(3) < 8.0,
        "not at the second interrupt: {}",
        answers[3]
    );
    assert_eq!(answers[3]["replies"], json!(["ok", "ok"]));
    // The next cells are asked first again, and no old request is left for them.
    for number in [4, 5, 6] {
        assert_fine(notebook[number], &answers[number]);
    }
    assert_eq!(answers[6]["results"][0]["text/plain"], "43");
}

#[test]
fn nothing_is_left_of_a_kernel_whichever_of_its_processes_is_killed() {
    let victims = ["front", "keeper", "engine", "server"];
    let answer = crate::common::on_kernels("kernel_ends.py", &json!({ "victims": victims }));
    for victim in victims {
        let told = &answer[victim];
        // What `cargo lab clean` names, and refuses to remove.
        assert!(
            !told["running"].as_array().unwrap().is_empty(),
            "{victim}: {told}"
        );
        assert_eq!(told["processes"], 0, "{victim}: {told}");
        assert_eq!(told["folders"], json!([]), "{victim}: {told}");
    }
    // Nobody was told of an engine that ended while no cell ran: the next cell says so, and the one after it runs.
    let later = &answer["engine"]["later"];
    assert_eq!(later[0]["status"], "ok", "{later}");
    assert_eq!(later[1]["status"], "error", "{later}");
    let text = later[1]["traceback"].to_string();
    for part in ["signal: 9", "variables are lost", "from its start"] {
        assert!(text.contains(part), "{part:?} is missing: {later}");
    }
    assert_eq!(later[2]["status"], "ok", "{later}");
}

#[test]
fn a_crate_that_a_cell_adds_is_built_beside_ours_in_seconds() {
    let notebook = [
        OPEN,
        // The lock file has both already.
        ":dep fastrand = \"2\"\nfastrand::u32(0..1)",
        ":dep base64 = \"0.23\"\n1",
        "lab",
        "println!(\"{}\", std::fs::read_to_string(std::env::var(\"EVCXR_TMPDIR\")? + \"/Cargo.lock\")?);",
    ];
    let answers = cells(&notebook);
    for (code, answer) in notebook.iter().zip(&answers) {
        assert_fine(code, answer);
    }
    for answer in &answers[1..3] {
        // 5 to 10 s on a busy machine; all crates anew took 259.
        let seconds = answer["seconds"].as_f64().unwrap();
        assert!(seconds < 60.0, "{seconds} s");
    }
    let ours = packages(&std::fs::read_to_string(crate::common::repository("Cargo.lock")).unwrap());
    for package in packages(answers[4]["stdout"].as_str().unwrap()) {
        let is_cells = package.0 == "ctx" || package.0 == "tch-view";
        assert!(
            is_cells || ours.contains(&package),
            "{package:?} is not in Cargo.lock"
        );
    }
}

/// Names and versions in a lock file.
fn packages(lock: &str) -> Vec<(String, String)> {
    let value = |line: &str, key: &str| {
        line.strip_prefix(key)
            .map(|rest| rest.trim_matches([' ', '=', '"']).to_owned())
    };
    let mut found = Vec::new();
    let mut name = String::new();
    for line in lock.lines() {
        if let Some(text) = value(line, "name") {
            name = text;
        } else if let Some(version) = value(line, "version ") {
            found.push((name.clone(), version));
        }
    }
    found
}

#[test]
fn an_engine_that_was_started_in_advance_runs_where_its_notebook_is() {
    let answer = crate::common::on_kernels("spare_engine.py", &json!({}));
    assert_eq!(answer["taken"], 1, "no engine waited");
    assert_ne!(answer["killed"], 0, "no second engine waited");
    let expected = format!("{} it's \"here\"\n", answer["folder"].as_str().unwrap());
    // The second of a kernel whose engine in advance was killed meanwhile: it has started another.
    assert_eq!(answer["said"], json!([expected, expected]));
    // Slower than any start from nothing that was seen on a busy machine: then it was of no use.
    assert!(answer["first"].as_f64().unwrap() < 60.0, "{answer}");
}
