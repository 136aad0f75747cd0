"""Makes the golden files of tests/golden.rs: numbers of Keras, torchvision, PyTorch and Pillow.

    python golden.py            write tests/golden/pictures and tests/golden/*.json, *.safetensors
    python golden.py --check    make the numbers again and hold the committed files against them

`cargo lab references` runs it with the project's Python. Every file says which versions made it and
from which seeds. Twice on one machine gives the same bytes; on another machine the last bits of sums
may differ, which is what TOLERANCES are for. `--check` takes the committed pictures as they are:
another release of Pillow may encode them otherwise, but has to decode them alike.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"
# One thread: sums in one order.
os.environ["OMP_NUM_THREADS"] = "1"
# Wide enough for Keras' summaries, which are cut to the width of the terminal.
os.environ["COLUMNS"] = "120"

import json
import math
import pathlib
import platform
import struct
import sys
import tempfile

import keras
import numpy as np
import PIL
import safetensors
import safetensors.numpy
import scipy
import torch
import torchvision

import golden_network
import golden_networks
import golden_pictures
import golden_training

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "golden"
REPOSITORY = FOLDER.parents[1]

VERSIONS = {
    "python": platform.python_version(),
    "keras": keras.__version__,
    "torch": torch.__version__,
    "torchvision": torchvision.__version__,
    "pillow": PIL.__version__,
    "numpy": np.__version__,
    "scipy": scipy.__version__,
}

# What a float may differ by on another machine, as a share of the largest in its list or tensor.
TOLERANCES = {
    # Sums of up to 25,088 products in the order that the processor's vectors suggest, up to sixteen
    # layers deep. Between the kernels for AVX2 and AVX-512 features and maps differ by 2.7e-6,
    # probabilities by 7.1e-6: some ten times that.
    "features.safetensors": 3e-5,
    "maps.safetensors": 3e-5,
    "top.json": 1e-4,
    "heat_maps.json": 1e-4,
    # Up to 155 layers deep.
    "networks.safetensors": 1e-4,
    "network_tops.json": 1e-4,
    "network_steps.json": 1e-4,
    "network_heat_maps.json": 1e-4,
    # Losses after up to 20 steps of small sums.
    "training.json": 5e-6,
}
# Elementwise arithmetic: one rounding more or less.
OTHER_FILES = 1e-6


def safetensors_bytes(tensors, about):
    """A safetensors file whose metadata has one key: with more, their order would be left to chance."""
    tensors = dict(tensors)
    about = {**about, "described": tensors.pop("described", None)}
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    return safetensors.numpy.save(contiguous, metadata={"about": json.dumps(about)})


def json_bytes(numbers, about):
    """One line a key, so that a change shows as one."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in numbers.items()]
    return ("{\n" + ",\n".join([f'"about": {json.dumps(about)}', *lines]) + "\n}\n").encode()


def made(pictures):
    """Every golden file's name and bytes, from the encoded pictures in a folder."""
    torch.set_num_threads(1)
    files = {}
    makers = golden_pictures.FILES | golden_network.FILES | golden_networks.FILES | golden_training.FILES
    for name, (maker, seeds) in makers.items():
        numbers = maker(pictures, REPOSITORY / "data/samples")
        about = {"program": "tests/references/golden.py", "versions": VERSIONS, "seeds": seeds}
        encode = json_bytes if name.endswith(".json") else safetensors_bytes
        files[name] = encode(numbers, about)
        print(f"  {name}: {len(files[name]):,} bytes", file=sys.stderr)
    return files


def read(name, content):
    """What a golden file says, as plain values, and what it says about itself."""
    if name.endswith(".json"):
        numbers = json.loads(content)
        return numbers, numbers.pop("about")
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    about = json.loads(header["__metadata__"]["about"])
    tensors = {key: array.ravel().tolist() for key, array in safetensors.numpy.load(content).items()}
    return {**tensors, "described": about["described"]}, about


def differences(found, expected, where=""):
    """Yields how far apart each pair of values is, as a share of the largest beside it, and where."""
    is_number = lambda value: isinstance(value, float) or type(value) is int
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        for key in expected:
            yield from differences(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        if expected and all(is_number(value) for value in expected + found):
            scale = max(abs(value) for value in expected) or 1.0
            yield max(abs(a - b) for a, b in zip(found, expected)) / scale, where
        else:
            for number, pair in enumerate(zip(found, expected)):
                yield from differences(*pair, f"{where}/{number}")
    elif is_number(expected) and is_number(found):
        yield abs(found - expected) / (abs(expected) or 1.0), where
    elif found != expected:
        yield math.inf, f"{where}: {str(found)[:80]!r} instead of {str(expected)[:80]!r}"


def check():
    wrong = 0
    for name, content in made(FOLDER / "pictures").items():
        try:
            committed, about = read(name, (FOLDER / name).read_bytes())
        except FileNotFoundError:
            print(f"{name}: is not there; `cargo lab references` makes it")
            wrong += 1
            continue
        fresh, _ = read(name, content)
        tolerance = TOLERANCES.get(name, OTHER_FILES)
        found = list(differences(committed, fresh))
        # `not <=`, so that a NaN counts.
        beyond = [(share, where) for share, where in found if not share <= tolerance]
        wrong += len(beyond)
        for share, where in beyond[:10]:
            print(f"{name}{where} differs by {share:.2g}")
        worst = max((share for share, _ in found), default=0.0)
        verdict = f"{len(beyond)} DIFFERENCES" if beyond else "holds"
        other = {key: value for key, value in about["versions"].items() if VERSIONS.get(key) != value}
        made_with = f"; the committed file was made with {other}" if other else ""
        print(f"{name}: {verdict}, worst {worst:.2g} of {tolerance:g}{made_with}")
    return 1 if wrong else 0


def write():
    # First at the side: a run that fails half-way leaves the committed files as they were.
    with tempfile.TemporaryDirectory() as folder:
        pictures = pathlib.Path(folder)
        golden_pictures.draw(pictures)
        files = made(pictures)
        drawn = {f"pictures/{path.name}": path.read_bytes() for path in sorted(pictures.iterdir())}
    (FOLDER / "pictures").mkdir(parents=True, exist_ok=True)
    for stale in (FOLDER / "pictures").iterdir():
        stale.unlink()
    for name, content in {**drawn, **files}.items():
        (FOLDER / name).write_bytes(content)
    total = sum(len(content) for content in {**drawn, **files}.values())
    print(f"{len(drawn) + len(files)} files, {total:,} bytes, in tests/golden")
    return 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            sys.exit(write())
        case ["--check"]:
            sys.exit(check())
        case other:
            sys.exit(f"{other} is not understood; golden.py [--check]")
