"""Runs notebooks and keeps what they give: execute.py FOLDER NOTEBOOK...

Each notebook is run in its own folder, by the kernel that it names, cell by cell up to its first failure. The
outcome goes to FOLDER as NAME.ipynb and NAME.html. Exit code: 0 when every cell was fine, 1 when a cell failed or
a notebook could not be run, 130 after Ctrl-C, 3 for an accident in this program.

A cell has failed when it ends with an error, when it writes to stderr (a stock evcxr kernel calls a cell "ok" whose
`?` failed or that panicked), or when its result is an `Err(..)`. Two tags of a cell change that: `allow-stderr` lets it write
there, and `raises-exception` says that it has to fail.
"""
import os
import signal
import sys

# Python itself would show a traceback; as long as no kernel runs, there is nothing to tidy up.
signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import asyncio
import contextlib
import queue
import re
import time
import traceback


class Trouble(Exception):
    """What went wrong and what to do about it, as the rest of `cargo lab` says it."""

    def __init__(self, what, remedy):
        super().__init__(f"error: {what}\n  what to do: {remedy}")


def complain(trouble):
    print(trouble, file=sys.stderr, flush=True)


try:
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from jupyter_core.utils import ensure_async, ensure_event_loop, run_sync
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionComplete, DeadKernelError
    from nbconvert import HTMLExporter
    from nbconvert.filters import strip_ansi
except ImportError as missing:
    complain(Trouble(f"Jupyter in .venv is not complete ({missing})", "run `cargo lab setup`"))
    sys.exit(3)

WIDTH = 100

# A picture's text in words for who cannot see it: the text that pages without pictures show. nbconvert's "lab" has no
# place for one.
PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- macro described(picture, output) -%}
{%- set words = (output.data.get('text/plain') or '') | escape_html | replace('"', '&quot;') -%}
{{ picture | replace('<img ', '<img alt="' ~ words ~ '" ', 1) if words else picture }}
{%- endmacro -%}
{% block data_png scoped %}{{ described(super(), output) }}{% endblock %}
{% block data_jpg scoped %}{{ described(super(), output) }}{% endblock %}
"""

# How long a cell that has ended may stay silent before the next one starts. Text on stderr may come after the end:
# within milliseconds from evcxr. There is more patience where a failure is in sight, and after the last cell.
SHORT, LONG = 0.1, 0.3
# But no longer than this in all: a thread may go on printing for ever.
LONGEST = 2.0


def say(text, end="\n"):
    """Prints at once. A reader that went away (`cargo lab run | head -1`) does not stop the notebook."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")


def duration(seconds):
    """ "3.2 s", "1 min 32 s" """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def indented(text):
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))


def headline(code):
    """The first line of a cell that is more than a comment."""
    lines = [line.strip() for line in code.split("\n") if line.strip()]
    return next((line for line in lines if not line.startswith(("//", "# "))), lines[0])


class Screen:
    """One line for each cell; between its start and its time stands, indented, what the cell prints."""

    def begin(self, title, code):
        room = WIDTH - len("  FAILED  59 min 59 s") - len(title)
        line = headline(code)
        if len(line) > room:
            line = line[: room - 3] + "..."
        self.used = len(title) + len(line)
        self.unfinished = ""
        self.is_moving = False
        say(title + line, end="")

    def show(self, text):
        """Passes whole lines on. Of a line that is drawn again and again, by `\\r`, the last state counts."""
        self.rest()
        *lines, self.unfinished = (self.unfinished + text).split("\n")
        for line in lines:
            if self.used:
                say("")
                self.used = 0
            say(indented(strip_ansi(line.rstrip("\r").rsplit("\r", 1)[-1])))

    def move(self, text):
        """Draws the last line of work that goes on, over the one before; on a terminal only."""
        if sys.stdout.isatty() and text:
            line = "    " + text.rstrip().split("\n")[-1]
            say("\r" + line[:WIDTH].ljust(WIDTH), end="")
            self.is_moving = True

    def rest(self):
        """Takes that line away."""
        if self.is_moving:
            say("\r" + " " * WIDTH + "\r", end="")
            self.is_moving = False

    def end(self, note):
        self.rest()
        if self.unfinished:
            self.show("\n")
        say(note.rjust(WIDTH - self.used))


def tags(cell):
    return cell.metadata.get("tags", [])


