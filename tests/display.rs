//! What results look like: pictures, drawings, tables, and the blocks that a notebook reads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use evcxr_transfer::{Data, Error, Features, Figure, Fit, History, Progress, Table, train_head};
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
    let data = Data::open(common::repository("data/samples")).unwrap();
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
    let texts = common::python("svg_texts.py", &[&path]);
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
        common::python("png_size.py", &[&path]).trim(),
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
    let data = Data::open(common::repository("data/samples")).unwrap();
    for text in [
        format!("{history:?}"),
        format!("{data:?}"),
        format!("{:?}", history.plot()),
    ] {
        assert!(text.lines().count() == 1 && text.len() < 500, "{text}");
    }
}
