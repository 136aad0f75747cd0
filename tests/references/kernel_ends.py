"""Kills one of a kernel's processes while a cell runs for ever, and tells what is left of it.

Reads from stdin {"victims": ["front", "keeper", "engine", "server"]}, where the server is the process that has started
the kernel. Prints {victim: {"running": what `kernel running` said before, "processes": number of the kernel's
processes that are still there 30 seconds later, "folders": those of rust-analyzer's in the temporary folder that are
new}}, a kernel that still runs shut down first. With the engine, also "later": the replies to three cells of that
kernel, the engine killed once more between the first and the second.
"""

import glob
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import psutil
from jupyter_client.manager import KernelManager

KERNEL = pathlib.Path(__file__).resolve().parents[2] / ".lab/bin/kernel"
CELL = 'println!("runs");\nloop {}'
SHORT_CELL = "let few = 1;"
SERVER = "start"


def folders():
    """rust-analyzer's folders in the temporary folder."""
    return set(glob.glob(os.path.join(tempfile.gettempdir(), "rust-analyzer*")))


def start():
    """A kernel whose cell runs; its process."""
    manager = KernelManager(kernel_name="rust_transfer")
    manager.start_kernel(stdout=sys.stderr, stderr=sys.stderr)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    client.execute(CELL)
    while client.get_iopub_msg(timeout=300)["msg_type"] != "stream":
        pass
    client.stop_channels()
    return manager, manager.provisioner.process.pid


def server():
    """Starts a kernel for another process, which kills this one."""
    _, process = start()
    print(process, flush=True)
    time.sleep(600)


def end(victim):
    before = folders()
    manager = holder = None
    if victim == "server":
        holder = subprocess.Popen([sys.executable, __file__, SERVER], stdout=subprocess.PIPE, text=True)
        number = int(holder.stdout.readline())
    else:
        manager, number = start()
    front = psutil.Process(number)
    family = [front, *front.children(recursive=True)]
    running = subprocess.run([KERNEL, "running"], capture_output=True, text=True, check=True).stdout.splitlines()
    keeper = front.children()[0]
    {"front": front, "keeper": keeper, "engine": keeper.children()[0], "server": holder}[victim].kill()
    if holder:
        holder.wait()
    if victim in ("keeper", "engine"):
        # The front itself lives on, for the next cell.
        family.remove(front)
    _, left = psutil.wait_procs(family, timeout=30)
    told = {"running": running, "processes": len(left)}
    if victim == "engine":
        told["later"] = later(manager, front)
    if manager:
        manager.shutdown_kernel(now=victim == "front")
    return told | {"folders": sorted(folders() - before)}


def later(manager, front):
    """Runs a cell, kills the engine while none runs, and runs two more."""
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)

    def reply():
        return client.execute_interactive(SHORT_CELL, output_hook=lambda _: None, timeout=120)["content"]

    first = reply()
    keeper = front.children()[0]
    keeper.children()[0].kill()
    keeper.wait(30)
    # The front has heard of it, too.
    time.sleep(1)
    replies = [first, reply(), reply()]
    client.stop_channels()
    return replies


if sys.argv[1:] == [SERVER]:
    server()
else:
    print(json.dumps({victim: end(victim) for victim in json.load(sys.stdin)["victims"]}))
