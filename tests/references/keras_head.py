"""Trains the lesson's head in Keras from given weights: python keras_head.py FEATURES HEAD STEPS RATE

FEATURES and HEAD are files that Features::save and HeadModel::save wrote. All pictures are one
batch, so that their order does not matter; dropout is off. Prints the loss and the accuracy of each
step, then loss, accuracy and probabilities after the last, as JSON.
"""

import json
import sys

import keras
import numpy as np
import safetensors


def main(features, head, steps, rate):
    with safetensors.safe_open(features, "np") as file:
        x, labels = file.get_tensor("features"), json.loads(file.metadata()["labels"])
    with safetensors.safe_open(head, "np") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}
    binary = len(weights["dense_1.bias"]) == 1
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(len(weights["dense.bias"]), activation="relu"),
            keras.layers.Dense(
                len(weights["dense_1.bias"]), activation="sigmoid" if binary else "softmax"
            ),
        ]
    )
    model.set_weights(
        [weights[f"{name}.{part}"].T for name in ("dense", "dense_1") for part in ("weight", "bias")]
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=rate),
        loss="binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    y = np.array(labels)
    history = model.fit(x, y, batch_size=len(x), epochs=steps, verbose=0).history
    loss, accuracy = model.evaluate(x, y, batch_size=len(x), verbose=0)
    predicted = model.predict(x, verbose=0).tolist()
    print(json.dumps({**history, "final": [loss, accuracy], "predicted": predicted}))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
