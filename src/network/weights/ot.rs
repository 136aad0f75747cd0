//! tch's .ot archives with torchvision's names, and what PyTorch's other archives have to become first.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::files::archive::in_words;
use crate::machine::memory::{CLOSE_OTHERS, check_room};
use crate::network::weights::stored_layer::{StoredLayer, unusable};
use crate::network::weights::torch_names::torch_names;

/// Reads a zip archive if it is one of tch's .ot files, and says what to do with any other.
pub(crate) fn read(path: &Path) -> Result<Vec<StoredLayer>> {
    let file = File::open(path).map_err(Error::file(path, "read"))?;
    let bytes = file.metadata().map_err(Error::file(path, "read"))?.len();
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| {
        let problem = format!("the archive is damaged: {}", in_words(&error));
        unusable(path, problem, "Download it again")
    })?;
    let has = |part: &str| {
        archive
            .file_names()
            .flatten()
            .any(|name| format!("/{name}").contains(part))
    };
    if has("/model.weights.h5") {
        return Err(unusable(
            path,
            "this is a whole Keras model (.keras)",
            "Save its weights in Keras: model.save_weights(\"vgg16.weights.h5\")",
        ));
    }
    // TorchScript archives carry code, the state dictionaries of torch.save do not.
    if !has("/code/") {
        return Err(needs_conversion(path));
    }
    let parts = check_entries(path, &mut archive, bytes)?;
    let room = usize::try_from(bytes).unwrap_or(usize::MAX);
    let what = path.display().to_string();
    check_room(Device::Cpu, room, &what, CLOSE_OTHERS)?;
    let named = Tensor::load_multi_with_device(path, Device::Cpu)
        .map_err(Error::compute(format!("reading {}", path.display())))?;
    check_lengths(path, parts, &named)?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in named {
        let tensor = tensor
            .f_detach()
            .and_then(|tensor| tensor.f_to_kind(Kind::Float))
            .map_err(Error::compute(format!("reading {name}")))?;
        // libtorch writes the dots of a name as bars in some versions.
        tensors.insert(name.replace('|', "."), tensor);
    }
    let tensors = torch_names(tensors).map_err(Error::compute("reading weights"))?;
    StoredLayer::named(path, &tensors)
}

/// Compares every part of the archive with its checksum: libtorch would take a changed size for what to
/// allocate. PyTorch stores its parts as they are, so that together they are no longer than the file. The lengths of those
/// that have numbers in them.
fn check_entries(
    path: &Path,
    archive: &mut zip::ZipArchive<BufReader<File>>,
    bytes: u64,
) -> Result<Vec<u64>> {
    let damaged = |name: &str, problem: &dyn fmt::Display| {
        let problem = format!("the archive is damaged: {name} in it {problem}");
        unusable(path, problem, "Download it again")
    };
    let (mut left, mut parts) = (bytes, Vec::new());
    for index in 0..archive.len() {
        let unreadable = |error: String| format!("cannot be read ({error})");
        let mut entry = archive.by_index(index).map_err(|error| {
            let name = format!("part {index}");
            damaged(&name, &unreadable(in_words(&error)))
        })?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| damaged(&name, &"is longer than the file"))?;
        io::copy(&mut entry, &mut io::sink())
            .map_err(|error| damaged(&name, &unreadable(error.to_string())))?;
        // The latter in archives of PyTorch's first years.
        if name.contains("/data/") || name.contains("/tensors/") {
            parts.push(entry.size());
        }
    }
    Ok(parts)
}

/// Makes sure that each tensor has a part of its own that is as long as it is: libtorch goes by what the archive's
/// description says, and reads on behind a part that is shorter.
fn check_lengths(path: &Path, mut parts: Vec<u64>, named: &[(String, Tensor)]) -> Result<()> {
    let bytes = |(_, tensor): &(String, Tensor)| {
        let of_each = tensor.f_kind()?.elt_size_in_bytes();
        Ok((tensor.numel() * of_each) as u64)
    };
    let tensors = named
        .iter()
        .map(bytes)
        .collect::<std::result::Result<_, _>>();
    let mut tensors: Vec<u64> =
        tensors.map_err(Error::compute(format!("reading {}", path.display())))?;
    tensors.sort_unstable();
    parts.sort_unstable();
    let mut longest = tensors.iter().rev().zip(parts.iter().rev());
    if tensors.len() <= parts.len() && longest.all(|(tensor, part)| tensor <= part) {
        return Ok(());
    }
    Err(unusable(
        path,
        "the archive is damaged: its parts are shorter than the tensors that it describes",
        "Download it again",
    ))
}

/// The error for a pickled state dictionary: reading one means running a pickle.
pub(crate) fn needs_conversion(path: &Path) -> Error {
    let command = format!(
        "Run `cargo lab convert {}`, then load the .safetensors file",
        path.display()
    );
    unusable(path, "this is a PyTorch .pth file", command)
}
