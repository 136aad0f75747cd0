"""Golden numbers of the residual networks and InceptionV3: layers, outputs on the way, classes, training steps."""

import keras
import numpy as np
import torch

import golden_network
import networks
import seeded

WEIGHTS_SEED = 17
PLACES_SEED = 37
PLACES = 256
HEAD_SEED = 41
HEAD_UNITS = 16
PICTURE = golden_network.PICTURE
# With the top, and for the steps: one of each family that differs in what it is made of.
WITH_TOP = ["resnet50", "inception_v3"]
# The first layer that learns, and a rate at which the loss moves and does not leap: in inference mode, and where
# normalisation learns.
TRAINED = {
    "resnet50": ("conv5_block1_1_conv", 1e-4, 1e-5),
    "resnet50v2": ("conv5_block1_preact_bn", 1e-4, 1e-4),
    "inception_v3": ("mixed9", 0.1, 1e-3),
}
STEPS = 3
# Where heat maps are made: sizes that leave some places, the last layer, ends of blocks and a convolution in one. Before
# mixed5 the channels of these weights cancel so far that f32 is 3e-4 away from f64.
LOOKED_AT = {
    "resnet50": (96, ["conv3_block4_out", "conv4_block6_2_conv", "conv4_block6_out", "conv5_block3_out"]),
    "inception_v3": (139, ["mixed5", "conv2d_69", "mixed7", "mixed10"]),
}
CLASSES = ["cats", "dogs"]
# How many values of each moving average are kept.
AVERAGES = 4
# As `Dataset::take(4)` has them.
PICTURES = [f"train/{animal}s/{animal}.{number}.jpg" for animal in ("cat", "dog") for number in (0, 1)]


def row(layer):
    """Name, class, shape without the batch, number of parameters, the layers that it takes from."""
    shape = (getattr(layer, "batch_shape", None) or layer.output.shape)[1:]
    taken = [] if isinstance(layer, keras.layers.InputLayer) else networks.sources(layer)
    words = [layer.name, type(layer).__name__, ",".join(map(str, shape)), str(layer.count_params())]
    return " ".join([*words, ",".join(source.name for source in taken)]).strip()


def tables(pictures, samples):
    """Each network's layers without its top; with it, the layers from the last that both have on."""
    found = {}
    for name, (_, size, size_with_top, _) in networks.NETWORKS.items():
        model = networks.built(name, size)
        variables = [model.trainable_weights, model.non_trainable_weights]
        learning, fixed = [sum(int(np.prod(v.shape)) for v in some) for some in variables]
        found[name] = {
            **{"size": size, "parameters": model.count_params(), "learning": learning, "fixed": fixed},
            "layers": [row(layer) for layer in model.layers],
        }
        last = model.layers[-1].name
        whole = networks.built(name, size_with_top, with_top=True)
        names = [layer.name for layer in whole.layers]
        found[f"{name} top"] = {
            **{"size": size_with_top, "parameters": whole.count_params(), "count": len(names)},
            "layers": [row(layer) for layer in whole.layers[names.index(last) :]],
        }
    return found


def outputs(pictures, samples):
    """Some values of five layers and of the output, and what all of them come to, as golden_network.maps has."""
    found = {}
    for name, (_, size, *_) in networks.NETWORKS.items():
        model = networks.network(name, size, WEIGHTS_SEED)
        layers = [model.get_layer(tap) for tap in networks.taps(name)] + [model.layers[-1]]
        values = networks.scaled(name, golden_network.pixels(samples, [PICTURE], size))
        results = keras.Model(model.inputs, [layer.output for layer in layers]).predict(values, verbose=0)
        for number, (layer, result) in enumerate(zip(layers, results, strict=True)):
            own_seed = seeded.splitmix64(PLACES_SEED, number, 1)[0]
            draws = seeded.splitmix64(own_seed, 0, PLACES) >> np.uint64(32)
            places = ((draws * np.uint64(result.size)) >> np.uint64(32)).astype(np.int32)
            key = f"{name} {layer.name}"
            found[f"{key} places"] = places
            found[f"{key} values"] = result.ravel()[places]
            found[f"{key} totals"] = np.array([result.mean(dtype=np.float64), np.abs(result).max()])
    return found


def tops(pictures, samples):
    """The probabilities of whole networks, and the five most probable classes.

    Pixels by 1/255: those of ResNet50's own scaling are so large that random weights leave one class alone.
    """
    found = {}
    for name in WITH_TOP:
        size = networks.NETWORKS[name][2]
        model = networks.network(name, size, WEIGHTS_SEED, with_top=True)
        values = golden_network.pixels(samples, [PICTURE], size) * np.float32(1 / 255)
        probabilities = model.predict(values, verbose=0)[0]
        five = np.argsort(-probabilities, kind="stable")[:5]
        found[name] = {"five": five.tolist(), "probabilities": probabilities.tolist()}
    return found


