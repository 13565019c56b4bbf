"""Runs an example script as a test: run_example.py SCRIPT [ARGUMENTS], skipped where transformers is missing."""

import runpy
import sys

from support import CHECKOUT, skip_without

skip_without("transformers")
sys.argv = sys.argv[1:]
runpy.run_path(str(CHECKOUT / "examples" / "python" / sys.argv[0]), run_name="__main__")
