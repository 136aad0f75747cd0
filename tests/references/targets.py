"""What a model's target means in Keras: the last activation, the loss and the metric."""

import keras


def of(metadata, outputs):
    """Activation, loss and metrics for the target that a saved model's or features' metadata names."""
    target = metadata.get("target", '"Class"').strip('"')
    if target == "Labels":
        metric = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.5)
        return "sigmoid", "binary_crossentropy", [metric]
    if target == "Numbers":
        return "linear", "mse", ["mae"]
    if outputs == 1:
        return "sigmoid", "binary_crossentropy", ["accuracy"]
    return "softmax", "sparse_categorical_crossentropy", ["accuracy"]
