"""Gradient ascent towards a filter by PyTorch's autograd in double precision, a filter at a time.

    python torch_ascent.py MODEL START OUT LAYER COUNTS FILTER...

MODEL is a file that Classifier::save wrote, START a safetensors file whose tensor `start` is (N, H, W, 3),
a picture for each FILTER; LAYER is Keras' name of a convolution or pooling, COUNTS are numbers of steps
with commas. OUT gets, for each count, the pixels after so many steps as `COUNT`, the mean of the filter's
map there as `COUNT height`, and what is shown of the pixels as `COUNT shown`. The steps climb the mean of a
convolution's values before its ReLU; the height is that of its output.
"""

import sys

import numpy as np
import safetensors.torch
import torch

import saved_model


def scaled(pixels, scaling):
    """[1, 3, H, W], 0 to 255, as the weights want it."""
    column = lambda values: torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1)
    if scaling == "unit":
        return pixels / 255
    if scaling == "caffe":
        return pixels.flip(1) - column([103.939, 116.779, 123.68])
    return (pixels / 255 - column([0.485, 0.456, 0.406])) / column([0.229, 0.224, 0.225])


def heights(base, layer, pixels, scaling, number):
    """The means of the map of filter `number`: of a convolution's before its ReLU, and of the output."""
    x, block, conv = scaled(pixels, scaling), 1, 0
    for module in base:
        sums = x
        x = torch.relu(x) if isinstance(module, torch.nn.ReLU) else module(x)
        if isinstance(module, torch.nn.ReLU):
            conv += 1
            name = f"block{block}_conv{conv}"
        elif isinstance(module, torch.nn.MaxPool2d):
            name = f"block{block}_pool"
            block, conv = block + 1, 0
        else:
            continue
        if name == layer:
            climbed = sums if isinstance(module, torch.nn.ReLU) else x
            return climbed[0, number].mean(), x[0, number].mean()
    raise SystemExit(f"no layer {layer}")


def shown(x):
    """Chollet's way to show it: centred on 0.5 with a deviation of 0.1."""
    x = (x - x.mean()) / (x.std() + 1e-5) * 0.1 + 0.5
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)


def main(path, start, out, layer, counts, *numbers):
    base, _, metadata = saved_model.load(path)
    base, scaling = base.double(), metadata["origin"]["scaling"]
    start = safetensors.torch.load_file(start)["start"].double()
    counts = [int(count) for count in counts.split(",")]
    results = {count: [] for count in counts}
    for picture, number in zip(start, map(int, numbers), strict=True):
        pixels = picture.permute(2, 0, 1)[None].clone()
        for count in range(max(counts) + 1):
            pixels = pixels.detach().requires_grad_()
            up, height = heights(base, layer, pixels, scaling, number)
            if count in counts:
                results[count].append((pixels.detach()[0].permute(1, 2, 0).contiguous(), height.item()))
            (gradient,) = torch.autograd.grad(up, pixels)
            size = gradient.square().mean().sqrt()
            pixels = pixels + (gradient / size if size > 0 else 0)
    tensors = {}
    for count, found in results.items():
        tensors[f"{count}"] = torch.stack([pixels for pixels, _ in found])
        tensors[f"{count} height"] = torch.tensor([up for _, up in found], dtype=torch.float64)
        tensors[f"{count} shown"] = torch.stack([torch.from_numpy(shown(p.numpy())) for p, _ in found])
    safetensors.torch.save_file(tensors, out)


main(*sys.argv[1:])
