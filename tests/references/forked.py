"""Runs programs of this folder, each in a copy of this process, which has the libraries in memory: to import Keras, PyTorch and
torchvision takes five seconds of a core, to copy a process none.

    forked.py SOCKET

listens at SOCKET until its stdin ends, then removes the folder of SOCKET. A request is one line, {"script": name, "arguments": [text]};
the answer is one line, {"status": number, "stdout": text, "stderr": text}, or none if the program has ended by a signal.
"""

import json
import os
import pathlib
import runpy
import select
import shutil
import socketserver
import sys
import tempfile
import traceback

# What the programs import.
import h5py  # noqa: F401
import keras  # noqa: F401
import keras.src.legacy.saving.legacy_h5_format  # noqa: F401
import numpy  # noqa: F401
import PIL.Image  # noqa: F401
import safetensors.numpy  # noqa: F401
import safetensors.torch  # noqa: F401
import torch  # noqa: F401
import torchvision  # noqa: F401

FOLDER = pathlib.Path(__file__).parent


def status_of(end):
    """What Python's own end would be."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def run(order):
    """Runs a program as Python runs it from the command line; its answer."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        script = str(FOLDER / order["script"])
        sys.argv = [script, *order["arguments"]]
        status = 0
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            status = status_of(end)
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode(errors="replace"))
    return {"status": status, "stdout": printed[0], "stderr": printed[1]}


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """A copy of this process for each request."""

    # How long it takes at most until the end of stdin is seen.
    timeout = 0.2
    request_queue_size = 64


class Request(socketserver.StreamRequestHandler):
    """Answers in the copy."""

    def handle(self):
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        answer = run(json.loads(self.rfile.readline()))
        self.wfile.write((json.dumps(answer) + "\n").encode())


def main():
    path = pathlib.Path(sys.argv[1])
    with Server(f"{path}.new", Request) as server:
        # Seen only once it is listened to.
        os.rename(f"{path}.new", path)
        while not select.select([sys.stdin], [], [], 0)[0]:
            server.handle_request()
    shutil.rmtree(path.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
