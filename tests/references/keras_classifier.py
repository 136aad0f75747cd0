"""Trains a classifier in Keras from a file that Classifier::save wrote: python keras_classifier.py ORDER OUT

ORDER is JSON: "model" (the file), "train" and "validation" (each "pictures" and "labels", a number or a row each), and "phases",
each with "from" (the first base layer that learns, null for a frozen base), "epochs" and "rate". All
pictures are one batch, so that their order does not matter; nothing is augmented. Prints, as JSON, the
numbers of each phase's epochs and the last probabilities; OUT gets the convolutions' last weights,
named and shaped as torchvision has them.
"""

import json
import sys

import keras
import numpy as np
import safetensors
import safetensors.numpy
import targets


def read(path):
    with safetensors.safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def small_conv_net(size):
    layers = [keras.Input((size, size, 3))]
    for filters in (32, 64, 128, 128):
        layers += [keras.layers.Conv2D(filters, 3, activation="relu"), keras.layers.MaxPooling2D()]
    return keras.Sequential(layers)


def pictures(part, size):
    load = lambda path: keras.utils.img_to_array(keras.utils.load_img(path, target_size=(size, size)))
    pixels = np.stack([load(path) for path in part["pictures"]]) * np.float32(1 / 255)
    return pixels, np.array(part["labels"])


def main(order, out):
    order = json.loads(order)
    tensors, metadata = read(order["model"])
    size = json.loads(metadata["size"])
    outputs = len(tensors["dense_1.bias"])
    activation, loss, _ = targets.of(metadata, outputs)
    if json.loads(metadata["architecture"]) == "vgg16":
        base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(size, size, 3))
        number = lambda name: int(name.split(".")[1])
        names = sorted({n.rsplit(".", 1)[0] for n in tensors if n.startswith("features.")}, key=number)
    else:
        base = small_conv_net(size)
        names = ["conv2d", "conv2d_1", "conv2d_2", "conv2d_3"]
    convolutions = [layer for layer in base.layers if isinstance(layer, keras.layers.Conv2D)]
    for layer, name in zip(convolutions, names, strict=True):
        layer.set_weights([tensors[f"{name}.weight"].transpose(2, 3, 1, 0), tensors[f"{name}.bias"]])
    head = [
        keras.layers.Flatten(),
        keras.layers.Dense(len(tensors["dense.bias"]), activation="relu"),
        keras.layers.Dense(outputs, activation=activation),
    ]
    model = keras.Sequential([base, *head])
    model.build((None, size, size, 3))
    for layer, name in zip(head[1:], ("dense", "dense_1")):
        layer.set_weights([tensors[f"{name}.weight"].T, tensors[f"{name}.bias"]])
    train, validation = pictures(order["train"], size), pictures(order["validation"], size)
    runs = []
    for phase in order["phases"]:
        base.trainable = phase["from"] is not None
        is_open = False
        for layer in base.layers:
            is_open = is_open or layer.name == phase["from"] or phase["from"] == "input_1"
            layer.trainable = is_open
        model.compile(
            optimizer=keras.optimizers.RMSprop(learning_rate=phase["rate"]),
            loss=loss,
            metrics=targets.of(metadata, outputs)[2],
        )
        history = model.fit(
            *train,
            batch_size=len(train[1]),
            epochs=phase["epochs"],
            validation_data=validation,
            validation_batch_size=len(validation[1]),
            verbose=0,
        ).history
        runs.append({**history, "trainable": len(model.trainable_weights)})
    predicted = model.predict(validation[0], verbose=0).tolist()
    print(json.dumps({"runs": runs, "predicted": predicted}))
    last = {}
    for layer, name in zip(convolutions, names):
        kernel, bias = layer.get_weights()
        last[f"{name}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        last[f"{name}.bias"] = bias
    safetensors.numpy.save_file(last, out)


main(sys.argv[1], sys.argv[2])
