"""Runs a notebook as a reader does, in JupyterLab in a headless Chromium: notebook_browser.py NOTEBOOK FOLDER PICTURES

Run > Run All Cells, offline and on the samples in the data folder PICTURES, on a copy of the notebook's folder and in
a JupyterLab of its own. Then the page itself is examined, and photographed from top to bottom into FOLDER, in JupyterLab's light
and dark theme: the page that begins with the notebook's third heading is light-03-1.png, and so on. Prints, as JSON,
{"chromium", "cells": [{"id", "number", "text", "tables", "images"}, ...], "screenshots",
"seconds": {"open", "run", "all"}}, one entry for each code cell, in the page's order.

Exit code 1, with the reason on stderr, when something on the page is not as it should be, or when a process is left
behind. CHROME names the Chromium; otherwise `chromium`, `chromium-browser` or `google-chrome` is taken.
"""

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import psutil
from playwright.sync_api import Error, sync_playwright

# Seconds. A notebook's last cell has to end within the first; it takes two minutes on two quiet cores.
RUN, SERVER, CLICK, END = 900, 60, 60, 30
# As on a laptop; the folder's list on the left takes 300 pixels of it.
WINDOW = {"width": 1400, "height": 1000}

# What stands under each code cell, as the page has it. `left` and `right` are those of the column of outputs.
CELLS = """
() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(cell => {
    const all = selector => [...cell.querySelectorAll(selector)];
    const text = selector => all(selector).map(one => one.textContent).join('\\n');
    const frame = cell.querySelector('.jp-OutputArea')?.getBoundingClientRect();
    return {
        prompt: cell.querySelector('.jp-InputPrompt').textContent,
        source: text('.jp-InputArea .cm-line'),
        text: text('.jp-OutputArea-output'),
        stderr: text('[data-mime-type="application/vnd.jupyter.stderr"]'),
        error: text('[data-mime-type="application/vnd.jupyter.error"]'),
        cut: text('.jp-TrimmedOutputs'),
        left: frame?.left,
        right: frame?.right,
        tables: all('.jp-OutputArea-output table').map(one => {
            const {left, right} = one.getBoundingClientRect();
            return {left, right};
        }),
        images: all('.jp-OutputArea-output img').map(one => {
            const {left, right} = one.getBoundingClientRect();
            return {left, right, complete: one.complete, pixels: one.naturalWidth};
        }),
    };
})
"""


class Trouble(Exception):
    """Something that a reader would not want to see."""


def chromium():
    """The browser: CHROME, else the first of the usual names."""
    names = [os.environ["CHROME"]] if os.environ.get("CHROME") else ["chromium", "chromium-browser", "google-chrome"]
    for found in filter(None, map(shutil.which, names)):
        return found
    raise Trouble(f"there is no {' or '.join(names)}: install Chromium (`sudo apt install chromium`), or set CHROME")


def until(condition, seconds, otherwise):
    """Asks every second; what `condition` answers as soon as it is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(1)
    raise Trouble(otherwise())


class Server:
    """A JupyterLab with settings, folders and a token of its own, on a port that is free."""

    def __init__(self, folder, root, pictures=None):
        self.log, self.runtime = folder / "server.log", folder / "runtime"
        self.token = secrets.token_urlsafe(24)
        environment = {
            **os.environ,
            "EVCXR_TRANSFER_OFFLINE": "1",
            # Without the pictures that the set-up draws: those take minutes more.
            **({"EVCXR_TRANSFER_DATA": str(pictures)} if pictures else {}),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            # Not on the command line, where everybody on the machine could read it.
            "JUPYTER_TOKEN": self.token,
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
        command += ["--log-level=WARN", f"--ServerApp.root_dir={root}"] + ["--allow-root"] * (os.geteuid() == 0)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
        self.left = []

    def address(self):
        """Where it answers, once it does."""

        def written():
            if self.process.poll() is not None:
                raise Trouble(f"JupyterLab does not start; it says:\n{self.words()}")
            for file in self.runtime.glob("jpserver-*.json"):
                # It may be half written.
                with contextlib.suppress(ValueError):
                    return json.loads(file.read_text())["url"]
            return None

        return until(written, SERVER, lambda: f"JupyterLab does not answer; it says:\n{self.words()}")

    def words(self):
        """The end of what server and kernel print."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self):
        """Ends it and its kernels; what does not go by itself is killed and kept in `left`."""
        family = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid).children(recursive=True)
        # It shuts its kernels down and ends.
        self.process.terminate()
        try:
            self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.left.append(f"JupyterLab itself ({self.process.pid})")
            self.process.kill()
            self.process.wait()
        _, left = psutil.wait_procs(family, timeout=END)
        for process in left:
            self.left.append(str(process))
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def shown(cell):
    """A cell as a reader sees it, for a message."""
    outputs = cell["text"] if len(cell["text"]) < 3000 else f"{cell['text'][:1500]}\n...\n{cell['text'][-1500:]}"
    return f"{cell['prompt']}\n{cell['source']}\n--- with the outputs\n{outputs}"


