"""The lesson in Keras on TensorFlow, as a reader who minds the time writes it: the other side of `cargo lab bench`.

Pictures come through tf.data, decoded by all cores, prefetched, and cached as bytes where epochs repeat them;
augmentation is Keras' own layers, run beside the network; bf16 is the policy `mixed_bfloat16`; `predict` and `fit` are
compiled as Keras does by itself. benches/README.md says what each result measures.
"""

import os
import time

# Before TensorFlow reads them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from common import SIZE, arguments, epoch_seconds, measure, pictures, print_memory, version
from keras import layers

AUTOTUNE = tf.data.AUTOTUNE
PREDICT_BATCH = {"cpu": 32, "cuda": 256}
BASES = {
    "vgg16": keras.applications.VGG16,
    "resnet50": keras.applications.ResNet50,
    "inception_v3": keras.applications.InceptionV3,
}


def decode(file, label):
    """A picture as bytes (150, 150, 3), resized as the lesson does: by the nearest pixel."""
    picture = tf.io.decode_image(tf.io.read_file(file), channels=3, expand_animations=False)
    picture = tf.image.resize(picture, (SIZE, SIZE), method="nearest")
    return tf.ensure_shape(picture, (SIZE, SIZE, 3)), label


def dataset(files, labels):
    """Decoded pictures with their labels."""
    return tf.data.Dataset.from_tensor_slices((files, labels)).map(decode, num_parallel_calls=AUTOTUNE)


class Clock(keras.callbacks.Callback):
    """The seconds of each epoch, with its validation."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def compiled(model, rate, classes):
    """The model with the lesson's optimiser and the loss for so many classes."""
    loss = "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.RMSprop(rate), loss=loss, metrics=["accuracy"])
    return model


def output(classes):
    """The last layer: f32, as Keras' guide to mixed precision says."""
    units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    return layers.Dense(units, activation=activation, dtype="float32")


def main():
    asked = arguments()
    if asked.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif not tf.config.list_physical_devices("GPU"):
        raise SystemExit("this TensorFlow sees no GPU")
    if asked.precision == "bf16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    version("keras", keras.__version__)
    version("tensorflow", tf.__version__)
    files, labels, classes = pictures(f"{asked.data}/train", asked.train)
    val_files, val_labels, _ = pictures(f"{asked.data}/validation", asked.validation)
    at_once = PREDICT_BATCH[asked.device]

    if "decode" in asked.parts:
        one_core(files)

    # The lesson's features are places; those of the other networks, as their users take them, are means over them.
    pooling = None if asked.network == "vgg16" else "avg"
    base = BASES[asked.network](weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), pooling=pooling)
    if not asked.weights.startswith("seed:"):
        base.load_weights(asked.weights)
    extractor = keras.Sequential([keras.Input((SIZE, SIZE, 3), dtype="uint8"), layers.Rescaling(1 / 255), base])

    if "forward" in asked.parts:
        pixels = np.stack([picture.numpy() for picture, _ in dataset(files, labels)])
        extractor.predict(pixels, batch_size=at_once, verbose=0)
        start = time.perf_counter()
        extractor.predict(pixels, batch_size=at_once, verbose=0)
        measure("forward", len(files) / (time.perf_counter() - start))
        del pixels
    if "extraction" in asked.parts or "head" in asked.parts:
        both = [
            dataset(files, labels).batch(at_once).prefetch(AUTOTUNE),
            dataset(val_files, val_labels).batch(at_once).prefetch(AUTOTUNE),
        ]
        # Compiles for the whole batch and for the last one of each.
        for count in {min(at_once, len(files)), len(files) % at_once, len(val_files) % at_once} - {0}:
            extractor.predict(np.zeros((count, SIZE, SIZE, 3), "uint8"), batch_size=at_once, verbose=0)
        start = time.perf_counter()
        features, val_features = (extractor.predict(some, verbose=0) for some in both)
        measure("extraction", (len(files) + len(val_files)) / (time.perf_counter() - start))
        if "head" in asked.parts:
            head_alone(asked, features, labels, val_features, val_labels, classes)
        del features, val_features
    if "frozen" in asked.parts or "tuned" in asked.parts:
        end_to_end(asked, base, (files, labels), (val_files, val_labels), classes)
    print_memory()


def one_core(files):
    """Keras' `load_img`, which is Pillow."""
    for _ in range(2):
        start = time.perf_counter()
        for file in files:
            keras.utils.img_to_array(keras.utils.load_img(file, target_size=(SIZE, SIZE)), dtype="uint8")
        seconds = time.perf_counter() - start
    measure("decode", len(files) / seconds)


def head_alone(asked, features, labels, val_features, val_labels, classes):
    """Part 1's head on stored features."""
    model = keras.Sequential(
        [
            keras.Input(features.shape[1:]),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.5),
            output(len(classes)),
        ]
    )
    clock = Clock()
    compiled(model, 2e-5, len(classes)).fit(
        features,
        np.array(labels),
        epochs=asked.epochs,
        batch_size=asked.batch,
        validation_data=(val_features, np.array(val_labels)),
        callbacks=[clock],
        verbose=0,
    )
    measure("head_epoch", epoch_seconds(clock.seconds))


def end_to_end(asked, base, train, validation, classes):
    """Parts 2 and 3: the whole model on augmented pictures."""
    augment = keras.Sequential(
        [
            layers.RandomRotation(40 / 360, fill_mode="nearest", dtype="float32"),
            layers.RandomTranslation(0.2, 0.2, fill_mode="nearest", dtype="float32"),
            layers.RandomZoom((-0.2, 0.2), (-0.2, 0.2), fill_mode="nearest", dtype="float32"),
            layers.RandomFlip("horizontal", dtype="float32"),
        ]
    )
    train = (
        dataset(*train)
        .cache()
        .shuffle(len(train[0]))
        .batch(asked.batch)
        .map(lambda pixels, label: (augment(pixels, training=True), label), num_parallel_calls=AUTOTUNE)
        .prefetch(AUTOTUNE)
    )
    validation = dataset(*validation).cache().batch(asked.batch).prefetch(AUTOTUNE)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            base,
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            output(len(classes)),
        ]
    )
    for part, opened, rate in [("frozen", [], 2e-5), ("tuned", ["block5_conv1", "block5_conv2", "block5_conv3"], 1e-5)]:
        if part not in asked.parts:
            continue
        base.trainable = bool(opened)
        for layer in base.layers:
            layer.trainable = layer.name in opened
        clock = Clock()
        start = time.perf_counter()
        compiled(model, rate, len(classes)).fit(
            train, validation_data=validation, epochs=asked.epochs, callbacks=[clock], verbose=0
        )
        measure(f"{part}_run", time.perf_counter() - start)
        measure(f"{part}_epoch", epoch_seconds(clock.seconds))


main()
