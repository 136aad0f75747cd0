//! What results look like: pictures, drawings, tables, and the blocks that a notebook reads.

use evcxr_transfer::{
    Data, Error, Features, Figure, Fit, History, Progress, Table, display, train_head,
};
use ndarray::Array4;

/// The history of a few epochs on noise.
fn history(epochs: usize) -> History {
    let values = Array4::from_shape_fn((24, 1, 1, 6), |(n, _, _, c)| {
        ((n * 37 + c * 11) % 19) as f32
    });
    let labels = (0..24).map(|n| n % 2).collect::<Vec<_>>();
    let features = Features::from_array(&values, &labels, &["cats", "dogs"]).unwrap();
    let fit = Fit::default()
        .epochs(epochs)
        .learning_rate(1e-4)
        .progress(Progress::quiet());
    train_head(&features, &features, &fit).unwrap().1
}

fn grid(pictures: usize) -> Figure {
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
    data.train.show(pictures).unwrap()
}

#[test]
fn the_curves_are_a_wide_png_with_two_colours_on_white() {
    let png = history(12).plot().to_png().unwrap();
    assert!(png.len() < 150_000, "{} bytes", png.len());
    let image = image::load_from_memory(&png).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (1800, 700));
    assert_eq!(image.get_pixel(0, 0).0, [255, 255, 255]);
    // Okabe and Ito's blue and vermillion, which colour-blind readers can tell apart.
    for colour in [[0, 114, 178], [213, 94, 0]] {
        let count = image.pixels().filter(|pixel| pixel.0 == colour).count();
        assert!(count > 500, "{colour:?}: {count} pixels");
    }
}

#[test]
fn the_curves_as_svg_are_well_formed_and_name_axes_and_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.svg");
    history(3).save(&path).unwrap();
    // Python's parser says whether it is XML, and hands back the texts.
    let texts = crate::common::python("svg_texts.py", &[&path]);
    for text in [
        "Accuracy",
        "Loss",
        "epoch",
        "share of right answers",
        "mean cross-entropy",
        "training",
        "validation",
    ] {
        assert!(
            texts.lines().any(|line| line.trim() == text),
            "{text} is missing in\n{texts}"
        );
    }
}

#[test]
fn a_figure_says_that_it_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.png");
    history(3).plot().size(1200, 500).save(&path).unwrap();
    assert_eq!(
        crate::common::python("png_size.py", &[&path]).trim(),
        "1200 500 192 192"
    );
}

#[test]
fn one_epoch_and_a_hundred_are_drawn() {
    for epochs in [1, 100] {
        let png = history(epochs).plot().size(900, 400).to_png().unwrap();
        let image = image::load_from_memory(&png).unwrap();
        assert_eq!((image.width(), image.height()), (900, 400));
    }
}

#[test]
fn a_grid_grows_with_its_pictures_and_stays_below_a_megabyte() {
    let sizes = [1, 4, 12].map(|count| {
        let png = grid(count).to_png().unwrap();
        assert!(png.len() < 1_000_000, "{count}: {} bytes", png.len());
        let image = image::load_from_memory(&png).unwrap();
        (image.width(), image.height())
    });
    assert!(sizes[1].0 > sizes[0].0, "four stand in a row: {sizes:?}");
    assert!(sizes[2].1 > sizes[1].1, "twelve take three rows: {sizes:?}");
}

#[test]
fn a_figure_is_saved_as_its_ending_says_and_no_other_ending_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("grid.png");
    grid(2).save(&png).unwrap();
    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    let error = grid(2).save(folder.path().join("grid.jpg")).unwrap_err();
    assert!(error.to_string().contains(".png or .svg"), "{error}");
    let error = grid(2).save(folder.path().join("no/grid.png")).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_history_is_csv_and_json_with_keras_names() {
    let history = history(3);
    let csv = history.to_csv();
    assert!(
        csv.starts_with("epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);
    let json: serde_json::Value = serde_json::from_str(&history.to_json()).unwrap();
    for name in ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"] {
        assert_eq!(json[name].as_array().unwrap().len(), 3, "{name}");
    }
    // Nothing is rounded on the way: the last cell of a row is the very number.
    let loss = csv.lines().nth(3).unwrap().split(',').nth(1).unwrap();
    assert_eq!(loss.parse::<f64>().unwrap(), history.epochs[2].loss);
    let (best, epoch) = history.best().unwrap();
    assert!(
        history
            .epochs
            .iter()
            .all(|other| other.val_accuracy <= epoch.val_accuracy)
    );
    assert_eq!(history.epochs[best - 1], epoch);

    let folder = tempfile::tempdir().unwrap();
    let error = history.save(folder.path().join("history.txt")).unwrap_err();
    assert!(error.to_string().contains(".csv"), "{error}");
    history.save(folder.path().join("history.csv")).unwrap();
    history.save(folder.path().join("history.json")).unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.path().join("history.csv")).unwrap(),
        csv
    );
}

