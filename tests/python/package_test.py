"""`pip install` of examples/python, into a folder of its own: what arrives is all that an import and a move need."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from importlib import metadata
from pathlib import Path

from support import CHECKOUT

from kvtransfer_torch import library

USE = """
import pathlib, sys, torch
import kvtransfer_torch as kvtransfer
from kvtransfer_torch.architectures import conventions_of
assert pathlib.Path(kvtransfer.__file__).is_relative_to(sys.argv[1]), kvtransfer.__file__
assert conventions_of("glm")["pairing"] == "interleaved"
kvtransfer.load()
keys = torch.ones(1, 1, 2, 4)
kvtransfer.shift_([keys], kvtransfer.Rotary(torch.ones(2)), 1)
torch.testing.assert_close(keys[0, 0, 0, 0], torch.cos(torch.ones(())) - torch.sin(torch.ones(())))
"""


def can_build_wheels() -> bool:
    """Without pip fetching a setuptools of its own."""
    try:
        version = tuple(int(part) for part in metadata.version("setuptools").split(".")[:2])
        return version >= (70, 1) or bool(metadata.version("wheel"))
    except metadata.PackageNotFoundError:
        return False


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.target = Path(temporary.name).resolve() / "site"
        # pip builds where the source lies; the checkout stays as it is.
        source = shutil.copytree(CHECKOUT / "examples/python", cls.target.with_name("source"), ignore=shutil.ignore_patterns("build"))
        own = ["--no-build-isolation"] if can_build_wheels() else []
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *own, "--target", str(cls.target), str(source)]
        ran = subprocess.run(pip, capture_output=True, text=True)
        if ran.returncode != 0:
            raise AssertionError(ran.stderr)

    def run_installed(self, code, **environment):
        kept = {name: value for name, value in os.environ.items() if name != "KVTRANSFER_LIBRARY"}
        given = kept | environment | {"PYTHONPATH": str(self.target)}
        command = [sys.executable, "-c", code, str(self.target)]
        return subprocess.run(command, env=given, cwd=self.target, capture_output=True, text=True)

    def test_it_imports_and_moves_keys_by_the_library_that_is_named(self):
        ran = self.run_installed(USE, KVTRANSFER_LIBRARY=str(library.find()))
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_it_finds_the_library_beside_itself(self):
        beside = self.target / "kvtransfer_torch" / library.NAME
        beside.symlink_to(library.find())
        self.addCleanup(beside.unlink)
        ran = self.run_installed(USE)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_without_a_library_the_error_says_what_to_do(self):
        ran = self.run_installed(USE)
        self.assertRegex(ran.stderr, "FileNotFoundError: load: expected the kernels library.*KVTRANSFER_LIBRARY")

    def test_what_is_no_library_of_this_torch_is_named(self):
        other = self.target / "not_a_library.so"
        other.write_text("text")
        ran = self.run_installed(USE, KVTRANSFER_LIBRARY=str(other))
        self.assertRegex(ran.stderr, r"OSError: load: .*not_a_library.so: expected a library built with torch \d")

    def test_the_program_is_installed_and_refuses_what_is_no_model(self):
        script = self.target / "bin" / "kvtransfer-verify-moves"
        self.assertTrue(script.exists())
        code = "import sys; sys.argv[1:] = ['/nowhere']; import runpy; runpy.run_module('kvtransfer_torch')"
        ran = self.run_installed(code, KVTRANSFER_LIBRARY=str(library.find()))
        self.assertEqual((ran.returncode, ran.stdout), (2, ""))
        self.assertRegex(ran.stderr, "verify_moves: /nowhere: refused: ")

    def test_table_and_types_are_installed(self):
        package = self.target / "kvtransfer_torch"
        self.assertTrue((package / "py.typed").exists())
        self.assertIn("llama", json.loads((package / "architectures.json").read_text())["architectures"])

    def test_its_version_is_the_librarys(self):
        stated = re.search(r'^version = "(.*)"$', (CHECKOUT / "examples/python/pyproject.toml").read_text(), re.M)[1]
        self.assertIn(f'"{stated}"', (CHECKOUT / "include/kvtransfer/core/version.hpp").read_text())


if __name__ == "__main__":
    unittest.main()
