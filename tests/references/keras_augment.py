"""Lets Keras' ImageDataGenerator transform pictures or draw transforms.

    python keras_augment.py apply CASES PICTURES OUT
    python keras_augment.py draw OPTIONS

CASES is a JSON list of {picture, fill, value, transform}: the name of a tensor (H, W, 3) in the
safetensors file PICTURES, fill mode, its constant, and the arguments of `apply_transform`. OUT gets
the results as f32, (H, W, 3), named by their number in the list.

OPTIONS is a JSON list of {n, height, width, arguments}; prints a JSON list with, for each, the `n`
values of each parameter that `get_random_transform` drew.
"""

import json
import pathlib
import sys

import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from safetensors.numpy import load_file, save_file


def apply(cases, pictures, out):
    pictures = load_file(pictures)
    results = {}
    for number, case in enumerate(json.loads(pathlib.Path(cases).read_text())):
        generator = ImageDataGenerator(
            fill_mode=case["fill"], cval=case["value"], data_format="channels_last"
        )
        # What the iterators hand over: f32 from 0 to 255.
        picture = pictures[case["picture"]].astype("float32")
        result = generator.apply_transform(picture, case["transform"])
        results[str(number)] = np.ascontiguousarray(result, dtype="float32")
    save_file(results, out)


def draw(options):
    np.random.seed(0)
    results = []
    for option in json.loads(pathlib.Path(options).read_text()):
        generator = ImageDataGenerator(data_format="channels_last", **option["arguments"])
        shape = option["height"], option["width"], 3
        drawn = [generator.get_random_transform(shape) for _ in range(option["n"])]
        results.append({name: [float(one[name] or 0) for one in drawn] for name in drawn[0]})
    print(json.dumps(results))


{"apply": apply, "draw": draw}[sys.argv[1]](*sys.argv[2:])
