"""Opens a file that Classifier::save wrote: Python's safetensors, torchvision's VGG16."""

import json

import numpy as np
import safetensors
import safetensors.torch
import torch
import torchvision
from PIL import Image


def load(path):
    """torchvision's convolutions with the file's weights, all its tensors, its size and class names."""
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = {key: json.loads(file.metadata()[key]) for key in file.metadata() if key != "kind"}
    base = torchvision.models.vgg16().features
    prefix = "features."
    # Strict: every name of torchvision's must be there, and no other.
    base.load_state_dict(
        {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    )
    return base, tensors, metadata


def pixels(pictures, size, kind=torch.float32):
    """Pictures as the model takes them, [N, 3, size, size] from 0 to 1."""
    load = lambda path: np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.NEAREST))
    return torch.from_numpy(np.stack([load(path) for path in pictures])).permute(0, 3, 1, 2).to(kind) / 255


def logits(tensors, output):
    """What the head makes of the base's output [N, C, h, w], flattened in (H, W, C) order as in Keras."""
    linear = torch.nn.functional.linear
    rows = output.permute(0, 2, 3, 1).flatten(1)
    rows = torch.relu(linear(rows, tensors["dense.weight"], tensors["dense.bias"]))
    return linear(rows, tensors["dense_1.weight"], tensors["dense_1.bias"])
