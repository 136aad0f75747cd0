"""Golden numbers of training: first weights, losses, averages, dropout, schedules, optimisers' steps."""

import keras
import numpy as np
import torch

import seeded

SEED = 11
PICTURES = 30
SHAPE = (2, 2, 16)
UNITS = 24
STEPS = 20

GLOROT_SEED = 0
LEVELS = np.linspace(0, 1, 101)
DROPOUT_SEED = 0


def initial(pictures, samples):
    """Quantiles, mean and deviation of Keras' GlorotUniform for layers of the lesson."""
    found = {"levels": LEVELS.tolist()}
    shapes = {"dense": (8192, 512), "conv2d_3": (3, 3, 128, 128)}
    for name, shape in shapes.items():
        values = np.asarray(keras.initializers.GlorotUniform(seed=GLOROT_SEED)(shape).cpu())
        values = values.ravel().astype(np.float64)
        found[name] = {
            "n": values.size,
            "mean": values.mean(),
            "deviation": values.std(),
            "quantiles": np.quantile(values, LEVELS).tolist(),
        }
    return found


LOGITS = [-30.0, -12.0, -6.5, -2.0, -0.4, 0.0, 0.3, 1.0, 4.5, 9.0, 15.0, 31.0]
TRIPLES = [[0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [-7.0, 9.0, 1.0], [12.0, 11.5, -20.0], [0.1, 30.0, 0.2]]


def losses(pictures, samples):
    """Cross-entropies of single logits: from the logits, and from the probabilities as in the lesson."""
    single = lambda loss, *pair: float(loss(*pair))
    found = {"binary": [], "categorical": []}
    for logit in LOGITS:
        for label in (0, 1):
            y, x = np.array([[label]], "float32"), np.array([[logit]], "float32")
            probability = keras.ops.sigmoid(x)
            from_logits = keras.losses.BinaryCrossentropy(from_logits=True)
            found["binary"].append(
                {
                    **{"logit": logit, "label": label, "loss": single(from_logits, y, x)},
                    "by probability": single(keras.losses.BinaryCrossentropy(), y, probability),
                }
            )
    for logits in TRIPLES:
        for label in range(3):
            x, y = np.array([logits], "float32"), np.eye(3, dtype="float32")[[label]]
            probability = keras.ops.softmax(x)
            from_logits = keras.losses.CategoricalCrossentropy(from_logits=True)
            found["categorical"].append(
                {
                    **{"logits": logits, "label": label, "loss": single(from_logits, y, x)},
                    "by probability": single(keras.losses.CategoricalCrossentropy(), y, probability),
                }
            )
    return found


def dropout(pictures, samples):
    """What Keras' Dropout makes of ones: the value of what is kept, and how much is."""
    found = {}
    for rate in (0.1, 0.3, 0.5, 0.8):
        layer = keras.layers.Dropout(rate, seed=DROPOUT_SEED)
        result = np.asarray(layer(np.ones((100, 200), "float32"), training=True).cpu())
        kept = result[result != 0]
        found[str(rate)] = {
            "n": result.size,
            "smallest kept": float(kept.min()),
            "largest kept": float(kept.max()),
            "share": kept.size / result.size,
        }
    return found


def schedules(pictures, samples):
    """The learning rate at each of 20 steps, 4 an epoch, from a rate of 1."""
    keras_schedules = keras.optimizers.schedules
    by_keras = {
        "cosine": keras_schedules.CosineDecay(1.0, 20),
        "exponential": keras_schedules.ExponentialDecay(1.0, 4, 0.9),
        "steps": keras_schedules.ExponentialDecay(1.0, 8, 0.1, staircase=True),
    }
    found = {name: [float(rate(step)) for step in range(STEPS)] for name, rate in by_keras.items()}
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=STEPS)
    found["one cycle"] = []
    for _ in range(STEPS):
        found["one cycle"].append(one_cycle.get_last_lr()[0])
        optimizer.step()
        one_cycle.step()
    return found


def problem(classes, count=PICTURES):
    """Features in [-1, 1) with a bump of 0.8 in the channels of their class, and labels."""
    labels = np.arange(count) % classes
    x = seeded.uniform(SEED, 0, (count, *SHAPE), 1.0)
    x[(np.arange(SHAPE[-1]) % classes == labels[:, None])[:, None, None, :].repeat(2, 1).repeat(2, 2)] += (
        np.float32(0.8)
    )
    return x, labels


def head(classes):
    outputs = 1 if classes == 2 else classes
    last = "sigmoid" if classes == 2 else "softmax"
    dense = keras.layers.Dense
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            dense(UNITS, activation="relu"),
            dense(outputs, activation=last),
        ]
    )
    made = []
    for number, shape in enumerate([(int(np.prod(SHAPE)), UNITS), (UNITS, outputs)]):
        made.append(seeded.uniform(SEED, 2 * number + 1, shape, np.sqrt(6.0 / shape[0])))
        made.append(seeded.uniform(SEED, 2 * number + 2, shape[1:], seeded.BIAS_LIMIT))
    model.set_weights(made)
    return model


# Name: (classes, Keras' class, its arguments).
RUNS = {
    "RMSprop": (2, "RMSprop", {"learning_rate": 1e-3}),
    "Adam": (2, "Adam", {"learning_rate": 1e-3}),
    "AdamW": (2, "AdamW", {"learning_rate": 1e-3}),
    "SGD": (2, "SGD", {"learning_rate": 0.1}),
    "SGD with momentum": (2, "SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    "RMSprop, three classes": (3, "RMSprop", {"learning_rate": 1e-3}),
    "Adam, three classes": (3, "Adam", {"learning_rate": 1e-3}),
}


def compiled(classes, optimizer):
    model = head(classes)
    loss = "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def training(pictures, samples):
    """Losses and accuracies of 20 steps, all pictures in one batch; averages over batches of 10, 10, 3."""
    found = {"steps": {}, "averages": {}}
    for name, (classes, optimizer, options) in RUNS.items():
        model = compiled(classes, getattr(keras.optimizers, optimizer)(**options))
        x, y = problem(classes)
        history = model.fit(x, y, batch_size=len(x), epochs=STEPS, verbose=0, shuffle=False).history
        loss, accuracy = model.evaluate(x, y, batch_size=len(x), verbose=0)
        found["steps"][name] = {
            **{"classes": classes, "rate": options["learning_rate"]},
            **{"loss": history["loss"], "accuracy": history["accuracy"]},
            **{"last loss": loss, "last accuracy": accuracy},
            "predicted": np.asarray(model.predict(x, verbose=0)).ravel().tolist(),
        }
    for classes in (2, 3):
        # A rate at which no weight moves: what is averaged does not depend on the order.
        model = compiled(classes, keras.optimizers.SGD(1e-30))
        x, y = problem(classes, 23)
        history = model.fit(x, y, batch_size=10, epochs=1, verbose=0, shuffle=False).history
        loss, accuracy = model.evaluate(x, y, batch_size=10, verbose=0)
        found["averages"][str(classes)] = {
            **{"loss": history["loss"][0], "accuracy": history["accuracy"][0]},
            **{"evaluated loss": loss, "evaluated accuracy": accuracy},
        }
    return found


FILES = {
    "initial.json": (initial, {"keras": GLOROT_SEED}),
    "losses.json": (losses, {}),
    "dropout.json": (dropout, {"keras": DROPOUT_SEED}),
    "schedules.json": (schedules, {}),
    "training.json": (training, {"pictures and head": SEED}),
}
