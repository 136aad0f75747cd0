"""Draws small pictures in many formats and resizes them with Pillow as Keras' load_img does.

    python pixels.py OUTDIR
    python pixels.py --md5 FOLDER

The first writes each picture, and the expected pixels of each size and interpolation as raw RGB bytes;
it prints one JSON list of {file, width, height, interpolation, expected}. The second takes the JPEGs
that lie in the folder and prints the MD5 of the expected pixels: {file: {"nearest 150": MD5, ...}}.
"""

import hashlib
import json
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image

# 110 x 20 shrinks the large pictures' heights by more than twice what it takes from the widths:
# there Pillow 13 begins with the columns (12.3 and older never do).
SIZES = [(150, 150), (224, 224), (37, 91), (64, 48), (110, 20)]
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


def png_of_16_bits(values, colour_type):
    """A PNG of 16 bits a value, which Pillow reads in colour too, but writes in grey alone."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    picture = drawn(123, 77, 1)
    with_alpha = picture.convert("RGBA")
    with_alpha.putalpha(Image.fromarray(np.tile(np.arange(123, dtype=np.uint8) * 2, (77, 1))))
    # `convert("CMYK")` leaves the black empty.
    black = np.tile(np.arange(77, dtype=np.uint8)[:, None] * 3, (1, 123))
    inks = Image.fromarray(np.dstack([np.asarray(picture), black]), "CMYK")
    files = {
        "420.jpg": (picture, {"quality": 85}),
        "420_large.jpg": (drawn(500, 374, 2), {"quality": 75}),
        "422.jpg": (picture, {"quality": 90, "subsampling": "4:2:2"}),
        "444.jpg": (picture, {"quality": 95, "subsampling": "4:4:4"}),
        "gray.jpg": (picture.convert("L"), {}),
        "progressive.jpg": (picture, {"progressive": True}),
        "restarts.jpg": (picture, {"restart_marker_blocks": 3}),
        "cmyk.jpg": (inks, {"quality": 90}),
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
    for name, (image, options) in files.items():
        image.save(folder / name, **options)
    names = list(files)

    def add(name, encoded):
        (folder / name).write_bytes(encoded)
        names.append(name)

    deep = np.random.default_rng(5).integers(0, 65536, (77, 123, 4))
    add("gray16.png", png_of_16_bits(deep[..., 0] // 150, 0))
    add("rgb16.png", png_of_16_bits(deep[..., :3], 2))
    add("gray_alpha16.png", png_of_16_bits(deep[..., :2], 4))
    add("alpha16.png", png_of_16_bits(deep, 6))
    # A scan that ends too soon, but with the end marker: libjpeg only warns.
    whole = (folder / "420.jpg").read_bytes()
    add("short_scan.jpg", whole[: len(whole) * 3 // 4] + b"\xff\xd9")
    add("appended.jpg", whole + b"\xff\xda\0\x05more")
    cases = []
    for name in names:
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


def checksums(folder):
    found = {}
    for path in sorted(folder.rglob("*.jpg")):
        with Image.open(path) as opened:
            rgb = opened.convert("RGB")
        found[path.relative_to(folder).as_posix()] = {
            f"{name} {size}": hashlib.md5(rgb.resize((size, size), how).tobytes()).hexdigest()
            for size in (150, 224)
            for name, how in INTERPOLATIONS.items()
        }
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "--md5":
        checksums(pathlib.Path(sys.argv[2]))
    else:
        main(pathlib.Path(sys.argv[1]))
