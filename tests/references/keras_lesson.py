"""The lesson in Keras, with the same last line of JSON as examples/lesson.rs.

    python keras_lesson.py DATA [--part features|frozen|finetune] [--train N] [--validation M]
        [--epochs E] [--threads T] [--weights FILE.h5] [--seed S]

For results and times side by side: the same pictures, weights (seeded ones without FILE.h5), batch of 20,
RMSprop 2e-5. DATA holds
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
    parser.add_argument("--part", default="features", choices=["features", "frozen", "finetune"])
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--validation", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--weights")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def flow(folder, count, shuffle=False, **augmentation):
    """The first `count` pictures of a folder, from the classes in turn, scaled by 1/255, in batches of 20."""
    flow = ImageDataGenerator(rescale=1.0 / 255, **augmentation).flow_from_directory(
        folder, target_size=(150, 150), batch_size=20, class_mode="binary", shuffle=shuffle
    )
    order = sorted(range(flow.samples), key=lambda i: (sum(flow.classes[:i] == flow.classes[i]), i))
    chosen = sorted(order[:count])
    flow._filepaths = [flow.filepaths[i] for i in chosen]
    flow.classes = flow.classes[chosen]
    flow.n = flow.samples = len(chosen)
    return flow


class Clock(keras.callbacks.Callback):
    """How long each epoch takes."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.times.append(time.perf_counter() - self.start)


def end_to_end(base, args):
    """Parts 2 and 3: the whole model on augmented pictures; in part 3 only block 5's epochs count."""
    train = flow(
        f"{args.data}/train",
        args.train,
        shuffle=True,
        rotation_range=40,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        fill_mode="nearest",
    )
    validation = flow(f"{args.data}/validation", args.validation)
    dense = keras.layers.Dense
    model = keras.Sequential(
        [base, keras.layers.Flatten(), dense(256, activation="relu"), dense(1, activation="sigmoid")]
    )
    for part, rate in [("frozen", 2e-5), ("finetune", 1e-5)]:
        base.trainable = part == "finetune"
        for layer in base.layers:
            layer.trainable = part == "finetune" and layer.name.startswith("block5")
        model.compile(keras.optimizers.RMSprop(rate), "binary_crossentropy", metrics=["accuracy"])
        clock = Clock()
        options = {"validation_data": validation, "verbose": 0, "callbacks": [clock]}
        history = model.fit(train, epochs=args.epochs, **options).history
        if part == args.part:
            return history, clock.times, args.train / min(clock.times)


def extract(base, folder, count):
    """The lesson's loop: batches of 20 through the base."""
    pictures_of = flow(folder, count)
    chosen = pictures_of.classes
    features = np.zeros((len(chosen), 4, 4, 512), np.float32)
    for start in range(0, len(chosen), 20):
        pictures, _ = pictures_of[start // 20]
        features[start : start + 20] = base.predict_on_batch(pictures)
    return features, chosen.astype(np.float32)


def features(base, args):
    """Part 1: features once, then a head on them."""
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
    flat = lambda features: features.reshape(len(features), -1)
    clock = Clock()
    history = model.fit(
        flat(train[0]),
        train[1],
        batch_size=20,
        epochs=args.epochs,
        validation_data=(flat(validation[0]), validation[1]),
        verbose=0,
        callbacks=[clock],
    ).history
    return history, clock.times, (len(train[1]) + len(validation[1])) / seconds


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    keras.utils.set_random_seed(args.seed)
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(150, 150, 3))
    if args.weights:
        base.load_weights(args.weights)
    else:
        base.set_weights([tensor for pair in seeded.weights(0).values() for tensor in pair])
    base.predict_on_batch(np.zeros((20, 150, 150, 3), np.float32))
    run = features if args.part == "features" else end_to_end
    history, times, images_per_s = run(base, args)
    report = {
        "part": args.part,
        "program": f"keras {keras.__version__}, torch {torch.__version__}",
        "images_per_s": images_per_s,
        "epoch_s": times,
        "train_acc": history["accuracy"],
        "val_acc": history["val_accuracy"],
        "loss": history["loss"],
        "val_loss": history["val_loss"],
    }
    print(json.dumps(report))


main()
