"""What both peers' programs share: arguments, the choice of pictures, and how results are printed."""

import argparse
import pathlib
import statistics

SIZE = 150
NETWORKS = ("vgg16", "resnet50", "inception_v3")


def arguments():
    """The arguments that benches/lesson.rs takes, too."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--network", choices=NETWORKS, default="vgg16")
    for name in ("train", "validation", "batch", "epochs"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--precision", choices=("f32", "bf16"), required=True)
    parser.add_argument("--parts", type=lambda text: text.split(","), required=True)
    parser.add_argument("--compile", action="store_true", help="PyTorch: torch.compile with freezing")
    return parser.parse_args()


def pictures(folder, count):
    """The first pictures of each class in turn, as `Dataset::take` chooses them: files, labels, class names."""
    classes = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
    endings = {".jpg", ".jpeg", ".png", ".bmp"}
    of_class = [
        sorted(file for file in path.rglob("*") if file.suffix.lower() in endings) for path in classes
    ]
    ranked = [
        (rank, label, str(file))
        for label, files in enumerate(of_class)
        for rank, file in enumerate(files)
    ]
    chosen = sorted(sorted(ranked)[:count], key=lambda row: (row[1], row[2]))
    return [file for _, _, file in chosen], [label for _, label, _ in chosen], [p.name for p in classes]


def epoch_seconds(seconds):
    """The median of the epochs; the first, which compiles and warms up, counts only where it is alone."""
    return statistics.median(seconds[1:] or seconds)


def measure(name, value):
    print(f"measure {name} {value}", flush=True)


def version(name, value):
    print(f"version {name} {value}", flush=True)


def note(text):
    print(f"note {text}", flush=True)


def print_memory():
    """The most memory that this process has had, in MB, as Linux counts it."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        measure("memory", round(int(line.split()[1]) * 1024 / 1e6))
    except (OSError, StopIteration):
        note("peak memory is known on Linux only")
