"""Writes seeded VGG weights in every kind of file that `Weights::load` reads or has a word for.

    python weights.py OUTDIR [--with-top] [--arch vgg16|vgg19] [--only NAME,NAME]

Each file is written by the program that people's files come from: Keras, its writer of the old .h5
layout, PyTorch with torchvision's names, safetensors. Only the official files' layout, which no
current program writes, is laid out by hand with h5py.
"""

import argparse
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
import torchvision
from keras.src.legacy.saving import legacy_h5_format

import seeded


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--with-top", action="store_true")
    parser.add_argument("--arch", choices=seeded.BLOCKS, default="vgg16")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", help="names of the files to write, with commas")
    return parser.parse_args()


def official_h5(path, weights, variable_length=False):
    """The layout of the files under keras-applications: `layer_names` and `block1_conv1_W_1:0`."""

    def strings(values):
        if variable_length:
            return np.array(values, dtype=h5py.string_dtype())
        return np.array([value.encode() for value in values])

    # All layers in the model's order; those without weights have their place in `layer_names` too.
    names = ["input_1"]
    for name in weights:
        if names[-1] != "input_1" and names[-1].split("_")[0] != name.split("_")[0]:
            if names[-1].startswith("block"):
                names.append(names[-1].split("_")[0] + "_pool")
            if name == "fc1":
                names.append("flatten")
        names.append(name)
    if "fc1" not in weights:
        names.append("block5_pool")
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["layer_names"] = strings(names)
        for name in names:
            group = file.create_group(name)
            if name not in weights:
                group.attrs["weight_names"] = np.array([])
                continue
            inside = [f"{name}_W_1:0", f"{name}_b_1:0"]
            group.attrs["weight_names"] = strings(inside)
            for dataset, value in zip(inside, weights[name]):
                group.create_dataset(dataset, data=value)


def keras_model(args, weights, renamed=False):
    build = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[args.arch]
    size = 224 if args.with_top else 150
    keras.backend.clear_session()
    model = build(weights=None, include_top=args.with_top, input_shape=(size, size, 3))
    if renamed:
        # What a model built by hand is called: conv2d, conv2d_1, ...
        keras.backend.clear_session()

        def without_name(layer):
            config = layer.get_config()
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
                config.pop("name")
            return layer.__class__.from_config(config)

        model = keras.models.clone_model(model, clone_function=without_name)
    model.set_weights([tensor for pair in weights.values() for tensor in pair])
    return model


def nested(base):
    """The lesson's end-to-end model: the base as one layer, flatten, two dense layers."""
    stack = [keras.layers.Flatten(), keras.layers.Dense(256, activation="relu")]
    return keras.Sequential([keras.Input((150, 150, 3)), base, *stack, keras.layers.Dense(1)])


def torch_weights(args, weights, dtype=torch.float32):
    """torchvision's state dict. Its first dense layer reads (C, H, W), Keras' reads (H, W, C)."""
    with torch.device("meta"):
        model = getattr(torchvision.models, args.arch)(weights=None)
    keys = [key.removesuffix(".weight") for key in model.state_dict() if key.endswith(".weight")]
    state = {}
    for key, (name, (kernel, bias)) in zip(keys, weights.items()):
        if kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1)
        elif name == "fc1":
            kernel = kernel.reshape(7, 7, 512, -1).transpose(3, 2, 0, 1).reshape(-1, 7 * 7 * 512)
        else:
            kernel = kernel.T
        kernel = torch.from_numpy(np.ascontiguousarray(kernel))
        state[f"{key}.weight"] = kernel.to(dtype)
        state[f"{key}.bias"] = torch.from_numpy(bias).to(dtype)
    return state


def as_timm_names(state):
    """timm's VGG: its first two dense layers are convolutions."""
    names = {
        "classifier.0": ("pre_logits.fc1", 7),
        "classifier.3": ("pre_logits.fc2", 1),
        "classifier.6": ("head.fc", 0),
    }
    renamed = {}
    for key, value in state.items():
        layer, part = key.rsplit(".", 1)
        layer, side = names.get(layer, (layer, 0))
        if side and part == "weight":
            value = value.reshape(value.shape[0], -1, side, side)
        renamed[f"{layer}.{part}"] = value
    return renamed


