"""A training run as a reader sees it in JupyterLab and in Notebook 7, in a headless Chromium: notebook_live.py FOLDER

In each, a notebook of three cells: one makes a model; one trains it, far too long, and the button in the toolbar stops
it when the output has moved and its figure has grown; the last one uses the model. Screenshots go to FOLDER. Prints,
as JSON, {"chromium", "pages": {name: {"figures", "stopping": seconds, "trained", "used"}}}: how many figures stood
under the cell, how long the stop took, and the texts below the second and the third cell.

Exit code and CHROME are those of notebook_browser.py.
"""

import json
import pathlib
import sys
import tempfile
import time

from notebook_browser import CLICK, RUN, WINDOW, Page, Trouble, opened, run, told, until

# Where each page has its notebooks.
PAGES = {"JupyterLab": "lab/tree", "Notebook": "notebooks"}

MODEL = """use evcxr_transfer::prelude::*;
let lab = Lab::open()?.samples().device(Device::Cpu);
let data = lab.cats_and_dogs()?;
let base = lab.vgg16(48)?;
let mut model = Classifier::new(&base, Head::dense(16), data.train.classes())?;"""
TRAIN = "let history = model.train_frozen(&data, &Augment::lesson(), &lab.fit().epochs(1000))?;"
USE = "model.evaluate(&data.validation)?"

# Seconds. Asked to stop, a run ends with its batch, after a tenth of a second; after ten it would be ended by force.
STOPPING = 9

# The pictures below a cell, whichever way they are drawn, as text.
FIGURES = """
cell => [...cell.querySelectorAll('.jp-OutputArea-output :is(img, svg)')].map(one => one.src ?? one.outerHTML)
"""


def notebook():
    """The file that is opened."""
    cells = [
        {"cell_type": "code", "id": f"live-{number}", "source": code, "metadata": {}, "outputs": [], "execution_count": None}
        for number, code in enumerate([MODEL, TRAIN, USE])
    ]
    kernel = {"name": "rust_transfer", "display_name": "Rust (transfer)", "language": "rust"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


class Live(Page):
    """The notebook in one of the two pages."""

    def cell(self, number):
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def start(self, number):
        """Runs one cell, as a reader does."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    def prompt(self, number):
        # An error or a dialog is not waited for.
        return self.cells()[number]["prompt"]

    def end(self, number, seconds):
        """Waits until a cell has ended; the text below it."""
        until(lambda: self.prompt(number) == f"[{number + 1}]:", seconds, lambda: f"cell {number + 1} has not ended")
        return self.cells()[number]["text"]

    def changed(self, number, look, what):
        """Waits until what `look` sees of a running cell is another thing than before."""
        before = until(look, CLICK, lambda: f"cell {number + 1} shows no {what}")

        def differs():
            if self.prompt(number) != "[*]:":
                raise Trouble(f"cell {number + 1} has ended too early")
            return (now := look()) and now != before and now

        return until(differs, CLICK, lambda: f"the {what} below cell {number + 1} does not change")

    def live(self, name, screenshots):
        """Trains, looks, stops, and uses the model."""
        self.start(0)
        self.end(0, RUN)
        self.start(1)
        output = self.cell(1).locator(".jp-OutputArea").first
        output.locator(".jp-OutputArea-output").first.wait_for(timeout=RUN * 1000)
        photograph = lambda path=None: output.screenshot(path=path)
        photograph(screenshots / f"{name}-running-1.png")
        self.changed(1, photograph, "progress")
        figures = lambda: self.cell(1).evaluate(FIGURES)
        count = len(self.changed(1, figures, "figure"))
        photograph(screenshots / f"{name}-running-2.png")
        asked = time.monotonic()
        self.page.locator('[data-jp-item-name="interrupt"]').first.click()
        trained = self.end(1, STOPPING)
        stopping = time.monotonic() - asked
        self.start(2)
        used = self.end(2, CLICK)
        self.page.screenshot(path=screenshots / f"{name}-used.png")
        return {"figures": count, "stopping": stopping, "trained": trained, "used": used}


def main(screenshots):
    screenshots = pathlib.Path(screenshots)
    pages = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        root = folder / "notebooks"
        root.mkdir()
        with opened(folder, root) as (server, browser):
            for name, where in PAGES.items():
                path = root / f"{name}.ipynb"
                path.write_text(notebook(), "utf-8")
                page = Live(browser.new_page(viewport=WINDOW), path)
                with told(page.page, server, screenshots / f"{name}-failure.png"):
                    page.open(server, where)
                    pages[name] = page.live(name, screenshots)
            version = browser.version
    json.dump({"chromium": version, "pages": pages}, sys.stdout)


if __name__ == "__main__":
    run(main)
