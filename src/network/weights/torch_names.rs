//! PyTorch's names of VGG's layers, whoever wrote them: all of them as torchvision's.
//!
//! ```text
//! features.0.weight, classifier.0.weight                  torchvision
//! model.features.0.weight, module.classifier.0.weight     a part of a larger model
//! 0.weight, 2.weight                                      model.features.state_dict()
//! features.0.weight, pre_logits.fc1.weight, head.fc.weight  timm, its first two dense layers as convolutions
//! ```

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

/// What timm calls the dense layers, and what they are called here.
const TIMM: [(&str, &str); 3] = [
    ("pre_logits.fc1.", "classifier.0."),
    ("pre_logits.fc2.", "classifier.3."),
    ("head.fc.", "classifier.6."),
];

/// The parts of a network that names begin with.
const PARTS: [&str; 5] = ["features.", "classifier.", TIMM[0].0, TIMM[1].0, TIMM[2].0];

/// The same tensors under torchvision's names, dense kernels [out, in]; other names stay as they are.
pub(crate) fn torch_names(
    tensors: BTreeMap<String, Tensor>,
) -> Result<BTreeMap<String, Tensor>, TchError> {
    let named = tensors.into_iter().map(|(name, tensor)| {
        let mut name = without_prefix(&name).to_owned();
        for (theirs, ours) in TIMM {
            if let Some(rest) = name.strip_prefix(theirs) {
                name = format!("{ours}{rest}");
            }
        }
        let is_dense = name.starts_with("classifier.") && name.ends_with(".weight");
        match tensor.dim() {
            // [out, C, 7, 7] in memory is [out, C x 7 x 7], as torchvision flattens its pictures.
            4 if is_dense => Ok((name, tensor.f_flatten(1, -1)?)),
            _ => Ok((name, tensor)),
        }
    });
    named.collect()
}

/// Whether a tensor of this name is PyTorch's.
pub(crate) fn is_of_torch(name: &str) -> bool {
    let number = name.split('.').next().unwrap_or_default();
    PARTS.iter().any(|part| name.starts_with(part)) || number.parse::<usize>().is_ok()
}

/// The name from the network's own part on.
fn without_prefix(name: &str) -> &str {
    let begins = |part: &&str| {
        let places = name.match_indices(*part).map(|(place, _)| place);
        let mut own = places.filter(|&place| place == 0 || name[..place].ends_with('.'));
        own.next()
    };
    let begin = PARTS.iter().filter_map(begins).min();
    &name[begin.unwrap_or(0)..]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn names_of_all_writers_become_torchvisions() {
        let renamed = |name: &str, size: &[i64]| {
            let tensor = Tensor::zeros(size, (Kind::Float, Device::Cpu));
            let all = torch_names(BTreeMap::from([(name.to_owned(), tensor)])).unwrap();
            let (name, tensor) = all.into_iter().next().unwrap();
            (name, tensor.size())
        };
        for (name, size, expected, shape) in [
            (
                "features.0.weight",
                &[2, 3, 3, 3][..],
                "features.0.weight",
                &[2, 3, 3, 3][..],
            ),
            ("module.features.10.bias", &[2], "features.10.bias", &[2]),
            (
                "model.base.classifier.6.weight",
                &[5, 4],
                "classifier.6.weight",
                &[5, 4],
            ),
            ("0.weight", &[2, 3, 3, 3], "0.weight", &[2, 3, 3, 3]),
            (
                "pre_logits.fc1.weight",
                &[4, 2, 7, 7],
                "classifier.0.weight",
                &[4, 98],
            ),
            (
                "pre_logits.fc2.weight",
                &[4, 4, 1, 1],
                "classifier.3.weight",
                &[4, 4],
            ),
            ("head.fc.bias", &[5], "classifier.6.bias", &[5]),
            (
                "block1_conv1/kernel",
                &[3, 3, 3, 2],
                "block1_conv1/kernel",
                &[3, 3, 3, 2],
            ),
            (
                "my_features.0.weight",
                &[2, 3, 3, 3],
                "my_features.0.weight",
                &[2, 3, 3, 3],
            ),
        ] {
            assert_eq!(renamed(name, size), (expected.to_owned(), shape.to_vec()));
            let is_keras = name.starts_with("block") || name.starts_with("my_");
            assert_eq!(is_of_torch(expected), !is_keras, "{name}");
        }
    }
}
