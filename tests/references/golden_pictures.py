"""Golden numbers about pictures: decoding and resizing, scaling, folders, augmentation.

Each maker takes the folder of encoded pictures and the folder of drawn samples, and gives what its
file holds. FILES names them, with the seeds that went in.
"""

import hashlib
import pathlib
import tempfile

import keras
import numpy as np
import torch
import torchvision
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image

import pixels
import seeded

SIZES = [150, 224]
# Where a crop of each resized picture is kept, to show how far off a difference is.
CROP = 8

NOISE_SEED = 41
HEIGHT, WIDTH = 24, 17

DRAWS = 20_000
DRAW_SEED = 0
DRAW_SIZE = (100, 150)
LEVELS = np.linspace(0, 1, 201)


def draw(folder):
    """Small pictures of every kind of JPEG that Pillow writes, and of the other formats."""
    picture = pixels.drawn(123, 77, 1)
    black = np.tile(np.arange(77, dtype=np.uint8)[:, None] * 3, (1, 123))
    inks = Image.fromarray(np.dstack([np.asarray(picture), black]), "CMYK")
    with_alpha = picture.convert("RGBA")
    with_alpha.putalpha(Image.fromarray(np.tile(np.arange(123, dtype=np.uint8) * 2, (77, 1))))
    files = {
        "baseline_444.jpg": (picture, {"quality": 90, "subsampling": "4:4:4"}),
        "baseline_422.jpg": (picture, {"quality": 90, "subsampling": "4:2:2"}),
        "baseline_420.jpg": (picture, {"quality": 85, "subsampling": "4:2:0"}),
        "baseline_420_large.jpg": (pixels.drawn(500, 374, 2), {"quality": 60}),
        "baseline_rgb.jpg": (picture, {"quality": 75, "keep_rgb": True}),
        "optimised.jpg": (picture, {"quality": 80, "optimize": True}),
        "restarts.jpg": (picture, {"restart_marker_blocks": 3}),
        "progressive_444.jpg": (picture, {"progressive": True, "subsampling": "4:4:4"}),
        "progressive_420.jpg": (picture, {"progressive": True, "subsampling": "4:2:0"}),
        "gray.jpg": (picture.convert("L"), {}),
        "gray_progressive.jpg": (picture.convert("L"), {"progressive": True}),
        "cmyk.jpg": (inks, {"quality": 80}),
        "cmyk_progressive.jpg": (inks, {"quality": 80, "progressive": True}),
        "alpha.png": (with_alpha, {}),
        "palette.gif": (picture.quantize(64), {}),
    }
    for name, (image, options) in files.items():
        image.save(folder / name, **options)


def resized(pictures, samples):
    """By picture, size and interpolation: MD5 of the RGB bytes, and a crop from the middle."""
    found = {}

    def add(name, image, sizes, interpolations):
        rgb = image.convert("RGB")
        found[name] = {"as it is": hashlib.md5(rgb.tobytes()).hexdigest()}
        for size in sizes:
            for how in interpolations:
                small = rgb.resize((size, size), pixels.INTERPOLATIONS[how])
                start = size // 2
                crop = small.crop((start, start, start + CROP, start + CROP))
                found[name][f"{how} {size}"] = {
                    "md5": hashlib.md5(small.tobytes()).hexdigest(),
                    "crop": list(crop.tobytes()),
                }

    for path in sorted(pictures.iterdir()):
        with Image.open(path) as image:
            add(path.name, image, SIZES, pixels.INTERPOLATIONS)
    for path in sorted(samples.rglob("*.jpg")):
        with Image.open(path) as image:
            add(path.relative_to(samples).as_posix(), image, [150], ["nearest"])
    return found


# CLIP's mean and deviation: neither Keras' nor torchvision's.
TOLD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def scaled(pictures, samples):
    """What every byte becomes in each channel (red, green, blue), by each scaling."""
    every = np.repeat(np.arange(256, dtype=np.float32), 3).reshape(16, 16, 3)
    bgr = keras.applications.vgg16.preprocess_input(every.copy())
    normalise = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    unit = torch.from_numpy(every.astype(np.uint8)).permute(2, 0, 1)
    unit = torchvision.transforms.functional.convert_image_dtype(unit, torch.float)
    normal = torchvision.transforms.functional.normalize(unit, normalise.mean, normalise.std)
    told = torchvision.transforms.Normalize(*TOLD)(unit)
    return {
        # `standardize` is what applies `rescale`.
        "unit": ImageDataGenerator(rescale=1.0 / 255).standardize(every.copy()).ravel().tolist(),
        "caffe": bgr.ravel().tolist(),
        "tf": keras.applications.inception_v3.preprocess_input(every.copy()).ravel().tolist(),
        "torch": normal.permute(1, 2, 0).reshape(-1).tolist(),
        "told": told.permute(1, 2, 0).reshape(-1).tolist(),
    }


