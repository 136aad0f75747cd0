"""Rewrites a PyTorch state dict as a safetensors file: convert.py IN OUT.

Tensors keep their names (without the "module." of DataParallel), shapes and types. OUT appears
only when it is complete. A failure is one line on stderr, "what<tab>what to do", and exit code 1.
"""
import os
import pickle
import sys
import zipfile

SAVE_STATE_DICT = (
    "in Python, where the model was made: torch.save(model.state_dict(), 'weights.pth'), and convert that file"
)


def fail(what, remedy):
    print(f"{what}\t{remedy}", file=sys.stderr)
    sys.exit(1)


def load(path):
    try:
        open(path, "rb").close()
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror or error}", "check the rights on the file")
    check_sums(path)
    try:
        # weights_only: a pickle may run any code, and weights need none.
        return torch.load(path, weights_only=True, map_location="cpu")
    # OSError too: PyTorch seeks past the end of a file whose download broke off.
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        text = str(error)
        if "TorchScript" in text:
            fail(f"{path} is a TorchScript program, not a state dict", SAVE_STATE_DICT)
        if "Unsupported global" in text or "Unsupported class" in text:
            fail(f"{path} holds a whole pickled model or other Python objects, not just weights", SAVE_STATE_DICT)
        fail(
            f"{path} is damaged or no PyTorch file",
            "download or copy it again; a PyTorch file is one written by torch.save",
        )
    except MemoryError:
        fail(f"{path} does not fit into memory", "close other programs, or convert it on another machine")


def check_sums(path):
    """PyTorch itself reads a part whose bytes have changed without a word."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as parts:
            changed = parts.testzip()
    # Damaged headers, kinds of compression that torch.save has not.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        fail(f"{path} is damaged: {error}", "download or copy it again")
    if changed:
        fail(f"{path} is damaged: its part {changed} does not fit its checksum", "download or copy it again")


def state_dict(content, path):
    """The tensors in what was loaded, by name."""
    if isinstance(content, dict):
        for key in ("state_dict", "model"):
            if isinstance(content.get(key), dict):
                content = content[key]
                break
    else:
        fail(f"{path} holds a {type(content).__name__}, not a dict of tensors", SAVE_STATE_DICT)
    tensors = {}
    for key, value in content.items():
        if not isinstance(value, torch.Tensor):
            print(f"left out, since it is no tensor: {key}")
            continue
        name = str(key).removeprefix("module.")
        if name in tensors:
            fail(f"{path} has two tensors named {name}", SAVE_STATE_DICT)
        # The format takes neither views nor tensors that share their memory.
        tensors[name] = value.detach().contiguous().clone()
    if not tensors:
        fail(f"{path} holds no tensors", SAVE_STATE_DICT)
    return tensors


def main(source, result):
    tensors = state_dict(load(source), source)
    part = f"{result}.part"
    try:
        save_file(tensors, part, metadata={"format": "pt"})
        # The library writes for the owner alone; others may read weights as they may other files.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask)
        os.replace(part, result)
    except Exception as error:
        if os.path.isfile(part):
            os.remove(part)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        fail(f"{result} cannot be written: {reason}", "check that its folder exists, may be written to and has room")
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    print(f"{result}: {len(tensors)} tensors, {size} bytes")


try:
    import torch
    from safetensors.torch import save_file
except ImportError as error:
    fail(
        f"converting needs the Python packages torch and safetensors in .venv ({error})",
        "run `cargo lab setup`; if libtorch comes from LIBTORCH, install torch yourself: "
        "`.venv/bin/python -m pip install torch==2.11.0`",
    )

main(*sys.argv[1:3])
