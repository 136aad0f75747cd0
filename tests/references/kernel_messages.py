"""Talks to the installed kernel "Rust (transfer)" in Jupyter's messages, and tells all that it answers.

Reads from stdin {"steps": [step, ...], "kernel": name} and prints {"steps": {name: answer}, "left": number of
processes that outlived the kernel}. Of a step

{"name", "cells": [code, ...], "stop_on_error": bool, "ask": [[kind, content], ...], "interrupts": [seconds, ...]}

all cells are sent at once, and the requests and interrupts as soon as a cell shows something, those with `seconds`
so long after; without cells at once. Its answer, when each cell and request has one and each cell is idle, is
{"cells": [{"reply", "messages": [{"kind", "content"}, ...], "count", "seconds"}, ...],
"asked": [{"reply", "seconds"}, ...], "stray": [...], "late": [...], "memory": bytes}: `messages` are those on iopub with the cell as their
parent, without its status and input, texts on one stream made one; `count` is how many they were before that.
`stray` has those that belong to nothing in the step, `late` those that came when their cell was idle. A comm_close is
the reply to a comm_open. `memory` is that of the kernel's own process. What has no end after PATIENCE is told
as far as it came.

{"name", "nbclient": [code, ...]} runs a notebook with nbclient on the same kernel: {"error": name or None, "text"}.
{"name", "silent": true} brings a second reader of iopub, which takes nothing, and {"name", "silent": false} sends it away.
"""

import json
import sys
import time

import nbclient
import nbformat
import psutil
import zmq
from jupyter_client.asynchronous import AsyncKernelClient
from notebook_cells import Notebook

# Seconds for one step, on a busy machine.
PATIENCE = 200
# Letters. Longer texts come as their length alone.
LONG = 5_000_000


def told(value):
    """A content without what is too long to tell."""
    if isinstance(value, dict):
        return {key: told(one) for key, one in value.items()}
    if isinstance(value, list):
        return [told(one) for one in value]
    return f"{len(value)} letters" if isinstance(value, str) and len(value) > LONG else value


class Step:
    """Cells and requests on their way."""

    def __init__(self, notebook, step):
        self.notebook = notebook
        self.requests = list(step.get("ask", []))
        self.interrupts = sorted(step.get("interrupts", []))
        # By the numbers of their messages.
        self.cells, self.asked, self.idle = {}, {}, set()
        self.stray, self.late = [], []
        self.begun = None
        options = {"stop_on_error": step.get("stop_on_error", True), "allow_stdin": False}
        self.start = time.time()
        for code in step.get("cells", []):
            self.cells[notebook.client.execute(code, **options)] = {"messages": [], "texts": [], "count": 0}

    def run(self):
        """What the kernel answers."""
        client = self.notebook.client
        channels = {channel.socket: channel for channel in (client.shell_channel, client.iopub_channel)}
        poller = zmq.Poller()
        for socket in channels:
            poller.register(socket, zmq.POLLIN)
        while not self.is_done():
            if time.time() > self.start + PATIENCE:
                # The next step may do better.
                print(f"no end after {PATIENCE} seconds: {self.requests}", file=sys.stderr)
                break
            if self.begun or not self.cells:
                self.ask()
            for socket, _ in poller.poll(20):
                message = channels[socket].get_msg()
                if socket is client.shell_channel.socket:
                    self.replied(message)
                else:
                    self.published(message)
        self.notebook.replies()
        return {
            "cells": [self.cell(cell) for cell in self.cells.values()],
            "asked": list(self.asked.values()),
            "stray": self.stray,
            "late": self.late,
            "memory": psutil.Process(self.notebook.manager.provisioner.process.pid).memory_info().rss,
        }

    def is_done(self):
        """Whether everything has been sent and answered."""
        answers = [*self.cells.values(), *self.asked.values()]
        return not self.requests and all("reply" in one for one in answers) and self.idle >= self.cells.keys()

    def ask(self):
        """Sends what is due."""
        client = self.notebook.client
        for kind, content in self.requests:
            message = client.session.msg(kind, content)
            client.shell_channel.send(message)
            self.asked[message["header"]["msg_id"]] = {"sent": time.time()}
        self.requests = []
        while self.interrupts and self.begun and time.time() >= self.begun + self.interrupts[0]:
            self.interrupts.pop(0)
            self.notebook.interrupt()

    def replied(self, message):
        number = message["parent_header"].get("msg_id")
        if answer := self.cells.get(number) or self.asked.get(number):
            answer["reply"] = message["content"]
            answer["seconds"] = time.time() - answer.pop("sent", self.start)
        else:
            self.stray.append(message["content"])

    def published(self, message):
        number, kind, content = message["parent_header"].get("msg_id"), message["msg_type"], message["content"]
        if kind != "status" and number in self.idle:
            self.late.append({"kind": kind, "content": told(content)})
        if kind == "status":
            if content["execution_state"] == "idle":
                self.idle.add(number)
        elif cell := self.cells.get(number):
            if kind == "execute_input":
                return
            self.begun = self.begun or time.time()
            cell["count"] += 1
            last = cell["messages"][-1] if cell["messages"] else {"kind": None}
            if kind == "stream" == last["kind"] and content["name"] == last["content"]["name"]:
                # Not with `+=`: 200,000 times the whole text would be copied.
                cell["texts"][-1].append(content["text"])
            else:
                cell["messages"].append({"kind": kind, "content": told(content)})
                cell["texts"].append([content["text"]] if kind == "stream" else [])
        elif kind == "comm_close" and number in self.asked:
            self.replied(message)
        elif number not in self.asked:
            self.stray.append({"kind": kind, "content": told(content)})

    @staticmethod
    def cell(cell):
        """A cell with its texts in its messages."""
        for message, texts in zip(cell["messages"], cell.pop("texts")):
            if texts:
                message["content"]["text"] = "".join(texts)
        return cell


def with_nbclient(notebook, cells):
    """What nbclient makes of a notebook."""
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    runner = nbclient.NotebookClient(document, km=notebook.manager, timeout=PATIENCE)
    # It waits for several things at once.
    runner.kc = AsyncKernelClient()
    runner.kc.load_connection_info(notebook.manager.get_connection_info())
    runner.kc.start_channels()
    try:
        runner.execute()
    except nbclient.exceptions.CellExecutionError as error:
        return {"error": type(error).__name__, "text": str(error)}
    finally:
        runner.kc.stop_channels()
        # Our own client has seen it too.
        while notebook.client.iopub_channel.socket.poll(500):
            notebook.client.get_iopub_msg()
    return {"error": None, "text": ""}


def silent_reader(notebook):
    """A subscriber to everything that takes nothing: its socket keeps one message, and its system few bytes."""
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.rcvhwm = 1
    socket.setsockopt(zmq.RCVBUF, 4096)
    socket.subscribe(b"")
    socket.connect(notebook.client._make_url("iopub"))
    # Its subscription has to arrive.
    time.sleep(1)
    return socket


def main():
    order = json.load(sys.stdin)
    notebook = Notebook(order)
    answers, silent = {}, None
    try:
        for step in order["steps"]:
            if "nbclient" in step:
                answers[step["name"]] = with_nbclient(notebook, step["nbclient"])
            elif step.get("silent"):
                silent = silent_reader(notebook)
            elif "silent" in step:
                silent.close(linger=0)
            else:
                answers[step["name"]] = Step(notebook, step).run()
    finally:
        left = notebook.stop(kill=False)
    json.dump({"steps": answers, "left": left}, sys.stdout)


if __name__ == "__main__":
    main()
