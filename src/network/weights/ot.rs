//! tch's .ot archives with torchvision's names, and what PyTorch's other archives have to become first.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::network::weights::stored_layer::{StoredLayer, unusable};

/// Reads a zip archive if it is one of tch's .ot files, and says what to do with any other.
pub(crate) fn read(path: &Path) -> Result<Vec<StoredLayer>> {
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
    StoredLayer::named(path, &tensors)
}

/// The error for a pickled state dictionary: reading one means running a pickle.
pub(crate) fn needs_conversion(path: &Path) -> Error {
    let command = format!(
        "Run `cargo lab convert {}`, then load the .safetensors file",
        path.display()
    );
    unusable(path, "this is a PyTorch .pth file", command)
}
