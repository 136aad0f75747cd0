"""Golden numbers of the networks: features, maps, classes, summaries, heat maps.

Weights are the seeded ones of seeded.py, which `Weights::seeded` makes bit for bit.
"""

import types

import keras
import numpy as np
import torch
import torchvision

import seeded
import weights as weight_files

WEIGHTS_SEED = 7
HEAD_SEED = 21
PLACES_SEED = 31
PLACES = 256
PICTURES = ["train/cats/cat.0.jpg", "train/dogs/dog.1.jpg"]
PICTURE = PICTURES[1]
HEAT_SIZE = 64
HEAT_UNITS = 16
CLASSES = ["cats", "dogs", "owls"]


def pixels(samples, names, size):
    load = lambda name: keras.utils.load_img(samples / name, target_size=(size, size))
    return np.stack([keras.utils.img_to_array(load(name)) for name in names])


def caffe(pixels):
    return keras.applications.vgg16.preprocess_input(pixels.copy())


def vgg16(size, with_top=False):
    """Keras' VGG16 with the seeded weights; its input is called as in the lesson."""
    keras.backend.clear_session()
    model = keras.applications.VGG16(
        weights=None, include_top=with_top, input_tensor=keras.Input((size, size, 3), name="input_1")
    )
    made = seeded.weights(WEIGHTS_SEED, with_top=with_top)
    model.set_weights([tensor for pair in made.values() for tensor in pair])
    return model


def features(pictures, samples):
    """(2, 4, 4, 512) of two pictures at 150 pixels, for both scalings."""
    model, values = vgg16(150), pixels(samples, PICTURES, 150)
    return {
        "unit": model.predict(values * np.float32(1 / 255), verbose=0),
        "caffe": model.predict(caffe(values), verbose=0),
    }


def maps(pictures, samples):
    """Some values of each convolution's maps at 224 pixels, and what all of them come to.

    `NAME places` counts them in (H, W, C) order; `NAME totals` has the mean and the largest of all.
    """
    model = vgg16(224)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])
    results = outputs.predict(caffe(pixels(samples, [PICTURE], 224)), verbose=0)
    found = {}
    for number, (layer, result) in enumerate(zip(layers, results, strict=True)):
        own_seed = seeded.splitmix64(PLACES_SEED, number, 1)[0]
        draws = seeded.splitmix64(own_seed, 0, PLACES) >> np.uint64(32)
        places = (draws * np.uint64(result.size)) >> np.uint64(32)
        found[f"{layer.name} places"] = places.astype(np.int64)
        found[f"{layer.name} values"] = result.ravel()[places.astype(np.int64)]
        found[f"{layer.name} totals"] = np.array([result.mean(dtype=np.float64), result.max()])
    return found


def top(pictures, samples):
    """The probabilities of the whole network, and its five most probable classes, by both libraries."""

    def answer(probabilities):
        five = np.argsort(-probabilities, kind="stable")[:5]
        return {"five": five.tolist(), "probabilities": probabilities.tolist()}

    model, values = vgg16(224, with_top=True), pixels(samples, [PICTURE], 224)
    by_keras = {
        "unit": answer(model.predict(values * np.float32(1 / 255), verbose=0)[0]),
        "caffe": answer(model.predict(caffe(values), verbose=0)[0]),
    }
    network = torchvision.models.vgg16()
    made = seeded.weights(WEIGHTS_SEED, with_top=True)
    network.load_state_dict(weight_files.torch_weights(types.SimpleNamespace(arch="vgg16"), made))
    network.eval()
    normalise = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    unit = torch.from_numpy(values).permute(0, 3, 1, 2) / 255
    unit = torchvision.transforms.functional.normalize(unit, normalise.mean, normalise.std)
    with torch.no_grad():
        by_torchvision = torch.softmax(network(unit), 1)[0].numpy()
    return {"keras": by_keras, "torchvision": {"torch": answer(by_torchvision)}}


def rows(model):
    """Name, class, shape with the batch, number of parameters, trainable: Keras' own list."""
    shape = lambda layer: list(getattr(layer, "batch_shape", None) or layer.output.shape)
    return [
        [layer.name, type(layer).__name__, shape(layer), layer.count_params(), layer.trainable]
        for layer in model.layers
    ]


def text(model):
    lines = []
    model.summary(line_length=100, print_fn=lines.append)
    return "\n".join(lines)


def described(model):
    return {
        "text": text(model),
        "rows": rows(model),
        "parameters": model.count_params(),
        "trainable": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        "trainable weights": len(model.trainable_weights),
    }


