"""NumPy's twin of `Weights::seeded`: the same pretend weights, bit for bit.

Tensor number t of a network (kernel and bias of each layer in turn: 0, 1, 2, ...) has a SplitMix64
generator of its own, seeded with output number t of SplitMix64(seed). Element number i, in Keras'
order of axes, is made from output number i: its upper 24 bits, spread over [-limit, limit).

limit = sqrt(6 / fan_in) for kernels (He's uniform rule, which keeps the scale of activations
through any number of relu layers) and 0.05 for biases (so that a misplaced bias shows).
"""

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
BIAS_LIMIT = 0.05

# Channels per convolution, block by block, as in Simonyan and Zisserman's table.
BLOCKS = {
    "vgg16": [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    "vgg19": [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}
TOP = [("fc1", (7 * 7 * 512, 4096)), ("fc2", (4096, 4096)), ("predictions", (4096, 1000))]


def splitmix64(seed, first, count):
    """Outputs number first .. first + count of SplitMix64(seed), as uint64."""
    with np.errstate(over="ignore"):
        step = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        z = np.uint64(seed) + GOLDEN * step
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed, position, shape, limit):
    """Tensor number `position`: float32 in [-limit, limit)."""
    own_seed = splitmix64(seed, position, 1)[0]
    bits = splitmix64(own_seed, 0, int(np.prod(shape))) >> np.uint64(40)
    # Exact in float32 up to the last product: 24 bits fill its significand.
    unit = (bits.astype(np.int64) - 2**23).astype(np.float32) * np.float32(2.0**-23)
    return (unit * np.float32(limit)).reshape(shape)


def layers(arch="vgg16", with_top=False):
    """(name, kernel shape in Keras' order) of each layer that has weights."""
    found, channels = [], 3
    for block, outputs in enumerate(BLOCKS[arch], 1):
        for number, output in enumerate(outputs, 1):
            found.append((f"block{block}_conv{number}", (3, 3, channels, output)))
            channels = output
    return found + (TOP if with_top else [])


def weights(seed=7, arch="vgg16", with_top=False):
    """{layer name: (kernel, bias)}, in the network's order."""
    made = {}
    for index, (name, shape) in enumerate(layers(arch, with_top)):
        limit = np.sqrt(6.0 / np.prod(shape[:-1]))
        kernel = uniform(seed, 2 * index, shape, limit)
        made[name] = (kernel, uniform(seed, 2 * index + 1, shape[-1:], BIAS_LIMIT))
    return made
