"""Draws small pictures in many formats and resizes them with Pillow as Keras' load_img does.

    python pixels.py OUTDIR

Writes each picture, and the expected pixels of each size and interpolation as raw RGB bytes;
prints one JSON list of {file, width, height, interpolation, expected}.
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image

SIZES = [(150, 150), (224, 224), (37, 91), (64, 48)]
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def drawn(width, height, seed):
    """Gradients, sharp edges and noise: what chroma upsampling and resizing stumble over."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    red = 255 * x / max(width - 1, 1)
    green = np.where((x // 7 + y // 5) % 2 == 0, 240, 20)
    blue = 127 + 120 * np.sin(x * y / 90)
    pixels = np.stack([red, green, blue], axis=-1) + random.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    picture = drawn(123, 77, 1)
    with_alpha = picture.convert("RGBA")
    with_alpha.putalpha(Image.fromarray(np.tile(np.arange(123, dtype=np.uint8) * 2, (77, 1))))
    files = {
        "420.jpg": (picture, {"quality": 85}),
        "420_large.jpg": (drawn(500, 374, 2), {"quality": 75}),
        "422.jpg": (picture, {"quality": 90, "subsampling": "4:2:2"}),
        "444.jpg": (picture, {"quality": 95, "subsampling": "4:4:4"}),
        "gray.jpg": (picture.convert("L"), {}),
        "progressive.jpg": (picture, {"progressive": True}),
        "restarts.jpg": (picture, {"restart_marker_blocks": 3}),
        "cmyk.jpg": (picture.convert("CMYK"), {"quality": 90}),
        "one_pixel.jpg": (drawn(1, 1, 3), {}),
        "narrow.jpg": (drawn(3, 200, 4), {}),
        "rgb.png": (picture, {}),
        "alpha.png": (with_alpha, {}),
        "gray_alpha.png": (with_alpha.convert("LA"), {}),
        "palette.png": (picture.quantize(32), {}),
        "bits.png": (picture.convert("1"), {}),
        "rgb.bmp": (picture, {}),
        "palette.gif": (picture.quantize(64), {}),
        "rgb.tif": (picture, {}),
        "lzw.tif": (picture, {"compression": "tiff_lzw"}),
        "rgb.ppm": (picture, {}),
        "lossless.webp": (picture, {"lossless": True}),
    }
    # An orientation tag, which load_img does not follow.
    turned = Image.Exif()
    turned[0x0112] = 6
    files["turned.jpg"] = (picture, {"exif": turned.tobytes()})
    cases = []
    for name, (image, options) in files.items():
        image.save(folder / name, **options)
        with Image.open(folder / name) as opened:
            rgb = opened.convert("RGB")
        sizes = [rgb.size, *SIZES]
        for width, height in sizes:
            for interpolation, how in INTERPOLATIONS.items():
                expected = f"{name}.{width}x{height}.{interpolation}.rgb"
                (folder / expected).write_bytes(rgb.resize((width, height), how).tobytes())
                cases.append(
                    {
                        "file": name,
                        "width": width,
                        "height": height,
                        "interpolation": interpolation,
                        "expected": expected,
                    }
                )
    print(json.dumps(cases))


main(pathlib.Path(sys.argv[1]))
