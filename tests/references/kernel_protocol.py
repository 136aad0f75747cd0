"""Runs Jupyter's own test suite for kernels on the installed kernel "Rust (transfer)".

Reads from stdin {"kernel": name}, where another one is meant. Every test of jupyter_kernel_test is configured for Rust. Prints, as JSON, {"version", "passed": [name, ...],
"failed": {name: text}, "skipped": {name: reason}}; a test fails when one of its samples does, and `text` has them all.
"""

import faulthandler
import json
import sys
import unittest

import jupyter_kernel_test as suite
from jupyter_client.manager import start_new_kernel

# Seconds. The suite waits 15 for a reply, and a tenth for each message after it, which suits a kernel without a
# compiler on a machine of one's own.
PATIENCE = 120
# Some of its questions wait for ever: whoever never answers ends the program, with the place where it waits.
END = 900

OPEN = "use evcxr_transfer::prelude::*;"


class Rust(suite.KernelTests):
    """What the suite has to know of the language."""

    kernel_name = "rust_transfer"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oops");'
    completion_samples = [
        {"text": "std::collections::BTreeSe", "matches": ["BTreeSet"]},
        {"text": "std::f64::consts::SQRT_", "matches": ["SQRT_2"]},
        # Whether a function comes with its arguments is the kernel's affair.
        {"text": "std::mem::swa"},
        {"text": "let list = vec![1]; list.is_empt"},
        {"text": "no_such_name_", "matches": []},
    ]
    complete_code_samples = [
        "",
        "let x = 1;",
        "1 + 1",
        "fn double(x: i32) -> i32 {\n    2 * x\n}",
        'println!("an open ( in a text");',
        "// an open ( in a comment",
        "let letter = '(';",
        "Err(\"a failed one\")?",
    ]
    incomplete_code_samples = [
        "fn f() {",
        "let x = vec![1,",
        'println!("a text that goes on',
        "let x = \"a text\nthat goes on",
        "/* a comment that goes on",
        "if true {\n    1\n} else {",
    ]
    invalid_code_samples = [")", "let x = (1];", "fn f() }"]
    # All ways in which a cell fails: each has to be one message, and nothing beside it.
    errors = [
        "no_such_name",
        "let number: i32 = \"a text\";",
        "std::fs::read_to_string(\"no such file\")?;",
        'panic!("on purpose");',
    ]
    code_generate_error = errors[0]
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": '"a text".to_owned()', "result": '"a text"'},
        {"code": f"{OPEN}\nLab::open()?.table()", "mime": "text/html"},
    ]
    # From the middle of a cell, as often as it likes; its last line is a result.
    code_display_data = [
        {"code": f"{OPEN}\ndisplay(&Lab::open()?.table());", "mime": "text/html"},
        {"code": f"{OPEN}\ndisplay(&plot_lines(&[(\"loss\", &vec![0.7, 0.5])])?);", "mime": "image/png"},
    ]
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "6 ?*7"
    code_inspect_sample = "std::mem::swap"

    @classmethod
    def setUpClass(cls):
        # What the kernel itself prints is not part of the answer.
        cls.km, cls.kc = start_new_kernel(PATIENCE, cls.kernel_name, stdout=sys.stderr)
        # Until cells can run, a completion is answered at once, but with nothing.
        cls.kc.execute_interactive("let begun = 1;", timeout=PATIENCE)

    def execute_helper(self, code, timeout=PATIENCE, **options):
        channel = self.kc.iopub_channel
        get = suite.ensure_sync(channel.get_msg)
        channel.get_msg = lambda timeout: get(timeout=max(timeout, PATIENCE))
        try:
            return super().execute_helper(code, PATIENCE, **options)
        finally:
            del channel.get_msg

    def history_helper(self, execute_first, timeout=PATIENCE, **options):
        return super().history_helper(execute_first, PATIENCE, **options)

    def test_error(self):
        for code in self.errors:
            with self.subTest(code=code):
                self.code_generate_error = code
                super().test_error()


class Result(unittest.TestResult):
    """What became of each test, by its name."""

    def __init__(self):
        super().__init__()
        self.passed, self.failed, self.reasons = [], {}, {}

    def fail(self, test, error, sample=""):
        text = f"{sample}{self._exc_info_to_string(error, test).strip()}\n"
        name = test.id().rpartition(".")[2]
        self.failed[name] = self.failed.get(name, "") + text

    def addError(self, test, error):
        self.fail(test, error)

    addFailure = addError

    def addSubTest(self, test, subtest, error):
        if error:
            self.fail(test, error, f"{subtest._subDescription()}: ")

    def addSkip(self, test, reason):
        self.reasons[getattr(test, "test_case", test).id().rpartition(".")[2]] = reason

    def addSuccess(self, test):
        self.passed.append(test.id().rpartition(".")[2])


def main():
    suite.TIMEOUT = PATIENCE
    Rust.kernel_name = json.load(sys.stdin).get("kernel", Rust.kernel_name)
    faulthandler.dump_traceback_later(END, exit=True)
    result = Result()
    unittest.defaultTestLoader.loadTestsFromTestCase(Rust).run(result)
    answer = {"version": suite.__version__, "passed": result.passed, "failed": result.failed, "skipped": result.reasons}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
