"""What torchvision's VGG16 makes of a picture, layer by layer: python torch_maps.py MODEL PICTURE OUT

MODEL is a file that Classifier::save wrote. OUT gets the output of each convolution (after its ReLU)
and each pooling, (H, W, C), under Keras' names, and each kernel as `NAME kernel`, (3, 3, in, out).
"""

import json
import sys

import numpy as np
import safetensors
import safetensors.torch
import torch
import torchvision
from PIL import Image


def main(path, picture, out):
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        size = json.loads(file.metadata()["size"])
    base = torchvision.models.vgg16().features
    prefix = "features."
    base.load_state_dict(
        {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    )
    picture = np.asarray(Image.open(picture).convert("RGB").resize((size, size), Image.NEAREST))
    x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    block, number, results = 1, 0, {}
    with torch.no_grad():
        for layer in base:
            x = layer(x)
            if isinstance(layer, torch.nn.Conv2d):
                number += 1
                kernel = layer.weight.permute(2, 3, 1, 0).contiguous()
                results[f"block{block}_conv{number} kernel"] = kernel
            elif isinstance(layer, torch.nn.ReLU):
                results[f"block{block}_conv{number}"] = x[0].permute(1, 2, 0).contiguous().clone()
            else:
                results[f"block{block}_pool"] = x[0].permute(1, 2, 0).contiguous().clone()
                block, number = block + 1, 0
    safetensors.torch.save_file(results, out)


main(*sys.argv[1:])
