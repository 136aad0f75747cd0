//! Training by several processes: the numbers of one, the same on all, and what fails on one fails on all. The processes
//! are threads here; tests/mpi.rs has true ones.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tch::Device;

use crate::error::Result;
use crate::machine::precision::Precision;
use crate::machine::stop::Stop;
use crate::machine::world::World;
use crate::machine::world::tests::{Network, in_a_slow_world, in_a_world};
use crate::model::classifier::Classifier;
use crate::model::features::Features;
use crate::model::head::Head;
use crate::model::head_training::train_head;
use crate::network::base::Base;
use crate::network::weights::weights::Weights;
use crate::pictures::augment::Augment;
use crate::pictures::data::Data;
use crate::show::progress::Progress;
use crate::training::fit::Fit;
use crate::training::history::History;

/// Sums in another order, over two epochs of a network that learns at a rate at which rounding does not grow.
const TOLERANCE: f64 = 2e-5;

fn data() -> Data {
    Data::open("data/samples").unwrap().take(11, 5)
}

fn base() -> Base {
    let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    base.progress(Progress::quiet())
}

/// Of 11 pictures the last step has 3, so that one of four processes has none of them.
fn fit(world: &World) -> Fit {
    let fit = Fit::default().epochs(2).batch_size(4).learning_rate(1e-4);
    fit.progress(Progress::quiet()).keep_steps().world(world)
}

fn new_model(data: &Data) -> Classifier {
    let head = Head::dense(8).dropout(0.5);
    Classifier::new(&base(), head, data.train.classes()).unwrap()
}

/// Everything of a history but the clock.
fn numbers(history: &History) -> Vec<f64> {
    let steps = history
        .steps()
        .iter()
        .flat_map(|step| [step.loss, step.accuracy]);
    let epochs = history.epochs.iter().flat_map(|epoch| {
        let validation = [epoch.val_loss, epoch.val_accuracy].map(Option::unwrap_or_default);
        [epoch.loss, epoch.accuracy].into_iter().chain(validation)
    });
    steps.chain(epochs).collect()
}

/// The largest difference, and whether there are as many.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The weights that learn.
fn weights(model: &Classifier) -> Vec<f64> {
    let all = model.state_dict().unwrap();
    let learn = |name: &str| name.starts_with("features.28") || name.starts_with("dense");
    let open = all.iter().filter(|(name, _)| learn(name));
    let values = open.flat_map(|(_, array)| array.iter().map(|&value| f64::from(value)));
    values.collect()
}

#[test]
fn several_processes_have_the_numbers_of_one() {
    let data = data();
    let learn = |world: &World| {
        let mut model = new_model(&data);
        let fit = fit(world).class_weights(&[1.0, 2.0]);
        let augment = Augment::lesson().brightness(0.8, 1.2);
        // Pictures that are read in each epoch, outputs that are kept, and layers that learn.
        let frozen = model.train_frozen(&data, &augment, &fit).unwrap();
        let kept = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
        let odd = fit.clone().steps_per_epoch(2);
        let tuned = model
            .fine_tune("block5_conv3", &data, &augment, &odd)
            .unwrap();
        let histories = [frozen, kept, tuned];
        assert!(histories.iter().all(|history| history.epochs.len() == 2));
        let seconds = histories[0].epochs.iter().map(|epoch| epoch.seconds);
        let seconds = seconds.collect::<Vec<_>>();
        (
            histories.map(|history| numbers(&history)).concat(),
            weights(&model),
            seconds,
        )
    };
    let alone = learn(&World::alone());
    let all = in_a_world(4, learn);
    assert!(
        all.iter().all(|other| *other == all[0]),
        "all have the same"
    );
    let (numbers, weights, _) = &all[0];
    assert!(
        difference(numbers, &alone.0) < TOLERANCE,
        "{numbers:?}\n{:?}",
        alone.0
    );
    assert!(difference(weights, &alone.1) < TOLERANCE);
}

