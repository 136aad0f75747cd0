//! How much of the lesson a lab does: all of it, or a quick run; asked for, or chosen by the time it takes.

use crate::error::Result;
use crate::lab::choice::Choice;
use crate::lab::durations::Durations;
use crate::lab::lab::Lab;
use crate::training::fit::Fit;

impl Lab {
    /// The whole lesson: all pictures, 30 epochs.
    pub fn full(mut self) -> Self {
        self.full = Choice::asked_for(true);
        self
    }

    /// A quick run: 400 + 200 pictures, 10 epochs.
    pub fn quick(mut self) -> Self {
        self.full = Choice::asked_for(false);
        self
    }

    /// The lesson's training options; fewer epochs for a quick run.
    pub fn fit(&self) -> Fit {
        let fit = Fit::default().progress(self.progress.clone());
        let mut fit = fit.world(&self.world);
        if let Some(folder) = &self.backup {
            // Where it cannot be made, the first run says so.
            let _ = std::fs::create_dir_all(folder);
            fit = fit.backup(folder);
        }
        if self.full.value { fit } else { fit.epochs(10) }
    }

    /// How long the lesson takes on this machine, measured within a second (see [`Durations`]) by sending a
    /// few pictures through VGG16, on the lab's device and in its precision.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) or [`Error::Compute`](crate::Error::Compute) if the device cannot do it.
    pub fn durations(&self) -> Result<Durations> {
        match &self.durations {
            Some(durations) => Ok(durations.clone()),
            None => Durations::measure(self.device.value, self.precision.value),
        }
    }

    /// Measures how long the lesson takes, and takes all of it where that is no longer than a quarter of
    /// an hour, a quick run elsewhere; [`Lab::full`] and [`Lab::quick`] keep their word. Ask for it after
    /// device and precision. Where nothing can be measured, the run stays as it is.
    pub fn measured(mut self) -> Self {
        match self.durations() {
            Ok(durations) => {
                if !self.full.is_asked_for {
                    self.full = durations.run();
                }
                self.durations = Some(durations);
            }
            Err(error) => self
                .progress
                .line(&format!("Note: nothing measured: {error}")),
        }
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use std::time::Duration;

    use tch::Device;

    use super::*;
    use crate::model::head::Head;
    use crate::pictures::dataset::Dataset;
    use crate::show::progress::Progress;

    #[test]
    fn all_that_a_lab_begins_shows_itself_as_the_lab_was_told() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress::keeping().pace(Duration::ZERO, Duration::ZERO);
        let lab = Lab::open().unwrap().folder(folder.path()).offline();
        let lab = lab.device(Device::Cpu).progress(progress.clone());
        // Two small pictures, of two classes.
        for class in ["cat", "dog"] {
            let own = folder.path().join("pictures").join(class);
            std::fs::create_dir_all(&own).unwrap();
            std::fs::write(own.join("0.ppm"), b"P6 1 1 255\n\x01\x02\x03").unwrap();
        }
        let pictures = Dataset::open(folder.path().join("pictures")).unwrap();
        let features = lab.vgg16(32).unwrap().extract_features(&pictures).unwrap();
        let mut head = Head::dense(2).build(&features, 0).unwrap();
        head.fit(&features, &features, &lab.fit().epochs(1))
            .unwrap();
        let lines = progress.kept();
        for begin in ["extracting features", "Epoch 1"] {
            let shown = lines.iter().any(|line| line.starts_with(begin));
            assert!(shown, "{begin} is not among {lines:?}");
        }
    }
}
