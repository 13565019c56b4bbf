"""Makes a folder laid out as Cache-to-Cache saves its projectors, with random weights: three layers of the receiver, of
which the first has no projector.

    python make_c2c_folder.py FOLDER
"""

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
MAPPING = {1: [[2, 0]], 2: [[3, 1]]}  # by layer of the receiver: [layer of the source, projector]


def state_of(shapes, seed, gates):
    draw = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    state["key_gate_logit"], state["value_gate_logit"] = (torch.tensor(gate) for gate in gates)
    state["gate_temperature"] = torch.tensor(0.001)
    return state


def make(folder):
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "python"))
    from convert_c2c import tensor_shapes

    folder.mkdir(parents=True, exist_ok=True)
    for index, gates in enumerate([(0.5, 0.25), (0.5, -0.5)]):  # the last layer's values are left as they are
        settings = {"class": "C2CProjector", "init_args": SETTINGS | {"dtype": {"__type__": "torch.dtype", "value": "float32"}}}
        (folder / f"projector_{index}.json").write_text(json.dumps(settings, indent=2))
        torch.save(state_of(tensor_shapes(SETTINGS), 10 + index, gates), folder / f"projector_{index}.pt")
    (folder / "projector_config.json").write_text(json.dumps({"0": {"1": MAPPING}}))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
