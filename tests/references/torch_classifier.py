"""Opens a file that Classifier::save wrote with Python's safetensors and torchvision's VGG16, and prints
the probability of each class for each picture: python torch_classifier.py MODEL PICTURE...
"""

import json
import sys

import numpy as np
import safetensors
import safetensors.torch
import torch
import torchvision
from PIL import Image


def main(path, pictures):
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    size, classes = json.loads(metadata["size"]), json.loads(metadata["classes"])
    base = torchvision.models.vgg16().features
    prefix = "features."
    # Strict: every name of torchvision's must be there, and no other.
    base.load_state_dict(
        {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    )
    load = lambda path: np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.NEAREST))
    pixels = torch.from_numpy(np.stack([load(path) for path in pictures])).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        # (H, W, C) order, as Keras flattens.
        x = base(pixels).permute(0, 2, 3, 1).flatten(1)
        x = torch.relu(torch.nn.functional.linear(x, tensors["dense.weight"], tensors["dense.bias"]))
        x = torch.nn.functional.linear(x, tensors["dense_1.weight"], tensors["dense_1.bias"])
        if len(classes) == 2:
            second = torch.sigmoid(x)
            probabilities = torch.cat([1 - second, second], 1)
        else:
            probabilities = torch.softmax(x, 1)
    history = json.loads(metadata["history"])
    print(
        json.dumps(
            {
                "classes": classes,
                "trainable_from": json.loads(metadata["trainable_from"]),
                "epochs": len(history["epochs"]),
                "probabilities": probabilities.tolist(),
            }
        )
    )


main(sys.argv[1], sys.argv[2:])
