"""Writes small files of every kind that is read here, for tests that damage them.

    python small_files.py OUTDIR

Weight files in Keras' HDF5 layouts, stored in every way that h5py has; what is in them is no network.
"""

import pathlib
import sys

import h5py
import numpy as np

KERNEL = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4) / 72
BIAS = np.arange(4, dtype=np.float32)
STORED = {
    "plain": {},
    "gzip": {"chunks": (3, 3, 2, 2), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "half": {"dtype": np.float16},
    "double": {"dtype": ">f8"},
}


def with_layer_names(path, options, libver):
    """Keras' old layout: `layer_names`, and `weight_names` of each layer."""
    with h5py.File(path, "w", libver=libver) as file:
        file.attrs["layer_names"] = np.array([b"input_1", b"block1_conv1", b"block1_conv2"])
        file.create_group("input_1").attrs["weight_names"] = np.array([])
        for name in ["block1_conv1", "block1_conv2"]:
            group = file.create_group(name)
            inside = [f"{name}_W_1:0", f"{name}_b_1:0"]
            group.attrs["weight_names"] = np.array([text.encode() for text in inside])
            group.create_dataset(inside[0], data=KERNEL, **options)
            group.create_dataset(inside[1], data=BIAS)


def with_vars(path, options, libver):
    """Keras 3's layout: groups in groups, the tensors as `vars/0` and `vars/1`."""
    with h5py.File(path, "w", libver=libver) as file:
        for name, own in [("conv2d", "block1_conv1"), ("conv2d_1", "block1_conv2")]:
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = own
            group.create_dataset("0", data=KERNEL, **options)
            group.create_dataset("1", data=BIAS)


def main(folder):
    for libver in ["earliest", "latest"]:
        for name, options in STORED.items():
            with_layer_names(folder / f"{libver}_{name}.h5", options, libver)
            with_vars(folder / f"{libver}_{name}.weights.h5", options, libver)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