#[test]
fn a_table_aligns_as_text_and_is_escaped_as_html_and_csv() {
    let table = Table::new("Layers", &["name", "count"])
        .right_aligned(&[1])
        .row(["a<b>", "7"])
        .row(["say \"hi\", you", "1,792"])
        .note("in all: 1,799");
    let text = table.to_string();
    let cells = text
        .lines()
        .filter(|line| line.contains("7"))
        .collect::<Vec<_>>();
    assert!(
        cells[0].ends_with("    7") && cells[1].ends_with("1,792"),
        "{text}"
    );
    let html = table.to_html();
    assert!(
        html.contains("a&lt;b&gt;") && !html.contains("a<b>"),
        "{html}"
    );
    assert_eq!(
        table.to_csv(),
        "name,count\na<b>,7\n\"say \"\"hi\"\", you\",\"1,792\"\n"
    );
}

#[test]
fn debug_of_what_a_cell_keeps_is_one_short_line() {
    let history = history(1);
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
    for text in [
        format!("{history:?}"),
        format!("{data:?}"),
        format!("{:?}", history.plot()),
    ] {
        assert!(text.lines().count() == 1 && text.len() < 500, "{text}");
    }
}

/// Run as a program of its own by the test below; prints what a cell would.
#[test]
#[ignore = "a part of another test"]
fn a_cell_with_displays() {
    let figure = grid(2);
    println!("before");
    display(&figure);
    println!("between");
    display(&Table::new("named EVCXR_TRANSFER_DISPLAY", &["a"]));
    let features = Features::from_array(
        &Array4::<f32>::zeros((4, 1, 1, 2)),
        &[0, 1, 0, 1],
        &["EVCXR_TRANSFER_DISPLAY {}", "dogs"],
    );
    let features = features.unwrap();
    let fit = Fit::default().epochs(3);
    let (_, history) = train_head(&features, &features, &fit).unwrap();
    display(&features);
    println!("the end");
    history.evcxr_display();
    let kept: History = serde_json::from_str(&serde_json::to_string(&history).unwrap()).unwrap();
    assert_eq!(kept, history);
    kept.evcxr_display();
}

/// What that cell prints with the variable that our kernel sets, or without.
fn cell(live: bool) -> Vec<String> {
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program
        .args([
            "--exact",
            "display::a_cell_with_displays",
            "--ignored",
            "--nocapture",
        ])
        .env_remove("EVCXR_TRANSFER_DISPLAY");
    if live {
        program.env("EVCXR_TRANSFER_DISPLAY", "live");
    }
    let output = program.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
    let from = lines.iter().position(|line| line.ends_with("before"));
    lines[from.unwrap()..].to_vec()
}

#[test]
fn in_our_kernel_displays_stand_between_the_lines() {
    let lines = cell(true);
    let shown = |line: &String| {
        let json = line.strip_prefix("EVCXR_TRANSFER_DISPLAY ")?;
        Some(serde_json::from_str::<serde_json::Value>(json).unwrap())
    };
    let pictures = shown(&lines[1]).unwrap();
    // Drawn pictures are photographs' kin.
    assert!(pictures["data"]["image/jpeg"].is_string());
    assert_eq!(lines[2], "between");
    let table = shown(&lines[3]).unwrap();
    assert!(table["data"]["text/html"].is_string());
    assert_ne!(pictures["display_id"], table["display_id"]);
    // Three epochs in no time: their lines, and the curves.
    for (number, line) in lines[4..7].iter().enumerate() {
        assert!(
            line.starts_with(&format!("Epoch {}/3 - ", number + 1)),
            "{line}"
        );
    }
    let curves = shown(&lines[7]).unwrap();
    assert!(curves["data"]["image/png"].is_string());
    let features = shown(&lines[8]).unwrap();
    let text = features["data"]["text/plain"].as_str().unwrap();
    assert!(text.contains("EVCXR TRANSFER DISPLAY {}"), "{text}");
    assert_eq!(lines[9], "the end");
    // The history has one place, where its curves have grown.
    assert_eq!(shown(&lines[10]).unwrap(), curves);
    // What was read from a file knows nothing of it.
    assert_eq!(lines[11], "EVCXR_BEGIN_CONTENT text/plain");
    assert_eq!(lines.iter().filter_map(shown).count(), 5);
}

#[test]
fn elsewhere_displays_are_a_cells_results() {
    let lines = cell(false);
    assert!(
        lines
            .iter()
            .all(|line| !line.contains("EVCXR_TRANSFER_DISPLAY"))
    );
    let blocks = lines
        .iter()
        .filter(|line| *line == "EVCXR_BEGIN_CONTENT text/plain");
    assert_eq!(blocks.count(), 5);
    let between = lines.iter().position(|line| line == "between").unwrap();
    assert_eq!(lines[between + 1], "EVCXR_BEGIN_CONTENT text/plain");
}
