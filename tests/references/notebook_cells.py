"""Runs cells on the installed kernel "Rust (transfer)" through a real Jupyter client.

Reads from stdin {"notebooks": [[cell, ...], ...], "together": bool, "kernel": name, "folder": cwd,
"kill": bool, "env": {...}} and prints, for each notebook, a list with one entry per cell:
{"status", "stdout", "stderr", "results": [mime bundles], "error", "seconds", "threads", "memory"}.
`threads` and `memory` (bytes) are those of the process that holds the variables, after the cell.
`left` counts processes that outlived their kernels.
With "together", cell k of all notebooks is sent at the same moment. With "kill", the kernels are
killed at the end like a crash would, instead of being asked to stop.
"""

import contextlib
import json
import sys
import time

import psutil
from jupyter_client.manager import KernelManager


class Notebook:
    """One kernel and its client."""

    def __init__(self, order):
        start = time.time()
        self.manager = KernelManager(kernel_name=order.get("kernel", "rust_transfer"))
        environment = {**psutil.Process().environ(), **order.get("env", {})}
        self.manager.start_kernel(cwd=order.get("folder"), env=environment, stderr=sys.stderr)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.ready = time.time() - start

    def send(self, code):
        """Sends a cell and returns at once."""
        self.sent = time.time()
        self.message = self.client.execute(code)

    def collect(self):
        """Waits for the answer to the cell that was sent last."""
        cell = {"stdout": "", "stderr": "", "results": [], "error": None}
        while True:
            message = self.client.get_iopub_msg(timeout=900)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != self.message:
                # evcxr's stderr may come after its cell is done, and then belongs to none.
                if kind == "stream":
                    cell[content["name"]] += content["text"]
                continue
            if kind == "stream":
                cell[content["name"]] += content["text"]
            elif kind in ("execute_result", "display_data"):
                cell["results"].append(content["data"])
                cell["number"] = content.get("execution_count")
            elif kind == "error":
                cell["error"] = content["evalue"] + "\n" + "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        reply = self.client.get_shell_msg(timeout=60)
        while reply["parent_header"].get("msg_id") != self.message:
            reply = self.client.get_shell_msg(timeout=60)
        cell["seconds"] = time.time() - self.sent
        cell["status"] = reply["content"]["status"]
        # Late stderr: evcxr hands it on within a few milliseconds.
        time.sleep(0.02)
        while self.client.iopub_channel.msg_ready():
            message = self.client.get_iopub_msg(timeout=1)
            if message["msg_type"] == "stream":
                cell[message["content"]["name"]] += message["content"]["text"]
        process = self.cells_process()
        cell["threads"] = process.num_threads() if process else 0
        cell["memory"] = process.memory_info().rss if process else 0
        return cell

    def cells_process(self):
        """The process that evcxr's engine keeps the variables in: its only child."""
        kernel = psutil.Process(self.manager.provisioner.process.pid)
        for engine in kernel.children():
            # A helper that has just ended has no command line any more.
            with contextlib.suppress(psutil.Error):
                if "--control_file" in engine.cmdline():
                    children = engine.children()
                    return children[0] if children else None
        return None

    def stop(self, kill):
        """Ends the kernel; the number of its processes that are still there 20 seconds later."""
        kernel = psutil.Process(self.manager.provisioner.process.pid)
        family = kernel.children(recursive=True)
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=kill)
        _, left = psutil.wait_procs(family, timeout=20)
        return len(left)


def main():
    order = json.load(sys.stdin)
    notebooks = [Notebook(order) for _ in order["notebooks"]]
    answers = [[] for _ in notebooks]
    try:
        longest = max(len(cells) for cells in order["notebooks"])
        for number in range(longest):
            turns = [
                (notebook, cells[number], answer)
                for notebook, cells, answer in zip(notebooks, order["notebooks"], answers)
                if number < len(cells)
            ]
            if order.get("together"):
                for notebook, cell, _ in turns:
                    notebook.send(cell)
                for notebook, _, answer in turns:
                    answer.append(notebook.collect())
            else:
                for notebook, cell, answer in turns:
                    notebook.send(cell)
                    answer.append(notebook.collect())
    finally:
        left = sum(notebook.stop(order.get("kill", False)) for notebook in notebooks)
    ready = [notebook.ready for notebook in notebooks]
    json.dump({"ready": ready, "answers": answers, "left": left}, sys.stdout)


if __name__ == "__main__":
    main()
