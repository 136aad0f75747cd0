//! What hands type that know Keras, PyTorch or fastai, and what then happens, as cells on the installed kernel.
//!
//! Each try ends in what was expected, or in words with the right name in them. It is printed as a table by
//! `cargo test --test kernel hands:: -- --nocapture`.

use serde_json::{Value, json};

/// What a try has to end in.
enum Ends {
    /// It works, and its value or what it prints has these words.
    Shows(&'static str),
    /// It works, and shows a picture.
    Draws,
    /// It is refused, in words that name this.
    Names(&'static [&'static str]),
}
use Ends::{Draws, Names, Shows};

/// What all tries begin with: small networks, eight pictures a class, and folders with what phones and browsers leave.
const BEGIN: &str = "use evcxr_transfer::prelude::*;
let lab = Lab::open()?.samples().device(Device::Cpu);
let base = lab.vgg16(48)?;
let data = lab.cats_and_dogs()?.take(16, 8);
let fit = lab.fit().epochs(1);
let train = base.extract_features(&data.train)?;
let validation = base.extract_features(&data.validation)?;
let (mut head, history) = train_head(&train, &validation, &fit)?;
let mut model = Classifier::new(&base, Head::dense(8), data.classes())?;
let image = data.validation.files()[0].clone();
let place = std::path::PathBuf::from(\"hands\");
for folder in [\"mixed/cats\", \"mixed/dogs\", \"phone/cats\", \"phone/dogs\", \"one/cats\", \"one/dogs\"] {
    std::fs::create_dir_all(place.join(folder))?;
}
for (number, file) in data.train.files().iter().enumerate() {
    let class = [\"cats\", \"dogs\"][data.train.labels()[number]];
    std::fs::copy(file, place.join(format!(\"mixed/{class}/{number}.jpg\")))?;
    if number % 8 == 0 {
        std::fs::copy(file, place.join(format!(\"one/{class}/{number}.jpg\")))?;
    }
    std::fs::write(place.join(format!(\"phone/{class}/{number}.HEIC\")), \"from a phone\")?;
}
std::fs::write(place.join(\"mixed/cats/phone.HEIC\"), \"from a phone\")?;
std::fs::write(place.join(\"mixed/cats/notes.txt\"), \"a note\")?;
std::fs::copy(&data.train.files()[0], place.join(\"mixed/cats/without_an_ending\"))?;
std::fs::write(\"labels.csv\", \"file,labels,age\\ncats/0.jpg,small grey,2.5\\ncats/1.jpg,,4\\n\")?;";

const TRIES: &[(&str, Ends)] = &[
    // Saving says what it saves.
    (
        "model.save(\"m.h5\")?",
        Names(&["m.safetensors", "m.onnx", ".h5"]),
    ),
    ("model.save(\"m.keras\")?", Names(&["m.safetensors"])),
    ("model.save(\"m.pt\")?", Names(&["m.safetensors"])),
    ("model.save(\"m\")?", Shows("saved")),
    ("model.save(\"m.onnx\")?", Shows("m.onnx")),
    ("model.state_dict()?.len()", Shows("30")),
    ("history.save(\"curves.gif\")?", Names(&[".png", ".svg"])),
    // Nothing is left out without a word.
    ("Dataset::open(place.join(\"mixed\"))?", Shows("phone.HEIC")),
    (
        "println!(\"{:?}\", Dataset::open(place.join(\"mixed\"))?.left_out());",
        Shows("notes.txt"),
    ),
    (
        "Dataset::open(place.join(\"phone\"))?",
        Names(&["HEIC", "JPEG"]),
    ),
    (
        "Data::split(place.join(\"one\"), 0.5, 42)?",
        Names(&["hands/one/cats", "two pictures"]),
    ),
    (
        "Dataset::open(\"no/such/folder\")?",
        Names(&["no/such/folder"]),
    ),
    (
        "Photo::open(\"https://example.com/cat.jpg\")?",
        Names(&["https://example.com/cat.jpg", "ownload"]),
    ),
    (
        "model.predict(\"https://example.com/cat.jpg\")?",
        Names(&["https://example.com/cat.jpg", "ownload"]),
    ),
    // Mistakes, after part 1 too.
    ("head.report(&validation)?", Shows("precision")),
    (
        "head.report(&validation)?.normalised().confusion_matrix()",
        Shows("predicted"),
    ),
    ("head.report(&validation)?.plot_confusion_matrix()", Draws),
    (
        "head.report(&validation)?.misclassified()",
        Shows("predicted"),
    ),
    ("head.report(&validation)?.most_confused(3)", Shows("true")),
    ("head.report(&validation)?.precision_recall()?", Draws),
    (
        "println!(\"{:?}\", model.predict(&image)?.top(2));",
        Shows("cats"),
    ),
    (
        "head.report(&validation)?.probabilities().shape()",
        Shows("[8, 2]"),
    ),
    // Each batch, log scale, x values, a figure's size.
    (
        "train_head(&train, &validation, &fit.clone().keep_steps())?.1.plot_steps()?.log_y()",
        Draws,
    ),
    (
        "plot_xy(&[(\"loss\", &vec![1e-5, 1e-4], &vec![0.7, 0.4])])?.log_x().size(600, 400)",
        Shows("600 x 400"),
    ),
    (
        "plot_xy(&[(\"cats\", &vec![1.0, 2.0], &vec![3.0, 1.0])])?.points()",
        Draws,
    ),
    // Labels, and a number in place of a class.
    (
        "Dataset::from_csv(\"labels.csv\", place.join(\"mixed\"), Target::Labels, &[\"labels\"])?",
        Shows("grey"),
    ),
    (
        "Dataset::from_csv(\"labels.csv\", place.join(\"mixed\"), Target::Numbers, &[\"age\"])?",
        Shows("age"),
    ),
    (
        "Dataset::from_csv(\"labels.csv\", place.join(\"mixed\"), Target::Numbers, &[\"ages\"])?",
        Names(&["ages", "age"]),
    ),
    // Embeddings.
    ("train.nearest(&base, &image, 3)?", Draws),
    ("train.pca()?", Draws),
    // Words of the others.
    (
        "println!(\"{:?}\", data.class_indices());",
        Shows("\"dogs\": 1"),
    ),
    ("println!(\"{:?}\", data.classes());", Shows("\"cats\"")),
    ("model.layers()", Shows("block1_conv1")),
    ("data.class_names()", Names(&["classes"])),
    // rustc knows names that are spelled alike; the kernel knows those of the others, by the crate's doc aliases.
    (
        "lab.fit().verbose(0)",
        Names(&[
            "no method named `verbose`",
            "Fit::progress",
            "Progress::quiet()",
        ]),
    ),
    (
        "lab.fit().quiet()",
        Names(&["no method named `quiet`", "Fit::progress"]),
    ),
    (
        "lab.fit().lr(1e-3)",
        Names(&["no method named `lr`", "Fit::learning_rate"]),
    ),
    (
        "lab.fit().patience(3)",
        Names(&["no method named `patience`", "Fit::early_stopping"]),
    ),
    (
        "let generator = ImageDataGenerator::new();",
        Names(&["ImageDataGenerator", "Augment"]),
    ),
    (
        "let flow = image_dataset_from_directory(\"photos\");",
        Names(&["Dataset::open"]),
    ),
    ("model.compile()", Names(&["compile", "Fit"])),
    ("load_model(\"m.keras\")", Names(&["Classifier::load"])),
    ("lab.fit().progress(Progress::quiet())", Shows("RMSprop")),
    (
        "lab.fit().learning_rate(1e-3).early_stopping(3)",
        Shows("1e-3"),
    ),
    ("model.freeze()", Names(&["freeze_base"])),
    ("model.unfreeze()", Names(&["unfreeze_from"])),
    ("model.summary()", Shows("vgg16 (Functional)")),
    ("data.train.show_batch()", Names(&["show"])),
    (
        "model.unfreeze_from(\"block6_conv1\")?",
        Names(&["block5_conv1"]),
    ),
    ("lab.load(\"m.h5\")?", Names(&["m.h5"])),
    ("lab.resnet50(16)?", Names(&["16", "32"])),
];

/// What a cell says: its error, or its value and what it prints.
fn said(answer: &Value) -> String {
    let shown =
        ["results", "moving"].map(|key| answer[key].as_array().cloned().unwrap_or_default());
    let texts = shown.concat();
    let texts = texts.iter().filter_map(|data| data["text/plain"].as_str());
    let printed = answer["stdout"].as_str().unwrap_or_default();
    match answer["error"].as_str() {
        Some(error) => error.to_owned(),
        None => texts.chain([printed]).collect::<Vec<_>>().join("\n"),
    }
}

fn shows_a_picture(answer: &Value) -> bool {
    let shown =
        ["results", "moving"].map(|key| answer[key].as_array().cloned().unwrap_or_default());
    let is_picture = |data: &Value| data["image/png"].is_string() || data["image/jpeg"].is_string();
    shown.concat().iter().any(is_picture)
}

#[test]
fn what_hands_try_ends_as_expected_or_in_words_with_the_right_name() {
    let folder = tempfile::tempdir().unwrap();
    let cells = [BEGIN]
        .into_iter()
        .chain(TRIES.iter().map(|(typed, _)| *typed));
    let order = json!({ "notebooks": [cells.collect::<Vec<_>>()], "folder": folder.path() });
    let answers = crate::common::on_kernels("notebook_cells.py", &order);
    let answers = answers["answers"][0].as_array().unwrap();
    assert_eq!(answers[0]["status"], "ok", "{}", said(&answers[0]));
    let mut wrong = Vec::new();
    println!("| typed | what happens |\n| --- | --- |");
    for ((typed, ends), answer) in TRIES.iter().zip(&answers[1..]) {
        let said = said(answer);
        let works = answer["status"] == "ok";
        let is_fine = match ends {
            Shows(words) => works && said.contains(words),
            Draws => works && shows_a_picture(answer),
            Names(words) => !works && words.iter().all(|word| said.contains(word)),
        };
        if !is_fine {
            wrong.push(format!("{typed}\n{said}\n"));
        }
        // The first line of an error and of a value says most.
        let line = said.lines().find(|line| !line.trim().is_empty());
        let line = line.unwrap_or_default().replace('|', "\\|");
        println!("| `{typed}` | {line} |");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
