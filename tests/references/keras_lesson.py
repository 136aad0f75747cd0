"""Part 1 of the lesson in Keras, with the same last line of JSON as examples/lesson.rs.

    python keras_lesson.py DATA [--train N] [--validation M] [--epochs E] [--threads T]

For side-by-side timing: the same pictures, seeded weights, batch of 20, RMSprop 2e-5. DATA holds
train/ and validation/. The first N pictures are taken from the classes in turn, as there.
"""

import argparse
import json
import os
import time

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from keras.src.legacy.preprocessing.image import ImageDataGenerator

import seeded


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--validation", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def extract(base, folder, count):
    """The lesson's loop: batches of 20 through the base, pixels scaled by 1/255."""
    flow = ImageDataGenerator(rescale=1.0 / 255).flow_from_directory(
        folder, target_size=(150, 150), batch_size=20, class_mode="binary", shuffle=False
    )
    order = sorted(range(flow.samples), key=lambda i: (sum(flow.classes[:i] == flow.classes[i]), i))
    chosen = sorted(order[:count])
    flow._filepaths = [flow.filepaths[i] for i in chosen]
    flow.classes = flow.classes[chosen]
    flow.n = flow.samples = len(chosen)
    features = np.zeros((len(chosen), 4, 4, 512), np.float32)
    for start in range(0, len(chosen), 20):
        pictures, _ = flow[start // 20]
        features[start : start + 20] = base.predict_on_batch(pictures)
    return features, flow.classes.astype(np.float32)


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(150, 150, 3))
    base.set_weights([tensor for pair in seeded.weights(0).values() for tensor in pair])
    base.predict_on_batch(np.zeros((20, 150, 150, 3), np.float32))
    start = time.perf_counter()
    train = extract(base, f"{args.data}/train", args.train)
    validation = extract(base, f"{args.data}/validation", args.validation)
    seconds = time.perf_counter() - start
    model = keras.Sequential(
        [
            keras.Input((4 * 4 * 512,)),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.RMSprop(2e-5), "binary_crossentropy", metrics=["accuracy"])
    times = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            times.append(time.perf_counter() - self.start)

    flat = lambda features: features.reshape(len(features), -1)
    history = model.fit(
        flat(train[0]),
        train[1],
        batch_size=20,
        epochs=args.epochs,
        validation_data=(flat(validation[0]), validation[1]),
        verbose=0,
        callbacks=[Clock()],
    ).history
    pictures = len(train[1]) + len(validation[1])
    report = {
        "part": "features",
        "program": f"keras {keras.__version__}, torch {torch.__version__}",
        "images_per_s": pictures / seconds,
        "epoch_s": times,
        "val_acc": history["val_accuracy"],
        "loss": history["loss"],
        "val_loss": history["val_loss"],
    }
    print(json.dumps(report))


main()