#[test]
fn heads_learn_together_and_measure_each_feature_once() {
    let values = ndarray::Array4::from_shape_fn((13, 1, 1, 6), |(n, _, _, c)| {
        ((n * 7 + c * 3) % 11) as f32 / 11.0
    });
    let labels = (0..13).map(|n| n % 3).collect::<Vec<_>>();
    let learn = |world: &World| {
        let features = Features::from_array(&values, &labels, &["cats", "dogs", "owls"]).unwrap();
        let mut head = Head::dense(16).dropout(0.3).build(&features, 1).unwrap();
        let fit = fit(world).epochs(5).learning_rate(1e-3);
        numbers(&head.fit(&features, &features, &fit).unwrap())
    };
    let alone = learn(&World::alone());
    for others in in_a_world(3, learn) {
        assert!(difference(&others, &alone) < TOLERANCE);
    }
}

#[test]
fn a_checkpoint_of_two_goes_on_with_three_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = data();
    let augment = Augment::lesson();
    let whole = new_model(&data)
        .train_frozen(&data, &augment, &fit(&World::alone()).epochs(3))
        .unwrap();
    let path = |rank: usize| folder.path().join(format!("{rank}.safetensors"));
    in_a_world(2, |world| {
        // A name for each, to see that the first alone writes.
        let fit = fit(world).checkpoint(path(world.rank()));
        new_model(&data)
            .train_frozen(&data, &augment, &fit)
            .unwrap();
    });
    assert!(path(0).exists() && !path(1).exists());
    let resume = |world: &World| {
        let mut model = Classifier::load(path(0), Device::Cpu).unwrap();
        model.resume(&data, &fit(world).epochs(3)).unwrap()
    };
    let mut all = in_a_world(3, resume);
    all.push(resume(&World::alone()));
    for history in all {
        assert!(difference(&numbers(&history), &numbers(&whole)) < TOLERANCE);
    }
}

/// What all processes say, which must be the same.
fn said<T: Send>(size: usize, work: impl Fn(&World) -> Result<T> + Sync) -> String {
    let errors = in_a_world(size, |world| {
        work(world).err().map(|error| error.to_string())
    });
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    errors[0].clone().unwrap()
}

#[test]
fn other_options_pictures_and_weights_are_named_before_the_first_step() {
    let data = data();
    let none = Augment::none();
    let error = said(2, |world| {
        let fit = fit(world).seed(world.rank() as u64);
        new_model(&data).train_frozen(&data, &none, &fit)
    });
    assert!(
        error.starts_with("process 1 of 2 (on node0): seed: 1, and process 0"),
        "{error}"
    );
    let error = said(3, |world| {
        let fewer = Data {
            train: data.train.take(11 - world.rank() / 2),
            validation: data.validation.clone(),
        };
        new_model(&data).train_frozen(&fewer, &none, &fit(world))
    });
    assert!(error.starts_with("process 2 of 3 (on node1): "), "{error}");
    assert!(error.contains("of the training pictures"), "{error}");
    let error = said(2, |world| {
        let weights = Weights::seeded(world.rank() as u64);
        let base = Base::vgg16(32, &weights, Device::Cpu, Precision::F32).unwrap();
        let mut model = Classifier::new(&base, Head::dense(8), data.train.classes()).unwrap();
        model.train_frozen(&data, &none, &fit(world))
    });
    assert!(error.contains("base: "), "{error}");
}

