"""Grad-CAM and Grad-CAM++ by PyTorch's autograd.

    python torch_cam.py MODEL PICTURE LAYER...
    python torch_cam.py --top SEED CLASS PICTURE LAYER...

MODEL is a file that Classifier::save wrote for two classes or more; with --top it is torchvision's whole
VGG16 with the weights of SEED, and of its classes the most probable one and number CLASS are asked for.
Prints a JSON list, for each LAYER (Keras' name of a convolution or pooling) and each class, of the class's
probability and both maps, scaled so that the largest value is 1 (all zeros stay).
"""

import json
import sys

import numpy as np
import torch

import saved_model
import whole_vgg


def named_layers(base):
    """Keras' name of each module's output; the output of a convolution is that of its ReLU."""
    block, number = 1, 0
    for index, layer in enumerate(base):
        if isinstance(layer, torch.nn.ReLU):
            number += 1
            yield f"block{block}_conv{number}", index
        elif isinstance(layer, torch.nn.MaxPool2d):
            yield f"block{block}_pool", index
            block, number = block + 1, 0


def scaled(cam):
    cam = np.maximum(cam, 0)
    return (cam / cam.max() if cam.max() > 0 else cam).tolist()


def grad_cam(a, g):
    """Selvaraju et al. 2017: alpha_k is the mean of the gradient over places."""
    return sum(g[k].mean() * a[k] for k in range(len(a)))


def grad_cam_plus_plus(a, g):
    """Chattopadhay et al. 2018, equation 19 for the shares of places, 10 for the weights."""
    total = 0
    for k in range(len(a)):
        divisor = 2 * g[k] ** 2 + a[k].sum() * g[k] ** 3
        shares = np.divide(g[k] ** 2, divisor + 1e-6)
        total = total + (shares * np.maximum(g[k], 0)).sum() * a[k]
    return total


def score_of_head(logits, number):
    """Two classes have one logit, the second one's; more have one each."""
    if len(logits) > 1:
        return logits[number], torch.softmax(logits, 0)[number]
    score = logits[0] if number == 1 else -logits[0]
    return score, torch.sigmoid(score)


def maps(base, logits_of, pixels, layers, classes):
    """`classes` maps numbers to names."""
    for module in base:
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    places = dict(named_layers(base))
    results = []
    for name in layers:
        for number in classes:
            x = pixels
            for index, module in enumerate(base):
                x = module(x)
                if index == places[name]:
                    x.retain_grad()
                    output = x
            score, probability = score_of_head(logits_of(x)[0], number)
            score.backward()
            a, g = output.detach()[0].double().numpy(), output.grad[0].double().numpy()
            results.append(
                {
                    "layer": name,
                    "class": classes[number],
                    "probability": probability.item(),
                    "plain": scaled(grad_cam(a, g)),
                    "plus_plus": scaled(grad_cam_plus_plus(a, g)),
                }
            )
    print(json.dumps(results))


def of_file(path, picture, *layers):
    base, tensors, metadata = saved_model.load(path)
    pixels = saved_model.pixels([picture], metadata["size"])
    logits_of = lambda x: saved_model.logits(tensors, x)
    maps(base, logits_of, pixels, layers, dict(enumerate(metadata["classes"])))


def of_whole(seed, number, picture, *layers):
    model = whole_vgg.seeded_vgg16(int(seed))
    pixels = saved_model.pixels([picture], 224)
    with torch.no_grad():
        most = model(pixels)[0].argmax().item()
    logits_of = lambda x: model.classifier(model.avgpool(x).flatten(1))
    maps(model.features, logits_of, pixels, layers, {n: f"class {n}" for n in (most, int(number))})


if sys.argv[1] == "--top":
    of_whole(*sys.argv[2:])
else:
    of_file(*sys.argv[1:])
