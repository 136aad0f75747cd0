//! One-line pictures and plots of arbitrary numbers, and the plane of features.

use evcxr_transfer::ndarray::{Array, Array2, Array4, ArrayD, IxDyn, arr2, s};
use evcxr_transfer::{
    Base, Data, Device, Error, Features, Figure, Photo, Precision, Progress, Tensor, Values,
    Weights, heatmap, histogram, plot_lines, plot_xy, show_images,
};

/// What a figure shows, without what its title says.
fn drawn(figure: Figure) -> Vec<u8> {
    figure.title("").to_png().unwrap()
}

#[test]
fn the_same_pictures_look_the_same_whatever_holds_them() {
    // Every byte from 0 to 255 is there, so that all ranges end where bytes do.
    let bytes = Array4::from_shape_fn((5, 8, 8, 3), |(n, y, x, c)| {
        (n * 192 + y * 24 + x * 3 + c) as u8
    });
    let expected = drawn(show_images(&bytes).unwrap());
    let share = bytes.map(|&byte| f32::from(byte) / 255.0);
    assert_eq!(drawn(show_images(&share).unwrap()), expected, "0 to 1");
    let centred = bytes.map(|&byte| f64::from(byte) - 127.5);
    assert_eq!(drawn(show_images(&centred).unwrap()), expected, "own range");
    let tensor = Tensor::from_slice(bytes.as_slice().unwrap()).view([5, 8, 8, 3]);
    assert_eq!(drawn(show_images(&tensor).unwrap()), expected, "a tensor");
    let torch = tensor.permute([0, 3, 1, 2]).to_kind(tch::Kind::Half);
    assert_eq!(
        drawn(show_images(torch).unwrap()),
        expected,
        "PyTorch's order"
    );
    let photos = (0..5).map(|n| {
        let pixels = bytes.slice(s![n, .., .., ..]).iter().copied().collect();
        Photo::from_pixels(&n.to_string(), 8, 8, pixels).unwrap()
    });
    let photos = photos.collect::<Vec<_>>();
    assert_eq!(drawn(show_images(&photos).unwrap()), expected, "photos");
    // A part of an array is not contiguous.
    let part = bytes.slice(s![..;2, .., .., ..]);
    assert_eq!(
        drawn(show_images(part).unwrap()),
        drawn(show_images(part.to_owned()).unwrap())
    );
}

#[test]
fn every_shape_of_pictures_is_taken_and_others_are_refused() {
    for (shape, pictures) in [
        (vec![7, 9], 1),
        (vec![7, 9, 3], 1),
        (vec![3, 7, 9], 1),
        (vec![28, 28, 1], 1),
        (vec![7, 9, 4], 7),
        (vec![2, 7, 9, 1], 2),
        (vec![2, 1, 7, 9], 2),
        (vec![2, 3, 7, 9], 2),
        (vec![250, 4, 4, 3], 100),
    ] {
        let figure = show_images(ArrayD::<f32>::zeros(IxDyn(&shape)))
            .unwrap()
            .to_string();
        let expected = match pictures {
            1 => "1 picture,".to_owned(),
            n => format!("{n} pictures,"),
        };
        assert!(figure.contains(&expected), "{shape:?}: {figure}");
    }
    let many = show_images(ArrayD::<u8>::zeros(IxDyn(&[250, 4, 4, 3]))).unwrap();
    assert!(many.to_string().contains("100 of 250 pictures"), "{many}");
    assert!(
        many.to_string().contains("a figure holds no more"),
        "{many}"
    );
    for shape in [
        vec![],
        vec![5],
        vec![2, 5, 5, 2],
        vec![0, 5, 5, 3],
        vec![1, 2, 3, 4, 5],
    ] {
        let error = show_images(ArrayD::<f32>::zeros(IxDyn(&shape))).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Argument {
                    argument: "images",
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("(N, H, W, 3)"), "{error}");
    }
    // What is not finite is black.
    let holes = arr2(&[[f32::NAN, 0.0], [1.0, f32::INFINITY]]);
    let black = arr2(&[[0.0, 0.0], [1.0, 0.0_f32]]);
    assert_eq!(
        drawn(show_images(holes).unwrap()),
        drawn(show_images(black).unwrap())
    );
    assert!(show_images(Vec::<Photo>::new()).is_err());
}

