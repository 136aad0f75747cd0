"""Keras' residual networks and InceptionV3 with seeded weights.

The weights are those of `Weights::seeded`, bit for bit: tensor number t of all those that a network has, layer
by layer in Keras' order, is uniform around 0, or around 1 for what batch normalisation multiplies with and
divides by. Kernels are within sqrt(6 / fan_in), divided by the root of the number of additions where an
addition takes their outputs as its last input, through a normalisation or not; all else within 0.05.
"""

import keras
import numpy as np

import seeded

# Name: (function, side of the smaller pictures, side with the top, mode of preprocess_input, five layers).
NETWORKS = {
    "resnet50": ("ResNet50", 64, 224, "caffe"),
    "resnet101": ("ResNet101", 64, 224, "caffe"),
    "resnet152": ("ResNet152", 64, 224, "caffe"),
    "resnet50v2": ("ResNet50V2", 64, 224, "tf"),
    "resnet101v2": ("ResNet101V2", 64, 224, "tf"),
    "resnet152v2": ("ResNet152V2", 64, 224, "tf"),
    "inception_v3": ("InceptionV3", 96, 299, "tf"),
}
# What is looked at on the way: beginnings, ends and parts of blocks.
TAPS = {
    "caffe": ["conv1_conv", "conv2_block1_0_bn", "conv3_block2_2_relu", "conv4_block1_add", "conv5_block3_out"],
    "tf": ["conv1_conv", "pool1_pool", "conv2_block3_out", "conv4_block2_1_bn", "post_relu"],
    "inception_v3": ["conv2d_4", "average_pooling2d", "mixed2", "mixed8", "mixed9_1"],
}


def taps(name):
    return TAPS.get(name) or TAPS[NETWORKS[name][3]]


def built(name, size, with_top=False):
    """The network without its numbers; its input is called as in the lesson."""
    keras.backend.clear_session()
    entrance = keras.Input((size, size, 3), name="input_1")
    build = getattr(keras.applications, NETWORKS[name][0])
    return build(weights=None, include_top=with_top, input_tensor=entrance)


def sources(layer):
    """The layers that a layer takes from, in its order."""
    tensors = keras.tree.flatten([node.input_tensors for node in layer._inbound_nodes])
    return [tensor._keras_history[0] for tensor in tensors]


def before_additions(model):
    """The names of the layers whose kernels are made smaller, and by how much."""
    additions = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    names = set()
    for addition in additions:
        last = sources(addition)[-1]
        if isinstance(last, keras.layers.BatchNormalization):
            last = sources(last)[0]
        names.add(last.name)
    return names, np.sqrt(float(max(len(additions), 1)))


def fill(model, seed):
    """Gives the network its seeded weights."""
    names, divisor = before_additions(model)
    number = 0
    for layer in model.layers:
        made = []
        for variable in layer.weights:
            shape, role = tuple(variable.shape), variable.name
            limit = seeded.BIAS_LIMIT
            if role == "kernel":
                limit = np.sqrt(6.0 / np.prod(shape[:-1])) / (divisor if layer.name in names else 1.0)
            values = seeded.uniform(seed, number, shape, limit)
            made.append(values + np.float32(1.0) if role in ("gamma", "moving_variance") else values)
            number += 1
        layer.set_weights(made)
    return model


def network(name, size, seed, with_top=False):
    return fill(built(name, size, with_top), seed)


def scaled(name, pixels):
    """Keras' preprocess_input of the network."""
    mode = NETWORKS[name][3]
    return keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
