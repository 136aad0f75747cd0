"""Trains the lesson's head in Keras from given weights: python keras_head.py FEATURES HEAD STEPS RATE
[OPTIMIZER [CLASS_WEIGHTS]]

FEATURES and HEAD are files that Features::save and HeadModel::save wrote; what the features are labelled with says
activation, loss and metric. OPTIMIZER is a Keras class
with arguments as JSON, such as {"class": "Adam"}; the rate is "constant" or, in it as "schedule", a
class of keras.optimizers.schedules with arguments. CLASS_WEIGHTS is a list. All pictures are one
batch, so that their order does not matter; dropout is off. Prints the loss and the metric of each
step, then loss, metric and answers after the last, as JSON.
"""

import json
import sys

import keras
import numpy as np
import safetensors
import targets


def made(classes, order, **others):
    order = dict(order)
    return getattr(classes, order.pop("class"))(**others, **order)


def main(features, head, steps, rate, optimizer, class_weights):
    with safetensors.safe_open(features, "np") as file:
        x, metadata = file.get_tensor("features"), file.metadata()
    with safetensors.safe_open(head, "np") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}
    outputs = len(weights["dense_1.bias"])
    activation, loss, metrics = targets.of(metadata, outputs)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(len(weights["dense.bias"]), activation="relu"),
            keras.layers.Dense(outputs, activation=activation),
        ]
    )
    model.set_weights(
        [weights[f"{name}.{part}"].T for name in ("dense", "dense_1") for part in ("weight", "bias")]
    )
    if schedule := optimizer.pop("schedule", None):
        rate = made(keras.optimizers.schedules, schedule, initial_learning_rate=rate)
    model.compile(
        optimizer=made(keras.optimizers, optimizer, learning_rate=rate),
        loss=loss,
        metrics=metrics,
    )
    y = np.array(json.loads(metadata["labels"]))
    history = model.fit(
        x,
        y,
        batch_size=len(x),
        epochs=steps,
        class_weight=dict(enumerate(class_weights)) if class_weights else None,
        verbose=0,
    ).history
    final = model.evaluate(x, y, batch_size=len(x), verbose=0)
    predicted = model.predict(x, verbose=0).tolist()
    print(json.dumps({**history, "final": final, "predicted": predicted}))


main(
    sys.argv[1],
    sys.argv[2],
    int(sys.argv[3]),
    float(sys.argv[4]),
    *(json.loads(text) for text in [*sys.argv[5:], '{"class": "RMSprop"}', "[]"][:2]),
)