#[test]
fn too_little_for_all_and_batch_statistics_are_refused() {
    let data = data();
    let none = Augment::none();
    let few = data.take(11, 1);
    let error = said(2, |world| {
        new_model(&few).train_frozen(&few, &none, &fit(world))
    });
    assert!(
        error.starts_with("validation pictures for 2 processes"),
        "{error}"
    );
    let error = said(2, |world| {
        new_model(&data).train_frozen(&data, &none, &fit(world).batch_size(1))
    });
    assert!(error.starts_with("batch_size for 2 processes"), "{error}");
    let error = said(2, |world| {
        let base = Base::resnet50(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
        let mut model = Classifier::new(&base, Head::dense(8), data.train.classes()).unwrap();
        model.train_batch_norm(true);
        model.fine_tune("conv5_block3_1_conv", &data, &none, &fit(world))
    });
    assert!(error.starts_with("train_batch_norm is true"), "{error}");
}

/// Some sample pictures in a folder of their own.
fn copied(folder: &Path) -> Data {
    let all = data();
    for (part, dataset) in [("train", &all.train), ("validation", &all.validation)] {
        for file in dataset.files() {
            let class = file.parent().unwrap().file_name().unwrap();
            let to = folder.join(part).join(class);
            std::fs::create_dir_all(&to).unwrap();
            std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
        }
    }
    Data::open(folder).unwrap()
}

#[test]
fn a_picture_that_one_cannot_read_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let data = copied(folder.path());
    let damaged = data.train.files()[6].clone();
    std::fs::write(&damaged, "no picture").unwrap();
    let augment = Augment::lesson();
    let error = said(2, |world| {
        new_model(&data).train_frozen(&data, &augment, &fit(world))
    });
    let name = damaged.file_name().unwrap().to_string_lossy();
    assert!(
        error.starts_with("process ") && error.contains(&*name),
        "{error}"
    );
}

#[test]
fn a_stop_of_one_stops_all_at_the_same_step() {
    let data = data();
    let endings = in_a_world(2, |world| {
        let stop = Stop::new();
        if world.rank() == 1 {
            stop.request();
        }
        let fit = fit(world).stop(&stop);
        let history = new_model(&data)
            .train_frozen(&data, &Augment::lesson(), &fit)
            .unwrap();
        (history.epochs.len(), history.ending())
    });
    let expected = (0, Some("stopped before epoch 1".to_owned()));
    assert_eq!(endings, [expected.clone(), expected]);
}

#[test]
fn a_step_waits_for_the_network_once() {
    let values = ndarray::Array4::from_shape_fn((12, 1, 1, 6), |(n, _, _, c)| (n * c % 5) as f32);
    let learn = |world: &World, epochs: usize| {
        let labels = [0, 1].repeat(6);
        let features = Features::from_array(&values, &labels, &["cats", "dogs"]).unwrap();
        let (head, history) = train_head(&features, &features, &fit(world).epochs(epochs)).unwrap();
        (history, head.num_parameters())
    };
    let learned = |network: &Arc<Network>, epochs: usize| {
        let (history, parameters) =
            in_a_slow_world(2, network, |world| learn(world, epochs)).remove(0);
        let sent = [&network.messages, &network.bytes].map(|n| n.load(Ordering::SeqCst));
        (history, parameters, sent)
    };
    // What one more epoch sends: each of three steps every number once; before them a word, behind them what all have measured,
    // and how long it took.
    let (_, _, [messages, bytes]) = learned(&Arc::default(), 1);
    let (quick, parameters, sent) = learned(&Arc::default(), 2);
    let [messages, bytes] = [sent[0] - messages, sent[1] - bytes];
    assert_eq!(messages, 3 + 4);
    let gradients = 3 * 4 * parameters;
    assert!(
        (gradients..gradients + 200).contains(&bytes),
        "{bytes}, {gradients}"
    );
    let network = Network {
        latency: Duration::from_millis(20),
        of_a_byte: Duration::from_micros(30),
        last_is_late: Duration::from_millis(10),
        ..Network::default()
    };
    // The last one tells the time, and is not in it.
    let predicted = network.predicted(messages - 1, gradients).as_secs_f64();
    let (slow, ..) = learned(&Arc::new(network), 2);
    // Who waits for a slow network and a slow process comes to the same.
    assert_eq!(numbers(&slow), numbers(&quick));
    let [quick, slow] = [&quick, &slow].map(|history| history.epochs[1].seconds);
    println!(
        "an epoch of 3 steps: {quick:.3} s; with 20 ms for each of {} messages and 30 us for each of {gradients} bytes {slow:.3} s, \
         of which {predicted:.3} s are predicted",
        messages - 1
    );
    // How busy the machine is comes on top.
    assert!(slow >= predicted, "{quick} {slow} {predicted}");
}