#[test]
fn lines_take_numbers_from_anywhere_and_keep_their_gaps() {
    let svg = |figure: Figure| figure.to_svg().unwrap();
    let losses = vec![0.7_f32, 0.5, 0.4];
    let lines = svg(plot_lines(&[("training", &losses)])
        .unwrap()
        .axes("epoch", "loss"));
    for word in ["training", "epoch", "loss"] {
        assert!(lines.contains(word), "{word}");
    }
    let tensor = Tensor::from_slice(&[0.7_f32, 0.5, 0.4]);
    let from_tensor = svg(plot_lines(&[("training", &tensor)])
        .unwrap()
        .axes("epoch", "loss"));
    assert_eq!(lines, from_tensor);
    // Different holders in one plot go through `Values`.
    let mixed = [("a", Values::from(&losses)), ("b", Values::from(&tensor))];
    assert!(plot_lines(&mixed).unwrap().to_png().is_ok());
    let columns = plot_lines(&[("run", &arr2(&[[1, 2], [3, 4], [5, 6]]))]).unwrap();
    let columns = svg(columns);
    assert!(columns.contains("run 0") && columns.contains("run 1"));
    let gaps = svg(plot_lines(&[("loss", &[1.0, f64::NAN, 2.0])]).unwrap());
    assert!(gaps.contains("1 value is not finite"), "a gap is told");
    let error = plot_lines(&[("cube", &Array::<f32, _>::zeros((2, 2, 2)))]).unwrap_err();
    assert!(error.to_string().contains("(2, 2, 2)"), "{error}");
    let none: [(&str, &Vec<f64>); 0] = [];
    assert!(svg(plot_lines(&none).unwrap()).contains("no values yet"));
}

#[test]
fn a_million_points_stay_small_and_keep_their_peaks() {
    let mut values = vec![0.0_f32; 1_000_000];
    values[654_321] = 1.0;
    let svg = plot_lines(&[("peak", &values)]).unwrap().to_svg().unwrap();
    assert!(svg.len() < 400_000, "{} bytes", svg.len());
    let flat = plot_lines(&[("peak", &vec![0.0_f32; 1_000_000])]).unwrap();
    assert_ne!(svg, flat.to_svg().unwrap(), "the peak is lost");
    // Gaps beside it, in the same stretch, neither hide it nor go uncounted.
    for place in [654_320, 654_322, 654_323] {
        values[place] = f32::NAN;
    }
    let gaps = plot_lines(&[("peak", &values)]).unwrap().to_svg().unwrap();
    values[654_321] = 0.0;
    let without = plot_lines(&[("peak", &values)]).unwrap().to_svg().unwrap();
    assert!(gaps.contains("3 values are not finite"));
    assert_ne!(gaps, without, "the peak is lost between gaps");
}

