//! PyTorch's side: .safetensors with torchvision's or Keras' names, and tch's .ot archives.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::network::weights::file::{StoredLayer, WeightsKind, f32_tensor, unusable};

/// Reads every layer of a .safetensors file that has a kernel and a bias.
pub(crate) fn read_safetensors(path: &Path) -> Result<(WeightsKind, Vec<StoredLayer>)> {
    let bytes = std::fs::read(path).map_err(Error::file(path, "read"))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| {
        let problem = format!("the safetensors file is damaged or cut short ({error})");
        unusable(path, problem, "Download it again")
    })?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let kind = match view.dtype() {
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            // Counters such as batch normalisation's; no kernel or bias is a whole number.
            _ => continue,
        };
        let tensor = f32_tensor(view.data(), view.shape(), kind);
        let tensor = tensor.map_err(Error::compute(format!("reading {name}")))?;
        tensors.insert(name.to_owned(), tensor);
    }
    let is_torch = tensors.keys().any(|name| name.starts_with("features."));
    let kind = if is_torch {
        WeightsKind::TorchSafetensors
    } else {
        WeightsKind::KerasSafetensors
    };
    Ok((kind, layers_of(path, tensors)?))
}

/// Reads a zip archive if it is one of tch's .ot files, and says what to do with any other.
pub(crate) fn read_archive(path: &Path) -> Result<(WeightsKind, Vec<StoredLayer>)> {
    let file = std::fs::File::open(path).map_err(Error::file(path, "read"))?;
    let archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|error| {
        let problem = format!("the archive is damaged or cut short ({error})");
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
    let named = Tensor::load_multi_with_device(path, Device::Cpu)
        .map_err(Error::compute(format!("reading {}", path.display())))?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in named {
        let tensor = tensor
            .f_detach()
            .and_then(|tensor| tensor.f_to_kind(Kind::Float))
            .map_err(Error::compute(format!("reading {name}")))?;
        // libtorch writes the dots of a name as bars in some versions.
        tensors.insert(name.replace('|', "."), tensor);
    }
    Ok((WeightsKind::TorchOt, layers_of(path, tensors)?))
}

/// The error for a pickled state dictionary: reading one means running a pickle.
pub(crate) fn needs_conversion(path: &Path) -> Error {
    let command = format!(
        "Run `cargo lab convert {}`, then load the .safetensors file",
        path.display()
    );
    unusable(path, "this is a PyTorch .pth file", command)
}

/// Pairs kernels with biases, in the order of the numbers in their names.
fn layers_of(path: &Path, tensors: BTreeMap<String, Tensor>) -> Result<Vec<StoredLayer>> {
    let endings = [".weight", "/kernel", ".kernel"];
    let mut layers = Vec::new();
    for (full_name, kernel) in &tensors {
        let Some(name) = endings
            .iter()
            .find_map(|ending| full_name.strip_suffix(ending))
        else {
            continue;
        };
        let biases = [format!("{name}.bias"), format!("{name}/bias")];
        let Some(bias) = biases.iter().find_map(|bias| tensors.get(bias)) else {
            continue;
        };
        if kernel.dim() == 1 {
            return Err(unusable(
                path,
                format!(
                    "{full_name} is of a batch normalisation: this is VGG with batch normalisation"
                ),
                "Load weights of plain VGG16 or VGG19",
            ));
        }
        layers.push(StoredLayer {
            name: name.to_owned(),
            kernel: kernel.shallow_clone(),
            bias: bias.shallow_clone(),
        });
    }
    // features.10 comes after features.2.
    layers.sort_by_key(|layer| {
        let (stem, number) = layer.name.rsplit_once('.').unwrap_or((&layer.name, ""));
        (stem.to_owned(), number.parse::<usize>().unwrap_or_default())
    });
    Ok(layers)
}
