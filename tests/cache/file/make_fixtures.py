"""Writes fixtures/written_by_python.safetensors: a cache file that no line of kvtransfer has touched.

    python tests/cache/file/make_fixtures.py      (needs torch and safetensors)
"""

import json
import pathlib

from safetensors.torch import save_file

import fixture_cache

path = pathlib.Path(__file__).parent / "fixtures" / "written_by_python.safetensors"
contents = fixture_cache.tensors()
save_file(contents, path, fixture_cache.metadata(json.dumps(fixture_cache.FRAME), contents))