#[test]
fn histograms_and_heat_maps_say_what_they_show() {
    let figure = histogram(arr2(&[[1.0, 2.0], [3.0, f64::NAN]]), 3).unwrap();
    let text = figure.to_string();
    for part in [
        "4 values (2, 2)",
        "mean 2",
        "standard deviation 0.816",
        "1 not finite",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(histogram([1.0], 0).is_err() && histogram([1.0], 1001).is_err());
    assert!(histogram(Vec::<f64>::new(), 5).unwrap().to_png().is_ok());

    let matrix = Array2::from_shape_fn((3, 4), |(row, column)| row * 10 + column);
    let figure = heatmap(&matrix).unwrap();
    assert!(
        figure.to_string().contains("3 x 4 values from 0 to 23"),
        "{figure}"
    );
    let svg = figure.axes("predicted", "is").to_svg().unwrap();
    for text in ["predicted", "is", "23", "0"] {
        assert!(svg.lines().any(|line| line.trim() == text), "{text}");
    }
    let batch = Tensor::rand([1, 1, 40, 60], (tch::Kind::Float, Device::Cpu));
    assert!(heatmap(&batch).unwrap().to_string().contains("40 x 60"));
    assert!(heatmap(Array2::<f32>::zeros((0, 3))).is_err());
    assert!(heatmap(Array::<f32, _>::zeros((2, 3, 4))).is_err());
    let same = heatmap(Array2::<f32>::from_elem((2, 2), 7.0)).unwrap();
    assert!(same.to_png().is_ok() && same.size(200, 200).to_png().is_ok());
    let holes = arr2(&[[f64::NAN, f64::MAX], [f64::MIN, f64::INFINITY]]);
    assert!(heatmap(&holes).unwrap().to_png().is_ok());
}

#[test]
fn tensors_that_hold_no_real_numbers_are_refused() {
    let complex = Tensor::zeros([2, 2], (tch::Kind::ComplexFloat, Device::Cpu));
    assert!(matches!(heatmap(&complex), Err(Error::Argument { .. })));
    assert!(matches!(
        histogram(Tensor::new(), 3),
        Err(Error::Argument { .. })
    ));
    let learning = Tensor::ones([2, 2], (tch::Kind::Float, Device::Cpu)).set_requires_grad(true);
    assert!(heatmap(&learning).is_ok());
    assert!(heatmap(Tensor::from_slice2(&[[true, false]])).is_ok());
}

#[test]
fn the_plane_of_features_is_numpys() {
    let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    let base = base.progress(Progress::quiet());
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let features = base.extract_features(&data.train).unwrap();
    let (stored, out) = (
        folder.path().join("f.safetensors"),
        folder.path().join("o.safetensors"),
    );
    features.save(&stored).unwrap();
    crate::common::python("numpy_pca.py", &[&stored, &out]);
    let expected = Tensor::read_safetensors(&out).unwrap();
    let expected = |name: &str| {
        let (_, tensor) = expected.iter().find(|(n, _)| n == name).unwrap();
        Vec::<f64>::try_from(tensor.view(-1)).unwrap()
    };
    let pca = features.pca().unwrap();
    let largest = expected("points")
        .iter()
        .fold(0.0_f64, |a, b| a.max(b.abs()));
    let points = pca.array();
    let pairs = points.iter().zip(expected("points"));
    assert!(points.iter().all(|value| value.is_finite()));
    let differences = pairs.map(|(&found, expected)| (f64::from(found) - expected).abs());
    let worst = differences.fold(0.0, f64::max) / largest;
    println!("worst difference {worst:.1e} of the largest");
    // 8.2e-8 measured, about the last bit of f32: products are summed in f32. Ten times that, for machines that
    // sum in another order.
    assert!(worst < 1e-6, "{worst}");
    for (found, expected) in pca
        .explained_variance_ratio()
        .iter()
        .zip(expected("explained"))
    {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
    assert!(
        base.extract_features(&data.train.take(2))
            .unwrap()
            .pca()
            .is_err()
    );
    let lost = Array4::<f32>::from_elem((4, 1, 1, 2), f32::NAN);
    let error = Features::from_array(&lost, &[0, 1, 0, 1], &["a", "b"]).unwrap_err();
    assert!(error.to_string().contains("finite"), "{error}");
    let svg = pca.plot().to_svg().unwrap();
    assert!(svg.contains("cats") && svg.contains("dogs") && svg.contains("component 1"));
}

#[test]
fn curves_have_x_values_of_their_own_and_logarithmic_axes() {
    let (x, y) = (vec![1e-6, 1e-4, 1e-2], vec![3.0, 1.0, 2.0]);
    let plain = plot_xy(&[("loss", &x, &y)]).unwrap();
    let texts = |figure: Figure| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figure.svg");
        figure.size(1200, 800).save(&path).unwrap();
        crate::common::python("svg_texts.py", &[&path])
    };
    let written = texts(plain.clone().log_x().log_y().axes("rate", "loss"));
    for text in ["1e-6", "1e-4", "1e-2", "2.0", "rate"] {
        assert!(
            written.lines().any(|line| line.trim() == text),
            "{text}: {written}"
        );
    }
    assert!(!texts(plain.clone()).contains("1e-4"));
    // Counted x values draw what `plot_lines` draws.
    let counted = plot_xy(
        &[("loss", &[0.0, 1.0, 2.0][..], &y[..])]
            .map(|(name, x, y)| (name, Values::from(&x.to_vec()), Values::from(&y.to_vec()))),
    );
    let axes = |figure: Figure| drawn(figure.axes("x", "y"));
    assert_eq!(
        axes(counted.unwrap()),
        axes(plot_lines(&[("loss", &y)]).unwrap())
    );
    // What is not above 0 has no place on a logarithmic axis.
    let gap = plot_xy(&[("a", &vec![1.0, 2.0, 3.0, 4.0], &vec![1.0, 0.0, -1.0, 10.0])]).unwrap();
    assert!(gap.log_y().to_png().is_ok());
    // Marks know no order, lines do.
    let drawn_as = |x: [f64; 3], y: [f64; 3], points: bool| {
        let figure = plot_xy(&[("a", &x.to_vec(), &y.to_vec())]).unwrap();
        drawn(if points { figure.points() } else { figure })
    };
    let (one, other) = (
        ([1.0, 2.0, 3.0], [5.0, 9.0, 4.0]),
        ([3.0, 1.0, 2.0], [4.0, 5.0, 9.0]),
    );
    assert_eq!(
        drawn_as(one.0, one.1, true),
        drawn_as(other.0, other.1, true)
    );
    assert_ne!(
        drawn_as(one.0, one.1, false),
        drawn_as(other.0, other.1, false)
    );
    let error = plot_xy(&[("a", &x, &vec![1.0])]).unwrap_err().to_string();
    assert!(error.contains("3 x and 1 y values"), "{error}");
    // Figures without axes stay what they are.
    let pictures = show_images(Array4::<u8>::zeros((2, 4, 4, 3))).unwrap();
    assert_eq!(
        drawn(pictures.clone().log_x().log_y().points()),
        drawn(pictures)
    );
}
