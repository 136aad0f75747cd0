"""Runs an ONNX file in onnxruntime as its user would: python onnx_model.py MODEL INPUT...

The inputs are pictures, which Pillow resizes as the file's metadata says, or one safetensors file with the model's
input under its name. Prints what the file says of itself and its outputs, as JSON.
"""

import json
import sys

import numpy as np
import onnxruntime
import safetensors.numpy
from PIL import Image


def pixels(paths, metadata):
    size = int(metadata["size"])
    how = getattr(Image, json.loads(metadata["interpolation"]).upper())
    pictures = [Image.open(path).convert("RGB").resize((size, size), how) for path in paths]
    return np.stack([np.asarray(picture) for picture in pictures])


def main(path, *inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta()
    [taken] = session.get_inputs()
    if inputs[0].endswith(".safetensors"):
        values = safetensors.numpy.load_file(inputs[0])[taken.name]
    else:
        values = pixels(inputs, about.custom_metadata_map)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {taken.name: values})))
    described = {
        value.name: [value.type, value.shape] for value in [taken, *session.get_outputs()]
    }
    print(
        json.dumps(
            {
                "metadata": about.custom_metadata_map,
                "producer": about.producer_name,
                "description": about.description,
                "values": described,
                "outputs": {name: output.tolist() for name, output in outputs.items()},
            }
        )
    )


main(*sys.argv[1:])