def complaints(cell):
    """The texts in a cell's outputs that mean a failure."""
    for output in cell.outputs:
        if output.output_type == "error":
            yield "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
        elif output.output_type == "stream":
            if output.name == "stderr" and "allow-stderr" not in tags(cell):
                yield output.text
        elif output.get("data", {}).get("text/plain", "").startswith("Err("):
            yield output.data["text/plain"]


def failure(cell):
    """Why a cell that has run is not as it should be, as text for a reader; or nothing."""
    texts = [strip_ansi(text).strip() for text in complaints(cell)]
    # Of a message of libtorch the first line says it; fifty of C++ follow (after an escaped line end, in `Err(..)`).
    texts = [re.split(r"(?:\n|\\n)Exception raised from", text)[0] for text in texts if text]
    if "raises-exception" not in tags(cell):
        return "\n".join(texts)
    return "" if texts else "the cell is tagged raises-exception, but it did not fail"


class Client(NotebookClient):
    """nbclient's client; it also passes on what cells print, and hears what they say after their end."""

    def __init__(self, notebook, folder):
        super().__init__(
            notebook,
            resources={"metadata": {"path": folder}},
            startup_timeout=600,
            timeout=None,
            # For large outputs, and for the time after a cell's end.
            iopub_timeout=60,
            # What a failure is, is decided by `failure`: most of evcxr's are none to nbclient.
            allow_errors=True,
            on_cell_executed=keep_error,
            coalesce_streams=True,
            record_timing=False,
        )
        self.screen = Screen()
        # The cells by the request that they were sent with.
        self.owners = {}
        # What the running cell has shown that moves in place, by its name: the last text.
        self.moving = {}
        self.cells = [
            (index, cell)
            for index, cell in enumerate(notebook.cells)
            if cell.cell_type == "code" and cell.source.strip() and self.skip_cells_with_tag not in tags(cell)
        ]

    def run(self):
        """Runs the cells up to the first failure: whether all were fine."""
        info = self.wait_for_reply(self.kc.kernel_info())
        self.nb.metadata["language_info"] = info["content"]["language_info"]
        for number, (index, cell) in enumerate(self.cells, 1):
            self.screen.begin(f"[{number:{len(str(len(self.cells)))}}/{len(self.cells)}] ", cell.source)
            start = time.monotonic()
            try:
                self.execute_cell(cell, index, execution_count=number)
            except DeadKernelError:
                self.screen.end("FAILED")
                complain(
                    Trouble(
                        f"the kernel died in cell {number}",
                        "`cargo lab doctor` looks at this machine; if memory ran out, close other programs",
                    )
                )
                return False
            seconds = duration((self.ended or time.monotonic()) - start)
            for text in self.moving.values():
                self.screen.show(text.rstrip("\n") + "\n")
            self.moving.clear()
            self.screen.end(f"FAILED  {seconds}" if failure(cell) else seconds)
            # All cells so far: one of them may have said something meanwhile.
            for earlier, (_, cell) in enumerate(self.cells[:number], 1):
                if failure(cell):
                    say(f"cell {earlier} failed:\n{indented(cell.source)}\n  with:\n{indented(failure(cell))}")
                    return False
        return True

    async def _async_poll_output_msg(self, parent_msg_id, cell, cell_index):
        """Collects a running cell's messages: here past its end, and those of the cells before it too."""
        self.owners[parent_msg_id] = (cell, cell_index)
        self.ended = None
        while True:
            patience = None
            if self.ended:
                if time.monotonic() > self.ended + LONGEST:
                    return
                patience = LONG if cell is self.cells[-1][1] or failure(cell) else SHORT
            try:
                message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=patience))
            except queue.Empty:
                return
            owner = self.owners.get(message["parent_header"].get("msg_id"))
            if owner is None:
                continue
            try:
                self.process_message(message, *owner)
            except CellExecutionComplete:
                if owner[0] is cell and not self.ended:
                    self.ended = time.monotonic()

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream":
            if msg["content"]["name"] == "stdout" or "allow-stderr" in tags(cell):
                self.screen.show(msg["content"]["text"])
        elif msg["msg_type"] in ("display_data", "update_display_data"):
            data, name = msg["content"]["data"], msg["content"].get("transient", {}).get("display_id")
            # Pictures have no place on a terminal.
            if name and not any(kind.startswith("image/") for kind in data):
                self.moving[name] = data.get("text/plain", "")
                self.screen.move(self.moving[name])
        return super().process_message(msg, cell, cell_index)

    def interrupt(self):
        """Ends the running cell, so that the kernel is free to end too, and what nbclient still waits for."""
        loop = ensure_event_loop()
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return
        if self.owners and self.km is not None and self.km.has_kernel:
            run_sync(self.km.interrupt_kernel)()
            loop.run_until_complete(asyncio.wait(tasks, timeout=LONGEST))
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def stop(self):
        """Ends the kernel if nbclient has not: it leaves one alone whose start was interrupted."""
        if self.km is not None and self.km.has_kernel:
            run_sync(self.km.shutdown_kernel)(now=True)


