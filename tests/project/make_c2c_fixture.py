"""Writes fixtures/c2c: the converted folder of make_c2c_folder.py, and what Cache-to-Cache's own class makes of random
keys and values with those weights.

    python make_c2c_fixture.py CHECKOUT

CHECKOUT is a checkout of github.com/thu-nics/C2C; its class reads the folder itself, every tensor of it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

import make_c2c_folder

BATCH, SEQ = 2, 5


def main(checkout):
    fixture = Path(__file__).parent / "fixtures" / "c2c"
    converter = Path(__file__).parents[2] / "examples" / "python" / "convert_c2c.py"
    sys.path.insert(0, checkout)
    from rosetta.model.projector import load_projector

    draw = torch.Generator().manual_seed(3)
    tensors = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_c2c_folder.make(folder)
        models = ["--source-model", "a source", "--receiver-model", "a receiver"]
        subprocess.run([sys.executable, converter, folder, fixture, *models], check=True)
        for layer, [[_, index]] in make_c2c_folder.MAPPING.items():
            projector = load_projector(str(folder / f"projector_{index}.json"))
            projector.load_state_dict(torch.load(folder / f"projector_{index}.pt", weights_only=True), strict=True)
            source = [torch.randn(BATCH, 1, SEQ, 3, generator=draw) for _ in range(2)]
            target = [torch.randn(BATCH, 2, SEQ, 4, generator=draw) for _ in range(2)]
            with torch.no_grad():
                fused = projector.eval()(tuple(source), tuple(target))
            for kind, pair in [("source", source), ("receiver", target), ("expected", fused)]:
                for half, tensor in zip(("keys", "values"), pair, strict=True):
                    tensors[f"{kind}.{layer}.{half}"] = tensor.contiguous()
    save_file(tensors, fixture / "expected.safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
