"""What Keras' flow_from_directory makes of a folder: python keras_folders.py FOLDER

Prints the class names, the file names and the labels as JSON.
"""

import json
import sys

from keras.src.legacy.preprocessing.image import ImageDataGenerator

found = ImageDataGenerator().flow_from_directory(sys.argv[1], class_mode="sparse", shuffle=False)
classes = sorted(found.class_indices, key=found.class_indices.get)
result = {"classes": classes, "files": found.filenames, "labels": found.classes.tolist()}
print(json.dumps(result))