def failure(cell):
    """What is wrong with a cell, whether it has ended or not."""
    if cell["error"]:
        return "ends with an error"
    # What warns or fails beside a cell that ends well, a thread's panic for instance.
    if cell["stderr"].strip():
        return "writes to stderr"
    if cell["text"].startswith("Err("):
        return "results in an `Err(..)`"
    return None


def flaw(cell, number):
    """What is wrong with the cell that should have run as this one."""
    if cell["prompt"] != f"[{number}]:":
        return f"should be number {number}"
    if cell["cut"]:
        return "hides a part of its outputs"
    for one in cell["images"]:
        if not (one["complete"] and one["pixels"] > 0):
            return "has a picture that is not loaded"
    for one in cell["images"] + cell["tables"]:
        # Half a pixel: positions are fractions.
        if one["left"] < cell["left"] - 0.5 or one["right"] > cell["right"] + 0.5:
            return f"has something wider than the page: {one}, the page is from {cell['left']} to {cell['right']}"
    return None


class Page:
    """The notebook in the browser."""

    def __init__(self, page, path):
        self.page = page
        self.path = path
        notebook = json.loads(path.read_text("utf-8"))
        self.kernel = notebook["metadata"]["kernelspec"]["display_name"]
        self.ids = [cell["id"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        page.set_default_timeout(CLICK * 1000)

    def open(self, server, where="lab/tree"):
        """Opens the notebook and waits for its cells and its kernel."""
        self.page.goto(f"{server.address()}{where}/{self.path.name}?token={server.token}")
        self.page.locator(".jp-Notebook .jp-CodeCell").nth(len(self.ids) - 1).wait_for(state="attached")
        # Whoever runs cells before the kernel is known is asked for one.
        self.page.locator(".jp-Toolbar-kernelName", has_text=self.kernel).wait_for()
        self.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first.wait_for()

    def menu(self, *names):
        """Clicks through a menu, as Run > Run All Cells."""
        for name in names:
            # Not by their roles: the name of an entry there depends on what stands beside it.
            label = self.page.locator(".lm-MenuBar-itemLabel, .lm-Menu-itemLabel")
            label.filter(has_text=re.compile(f"^{re.escape(name)}$"), visible=True).click()

    def cells(self):
        """The code cells as they are now."""
        cells = self.page.evaluate(CELLS)
        for number, cell in enumerate(cells, 1):
            if wrong := failure(cell):
                raise Trouble(f"code cell {number} {wrong}:\n{shown(cell)}")
        dialog = self.page.locator(".jp-Dialog-content")
        if dialog.count():
            raise Trouble(f"JupyterLab asks something: {dialog.first.text_content()}")
        toast = self.page.locator(".Toastify__toast")
        if toast.count():
            raise Trouble(f"something covers a part of the page: {toast.first.text_content()}")
        return cells

    def run(self):
        """Runs all cells and waits for the last one."""
        self.menu("Run", "Run All Cells")

        def done():
            cells = self.cells()
            return all(cell["prompt"].strip("[]:").isdecimal() for cell in cells)

        def running():
            cells = self.cells()
            first = next(cell for cell in cells if not cell["prompt"].strip("[]:").isdecimal())
            return f"this cell has not ended after {RUN} seconds:\n{shown(first)}"

        until(done, RUN, running)
        # Text on stderr may come after the end.
        time.sleep(1)

    def examine(self):
        """Refuses what a reader would not want to see; the code cells."""
        cells = self.cells()
        if len(cells) != len(self.ids):
            raise Trouble(f"the page has {len(cells)} code cells, the notebook {len(self.ids)}")
        for number, cell in enumerate(cells, 1):
            if wrong := flaw(cell, number):
                raise Trouble(f"code cell {number} {wrong}:\n{shown(cell)}")
        # The prose too, and whatever else there is.
        wide = self.page.evaluate(
            """() => ['.jp-WindowedPanel-outer', 'html']
            .map(name => [name, document.querySelector(name)])
            .filter(([_, one]) => one.scrollWidth > one.clientWidth)
            .map(([name, one]) => `${name}: ${one.scrollWidth} of ${one.clientWidth}`)"""
        )
        if wide:
            raise Trouble(f"the page is wider than the window: {wide}")
        return [
            {
                "id": name,
                "number": int(cell["prompt"].strip("[]:")),
                "text": cell["text"],
                "tables": len(cell["tables"]),
                "images": len(cell["images"]),
            }
            for name, cell in zip(self.ids, cells)
        ]

    def photograph(self, folder, theme):
        """Screenshots from heading to heading, window by window; how many."""
        headings = self.page.locator(".jp-Notebook .jp-MarkdownCell :is(h1, h2)")
        # Below it there is room for scrolling past the end.
        last = self.page.locator(".jp-Notebook .jp-Cell").last
        view = self.page.locator(".jp-WindowedPanel-outer")
        count = 0
        for section in range(headings.count()):
            # Twice: what is far away has only a guessed height until it comes near.
            for _ in range(2):
                headings.nth(section).evaluate("one => one.scrollIntoView({block: 'start'})")
                self.page.wait_for_timeout(150)
            for window in range(1, 100):
                self.page.screenshot(path=folder / f"{theme}-{section + 1:02}-{window}.png")
                count += 1
                bottom = view.evaluate("one => one.getBoundingClientRect().bottom")
                if section + 1 < headings.count():
                    end = headings.nth(section + 1).bounding_box()["y"]
                else:
                    end = last.evaluate("one => one.getBoundingClientRect().bottom")
                if end <= bottom:
                    break
                view.evaluate("one => one.scrollBy(0, one.clientHeight - 60)")
                self.page.wait_for_timeout(150)
        return count


@contextlib.contextmanager
def opened(server_folder, root, pictures=None):
    """A JupyterLab on `root`, with a data folder of its own, and a Chromium; refuses processes that outlive them."""
    executable = chromium()
    with contextlib.ExitStack() as stack:
        server = Server(server_folder, root, pictures)
        stack.callback(server.stop)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=executable,
            # It opens nothing but our own page; and as root, or in a container, its sandbox does not start.
            chromium_sandbox=False,
            args=["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        )
        stack.callback(browser.close)
        yield server, browser
    if server.left:
        raise Trouble(f"processes outlived JupyterLab and were killed: {server.left}")


@contextlib.contextmanager
def told(page, server, screenshot):
    """Whatever goes wrong on the page is told with a screenshot and with what the server says."""
    try:
        yield
    except (Trouble, Error) as trouble:
        with contextlib.suppress(Error):
            page.screenshot(path=screenshot)
        raise Trouble(f"{trouble}\n--- JupyterLab and the kernel say\n{server.words()}") from None


def main(notebook, screenshots, pictures):
    start = time.monotonic()
    notebook, screenshots = pathlib.Path(notebook).resolve(), pathlib.Path(screenshots)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        root = folder / "notebooks"
        # What a reader of the folder has, without what earlier runs saved.
        shutil.copytree(notebook.parent, root, ignore=shutil.ignore_patterns("*.safetensors", ".ipynb_checkpoints"))
        with opened(folder, root, pictures) as (server, browser):
            page = Page(browser.new_page(viewport=WINDOW), root / notebook.name)
            with told(page.page, server, screenshots / "failure.png"):
                page.open(server)
                opening = time.monotonic()
                page.run()
                ran = time.monotonic()
                cells = page.examine()
                count = page.photograph(screenshots, "light")
                page.menu("Settings", "Theme", "JupyterLab Dark")
                page.page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
                count += page.photograph(screenshots, "dark")
            version = browser.version
    seconds = {"open": opening - start, "run": ran - opening, "all": time.monotonic() - start}
    json.dump({"chromium": version, "cells": cells, "screenshots": count, "seconds": seconds}, sys.stdout)


def interrupt(*_):
    """Ends the program as Ctrl-C does: with everything that it started."""
    raise KeyboardInterrupt


def run(work):
    """Runs a program of this kind with its arguments."""
    signal.signal(signal.SIGTERM, interrupt)
    try:
        work(*sys.argv[1:])
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run(main)
