"""Damages JPEGs of every way of coding, with the pixels that Pillow reads all the same.

    python damaged_jpegs.py OUTDIR CASES

Prints one JSON list of {file, width, height, expected}; `expected` is a file of raw RGB bytes, or null where Pillow
refuses, as Keras does then.
"""

import io
import json
import pathlib
import sys
import warnings

import numpy as np
from PIL import Image
from pixels import drawn

KINDS = {
    "progressive": {"progressive": True, "quality": 85},
    "progressive_444": {"progressive": True, "subsampling": 0, "quality": 92},
    "progressive_grey": {"progressive": True},
    "baseline": {"quality": 85},
    "restarts": {"restart_marker_rows": 1},
}


def damaged(whole, random):
    """One to three changes behind the first 20 bytes, or an end that is cut off before the end marker."""
    changed = bytearray(whole)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(20, len(changed) - 2))
        kind = random.integers(0, 5)
        if kind == 0:
            changed[place] ^= 1 << random.integers(0, 8)
        elif kind == 1:
            changed[place] = random.integers(0, 256)
        elif kind == 2:
            changed[place : place + int(random.integers(1, 40))] = b""
        elif kind == 3:
            length = int(random.integers(1, 40))
            changed[place : place + length] = bytes(length)
        else:
            del changed[place:-2]
        if len(changed) < 40:
            break
    return bytes(changed)


def pixels(encoded):
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.convert("RGB")
    except Exception:
        # Whatever it is, `load_img` hands it on.
        return None


def main(folder, count):
    warnings.simplefilter("ignore")
    random = np.random.default_rng(18)
    pictures = []
    for name, options in KINDS.items():
        picture = drawn(61, 43, 3)
        if name.endswith("grey"):
            picture = picture.convert("L")
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", **options)
        pictures.append((name, buffer.getvalue()))
    cases = []
    for number in range(count):
        name, whole = pictures[number % len(pictures)]
        encoded = damaged(whole, random)
        file = f"{name}_{number}.jpg"
        (folder / file).write_bytes(encoded)
        case = {"file": file, "width": 0, "height": 0, "expected": None}
        rgb = pixels(encoded)
        if rgb is not None:
            (folder / f"{file}.rgb").write_bytes(rgb.tobytes())
            case |= {"width": rgb.width, "height": rgb.height, "expected": f"{file}.rgb"}
        cases.append(case)
    print(json.dumps(cases))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
