"""Starts a kernel that takes an engine which was started in advance, elsewhere, and one whose engine is dead by then.

Reads {} from stdin. Prints {"said": what a cell of each says of its current
folder and of the variable MARK, "folder": where the kernels were started, "first": seconds from the first kernel's start to
its answer, "taken": how many such engines were taken, "killed": how many were killed as they waited}, when what was taken has been tidied up.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import psutil
from jupyter_client.manager import KernelManager

LAB = pathlib.Path(__file__).resolve().parents[2] / ".lab"
PROGRAM = LAB / "bin/kernel"
# The second where the checkout's path is long or has a blank.
PLACES = [LAB / "sessions", pathlib.Path(tempfile.gettempdir()) / f"evcxr_transfer-sessions-{os.getuid()}"]


def sessions(mark):
    """How many sessions there are with this file in them."""
    return sum(len(list(place.glob(f"*/{mark}"))) for place in PLACES)
CELL = 'println!("{} {}", std::env::current_dir()?.display(), std::env::var("MARK")?);'


def until(has_come):
    """Waits up to two minutes."""
    for _ in range(1200):
        if has_come():
            return
        time.sleep(0.1)
    raise TimeoutError


def warm(env):
    """Has an engine wait for a kernel."""
    subprocess.run([PROGRAM, "warm"], cwd="/", env={**env, "GONE": "1"}, check=True)
    until(lambda: sessions("waiting") > 0)


def kill_waiting():
    """Kills those that wait as a system without memory does, so that they cannot tidy up; how many."""
    killed = 0
    waiting = {file.parent.name for place in PLACES for file in place.glob("*/waiting")}
    for process in psutil.process_iter(["cmdline"]):
        if waiting & {pathlib.Path(argument).name for argument in process.info["cmdline"] or []}:
            process.kill()
            process.wait()
            killed += 1
    return killed


def first_cell(folder, env):
    """What a new kernel's first cell says, in how many seconds, and how many engines were taken by then."""
    start = time.monotonic()
    manager = KernelManager(kernel_name="rust_transfer")
    manager.start_kernel(cwd=folder, env={**env, "MARK": 'it\'s "here"'}, stdout=sys.stderr, stderr=sys.stderr)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    taken = sessions("taken")
    said = []
    client.execute_interactive(CELL, timeout=120, output_hook=lambda message: said.append(message["content"]))
    first = time.monotonic() - start
    client.stop_channels()
    manager.shutdown_kernel()
    return "".join(content.get("text", "") for content in said), first, taken


def main():
    # Whatever the machine's memory.
    env = {**os.environ, "EVCXR_TRANSFER_SPARE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        warm(env)
        said, first, taken = first_cell(folder, env)
        warm(env)
        killed = kill_waiting()
        said = [said, first_cell(folder, env)[0]]
        until(lambda: sessions("taken") == 0)
        real = os.path.realpath(folder)
        print(json.dumps({"said": said, "folder": real, "first": first, "taken": taken, "killed": killed}))


json.load(sys.stdin)
main()
