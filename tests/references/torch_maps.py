"""What torchvision's VGG16 makes of a picture, layer by layer: python torch_maps.py MODEL PICTURE OUT

MODEL is a file that Classifier::save wrote. OUT gets the output of each convolution (after its ReLU)
and each pooling, (H, W, C), under Keras' names, and each kernel as `NAME kernel`, (3, 3, in, out).
"""

import sys

import safetensors.torch
import torch

import saved_model


def main(path, picture, out):
    base, _, metadata = saved_model.load(path)
    x = saved_model.pixels([picture], metadata["size"])
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