# Capitals, numbers, accents, spaces, dots, folders in folders, files that are no pictures.
NAMES = """dogs/10.jpg dogs/9.jpg dogs/Ä.png dogs/b.JPG dogs/notes.txt dogs/jpg dogs/inside/1.jpg
dogs/inside-out/2.bmp dogs/inside/deeper/3.tiff Cats/a_b.jpeg Cats/A.ppm Cats/x.gif Cats/x.tar.png
Cats/x.jpg.bak école/1.tif école/e\u0301.png école/é.png 猫/写真.png 10/1.png 9/1.png _a/1.png
-b/1.png ~c/1.png d.e/1.jpg loose.jpg""".split() + ["Cats/a b.jpeg", "two words/1 2.png"]


def folders(pictures, samples):
    """What flow_from_directory makes of a folder with odd names."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in NAMES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        flow = ImageDataGenerator().flow_from_directory(root, class_mode="sparse", shuffle=False)
    classes = sorted(flow.class_indices, key=flow.class_indices.get)
    return {
        "made": NAMES,
        "classes": classes,
        "files": flow.filenames,
        "labels": flow.classes.tolist(),
    }


def noise():
    """A picture of even noise, bytes (H, W, 3)."""
    own_seed = seeded.splitmix64(NOISE_SEED, 0, 1)[0]
    values = seeded.splitmix64(own_seed, 0, HEIGHT * WIDTH * 3) >> np.uint64(56)
    return values.astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def transforms():
    """(fill, constant, arguments of apply_transform): each parameter alone, then mixed."""
    still = {
        **{"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0},
        **{"flip_horizontal": False, "flip_vertical": False, "brightness": None},
    }
    alone = [
        *({"theta": theta} for theta in (33.0, -151.0)),
        *({"tx": 7.3}, {"ty": -4.6}, {"shear": 25.0}, {"zx": 0.7}, {"zy": 1.9}),
        *({"flip_horizontal": True}, {"flip_vertical": True}),
    ]
    mixed = [
        # As the lesson draws them, and one that reaches far outside.
        {"theta": 23.0, "tx": 2.7, "ty": -3.1, "shear": 0.15, "zx": 0.85, "zy": 1.15},
        {"theta": -38.0, "tx": -4.1, "ty": 1.3, "shear": -0.2, "zx": 1.2, "zy": 0.8}
        | {"flip_horizontal": True},
        {"theta": 20.0, "zx": 4.0, "zy": 5.0},
    ]
    cases = [("nearest", 0.0, one) for one in alone + mixed]
    for fill, value in (("reflect", 0.0), ("wrap", 0.0), ("constant", 77.5)):
        cases += [(fill, value, one) for one in mixed]
    cases += [("nearest", 0.0, {"brightness": factor}) for factor in (0.2, 0.5, 1.0, 1.7)]
    return [{"fill": fill, "value": value, **still, **one} for fill, value, one in cases]


def transformed(pictures, samples):
    """The noise under each transform, f32 (H, W, 3), and the transforms themselves."""
    cases = transforms()
    found = {"described": {"cases": cases, "height": HEIGHT, "width": WIDTH}}
    for number, case in enumerate(cases):
        options = {name: case[name] for name in case if name not in ("fill", "value")}
        generator = ImageDataGenerator(
            fill_mode=case["fill"], cval=case["value"], data_format="channels_last"
        )
        result = generator.apply_transform(noise().astype("float32"), options)
        found[str(number)] = np.asarray(result, dtype="float32")
    return found


OPTIONS = {
    "lesson": {
        **{"rotation_range": 40, "width_shift_range": 0.2, "height_shift_range": 0.2},
        **{"shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True},
    },
    "others": {
        **{"width_shift_range": 7.5, "height_shift_range": 0.3, "zoom_range": [0.5, 0.9]},
        **{"vertical_flip": True, "brightness_range": [0.5, 1.5]},
    },
}


def drawn(pictures, samples):
    """Quantiles of each parameter that get_random_transform draws, at even levels from 0 to 1."""
    np.random.seed(DRAW_SEED)
    found = {"n": DRAWS, "size": DRAW_SIZE, "levels": LEVELS.tolist(), "options": OPTIONS}
    for name, options in OPTIONS.items():
        generator = ImageDataGenerator(data_format="channels_last", **options)
        shape = *DRAW_SIZE, 3
        all_drawn = [generator.get_random_transform(shape) for _ in range(DRAWS)]
        for parameter in all_drawn[0]:
            values = np.array([float(one[parameter] or 0) for one in all_drawn])
            if parameter.startswith("flip"):
                found[f"{name} {parameter}"] = {"share": float(values.mean())}
            elif values.min() == values.max():
                found[f"{name} {parameter}"] = {"always": float(values[0])}
            else:
                found[f"{name} {parameter}"] = {"quantiles": np.quantile(values, LEVELS).tolist()}
    return found


FILES = {
    "pixels.json": (resized, {"pictures": [1, 2]}),
    "scaling.json": (scaled, {}),
    "folders.json": (folders, {}),
    "transforms.safetensors": (transformed, {"noise": NOISE_SEED}),
    "draws.json": (drawn, {"numpy": DRAW_SEED}),
}
