#![allow(clippy::unwrap_used, reason = "a failing test may stop")]

use tch::{Device, Kind};

use super::*;

/// Numbers from -1 to 1, in channels_last memory.
fn numbers(size: [i64; 4]) -> Tensor {
    let [n, c, h, w] = size;
    let values = Tensor::arange(n * c * h * w, (Kind::Double, Device::Cpu));
    let values = (values * 7.0).remainder(23.0) / 11.0 - 1.0;
    let values = values.to_kind(Kind::Float).view([n, h, w, c]);
    values.permute([0, 3, 1, 2])
}

fn layer(inputs: i64, outputs: i64, size: [usize; 2]) -> (Tensor, Tensor, Winograd) {
    let kernel = numbers([outputs, inputs, 3, 3]) * 0.1;
    let bias = numbers([outputs, 1, 1, 1]).view(outputs);
    let layer = Winograd::new(&kernel, Some(&bias), size).unwrap().unwrap();
    (kernel, bias, layer)
}

#[test]
fn a_chain_gives_what_its_layers_give() {
    for (count, height, width) in [(1, 12, 8), (3, 9, 10), (2, 7, 30), (5, 16, 11)] {
        let size = [height as usize, width as usize];
        let (first, first_bias, one) = layer(16, 32, size);
        let (second, second_bias, two) = layer(32, 48, size);
        let (third, third_bias, three) = layer(48, 16, size.map(|n| n / 2));
        let x = numbers([count, 16, height, width]);
        let steps = [
            Step::Convolution(&one),
            Step::Convolution(&two),
            Step::MaxPool,
            Step::Convolution(&three),
        ];
        let found = run(&x, &steps).unwrap();
        let conv = |x: &Tensor, kernel: &Tensor, bias: &Tensor| {
            x.conv2d(kernel, Some(bias), [1, 1], [1, 1], [1, 1], 1)
                .relu()
        };
        let expected = conv(&conv(&x, &first, &first_bias), &second, &second_bias);
        let expected = expected.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        let expected = conv(&expected, &third, &third_bias);
        assert_eq!(found.size(), expected.size());
        let difference = f64::try_from((&found - &expected).abs().max()).unwrap();
        let largest = f64::try_from(expected.abs().max()).unwrap();
        // Lavin and Gray measure errors some ten times those of f32's own sums.
        assert!(
            difference < 1e-5 * largest,
            "{difference} of {largest}, {count} x {height} x {width}"
        );
    }
}

#[test]
fn what_is_no_number_is_not_hidden() {
    let (_, _, layer) = layer(16, 16, [8, 8]);
    let x = numbers([1, 16, 8, 8]);
    let _ = x.get(0).get(3).get(2).get(1).fill_(f64::NAN);
    for steps in [
        &[Step::Convolution(&layer)][..],
        &[Step::Convolution(&layer), Step::MaxPool],
    ] {
        let found = run(&x, steps).unwrap();
        assert!(found.isnan().any().double_value(&[]) == 1.0);
    }
}

#[test]
fn layers_that_gain_nothing_go_the_ordinary_way() {
    let kernel =
        |inputs, outputs| Tensor::zeros([outputs, inputs, 3, 3], (Kind::Float, Device::Cpu));
    let new = |kernel: &Tensor, size| Winograd::new(kernel, None, size).unwrap().is_some();
    assert!(new(&kernel(64, 64), [150, 150]));
    assert!(new(&kernel(512, 512), [9, 9]));
    // The picture's three channels; nearly all of a square beyond the picture.
    assert!(!new(&kernel(3, 64), [150, 150]));
    assert!(!new(&kernel(512, 512), [5, 5]));
    let small = Tensor::zeros([64, 64, 1, 1], (Kind::Float, Device::Cpu));
    assert!(!new(&small, [150, 150]));
}
