"""Prints width, height and pixels per inch of a PNG file as Pillow reads them: png_size.py FILE"""

import sys

from PIL import Image

with Image.open(sys.argv[1]) as image:
    image.load()
    print(*image.size, *(round(density) for density in image.info["dpi"]))
