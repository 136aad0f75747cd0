//! The networks' tables: layers, shapes and parameters, as Keras prints them.

use evcxr_transfer::{Architecture, Base, Device, Error, LayerKind, Precision, Weights};

/// Keras 3.15: `VGG16(weights=None, include_top=False, input_shape=(150, 150, 3)).summary()`.
const VGG16_AT_150: [(&str, &[usize], usize); 19] = [
    ("input_1", &[150, 150, 3], 0),
    ("block1_conv1", &[150, 150, 64], 1_792),
    ("block1_conv2", &[150, 150, 64], 36_928),
    ("block1_pool", &[75, 75, 64], 0),
    ("block2_conv1", &[75, 75, 128], 73_856),
    ("block2_conv2", &[75, 75, 128], 147_584),
    ("block2_pool", &[37, 37, 128], 0),
    ("block3_conv1", &[37, 37, 256], 295_168),
    ("block3_conv2", &[37, 37, 256], 590_080),
    ("block3_conv3", &[37, 37, 256], 590_080),
    ("block3_pool", &[18, 18, 256], 0),
    ("block4_conv1", &[18, 18, 512], 1_180_160),
    ("block4_conv2", &[18, 18, 512], 2_359_808),
    ("block4_conv3", &[18, 18, 512], 2_359_808),
    ("block4_pool", &[9, 9, 512], 0),
    ("block5_conv1", &[9, 9, 512], 2_359_808),
    ("block5_conv2", &[9, 9, 512], 2_359_808),
    ("block5_conv3", &[9, 9, 512], 2_359_808),
    ("block5_pool", &[4, 4, 512], 0),
];

fn vgg16(size: usize) -> Result<Base, Error> {
    Base::vgg16(size, &Weights::seeded(0), Device::Cpu, Precision::F32)
}

#[test]
fn vgg16_without_top_has_keras_layers_shapes_and_parameters() {
    let base = vgg16(150).unwrap();
    let rows = base
        .layers()
        .iter()
        .map(|layer| {
            (
                layer.name.as_str(),
                layer.output_shape.as_slice(),
                layer.num_parameters(),
            )
        })
        .collect::<Vec<_>>();
    assert_eq!(rows, VGG16_AT_150);
    assert_eq!(base.num_parameters(), 14_714_688);
    assert_eq!(base.output_shape(), [4, 4, 512]);
}

#[test]
fn the_summary_shows_every_layer_and_says_that_the_weights_are_not_real() {
    let summary = vgg16(150).unwrap().summary();
    assert_eq!(summary.num_rows(), 19);
    let text = summary.to_string();
    for part in [
        "block5_conv3 (Conv2D)",
        "(None, 9, 9, 512)",
        "2,359,808",
        "Total params: 14,714,688",
        "Note: seeded random weights",
        "scaled by 1/255",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn vgg19_without_top_has_keras_parameters() {
    let base = Base::vgg19(64, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    // keras.applications.VGG19(weights=None, include_top=False).count_params()
    assert_eq!(base.num_parameters(), 20_024_384);
    assert_eq!(base.layers().len(), 22);
    assert_eq!(base.output_shape(), [2, 2, 512]);
}

#[test]
fn vgg16_with_top_has_the_parameters_of_the_lesson() {
    let weights = Weights::seeded(0);
    let vgg = Base::with_top(Architecture::Vgg16, &weights, Device::Cpu, Precision::F32).unwrap();
    assert_eq!(vgg.num_parameters(), 138_357_544);
    assert_eq!(vgg.output_shape(), [1000]);
    // The lesson's list of convolutions by their index among the layers.
    let convolutions = vgg
        .layers()
        .iter()
        .enumerate()
        .filter(|(_, layer)| layer.kind == LayerKind::Conv2D)
        .map(|(index, _)| index)
        .collect::<Vec<_>>();
    assert_eq!(convolutions, [1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17]);
}

#[test]
fn pictures_below_32_pixels_are_refused_and_32_are_accepted() {
    assert_eq!(vgg16(32).unwrap().output_shape(), [1, 1, 512]);
    let text = vgg16(31).unwrap_err().to_string();
    assert!(
        text.contains("size is 31") && text.contains("32 or more"),
        "{text}"
    );
}

#[test]
fn an_unknown_layer_is_answered_with_the_known_ones() {
    let text = vgg16(32)
        .unwrap()
        .layer_weights("block6_conv1")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("block6_conv1") && text.contains("block5_conv3"),
        "{text}"
    );
}

#[test]
fn cuda_on_a_machine_without_it_is_an_error_with_a_remedy() {
    let base = Base::vgg16(32, &Weights::seeded(0), Device::Cuda(0), Precision::F32);
    // The device may exist: then the network is there.
    let Err(error) = base else { return };
    let text = error.to_string();
    assert!(
        text.contains("cuda:0 cannot be used") && text.contains("Device::Cpu"),
        "{text}"
    );
}
