"""Opens a file that Classifier::save wrote with Python's safetensors and torchvision's VGG16, and prints
the probability of each class for each picture: python torch_classifier.py MODEL PICTURE...
"""

import json
import sys

import torch

import saved_model


def main(path, pictures):
    base, tensors, metadata = saved_model.load(path)
    with torch.no_grad():
        x = saved_model.logits(tensors, base(saved_model.pixels(pictures, metadata["size"])))
        if len(metadata["classes"]) == 2:
            second = torch.sigmoid(x)
            probabilities = torch.cat([1 - second, second], 1)
        else:
            probabilities = torch.softmax(x, 1)
    report = {
        "classes": metadata["classes"],
        "trainable_from": metadata["trainable_from"],
        "epochs": len(metadata["history"]["epochs"]),
        "probabilities": probabilities.tolist(),
    }
    print(json.dumps(report))


main(sys.argv[1], sys.argv[2:])