def opened(name, size, first):
    """The network whose layers from `first` on learn."""
    base = networks.network(name, size, WEIGHTS_SEED)
    is_open = False
    for layer in base.layers:
        is_open = is_open or layer.name == first
        layer.trainable = is_open
    return base


def headed(x):
    """A seeded head of two dense layers on what a base gives: one logit."""
    x = keras.layers.Flatten()(x)
    shapes = [(x.shape[1], HEAD_UNITS), (HEAD_UNITS, 1)]
    for number, (shape, activation) in enumerate(zip(shapes, ("relu", None))):
        layer = keras.layers.Dense(shape[1], activation=activation)
        x = layer(x)
        kernel = seeded.uniform(HEAD_SEED, 2 * number, shape, np.sqrt(6.0 / shape[0]))
        layer.set_weights([kernel, seeded.uniform(HEAD_SEED, 2 * number + 1, shape[1:], seeded.BIAS_LIMIT)])
    return x


def averages(base):
    """What the normalisations that are open have gathered: mean, largest and the first of each average."""
    found = {}
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            for variable in (layer.moving_mean, layer.moving_variance):
                values = keras.ops.convert_to_numpy(variable)
                some = [values.mean(dtype=np.float64), np.abs(values).max(), *values[:AVERAGES]]
                found[f"{layer.name} {variable.name}"] = [float(value) for value in some]
    return found


def steps(pictures, samples):
    """The losses of a base with its last block open and a head, its normalisation in inference mode or learning.

    Each is that before a step; the last is that after all of them, in inference mode.
    """
    found = {"units": HEAD_UNITS, "steps": STEPS}
    for name, (first, *rates) in TRAINED.items():
        size = networks.NETWORKS[name][1]
        pictures_in = golden_network.pixels(samples, PICTURES, size) * np.float32(1 / 255)
        labels = np.array([[0.0], [0.0], [1.0], [1.0]], "float32")
        for learns, rate in zip((False, True), rates):
            base = opened(name, size, first)
            entrance = keras.Input((size, size, 3))
            model = keras.Model(entrance, headed(base(entrance)))
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            optimizer = keras.optimizers.SGD(rate)
            # Not by `fit`: Keras 3.15 hands its `training=True` on to a base that was called with `training=False`.
            forward = lambda training: loss(labels, model(pictures_in, training=training))
            losses = []
            for _ in range(STEPS):
                model.zero_grad()
                value = forward(learns)
                value.backward()
                losses.append(value.item())
                learning = model.trainable_weights
                with torch.no_grad():
                    optimizer.apply([variable.value.grad for variable in learning], learning)
            losses.append(forward(False).item())
            facts = {"size": size, "from": first, "rate": rate, "losses": losses}
            if learns:
                found[f"{name}, normalisation learning"] = {**facts, "averages": averages(base)}
            else:
                found[name] = {**facts, "learning": len(base.trainable_weights)}
    return found


def scaled_map(cam):
    cam = np.maximum(cam, 0)
    return (cam / cam.max() if cam.max() > 0 else cam).ravel().tolist()


def heat_maps(pictures, samples):
    """Grad-CAM and Grad-CAM++ at some layers for each of two classes, by PyTorch's autograd through Keras' layers.

    As golden_network.heat_maps has it, with the weights of places that torch_cam.py has for Grad-CAM++.
    """
    found = {"classes": CLASSES, "units": HEAD_UNITS}
    for name, (size, layers) in LOOKED_AT.items():
        base = networks.network(name, size, WEIGHTS_SEED)
        logit = headed(base.output)
        values = torch.from_numpy(golden_network.pixels(samples, [PICTURE], size) * np.float32(1 / 255))
        maps = []
        for layer in layers:
            model = keras.Model(base.inputs, [base.get_layer(layer).output, logit])
            for number, chosen in enumerate(CLASSES):
                output, logits = model(values, training=False)
                output.retain_grad()
                score = logits[0, 0] if number == 1 else -logits[0, 0]
                score.backward()
                a, g = [x[0].detach().double().numpy() for x in (output, output.grad)]
                divisor = 2 * g**2 + a.sum((0, 1)) * g**3
                shares = g**2 / (divisor + 1e-6)
                weights = (shares * np.maximum(g, 0)).sum((0, 1))
                maps.append(
                    {
                        **{"layer": layer, "class": chosen, "probability": torch.sigmoid(score).item()},
                        "plain": scaled_map((a * g.mean((0, 1))).sum(-1)),
                        "plus_plus": scaled_map((a * weights).sum(-1)),
                    }
                )
        found[name] = {"size": size, "maps": maps}
    return found


FILES = {
    "networks.json": (tables, {}),
    "networks.safetensors": (outputs, {"weights": WEIGHTS_SEED, "places": PLACES_SEED}),
    "network_tops.json": (tops, {"weights": WEIGHTS_SEED}),
    "network_heat_maps.json": (heat_maps, {"weights": WEIGHTS_SEED, "head": HEAD_SEED}),
    "network_steps.json": (steps, {"weights": WEIGHTS_SEED, "head": HEAD_SEED}),
}
