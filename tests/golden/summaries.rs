//! Summaries, counts of parameters and lists of layers, as text.

use evcxr_transfer::{
    Architecture, Base, Classifier, Device, Features, Head, Precision, Table, Weights,
};
use serde_json::Value;

use crate::report::{Golden, Report, Tolerance, count, list, text, unequal};

const TEXT: Tolerance = Tolerance {
    most: 0.0,
    why: "text and whole numbers",
};

/// The cells of a table's rows.
pub fn cells(table: &Table) -> Vec<Vec<String>> {
    let csv = table.to_csv();
    let rows = csv.lines().skip(1).map(|line| {
        // What stands between quotation marks keeps its commas; no cell has quotation marks.
        let parts = line.split('"').enumerate();
        let marked = parts.map(|(number, part)| match number % 2 {
            0 => part.replace(',', "\n"),
            _ => part.to_owned(),
        });
        let line = marked.collect::<String>();
        line.split('\n').map(str::to_owned).collect::<Vec<_>>()
    });
    rows.collect()
}

/// The cells of the rows that Keras printed, and its totals without their bytes.
fn printed(golden: &Value) -> (Vec<Vec<String>>, Vec<String>) {
    let lines = text(&golden["text"]).lines();
    let row = |line: &str| {
        let inside = line.strip_prefix('│')?.strip_suffix('│')?;
        Some(
            inside
                .split('│')
                .map(|cell| cell.trim().to_owned())
                .collect(),
        )
    };
    let total = |line: &str| {
        let line = line.trim();
        let (start, _) = line.split_once(" (").filter(|_| line.contains("params:"))?;
        Some(start.to_owned())
    };
    (
        lines.clone().filter_map(row).collect(),
        lines.filter_map(total).collect(),
    )
}

pub fn summaries(report: &mut Report) {
    let golden = Golden::open("summaries.json");
    let keras = golden.made_by("Keras");
    let seeded = Weights::seeded(0);
    let mut compare = |what: &str, table: &Table, key: &str, skipped: usize, totals: usize| {
        let (rows, lines) = printed(&golden.json[key]);
        assert!(rows.len() >= 3, "{key}: Keras' table was not understood");
        let found = cells(table).split_off(skipped);
        let shown = table.to_string();
        let missing = lines[..totals].iter().filter(|line| !shown.contains(*line));
        let wrong = unequal(&found, &rows) + missing.count() as f64;
        report.add(
            format!("summary of {what} (lines that differ)"),
            &keras,
            wrong,
            TEXT,
        );
    };
    let base = Base::vgg16(150, &seeded, Device::Cpu, Precision::F32).unwrap();
    compare("VGG16 at 150", &base.summary(), "vgg16 150", 0, 1);
    let vgg19 = Base::vgg19(150, &seeded, Device::Cpu, Precision::F32).unwrap();
    compare("VGG19 at 150", &vgg19.summary(), "vgg19 150", 0, 1);
    let whole = Base::with_top(Architecture::Vgg16, &seeded, Device::Cpu, Precision::F32).unwrap();
    compare(
        "VGG16 with its top",
        &whole.summary(),
        "vgg16 224 top",
        0,
        1,
    );
    drop(whole);
    let small = Base::small_conv_net(150, 0, Device::Cpu, Precision::F32).unwrap();
    // A Sequential does not list its input.
    compare("the small network", &small.summary(), "small network", 1, 1);
    let zeros = ndarray::Array4::<f32>::zeros((2, 4, 4, 512));
    let zeros = Features::from_array(&zeros, &[0, 1], &["cats", "dogs"]).unwrap();
    let head = Head::lesson().build(&zeros, 0).unwrap();
    compare("the lesson's head", &head.summary(), "head", 0, 1);
    let mut model = Classifier::new(&base, Head::dense(256), &["cats", "dogs"]).unwrap();
    compare("base and head", &model.summary(), "classifier", 0, 3);
    let open = (
        model.num_trainable_parameters(),
        model.trainable_weights().len(),
    );
    model.freeze_base();
    compare(
        "base and head, frozen",
        &model.summary(),
        "classifier frozen",
        0,
        3,
    );
    let frozen = (
        model.num_trainable_parameters(),
        model.trainable_weights().len(),
    );
    let layers = cells(&model.unfreeze_from("block5_conv1").unwrap());
    let name = "base and head, block 5 open";
    compare(name, &model.summary(), "classifier fine-tuned", 0, 3);
    let tuned = (
        model.num_trainable_parameters(),
        model.trainable_weights().len(),
    );

    let keys = ["classifier", "classifier frozen", "classifier fine-tuned"];
    let counts = keys.map(|key| {
        let of = |what: &str| count(&golden.json[key][what]);
        (of("trainable"), of("trainable weights"))
    });
    let parameters = keys.map(|key| count(&golden.json[key]["parameters"]));
    report.add(
        "trainable parameters and weight tensors before freezing, after, and with block 5 open (those \
         that differ)",
        &keras,
        unequal(&[open, frozen, tuned], &counts)
            + unequal(&[model.num_parameters(); 3], &parameters),
        TEXT,
    );
    let expected = list(&golden.json["classifier fine-tuned"]["base"]).iter();
    let expected = expected.map(|row| vec![text(&row[0]).to_owned(), row[4].to_string()]);
    report.add(
        "list of layer and trainable, block 5 open (lines that differ)",
        &keras,
        unequal(&layers, &expected.collect::<Vec<_>>()),
        TEXT,
    );
    let tuple = |value: &Value| {
        let sizes = list(value).iter().map(|size| match size {
            Value::Null => "None".to_owned(),
            size => size.to_string(),
        });
        format!("({})", sizes.collect::<Vec<_>>().join(", "))
    };
    let listed = list(&golden.json["convolutions 150"]).iter();
    let rows = |part: usize| {
        let row = |row: &Value| {
            vec![
                row[0].to_string(),
                text(&row[1]).to_owned(),
                tuple(&row[part]),
            ]
        };
        listed.clone().map(row).collect::<Vec<_>>()
    };
    report.add(
        "lists of the convolutions: index, name, output shape; kernel shape (lines that differ)",
        &keras,
        unequal(&cells(&base.convolutions()), &rows(2))
            + unequal(&cells(&base.filter_shapes()), &rows(3)),
        TEXT,
    );
}
