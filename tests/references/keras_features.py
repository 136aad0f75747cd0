"""The features that Keras' VGG16 gives for pictures: python keras_features.py WEIGHTS.h5 OUT PICTURE...

OUT gets "unit", "caffe" (N, 4, 4, 512) float32 as safetensors: for pixels scaled by 1/255 as in the
lesson, and for keras.applications.vgg16.preprocess_input; and "avg", "max" (N, 512), the first with `pooling`. Pictures
are loaded by Keras' load_img. Prints the names of the last layers of VGG16 and ResNet50 with each pooling.
"""

import sys

import keras
import numpy as np
import safetensors.numpy


def main(weights, out, pictures):
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(150, 150, 3))
    model.load_weights(weights)
    load = lambda path: keras.utils.img_to_array(keras.utils.load_img(path, target_size=(150, 150)))
    pixels = np.stack([load(path) for path in pictures])
    unit = model.predict(pixels * np.float32(1 / 255), verbose=0)
    caffe = model.predict(keras.applications.vgg16.preprocess_input(pixels.copy()), verbose=0)
    features = {"unit": np.ascontiguousarray(unit), "caffe": np.ascontiguousarray(caffe)}
    names = []
    for pooling in ("avg", "max"):
        how = {"weights": None, "include_top": False, "pooling": pooling}
        keras.backend.clear_session()
        pooled = keras.applications.VGG16(input_shape=(150, 150, 3), **how)
        pooled.load_weights(weights)
        features[pooling] = pooled.predict(pixels * np.float32(1 / 255), verbose=0)
        residual = keras.applications.ResNet50(input_shape=(32, 32, 3), **how)
        names += [pooled.layers[-1].name, residual.layers[-1].name]
    print(" ".join(names))
    safetensors.numpy.save_file(features, out)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
