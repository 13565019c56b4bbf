"""The library as kvtransfer_torch loads it, with its own fake of `rotate_keys`."""

import os
import subprocess
import sys
import unittest

import operators_test as plain
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.library import opcheck

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import library

kvtransfer.load()
operators = torch.ops.kvtransfer


class LibraryTest(unittest.TestCase):
    def test_tables_on_the_cpu_go_with_keys_on_a_gpu(self):
        with FakeTensorMode():
            keys, inv_freq = torch.empty(1, 4, 9, 64, device="cuda"), torch.empty(32)
            given = (None, None, 7, None, inv_freq, *plain.FIXED)
            self.assertEqual(operators.rotate_keys([keys], *given)[0].device.type, "cuda")
            operators.rotate_keys_([keys], *given)
            operators.rotate_blocks_([keys], torch.empty(1, dtype=torch.int64, device="cuda"), *given)

    def test_the_fake_still_passes_every_check_and_has_the_strides_of_real_copies(self):
        for name, keys in plain.key_layouts().items():
            with self.subTest(name):
                opcheck(operators.rotate_keys.default, ([keys], *plain.SHIFT), test_utils=plain.EVERY_CHECK)
                with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                    fake = operators.rotate_keys([mode.from_tensor(keys)], *plain.SHIFT)[0]
                self.assertEqual(fake.stride(), operators.rotate_keys([keys], *plain.SHIFT)[0].stride())

    def test_loading_twice_is_loading_once(self):
        kvtransfer.load()
        kvtransfer.load("/not/looked/at/any/more")

    def test_before_it_is_loaded_a_move_is_refused_in_our_own_words(self):
        move = "import torch, kvtransfer_torch as k; k.shift_([torch.ones(1, 1, 2, 4)], k.Rotary(torch.ones(2)), 1)"
        packages = {"PYTHONPATH": str(plain.support.CHECKOUT / "examples/python")}
        ran = subprocess.run([sys.executable, "-c", move], env=os.environ | packages, capture_output=True, text=True)
        self.assertRegex(ran.stderr, r"RuntimeError: kvtransfer_torch: .*expected it loaded by kvtransfer_torch.load\(\)")

    def test_a_library_that_is_not_there_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "/nowhere.so.*KVTRANSFER_LIBRARY"):
            library.find("/nowhere.so")
        self.assertTrue(os.path.exists(library.find()))


if __name__ == "__main__":
    unittest.main()
