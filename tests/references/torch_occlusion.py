"""Occlusion maps by PyTorch, a square at a time.

    python torch_occlusion.py MODEL PICTURE PATCH STRIDE
    python torch_occlusion.py --top SEED CLASS PICTURE PATCH STRIDE

MODEL is a file that Classifier::save wrote, computed in double precision; with --top it is torchvision's whole VGG16 with the weights of
SEED, and number CLASS is the only class that is asked for. Prints a JSON list, for each class, of its
probability and of the map: for each pixel the mean of the probability lost over all squares that hold it.
"""

import json
import sys

import numpy as np
import torch

import saved_model
import whole_vgg


def probabilities(logits):
    if len(logits) == 1:
        return torch.stack([torch.sigmoid(-logits[0]), torch.sigmoid(logits[0])])
    return torch.softmax(logits, 0)


def maps(answer, pixels, patch, stride, classes):
    """`classes` maps numbers to names; `answer` gives the logits of pixels [1, 3, H, W] from 0 to 1."""
    size = pixels.shape[-1]
    with torch.no_grad():
        whole = probabilities(answer(pixels)[0])
        squares, start = [], 0
        while True:
            squares.append(start)
            if start + patch >= size:
                break
            start += stride
        lost = {}
        for y in squares:
            for x in squares:
                covered = pixels.clone()
                covered[:, :, y : y + patch, x : x + patch] = 127 / 255
                lost[y, x] = (whole - probabilities(answer(covered)[0])).numpy()
    total = np.zeros((size, size, len(whole)))
    for y in range(size):
        for x in range(size):
            over = [v for (a, b), v in lost.items() if a <= y < a + patch and b <= x < b + patch]
            total[y, x] = np.mean(over, axis=0)
    print(
        json.dumps(
            [
                {"class": classes[n], "probability": whole[n].item(), "map": total[:, :, n].tolist()}
                for n in classes
            ]
        )
    )


def of_file(path, picture, patch, stride):
    base, tensors, metadata = saved_model.load(path)
    tensors = {name: tensor.double() for name, tensor in tensors.items()}
    base = base.double()
    answer = lambda x: saved_model.logits(tensors, base(x))
    pixels = saved_model.pixels([picture], metadata["size"], torch.float64)
    maps(answer, pixels, int(patch), int(stride), dict(enumerate(metadata["classes"])))


def of_whole(seed, number, picture, patch, stride):
    model = whole_vgg.seeded_vgg16(int(seed))
    pixels = saved_model.pixels([picture], 224)
    maps(model, pixels, int(patch), int(stride), {int(number): f"class {number}"})


if sys.argv[1] == "--top":
    of_whole(*sys.argv[2:])
else:
    of_file(*sys.argv[1:])
