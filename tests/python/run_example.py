"""Runs an example script as a test: run_example.py SCRIPT [ARGUMENTS], skipped where transformers or a GGUF file is missing."""

import os
import runpy
import sys

from support import CHECKOUT, SKIPPED, skip_without

skip_without("transformers")
for argument in sys.argv[2:]:
    if argument.endswith(".gguf"):
        skip_without("gguf")
        if not os.path.exists(argument):
            print(f"skipped: no {argument}")
            sys.exit(SKIPPED)
sys.argv = sys.argv[1:]
runpy.run_path(str(CHECKOUT / "examples" / "python" / sys.argv[0]), run_name="__main__")
