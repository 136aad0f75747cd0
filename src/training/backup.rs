//! Where a run is kept that may take several sittings, and whether a file there is of this very run.
//!
//! What tells runs from others is what they [began](super::beginning) with. A model that was stopped in the middle of a run
//! has moved away from that, and remembers it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::machine::random::hash_of;
use crate::show::table::counted;
use crate::training::beginning::OF_MODEL;
use crate::training::checkpoint::Checkpoint;
use crate::training::fit::Fit;

/// What a call to train has begun with, and what its model has begun its last run with.
pub(crate) struct Backup<'a> {
    /// What a run is called.
    pub(crate) name: &'a str,
    pub(crate) now: &'a Value,
    pub(crate) last: &'a Value,
}

impl Backup<'_> {
    /// `fit` with the file of this run where a folder was named. The same on all processes.
    pub(crate) fn placed(&self, fit: &Fit) -> Fit {
        let folder = fit.checkpoint.as_deref().filter(|_| fit.restores);
        let is_folder = folder.is_some_and(Path::is_dir);
        let Some(folder) = folder.filter(|_| is_there(fit, is_folder)) else {
            return fit.clone();
        };
        let file = |begun: &Value| folder.join(file_name(self.name, begun));
        let mut own = fit.clone();
        let last = file(self.last);
        let has_moved = self.goes_on_with(self.last) && !file(self.now).exists();
        own.checkpoint = Some(match has_moved && last.exists() {
            true => last,
            false => file(self.now),
        });
        own
    }

    /// The file of an earlier sitting, if there is one; the same on all processes.
    pub(crate) fn found(&self, fit: &Fit) -> Option<PathBuf> {
        let path = fit.checkpoint.clone().filter(|_| fit.restores)?;
        is_there(fit, path.exists()).then_some(path)
    }

    /// Whether the call is one of the run that has begun so, on a model that may have moved since.
    fn goes_on_with(&self, begun: &Value) -> bool {
        let Some(all) = begun.as_object() else {
            return false;
        };
        let is_of_model = |name: &str| OF_MODEL.contains(&name);
        all.iter()
            .all(|(name, value)| is_of_model(name) || *value == self.now[name.as_str()])
    }

    /// Refuses another run than this one in the file at `path`.
    pub(crate) fn check(&self, run: &Checkpoint, path: &Path) -> Result<()> {
        let refused = |what: String, expected: String, found: String| Error::Mismatch {
            what,
            expected,
            found,
            remedy: format!(
                "Make the call that the run began with, on a model as it was then, name another file for `backup`, or \
                 remove {} to train anew",
                path.display()
            ),
        };
        let then = run.begun();
        let Some(all) = then.as_object() else {
            let what = format!("the run in {}", path.display());
            let expected = "one that tells what it began with".to_owned();
            let found = "one of an earlier version, with which `resume` can go on".to_owned();
            return Err(refused(what, expected, found));
        };
        // A stop has left the model between two epochs of this very run.
        if self.last == then && self.goes_on_with(then) {
            return Ok(());
        }
        match all
            .iter()
            .find(|(name, value)| self.now[name.as_str()] != **value)
        {
            None => Ok(()),
            Some((name, value)) => {
                let what = format!("{name} of the run in {}", path.display());
                Err(refused(
                    what,
                    value.to_string(),
                    self.now[name.as_str()].to_string(),
                ))
            }
        }
    }
}

/// What the first of several processes has found.
fn is_there(fit: &Fit, own: bool) -> bool {
    fit.world.of_first(f64::from(u8::from(own))) > 0.0
}

/// A name in words, and what no other run has.
fn file_name(run: &str, begun: &Value) -> String {
    let words = run.replace(' ', "_");
    format!(
        "{words}_{:016x}.safetensors",
        hash_of(begun.to_string().into_bytes())
    )
}

/// What a reader is told whose call finds its run.
pub(crate) fn found_again(path: &Path, run: &Checkpoint, fit: &Fit) -> String {
    let (file, count) = (path.display(), counted(run.epochs().len(), "epoch"));
    match run.is_over(fit) {
        true => format!(
            "Note: this run is over, its {count} come from {file}; remove the file to train anew"
        ),
        false => format!("Note: {file} has {count} of this run, which goes on from there"),
    }
}

/// The file at the place of a backup holds something else, which is not to be lost.
pub(crate) fn not_a_backup(path: &Path) -> Error {
    Error::Mismatch {
        what: format!("the file {}", path.display()),
        expected: "a run that `backup` can go on with".into(),
        found: "a model without one".into(),
        remedy: "Name another file for `backup`".into(),
    }
}
