"""The features that Keras' VGG16 gives for pictures: python keras_features.py WEIGHTS.h5 OUT PICTURE...

OUT gets "unit", "caffe" (N, 4, 4, 512) float32 as safetensors: for pixels scaled by 1/255 as in the
lesson, and for keras.applications.vgg16.preprocess_input. Pictures are loaded by Keras' load_img.
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
    safetensors.numpy.save_file(features, out)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
