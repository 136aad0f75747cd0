//! The pieces of the lesson, timed one by one: `cargo bench`, or `cargo bench -- decode` for some of them.
//!
//! Drawn pictures and seeded weights, f32 on the CPU, so that it runs everywhere; benches/README.md says what each measures.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement that cannot begin may stop; divan makes public items of the functions"
)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use evcxr_transfer::ndarray::Array4;
use evcxr_transfer::prelude::*;

/// The lesson's picture size in pixels, and its batch.
const SIZE: usize = 150;
const BATCH: usize = 20;

fn main() {
    divan::main();
}

fn data() -> Data {
    Data::open("data/samples").unwrap().take(BATCH, 1)
}

fn photos() -> Vec<Photo> {
    let data = data();
    data.train
        .files()
        .iter()
        .map(|file| Photo::open(file).unwrap())
        .collect()
}

/// (20, 150, 150, 3) of bytes.
fn pixels() -> Tensor {
    let resized = photos().into_iter().flat_map(|photo| {
        let photo = photo.resize(SIZE, SIZE, Interpolation::Nearest).unwrap();
        photo.bytes().to_vec()
    });
    let side = SIZE as i64;
    Tensor::from_slice(&resized.collect::<Vec<_>>()).view([-1, side, side, 3])
}

fn base() -> Base {
    let base = Base::vgg16(SIZE, &Weights::seeded(0), Device::Cpu, Precision::F32);
    base.unwrap().progress(Progress::quiet())
}

/// One step, and one picture to validate on.
fn one_step() -> Fit {
    Fit::default()
        .epochs(1)
        .steps_per_epoch(1)
        .batch_size(BATCH)
        .progress(Progress::quiet())
}

#[divan::bench]
fn decode(bencher: Bencher) {
    let data = data();
    let encoded = std::fs::read(&data.train.files()[0]).unwrap();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| Photo::from_bytes("a drawn picture", black_box(&encoded)).unwrap());
}

#[divan::bench(args = [Interpolation::Nearest, Interpolation::Bilinear])]
fn resize(bencher: Bencher, how: Interpolation) {
    let photo = photos().remove(0);
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| black_box(&photo).resize(SIZE, SIZE, how).unwrap());
}

#[divan::bench]
fn augmentation(bencher: Bencher) {
    let (augment, pixels) = (Augment::lesson(), pixels());
    let transforms = augment.transforms(BATCH, (SIZE, SIZE), 0).unwrap();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| augment.apply(black_box(&pixels), &transforms).unwrap());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn forward(bencher: Bencher) {
    let (base, pixels) = (base(), pixels());
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| base.predict(black_box(&pixels)).unwrap());
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn step_part_1(bencher: Bencher) {
    let values = Array4::from_shape_fn((BATCH, 4, 4, 512), |(n, y, x, c)| {
        ((n + y + x + c) % 7) as f32
    });
    let labels = (0..BATCH).map(|n| n % 2).collect::<Vec<_>>();
    let train = Features::from_array(&values, &labels, &["cats", "dogs"]).unwrap();
    let one = values.slice_move(evcxr_transfer::ndarray::s![..1, .., .., ..]);
    let validation = Features::from_array(&one, &[0], &["cats", "dogs"]).unwrap();
    let fit = one_step();
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| Head::lesson().build(&train, 0).unwrap())
        .bench_local_refs(|head| head.fit(&train, &validation, &fit).unwrap());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn step_part_2(bencher: Bencher) {
    let (data, base, fit, augment) = (data(), base(), one_step(), Augment::lesson());
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| Classifier::new(&base, Head::dense(256), data.train.classes()).unwrap())
        .bench_local_refs(|model| model.train_frozen(&data, &augment, &fit).unwrap());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn step_part_3(bencher: Bencher) {
    let (data, base, fit, augment) = (data(), base(), one_step(), Augment::lesson());
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| Classifier::new(&base, Head::dense(256), data.train.classes()).unwrap())
        .bench_local_refs(|model| {
            model
                .fine_tune("block5_conv1", &data, &augment, &fit)
                .unwrap()
        });
}

#[divan::bench]
fn grid_drawing(bencher: Bencher) {
    let figure = data().train.show(12).unwrap();
    bencher.bench_local(|| black_box(&figure).to_png().unwrap());
}
