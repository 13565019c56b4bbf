"""Makes a folder laid out as Cache-to-Cache saves its projectors, with random weights: three layers of the receiver, of
which the first has no projector.

    python make_c2c_folder.py FOLDER [--for-small-model]

tests/experiment/conditions/fixtures/c2c is such a folder for tests/support/small_model.hpp, converted:

    python make_c2c_folder.py FOLDER --for-small-model
    python ../../examples/python/convert_c2c.py FOLDER ../experiment/conditions/fixtures/c2c
"""

import argparse
import json
import sys
from pathlib import Path

import torch

SETTINGS = {
    "source_dim": 3,
    "target_dim": 4,
    "source_num_heads": 1,
    "target_num_heads": 2,
    "intermediate_dim": 6,
    "hidden_dim": 5,
    "num_layers": 4,
    "dropout": 0.1,
    "initial_temperature": 1.0,
    "final_temperature": 0.001,
    "anneal_steps": 100,
}
# From the model of the tests to itself, wide enough to be seen in what it says.
FOR_SMALL_MODEL = SETTINGS | {"source_dim": 16, "target_dim": 16, "source_num_heads": 2}
MAPPING = {1: [[2, 0]], 2: [[3, 1]]}  # by layer of the receiver: [layer of the source, projector]


def state_of(shapes, seed, gates):
    draw = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    state["key_gate_logit"], state["value_gate_logit"] = (torch.tensor(gate) for gate in gates)
    state["gate_temperature"] = torch.tensor(0.001)
    return state


def make(folder, settings=SETTINGS, mapping=MAPPING):
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "python"))
    from convert_c2c import tensor_shapes

    folder.mkdir(parents=True, exist_ok=True)
    for index, gates in enumerate([(0.5, 0.25), (0.5, -0.5)]):  # the last layer's values are left as they are
        document = {"class": "C2CProjector", "init_args": settings | {"dtype": {"__type__": "torch.dtype", "value": "float32"}}}
        (folder / f"projector_{index}.json").write_text(json.dumps(document, indent=2))
        torch.save(state_of(tensor_shapes(settings), 10 + index, gates), folder / f"projector_{index}.pt")
    (folder / "projector_config.json").write_text(json.dumps({"0": {"1": mapping}}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--for-small-model", action="store_true", help="for tests/support/small_model.hpp, not for 3 and 4 wide heads")
    chosen = parser.parse_args()
    if chosen.for_small_model:
        make(chosen.folder, FOR_SMALL_MODEL, {1: [[1, 0]], 2: [[2, 1]]})
    else:
        make(chosen.folder)
