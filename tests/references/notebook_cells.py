"""Runs cells on the installed kernel "Rust (transfer)" through a real Jupyter client.

Reads from stdin {"notebooks": [[cell, ...], ...], "together": bool, "kernel": name, "folder": cwd,
"kill": bool, "interrupts": [{"cell": number, "after": seconds}, ...]} and prints, for each
notebook, a list with one entry per cell:
{"status", "stdout", "stderr", "results": [mime bundles], "moving": [mime bundles], "error", "seconds", "threads", "memory",
"replies": [status], "stopping": seconds}.
`threads` and `memory` (bytes) are those of the process that holds the variables, after the cell.
`left` counts processes that outlived their kernels.
With "together", cell k of all notebooks is sent at the same moment. With "kill", the kernels are
killed at the end like a crash would, instead of being asked to stop.
`moving` are results that move in place, in the order in which they were first shown, each as it was last.
"interrupts" are for every notebook, and not for "together": "after" counts from the first that the cell prints or
shows, when it has been compiled and runs; without "after" the interrupt comes before the cell is sent, when
nothing runs. `replies` are the answers to a cell's interrupts, `stopping` is the time from its last interrupt
to its end.
"""

import contextlib
import json
import queue
import sys
import time

import psutil
from jupyter_client.manager import KernelManager


class Notebook:
    """One kernel and its client."""

    def __init__(self, order):
        start = time.time()
        self.manager = KernelManager(kernel_name=order.get("kernel", "rust_transfer"))
        # What the kernel itself prints is no part of the answer.
        self.manager.start_kernel(cwd=order.get("folder"), stdout=sys.stderr, stderr=sys.stderr)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.ready = time.time() - start
        self.unanswered = 0

    def send(self, code):
        """Sends a cell and returns at once."""
        self.sent = time.time()
        self.message = self.client.execute(code)

    def interrupt(self):
        """Interrupts the kernel as Jupyter does, with a message on the control channel."""
        self.interrupted = time.time()
        self.unanswered += 1
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))

    def replies(self):
        """The answers to the interrupts since the last call, and any more that there are."""
        replies = [self.client.get_control_msg(timeout=60) for _ in range(self.unanswered)]
        self.unanswered = 0
        time.sleep(0.1)
        while self.client.control_channel.msg_ready():
            replies.append(self.client.get_control_msg(timeout=1))
        return [reply["content"]["status"] for reply in replies if reply["msg_type"] == "interrupt_reply"]

    def run(self, code, interrupts):
        """Sends a cell, interrupts it, and waits for its answer."""
        times = sorted(one["after"] for one in interrupts if "after" in one)
        for _ in range(len(interrupts) - len(times)):
            self.interrupt()
        replies = self.replies() if interrupts else []
        self.send(code)
        cell = self.collect(times)
        cell["replies"] = replies + (self.replies() if interrupts else [])
        return cell

    def collect(self, interrupts=()):
        """Waits for the answer to the cell that was sent last; interrupts it so long after its first line."""
        cell = {"stdout": "", "stderr": "", "results": [], "moving": [], "error": None}
        waiting, begun, names = list(interrupts), None, []
        while True:
            patience = begun + waiting[0] - time.time() if begun and waiting else None
            if patience is not None and patience <= 0:
                waiting.pop(0)
                self.interrupt()
                continue
            try:
                message = self.client.get_iopub_msg(timeout=patience or 900)
            except queue.Empty:
                if patience is None:
                    raise
                continue
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != self.message:
                # evcxr's stderr may come after its cell is done, and then belongs to none.
                if kind == "stream":
                    cell[content["name"]] += content["text"]
                continue
            if kind == "stream":
                cell[content["name"]] += content["text"]
                if content["name"] == "stdout":
                    begun = begun or time.time()
            elif kind in ("execute_result", "display_data"):
                begun = begun or time.time()
                name = content.get("transient", {}).get("display_id")
                cell["moving" if name else "results"].append(content["data"])
                names.append(name)
                cell["number"] = content.get("execution_count", cell.get("number"))
            elif kind == "update_display_data":
                moving = [name for name in names if name]
                cell["moving"][moving.index(content["transient"]["display_id"])] = content["data"]
            elif kind == "error":
                cell["error"] = content["evalue"] + "\n" + "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        reply = self.client.get_shell_msg(timeout=60)
        while reply["parent_header"].get("msg_id") != self.message:
            reply = self.client.get_shell_msg(timeout=60)
        cell["seconds"] = time.time() - self.sent
        if interrupts and not waiting:
            cell["stopping"] = time.time() - self.interrupted
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
        """The process that holds the variables, if there is one: it is marked by a variable."""
        for process in psutil.Process(self.manager.provisioner.process.pid).children(recursive=True):
            # A helper may end at any moment.
            with contextlib.suppress(psutil.Error):
                if "EVCXR_TRANSFER_INNER" in process.environ():
                    return process
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
                interrupts = [one for one in order.get("interrupts", []) if one["cell"] == number]
                for notebook, cell, answer in turns:
                    answer.append(notebook.run(cell, interrupts))
    finally:
        left = sum(notebook.stop(order.get("kill", False)) for notebook in notebooks)
    ready = [notebook.ready for notebook in notebooks]
    json.dump({"ready": ready, "answers": answers, "left": left}, sys.stdout)


if __name__ == "__main__":
    main()
