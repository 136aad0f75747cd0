"""The lesson in PyTorch, as a reader who minds the time writes it: the other side of `cargo lab bench`.

channels_last; bf16 by autocast; pictures by a DataLoader with a worker for each core, or, on a GPU, kept there as bytes
and augmented there; `--compile` is torch.compile with freezing. Needs torch; torchvision decodes, h5py reads Keras'
weights: without the first, Pillow decodes, without the second the weights are drawn. benches/README.md says what each
result measures.
"""

import contextlib
import os
import time

import torch
import torch.nn.functional as F
from common import SIZE, arguments, epoch_seconds, measure, note, pictures, print_memory, version
from torch import nn
from torch.utils.data import DataLoader, Dataset

try:
    import torchvision
    from torchvision.io import ImageReadMode, decode_image, read_file
    from torchvision.transforms import v2
except ImportError:
    torchvision = None

EXTRACT_BATCH = {"cpu": 32, "cuda": 256}
BLOCKS = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode(file):
    """A picture as bytes [3, 150, 150], resized as the lesson does: by the nearest pixel."""
    if torchvision is not None:
        picture = decode_image(read_file(file), ImageReadMode.RGB)
        return v2.functional.resize(picture, [SIZE, SIZE], v2.InterpolationMode.NEAREST)
    import numpy as np
    from PIL import Image

    with Image.open(file) as picture:
        pixels = np.array(picture.convert("RGB").resize((SIZE, SIZE), Image.NEAREST))
    return torch.from_numpy(pixels).permute(2, 0, 1)


class Files(Dataset):
    """Pictures decoded from their files, without labels."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return decode(self.files[index])


class Augmented(Dataset):
    """Decoded pictures, each in a new version whenever it is asked for."""

    def __init__(self, pixels, labels):
        self.pixels, self.labels = pixels, labels
        self.transform = v2.Compose(
            [
                v2.RandomAffine(
                    40, translate=(0.2, 0.2), scale=(0.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR
                ),
                v2.RandomHorizontalFlip(),
            ]
        )

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return self.transform(self.pixels[index]), self.labels[index]


def augmented_there(pixels):
    """The same for a whole batch [n, 3, H, W] where it lies."""
    n, device = len(pixels), pixels.device
    between = lambda low, high: torch.empty(n, device=device).uniform_(low, high)
    angle = torch.deg2rad(between(-40, 40))
    mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    zoom = between(0.8, 1.2)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [cos * mirror, -sin, between(-0.4, 0.4), sin * mirror, cos, between(-0.4, 0.4)]
    matrices = torch.stack(rows, 1).view(n, 2, 3)
    grid = F.affine_grid(matrices, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)


def vgg16(weights):
    """VGG16's convolutions, with Keras' weights where they can be read."""
    steps, convolutions, channels = [], [], 3
    for block, (width, count) in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            convolution = nn.Conv2d(channels, width, 3, padding=1)
            convolutions.append((f"block{block}_conv{number}", convolution))
            steps += [convolution, nn.ReLU(inplace=True)]
            channels = width
        steps.append(nn.MaxPool2d(2))
    if not weights.startswith("seed:"):
        try:
            import h5py
        except ImportError:
            note("PyTorch's weights are drawn: there is no h5py to read the file with")
        else:
            with h5py.File(weights) as file:
                for name, convolution in convolutions:
                    found = []
                    file[name].visititems(lambda _, item: found.append(item) if hasattr(item, "shape") else None)
                    kernel = next(item for item in found if len(item.shape) == 4)
                    bias = next(item for item in found if len(item.shape) == 1)
                    convolution.weight.data = torch.from_numpy(kernel[()]).permute(3, 2, 0, 1).contiguous()
                    convolution.bias.data = torch.from_numpy(bias[()])
    return nn.Sequential(*steps)


def other(network):
    """torchvision's network of that name up to the means over its places, with drawn weights."""
    if torchvision is None:
        raise SystemExit(f"{network} needs torchvision")
    if network == "resnet50":
        base = torchvision.models.resnet50(weights=None)
    else:
        base = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    base.fc = nn.Identity()
    return base