def summaries(pictures, samples):
    """Keras' summaries of the lesson's networks, and what is trainable in each of its parts."""
    build = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}

    def network(name, size, with_top):
        keras.backend.clear_session()
        entrance = keras.Input((size, size, 3), name="input_1")
        return build[name](weights=None, include_top=with_top, input_tensor=entrance)

    dense = keras.layers.Dense
    base = network("vgg16", 150, False)
    found = {
        "vgg16 150": described(base),
        "vgg16 224 top": described(network("vgg16", 224, True)),
        "vgg19 150": described(network("vgg19", 150, False)),
    }
    convolutions = [
        [number, layer.name, list(layer.output.shape), list(layer.get_weights()[0].shape)]
        for number, layer in enumerate(base.layers)
        if isinstance(layer, keras.layers.Conv2D)
    ]
    found["convolutions 150"] = convolutions
    keras.backend.clear_session()
    head = [keras.Input((8192,)), dense(512, activation="relu"), keras.layers.Dropout(0.5), dense(1)]
    found["head"] = described(keras.Sequential(head))
    base = network("vgg16", 150, False)
    whole = [keras.Input((150, 150, 3)), base, keras.layers.Flatten(), dense(256), dense(1)]
    model = keras.Sequential(whole)
    found["classifier"] = described(model)
    base.trainable = False
    found["classifier frozen"] = described(model)
    base.trainable = True
    is_open = False
    for layer in base.layers:
        is_open = is_open or layer.name == "block5_conv1"
        layer.trainable = is_open
    found["classifier fine-tuned"] = described(model) | {"base": rows(base)}
    keras.backend.clear_session()
    small = [keras.Input((150, 150, 3), name="input_1")]
    for filters in (32, 64, 128, 128):
        small += [keras.layers.Conv2D(filters, 3, activation="relu"), keras.layers.MaxPooling2D()]
    found["small network"] = described(keras.Sequential(small))
    return found


def heat_maps(pictures, samples):
    """Grad-CAM at some layers for each class, by Keras' network and PyTorch's gradients.

    Selvaraju et al. 2017: the mean gradient of a channel is its weight; what speaks for the class is
    kept. The score is the logit. Scaled so that the largest value is 1.
    """
    found = {"classes": CLASSES, "size": HEAT_SIZE, "units": HEAT_UNITS, "maps": []}
    base = vgg16(HEAT_SIZE)
    values = torch.from_numpy(pixels(samples, [PICTURE], HEAT_SIZE) * np.float32(1 / 255))
    for classes in (2, 3):
        outputs = 1 if classes == 2 else 3
        layers = {
            "dense": (2048, HEAT_UNITS),
            "dense_1": (HEAT_UNITS, outputs),
        }
        x = keras.layers.Flatten()(base.output)
        for number, (name, shape) in enumerate(layers.items()):
            activation = "relu" if name == "dense" else None
            layer = keras.layers.Dense(shape[1], activation=activation, name=f"{name}_{classes}")
            x = layer(x)
            limit = np.sqrt(6.0 / shape[0])
            kernel = seeded.uniform(HEAD_SEED, 2 * number, shape, limit)
            bias = seeded.uniform(HEAD_SEED, 2 * number + 1, shape[1:], seeded.BIAS_LIMIT)
            layer.set_weights([kernel, bias])
        for name in ("block3_pool", "block4_conv3", "block5_conv3"):
            model = keras.Model(base.inputs, [base.get_layer(name).output, x])
            for number in range(classes):
                output, logits = model(values)
                output.retain_grad()
                if classes == 2:
                    score = logits[0, 0] if number == 1 else -logits[0, 0]
                    probability = torch.sigmoid(score)
                else:
                    score, probability = logits[0, number], torch.softmax(logits[0], 0)[number]
                score.backward()
                weight = output.grad.mean((1, 2), keepdim=True)
                cam = torch.relu((output * weight).sum(-1))[0].detach()
                cam = cam / cam.max() if cam.max() > 0 else cam
                found["maps"].append(
                    {
                        **{"classes": classes, "layer": name, "class": CLASSES[number]},
                        **{"probability": probability.item(), "map": cam.numpy().ravel().tolist()},
                    }
                )
    return found


FILES = {
    "features.safetensors": (features, {"weights": WEIGHTS_SEED}),
    "maps.safetensors": (maps, {"weights": WEIGHTS_SEED, "places": PLACES_SEED}),
    "top.json": (top, {"weights": WEIGHTS_SEED}),
    "summaries.json": (summaries, {}),
    "heat_maps.json": (heat_maps, {"weights": WEIGHTS_SEED, "head": HEAD_SEED}),
}
