"""Writes seeded weights of a residual network or of InceptionV3 as Keras' own programs write them.

    python network_files.py OUTDIR NAME SEED FILE,FILE

Files: `old.h5`, the layout of the official files; `keras3.weights.h5`; `nested.h5`, the whole as one layer of a
larger model, in the old layout; `late.h5` and `late.weights.h5`, written in a session in which other layers had
been made before, so that automatic names go on counting.
"""

import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
from keras.src.legacy.saving import legacy_h5_format

import networks


def legacy(model, path):
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def main():
    folder, name, seed, files = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    size = networks.NETWORKS[name][1]
    model = networks.network(name, size, seed)
    for file in files.split(","):
        path = folder / file
        if file == "nested.h5":
            model.trainable = True
            stack = [keras.Input((size, size, 3)), model, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)]
            legacy(keras.Sequential(stack), path)
            continue
        written = model
        if file.startswith("late"):
            # As `built`, without forgetting what came before.
            entrance = keras.Input((size, size, 3))
            build = getattr(keras.applications, networks.NETWORKS[name][0])
            written = networks.fill(build(weights=None, include_top=False, input_tensor=entrance), seed)
        if file.endswith(".weights.h5"):
            written.save_weights(path)
        else:
            legacy(written, path)


main()
