"""Reads fixtures/written_by_kvtransfer.safetensors, byte for byte what kvtransfer writes, with nothing of kvtransfer's.

    python tests/cache/file/check_fixtures.py     (needs torch and safetensors)
"""

import json
import pathlib

import torch
from safetensors import safe_open

import fixture_cache

path = pathlib.Path(__file__).parent / "fixtures" / "written_by_kvtransfer.safetensors"
with safe_open(path, framework="pt") as file:
    found = {name: file.get_tensor(name) for name in file.keys()}
    metadata = file.metadata()

expected = fixture_cache.tensors()
assert found.keys() == expected.keys(), found.keys()
for name, tensor in expected.items():
    assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
assert json.loads(metadata["kvtransfer.frame"]) == fixture_cache.FRAME
checksums = fixture_cache.metadata(metadata["kvtransfer.frame"], found)["kvtransfer.checksum"]
assert json.loads(metadata["kvtransfer.checksum"]) == json.loads(checksums)
print(f"{path.name}: {len(found)} tensors, frame and checksums as expected")
