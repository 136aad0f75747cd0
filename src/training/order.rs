//! Which pictures each step of an epoch takes, and what else is drawn for it.
//!
//! Everything random follows from the seed and the number of the epoch, so that a checkpoint needs no
//! random state.

use crate::machine::random::Random;
use crate::machine::world::World;
use crate::training::fit::Fit;

/// What the random choices of an epoch follow from.
pub(crate) struct Draws {
    seed: u64,
    epoch: usize,
    /// How many pictures the epoch shows, counted as often as they come.
    pub(crate) pictures: usize,
    /// The places in the epoch of those that this process takes; none if it takes all.
    places: Option<Vec<i64>>,
}

impl Draws {
    /// `epoch` is counted from 1, over all runs of a model.
    pub(crate) fn new(seed: u64, epoch: usize, pictures: usize) -> Self {
        Self {
            seed,
            epoch,
            pictures,
            places: None,
        }
    }

    /// The same for a process that takes the pictures at these places of the epoch alone.
    pub(crate) fn at(self, places: Vec<i64>) -> Self {
        Self {
            places: Some(places),
            ..self
        }
    }

    /// The numbers for one purpose, such as dropout.
    pub(crate) fn random(&self, purpose: &str) -> Random {
        Random::new(self.seed, &format!("{purpose} of epoch {}", self.epoch))
    }

    /// The places in the epoch of the pictures that this process takes, if they are not all. What is drawn is drawn
    /// for all pictures, so that it does not follow from the number of processes.
    pub(crate) fn places(&self) -> Option<&[i64]> {
        self.places.as_deref()
    }
}

/// The pictures of an epoch in order, cut into steps.
pub(crate) struct Order {
    /// Their numbers, counted as often as they come.
    pub(crate) pictures: Vec<i64>,
    /// How many of them each step takes.
    pub(crate) sizes: Vec<usize>,
}

impl Order {
    /// A training epoch, counted from 0: steps are cut from an endless row of passes, each over all
    /// `pictures` in an order of its own. `before` is the number of epochs that the model had learned
    /// before the run.
    pub(crate) fn shuffled(fit: &Fit, pictures: usize, epoch: usize, before: usize) -> Self {
        let in_pass = pictures.div_ceil(fit.batch_size).max(1);
        let steps = fit.steps_per_epoch.unwrap_or(in_pass);
        let mut order = Self {
            pictures: Vec::new(),
            sizes: Vec::new(),
        };
        let mut pass: Option<(usize, Vec<i64>)> = None;
        for step in epoch * steps..(epoch + 1) * steps {
            let number = step / in_pass;
            if pass.as_ref().is_none_or(|(current, _)| *current != number) {
                let mut all = (0..pictures as i64).collect::<Vec<_>>();
                Random::new(fit.seed, &format!("order of pass {}", number + before))
                    .shuffle(&mut all);
                pass = Some((number, all));
            }
            let first = step % in_pass * fit.batch_size;
            let all = pass.as_ref().map_or(&[][..], |(_, all)| all.as_slice());
            let batch = all.iter().skip(first).take(fit.batch_size);
            order.sizes.push(batch.len());
            order.pictures.extend(batch);
        }
        order
    }

    /// What one process takes of each step, which may be nothing of a short one, and the places of these pictures in
    /// the epoch.
    pub(crate) fn share(&self, world: &World) -> (Self, Vec<i64>) {
        let mut own = Self {
            pictures: Vec::new(),
            sizes: Vec::new(),
        };
        let mut places = Vec::new();
        let mut first = 0;
        for &size in &self.sizes {
            let share = world.share(size);
            own.sizes.push(share.len());
            places.extend(share.map(|place| (first + place) as i64));
            first += size;
        }
        let pictures = places
            .iter()
            .filter_map(|&place| self.pictures.get(place as usize));
        own.pictures = pictures.copied().collect();
        (own, places)
    }

    /// Each picture once, one after the other, `at_once` a step.
    pub(crate) fn straight(pictures: usize, at_once: usize) -> Self {
        let at_once = at_once.max(1);
        let firsts = (0..pictures).step_by(at_once);
        Self {
            pictures: (0..pictures as i64).collect(),
            sizes: firsts.map(|first| at_once.min(pictures - first)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::world::tests::in_a_world;

    #[test]
    fn an_epoch_shows_each_picture_once_and_steps_cut_an_endless_row() {
        let fit = Fit::default().batch_size(4);
        let Order {
            mut pictures,
            sizes,
        } = Order::shuffled(&fit, 10, 0, 0);
        assert_eq!(sizes, [4, 4, 2]);
        pictures.sort_unstable();
        assert_eq!(pictures, (0..10).collect::<Vec<_>>());
        // Two steps an epoch: the second epoch begins with the last batch of the first pass.
        let fit = fit.steps_per_epoch(2);
        let epochs = [0, 1, 2].map(|epoch| Order::shuffled(&fit, 10, epoch, 0));
        let sizes = epochs.each_ref().map(|order| order.sizes.as_slice());
        assert_eq!(sizes, [[4, 4], [2, 4], [4, 2]]);
        let all = epochs.map(|order| order.pictures).concat();
        for pass in [&all[..10], &all[10..]] {
            let mut pass = pass.to_vec();
            pass.sort_unstable();
            assert_eq!(pass, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(all[..10], all[10..], "each pass has an order of its own");
        let again = Order::shuffled(&fit, 10, 0, 3).pictures;
        assert_ne!(all[..8], again, "and so has each run of the same model");
    }

    #[test]
    fn processes_take_every_picture_of_a_step_once() {
        let whole = Order::shuffled(&Fit::default().batch_size(4), 10, 0, 0);
        let shares = in_a_world(3, |world| whole.share(world));
        let sizes = shares.iter().map(|(own, _)| own.sizes.clone());
        let sizes = sizes.collect::<Vec<_>>();
        assert_eq!(sizes, [[1, 1, 0], [1, 1, 1], [2, 2, 1]]);
        let mut taken = [None; 10];
        for (own, places) in &shares {
            for (picture, &place) in own.pictures.iter().zip(places) {
                assert!(taken[place as usize].replace(*picture).is_none());
            }
        }
        assert_eq!(
            taken.map(Option::unwrap_or_default).as_slice(),
            whole.pictures
        );
    }

    #[test]
    fn a_straight_order_ends_with_a_short_step() {
        let order = Order::straight(7, 3);
        assert_eq!(order.sizes, [3, 3, 1]);
        assert_eq!(order.pictures, (0..7).collect::<Vec<_>>());
        assert!(Order::straight(0, 3).sizes.is_empty());
    }
}