class Lesson:
    """The parts, on one device in one precision."""

    def __init__(self, asked):
        self.asked = asked
        self.device = torch.device(asked.device)
        self.is_bf16 = asked.precision == "bf16"
        self.files, labels, self.classes = pictures(f"{asked.data}/train", asked.train)
        self.val_files, val_labels, _ = pictures(f"{asked.data}/validation", asked.validation)
        self.labels = torch.tensor(labels, device=self.device)
        self.val_labels = torch.tensor(val_labels, device=self.device)
        base = vgg16(asked.weights) if asked.network == "vgg16" else other(asked.network)
        self.base = base.to(self.device, memory_format=torch.channels_last).eval()
        self.at_once = EXTRACT_BATCH[asked.device]
        self.passed = self.compiled(self.base)

    def compiled(self, module):
        # A kernel for each size of batch: the last, short one would otherwise slow down all.
        return torch.compile(module, dynamic=False) if self.asked.compile else module

    def autocast(self):
        if self.is_bf16:
            return torch.autocast(self.asked.device, torch.bfloat16)
        return contextlib.nullcontext()

    def now(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def input(self, pixels):
        """Bytes or f32 [n, 3, H, W] as the base takes them."""
        if self.device.type == "cuda" and pixels.device.type == "cpu":
            pixels = pixels.pin_memory()
        pixels = pixels.to(self.device, non_blocking=True, memory_format=torch.channels_last)
        return pixels.float().div_(255)

    def loader(self, dataset, batch, **options):
        return DataLoader(
            dataset, batch, num_workers=min(WORKERS, 16), pin_memory=self.device.type == "cuda", **options
        )

    def features(self, batches):
        """What the base makes of batches of bytes, flat, f32 on the device."""
        outputs = []
        with torch.inference_mode(), self.autocast():
            for pixels in batches:
                output = self.passed(self.input(pixels))
                if output.dim() == 4:
                    output = output.permute(0, 2, 3, 1).flatten(1)
                outputs.append(output.float())
        return torch.cat(outputs)

    def decoded(self, files):
        """All pictures as bytes [N, 3, H, W] in memory."""
        return torch.cat(list(self.loader(Files(files), self.at_once)))

    def warm_up(self):
        """Each size of batch once: memory, the choice of kernels, compilation."""
        counts = {min(self.at_once, len(self.files)), len(self.files) % self.at_once, len(self.val_files) % self.at_once}
        for count in counts - {0}:
            self.features([torch.zeros(count, 3, SIZE, SIZE, dtype=torch.uint8)])

    def decode(self):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        for _ in range(2):
            start = time.perf_counter()
            for file in self.files:
                decode(file)
            seconds = time.perf_counter() - start
        torch.set_num_threads(threads)
        measure("decode", len(self.files) / seconds)

    def forward(self):
        pixels = self.decoded(self.files)
        self.features(pixels.split(self.at_once))
        start = self.now()
        self.features(pixels.split(self.at_once))
        measure("forward", len(pixels) / (self.now() - start))

    def extraction(self):
        start = self.now()
        train = self.features(self.loader(Files(self.files), self.at_once))
        validation = self.features(self.loader(Files(self.val_files), self.at_once))
        measure("extraction", (len(train) + len(validation)) / (self.now() - start))
        # Tensors of inference mode cannot be learned from.
        return train.clone(), validation.clone()

    def head(self, units, dropout):
        outputs = 1 if len(self.classes) == 2 else len(self.classes)
        width = BLOCKS[-1][0] * (SIZE // 32) ** 2
        layers = [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout), nn.Linear(units, outputs)]
        return nn.Sequential(*layers).to(self.device)

    def loss(self, logits, labels):
        if len(self.classes) == 2:
            return F.binary_cross_entropy_with_logits(logits.float().squeeze(1), labels.float())
        return F.cross_entropy(logits.float(), labels)

    def head_alone(self, train, validation):
        """Part 1's head on stored features."""
        model = self.head(512, 0.5)
        shuffled = lambda: (
            (train[rows], self.labels[rows])
            for rows in torch.randperm(len(train), device=self.device).split(self.asked.batch)
        )
        whole = lambda: zip(validation.split(1000), self.val_labels.split(1000))
        seconds = self.fit(model, model.parameters(), 2e-5, shuffled, whole)
        measure("head_epoch", epoch_seconds(seconds))

    def end_to_end(self):
        """Parts 2 and 3: the whole model on augmented pictures."""
        head = self.head(256, 0.0)
        for part, opened, rate in [("frozen", None, 2e-5), ("tuned", 24, 1e-5)]:
            if part not in self.asked.parts:
                continue
            start = self.now()
            pixels, val_pixels = self.decoded(self.files), self.decoded(self.val_files)
            self.base.requires_grad_(False)
            learning = list(head.parameters())
            if opened is not None:
                self.base[opened:].requires_grad_(True)
                learning += list(self.base[opened:].parameters())
            frozen = self.passed if opened is None else self.compiled(self.base[:opened])
            tail = self.compiled(nn.Sequential(self.base[opened:] if opened else nn.Identity(), nn.Flatten(), head))

            def model(pixels):
                with torch.no_grad():
                    inputs = frozen(self.input(pixels))
                return tail(inputs)

            batches, whole = self.batches(pixels, val_pixels)
            model.train, model.eval = tail.train, tail.eval
            seconds = self.fit(model, learning, rate, batches, whole)
            measure(f"{part}_run", self.now() - start)
            measure(f"{part}_epoch", epoch_seconds(seconds))

    def batches(self, pixels, val_pixels):
        """Augmented batches of an epoch, and those of a validation."""
        batch = self.asked.batch
        if self.device.type == "cuda" or torchvision is None:
            pixels, val_pixels = pixels.to(self.device), val_pixels.to(self.device)
            train = lambda: (
                (augmented_there(pixels[rows]), self.labels[rows])
                for rows in torch.randperm(len(pixels), device=self.device).split(batch)
            )
        else:
            loader = self.loader(Augmented(pixels, self.labels), batch, shuffle=True, persistent_workers=True)
            train = lambda: iter(loader)
        return train, lambda: zip(val_pixels.split(self.at_once), self.val_labels.split(self.at_once))

    def fit(self, model, parameters, rate, train, validation):
        """Seconds of each epoch, with its validation. Nothing waits for the device inside an epoch."""
        optimizer = torch.optim.RMSprop(parameters, rate, alpha=0.9, eps=1e-7)
        seconds = []
        for _ in range(self.asked.epochs):
            start = self.now()
            total = torch.zeros((), device=self.device)
            model.train()
            for inputs, labels in train():
                with self.autocast():
                    loss = self.loss(model(inputs), labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(labels)
            model.eval()
            with torch.no_grad(), self.autocast():
                for inputs, labels in validation():
                    total += self.loss(model(inputs), labels) * len(labels)
            total.item()
            seconds.append(self.now() - start)
        return seconds


def main():
    asked = arguments()
    torch.manual_seed(0)
    # f32 means f32 on a GPU, too: ours does not round to TF32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    if asked.compile:
        from torch._dynamo import config as dynamo
        from torch._inductor import config as inductor

        inductor.freezing = True
        # Each size of batch, with and without gradients, is a program of its own here.
        dynamo.recompile_limit = 64
    version("torch", torch.__version__)
    if torchvision is None:
        note("PyTorch's pictures are decoded by Pillow: there is no torchvision")
    else:
        version("torchvision", torchvision.__version__)
    lesson = Lesson(asked)
    if "decode" in asked.parts:
        lesson.decode()
    if {"forward", "extraction", "head"} & set(asked.parts):
        lesson.warm_up()
    if "forward" in asked.parts:
        lesson.forward()
    if "extraction" in asked.parts or "head" in asked.parts:
        train, validation = lesson.extraction()
        if "head" in asked.parts:
            lesson.head_alone(train, validation)
        del train, validation
    if "frozen" in asked.parts or "tuned" in asked.parts:
        lesson.end_to_end()
    print_memory()


main()