def keep_error(cell, cell_index, execute_reply):
    """Adds the error that only the kernel's reply tells to the cell's outputs."""
    reply = execute_reply["content"]
    if reply["status"] == "ok" or any(output.output_type == "error" for output in cell.outputs):
        return
    cell.outputs.append(
        nbformat.v4.new_output(
            "error",
            ename=reply.get("ename", "Error"),
            evalue=reply.get("evalue", f"the kernel answered \"{reply['status']}\""),
            traceback=reply.get("traceback", []),
        )
    )


def read(path):
    """The notebook without the outputs of earlier runs."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    # The last two come from JSON that is no notebook at all.
    except (OSError, ValueError, nbformat.ValidationError, AttributeError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Trouble(f"{path} cannot be read as a notebook: {reason[:WIDTH]}", "save it anew in JupyterLab") from None
    if not notebook.metadata.get("kernelspec", {}).get("name"):
        raise Trouble(f"{path} names no kernel", "open it in JupyterLab (`cargo lab`), choose a kernel and save it")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    return notebook


def start(client, stack):
    """Starts the kernel; `stack` ends it."""
    name = client.nb.metadata.kernelspec.name
    try:
        stack.enter_context(client.setup_kernel())
    except NoSuchKernel:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        raise Trouble(
            f"there is no kernel {name} (there are: {known})",
            "`cargo lab doctor` says what is missing; or choose another kernel in JupyterLab (`cargo lab`)",
        ) from None
    except (RuntimeError, OSError) as error:
        raise Trouble(
            f"the kernel {name} does not start: {error}",
            "its own words, if any, stand above; `cargo lab doctor` looks at this machine",
        ) from None


def write(path, text):
    """Writes to the side and renames: nobody meets half a file."""
    part = f"{path}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(part)
        raise Trouble(
            f"cannot write {path}: {error.strerror}", "check the rights on that folder and the free space"
        ) from None


def keep(notebook, name, folder, result):
    """Writes what there is of the notebook, for JupyterLab and for any browser."""
    write(f"{result}.ipynb", nbformat.writes(notebook) + "\n")
    exporter = HTMLExporter(template_name="lab", raw_template=PAGE, embed_images=True)
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": name, "path": folder}})
    write(f"{result}.html", page)


def run(path, results):
    """Runs one notebook: whether all its cells were fine."""
    begin = time.monotonic()
    folder, name = os.path.split(os.path.abspath(path))
    name = name.removesuffix(".ipynb")
    result = os.path.join(results, name)
    notebook = read(path)
    client = Client(notebook, folder)
    say(f"{name}.ipynb: code cells: {len(client.cells)}, kernel: {notebook.metadata.kernelspec.name}")
    with contextlib.ExitStack() as stack:
        stack.callback(client.stop)
        try:
            start(client, stack)
            fine = client.run()
        except KeyboardInterrupt:
            say("\nstopping the kernel; nothing of this notebook is kept")
            client.interrupt()
            raise
    keep(notebook, name, folder, result)
    say(f"{name}.ipynb: {'all cells are fine' if fine else 'FAILED'}, {duration(time.monotonic() - begin)}")
    say(f"  {result}.ipynb\n  {result}.html")
    return fine


def interrupt(*_):
    """The first Ctrl-C ends the notebook; a second one shall not cut short the end of its kernel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(results, *paths):
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    # A terminal that does not know a letter shows another.
    sys.stdout.reconfigure(errors="replace")
    all_fine = True
    for path in paths:
        try:
            all_fine &= run(path, results)
        except Trouble as trouble:
            complain(trouble)
            all_fine = False
    return 0 if all_fine else 1


try:
    sys.exit(main(*sys.argv[1:]))
except KeyboardInterrupt:
    sys.exit(130)
except Exception:
    # An exit code of its own: 1 would say that a cell failed.
    traceback.print_exc()
    sys.exit(3)
