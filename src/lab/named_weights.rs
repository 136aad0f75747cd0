//! [`NamedWeights`]: a weight file that somebody names, or a folder with some.
//!
//! What a file is for follows from the layers in it. A folder's own files are looked at once, in the order
//! of their names; folders in it are not.

use std::path::{Path, PathBuf};

use crate::lab::official;
use crate::lab::pretrained::Pretrained;
use crate::network::weights::weights::Weights;
use crate::show::saved::from_here;

/// Weights that a setter or the environment names.
#[derive(Debug, Clone)]
pub(crate) struct NamedWeights {
    path: PathBuf,
    /// Who names them: "asked for in this cell".
    pub(crate) who: String,
    files: Vec<WeightFile>,
}

/// A file that a network can be made from, or one that somebody named and nobody can read.
#[derive(Debug, Clone)]
struct WeightFile {
    path: PathBuf,
    /// What it is for: a network, then the same without its top. Empty if nothing can be made from it.
    fits: Vec<Pretrained>,
    /// Why it cannot be read.
    problem: Option<String>,
}

impl NamedWeights {
    /// Looks at what is there.
    pub(crate) fn new(path: PathBuf, who: &str) -> Self {
        let mut files = Vec::new();
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            let mut paths = entries.map(|entry| entry.path()).collect::<Vec<_>>();
            paths.sort();
            // A download under way is no weight file, however much it looks like one.
            paths.retain(|path| path.is_file() && path.extension() != Some("part".as_ref()));
            for path in paths {
                // What a classifier has learned is not what a base begins with, unless it is named itself.
                let weights = Weights::look(&path).ok();
                let weights = weights.filter(|weights| !weights.is_of_classifier());
                let fits = weights.map(|weights| fitted_by(&weights));
                files.extend(fits.filter(|fits| !fits.is_empty()).map(|fits| WeightFile {
                    path,
                    fits,
                    problem: None,
                }));
            }
        } else {
            let (fits, problem) = match Weights::look(&path) {
                Ok(weights) => (fitted_by(&weights), None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            files.push(WeightFile {
                path: path.clone(),
                fits,
                problem,
            });
        }
        Self {
            path,
            who: who.to_owned(),
            files,
        }
    }

    /// The file for a network with the reason. The official one comes first, then those of exactly this
    /// network, then those that have a top besides.
    ///
    /// A single file from which none of the networks can be made is taken for each: its reader then says
    /// what is wrong with it.
    ///
    /// # Errors
    /// Why none of them is for this network.
    pub(crate) fn file_for(&self, network: Pretrained) -> Result<(&Path, String), String> {
        if !self.path.is_dir()
            && let [file] = self.files.as_slice()
        {
            let name = name_of(&file.path);
            return match file.fits.first() {
                None => {
                    let problem = file.problem.iter().map(|problem| format!("; {problem}"));
                    Ok((&file.path, self.who.clone() + &problem.collect::<String>()))
                }
                Some(_) if file.fits.contains(&network) => Ok((&file.path, self.who.clone())),
                Some(own) => Err(format!("{name} is for {own}")),
            };
        }
        let folder = from_here(&self.path);
        let official = official::weights(network).file_name;
        let fitting = self
            .files
            .iter()
            .filter(|file| file.fits.contains(&network));
        let best = fitting.min_by_key(|file| {
            let is_exact = file.fits.first() == Some(&network);
            (name_of(&file.path) != official, !is_exact)
        });
        match best {
            Some(file) => {
                let reason = format!("in {}, {}", folder.display(), self.who);
                Ok((&file.path, reason))
            }
            None => Err(format!("no file in {} is for {network}", folder.display())),
        }
    }
}

fn fitted_by(weights: &Weights) -> Vec<Pretrained> {
    let fitted = Pretrained::all().filter(|network| network.is_fitted_by(weights));
    fitted.collect()
}

/// A file's name as a reader knows it.
pub(crate) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::network::architecture::Architecture::{Vgg16, Vgg19};

    /// Writes a .safetensors file with a network's names and shapes, without its numbers.
    fn write(path: &Path, network: Pretrained) {
        let graph = network
            .architecture
            .graph(network.architecture.size_with_top(), network.with_top);
        let (mut header, mut end) = (serde_json::Map::new(), 0);
        for layer in graph.layers() {
            for parameter in &layer.parameters {
                let begin = end;
                end += 4 * parameter.shape.iter().product::<usize>();
                let info = serde_json::json!({
                    "dtype": "F32", "shape": parameter.shape, "data_offsets": [begin, end]
                });
                header.insert(format!("{}.{}", layer.name, parameter.role), info);
            }
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        std::fs::write(path, &bytes).unwrap();
    }

    #[test]
    fn a_file_is_for_the_network_whose_layers_it_has() {
        let folder = tempfile::tempdir().unwrap();
        for (number, network) in Pretrained::all().enumerate() {
            let path = folder.path().join(format!("file{number}"));
            write(&path, network);
            let named = NamedWeights::new(path, "asked for");
            for other in Pretrained::all() {
                let fits = other.architecture == network.architecture
                    && (network.with_top || !other.with_top);
                let found = named.file_for(other);
                assert_eq!(found.is_ok(), fits, "{network} for {other}: {found:?}");
                if let Err(reason) = found {
                    assert_eq!(reason, format!("file{number} is for {network}"));
                }
            }
        }
    }

    #[test]
    fn a_folder_gives_each_network_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let has = |name: &str| folder.path().join(name);
        write(&has("a"), Pretrained::new(Vgg16, true));
        write(&has("b.safetensors"), Pretrained::LESSON);
        write(&has("c"), Pretrained::LESSON);
        write(&has("a.part"), Pretrained::new(Vgg19, false));
        std::fs::write(has("d.txt"), "no weights").unwrap();
        std::fs::create_dir(has("e")).unwrap();
        let named = |network| {
            let named = NamedWeights::new(folder.path().to_owned(), "X says so");
            let (path, reason) = named.file_for(network)?;
            assert!(reason.ends_with(", X says so"), "{reason}");
            Ok::<_, String>(name_of(path))
        };
        // Exactly this one before one with a top besides, the first of two alike.
        assert_eq!(named(Pretrained::LESSON).unwrap(), "b.safetensors");
        assert_eq!(named(Pretrained::new(Vgg16, true)).unwrap(), "a");
        let none = named(Pretrained::new(Vgg19, false)).unwrap_err();
        assert!(none.ends_with("is for vgg19"), "{none}");
        // The official file comes before all others.
        let official = official::weights(Pretrained::LESSON).file_name;
        write(&has(&official), Pretrained::LESSON);
        assert_eq!(named(Pretrained::LESSON).unwrap(), official);
    }

    #[test]
    fn a_file_from_which_no_network_can_be_made_is_left_to_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5");
        for text in ["", "no weights"] {
            std::fs::write(&path, text).unwrap();
            let named = NamedWeights::new(path.clone(), "asked for");
            let (found, reason) = named.file_for(Pretrained::LESSON).unwrap();
            assert_eq!(found, path);
            assert!(reason.starts_with("asked for; "), "{reason}");
        }
    }
}