def with_batch_normalised_head(state):
    """A head of somebody's own on torchvision's convolutions."""
    head = torch.nn.Sequential(torch.nn.Linear(512, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    return state | {f"classifier.{key}": value for key, value in head.state_dict().items()}


def not_finite(state):
    """The same with a number that is none, and one that is too large."""
    changed = {key: value.clone() for key, value in state.items()}
    changed["features.5.weight"].view(-1)[:2] = torch.tensor([float("nan"), float("inf")])
    return changed


def torch_script(path, state):
    """A TorchScript archive with parameters of these names, which is what tch's .ot files are."""
    root = torch.nn.Module()
    for key, value in state.items():
        module, *parents = root, *key.split(".")
        for part in parents[:-1]:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_parameter(parents[-1], torch.nn.Parameter(value))
    torch.jit.script(root).save(path)


def main():
    args = arguments()
    args.folder.mkdir(parents=True, exist_ok=True)
    weights = seeded.weights(args.seed, args.arch, args.with_top)

    def legacy(model, path):
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)

    def cast(path, dtype):
        """The official layout with other numbers in it."""
        official_h5(path, {n: tuple(t.astype(dtype) for t in pair) for n, pair in weights.items()})

    def compressed(path):
        official_h5(path.with_suffix(".plain"), weights)
        with h5py.File(path.with_suffix(".plain")) as plain, h5py.File(path, "w") as file:
            file.attrs["layer_names"] = plain.attrs["layer_names"]
            for name in plain:
                group = file.create_group(name)
                group.attrs["weight_names"] = plain[name].attrs["weight_names"]
                for key in plain[name]:
                    group.create_dataset(key, data=plain[name][key][()], compression="gzip")
        path.with_suffix(".plain").unlink()

    def cyclic(path):
        """Groups that lead back to themselves, as a damaged link can."""
        with h5py.File(path, "w") as file:
            inner = file.create_group("layers/conv2d")
            inner["again"] = file["layers"]

    def claims(path, shape, chunks=None, padding=0, times=1):
        """A kernel that was never written, so that it takes no room: readers see zeros of this shape."""
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"block1_conv1"]
            group = file.create_group("block1_conv1")
            group.attrs["weight_names"] = [b"block1_conv1_W_1:0"] * times
            group.create_dataset("block1_conv1_W_1:0", shape, np.float32, chunks=chunks)
            file["padding"] = np.zeros(padding, np.uint8)

    def in_parts(path):
        """What huggingface_hub's `save_torch_state_dict` makes of a large model: whole tensors, shared out."""
        state = list(torch_weights(args, weights).items())
        for number, part in enumerate([state[:11], state[11:]], 1):
            safetensors.torch.save_file(dict(part), path.with_name(f"model-{number:05}-of-00002.safetensors"))

    def as_keras_names(kernel, bias):
        named = {}
        for name, pair in weights.items():
            named |= {name + kernel: pair[0], name + bias: pair[1]}
        return named

    def whole(path):
        model = keras_model(args, weights)
        model.compile("rmsprop", "mse")
        model.save(path)

    def nested_legacy(path):
        legacy(nested(keras_model(args, weights)), path)

    files = {
        # Keras, old layout: as the official files, then with the variations seen in the wild.
        "official.h5": lambda p: official_h5(p, weights),
        "official_variable_length.h5": lambda p: official_h5(p, weights, variable_length=True),
        "official_compressed.h5": compressed,
        "official_f16.h5": lambda p: cast(p, np.float16),
        "official_f64.h5": lambda p: cast(p, np.float64),
        "official_big_endian.h5": lambda p: cast(p, ">f4"),
        "legacy.h5": lambda p: legacy(keras_model(args, weights), p),
        "legacy_renamed.h5": lambda p: legacy(keras_model(args, weights, renamed=True), p),
        "legacy_whole.h5": whole,
        # Keras 3.
        "keras3.weights.h5": lambda p: keras_model(args, weights).save_weights(p),
        "keras3_renamed.weights.h5": lambda p: keras_model(args, weights, True).save_weights(p),
        "cyclic.weights.h5": cyclic,
        # 256 kB in a file of 14; more values than any layer has, and many times a few.
        "claims.h5": lambda p: claims(p, (128, 512), None, 10_000),
        "claims_in_chunks.h5": lambda p: claims(p, (25_089, 4_096), (512, 512), 10_000_000),
        "claims_much.h5": lambda p: claims(p, (1 << 20, 1 << 20)),
        "claims_often.h5": lambda p: claims(p, (4_096, 4_096), (512, 512), 10_000_000, 100),
        "whole_model.keras": lambda p: keras_model(args, weights).save(p),
        # torchvision's names.
        "torchvision.safetensors": lambda p: safetensors.torch.save_file(
            torch_weights(args, weights), p
        ),
        "torchvision_bf16.safetensors": lambda p: safetensors.torch.save_file(
            torch_weights(args, weights, torch.bfloat16), p
        ),
        # The same under the names of others.
        "timm.safetensors": lambda p: safetensors.torch.save_file(
            as_timm_names(torch_weights(args, weights)), p
        ),
        "prefixed.safetensors": lambda p: safetensors.torch.save_file(
            {f"module.model.{key}": value for key, value in torch_weights(args, weights).items()}, p
        ),
        "model-00001-of-00002.safetensors": in_parts,
        "features_alone.safetensors": lambda p: safetensors.torch.save_file(
            {
                key.removeprefix("features."): value
                for key, value in torch_weights(args, weights).items()
                if key.startswith("features.")
            },
            p,
        ),
        "batch_normalised_head.safetensors": lambda p: safetensors.torch.save_file(
            with_batch_normalised_head(torch_weights(args, weights)), p
        ),
        "not_finite.safetensors": lambda p: safetensors.torch.save_file(
            not_finite(torch_weights(args, weights)), p
        ),
        "not_finite.ot": lambda p: torch_script(p, not_finite(torch_weights(args, weights))),
        "not_finite.h5": lambda p: official_h5(
            p,
            weights
            | {"block3_conv1": (weights["block3_conv1"][0] * np.float32("nan"), weights["block3_conv1"][1])},
        ),
        "torchvision.ot": lambda p: torch_script(p, torch_weights(args, weights)),
        "torchvision.pth": lambda p: torch.save(torch_weights(args, weights), p),
        "torchvision_old.pth": lambda p: torch.save(
            torch_weights(args, weights), p, _use_new_zipfile_serialization=False
        ),
        # Keras' names in safetensors.
        "keras_slash.safetensors": lambda p: safetensors.numpy.save_file(
            as_keras_names("/kernel", "/bias"), p
        ),
        "keras_dot.safetensors": lambda p: safetensors.numpy.save_file(
            as_keras_names(".kernel", ".bias"), p
        ),
    }
    if not args.with_top:
        files |= {
            "nested.h5": nested_legacy,
            "nested.weights.h5": lambda p: nested(keras_model(args, weights)).save_weights(p),
        }
    wanted = args.only.split(",") if args.only else files
    for name in wanted:
        files[name](args.folder / name)
        print(name)


if __name__ == "__main__":
    main()
