"""Converts a folder of Cache-to-Cache's projectors into one that kvtransfer::open_projector reads.

    python convert_c2c.py CHECKPOINT OUTPUT [--receiver-layers N] [--source-model DIGEST] [--receiver-model DIGEST]

CHECKPOINT holds projector_config.json, projector_0.pt, projector_0.json and so on. Tensors alone are read from the .pt
files, never a pickle's code. What is missing, surplus, of another shape or not understood is refused: status 2.
"""

import argparse
import json
import sys
import warnings
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file

DEFAULTS = {
    "source_num_heads": 1,
    "target_num_heads": 1,
    "intermediate_dim": 1024,
    "hidden_dim": 1024,
    "num_layers": 3,
    "dropout": 0.1,
    "initial_temperature": 1.0,
    "final_temperature": 0.001,
    "anneal_steps": 1929,
}
REQUIRED = ("source_dim", "target_dim")
WITHOUT_EFFECT = ("dtype", "zero_init")  # once the tensors are read


class Refused(Exception):
    """What the checkpoint holds cannot be converted; one line that says why."""


def require(condition, where, what, expected, got):
    if not condition:
        raise Refused(f"{where}: {what}: expected {expected}, got {got}")


def read_json(path):
    require(path.is_file(), path, "file", "an existing file", "none")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise Refused(f"{path}: JSON: expected valid JSON, got {problem}") from None
    require(isinstance(content, dict), path, "JSON", "an object at the top level", type(content).__name__)
    return content


def number(text, path, what):
    require(text.isdecimal(), path, what, "a number from 0 on", repr(text))
    return int(text)


def read_mapping(path):
    """Which layer of the source, and which projector, each layer of the receiver has."""
    targets = read_json(path)
    require(len(targets) == 1, path, "receivers", "one", len(targets))
    sources = next(iter(targets.values()))
    require(isinstance(sources, dict) and len(sources) == 1, path, "sources", "one", sources)
    mapping = {}
    for layer, pairs in next(iter(sources.values())).items():
        what = f"layer {layer}"
        require(isinstance(pairs, list) and len(pairs) == 1, path, what, "one layer of the source", pairs)
        pair = pairs[0]
        numbers = isinstance(pair, list) and len(pair) == 2 and all(type(each) is int and each >= 0 for each in pair)
        require(numbers, path, what, "[layer of the source, projector]", pair)
        mapping[number(layer, path, what)] = pair
    require(mapping, path, "layers", "at least one", "none")
    return mapping


def read_settings(path):
    content = read_json(path)
    require(content.get("class") == "C2CProjector", path, "class", "C2CProjector", content.get("class"))
    given = content.get("init_args", {})
    for name in given:
        known = name in DEFAULTS or name in REQUIRED or name in WITHOUT_EFFECT
        require(known, path, f"init_args.{name}", "a setting that is understood", repr(given[name]))
    for name in REQUIRED:
        require(name in given, path, f"init_args.{name}", "a size", "nothing")
    settings = DEFAULTS | {name: value for name, value in given.items() if name not in WITHOUT_EFFECT}
    for name, value in settings.items():
        kind = float if name in ("dropout", "initial_temperature", "final_temperature") else int
        right = type(value) in (int, kind) and (value > 0 or (name == "dropout" and value == 0))
        require(right, path, f"init_args.{name}", "a positive number", repr(value))
    require(settings["num_layers"] >= 3, path, "init_args.num_layers", "3 or more", settings["num_layers"])
    return settings


def tensor_shapes(settings):
    """Names and shapes of a projector's tensors, in the order in which kvtransfer lists them."""
    hidden, inside = settings["hidden_dim"], settings["intermediate_dim"]
    heads = settings["target_num_heads"]
    source = settings["source_dim"] * settings["source_num_heads"]
    target = settings["target_dim"] * heads
    shapes = {}

    def block(name, width):
        shapes.update({f"{name}.norm.weight": (hidden,), f"{name}.w1.weight": (width, hidden)})
        shapes[f"{name}.w2.weight"] = (hidden, width)

    for half in ("key", "value"):
        shapes.update({f"{half}_in.weight": (hidden, source + target), f"{half}_in.bias": (hidden,)})
        block(f"{half}_mlp1.blocks.0", inside)
        block(f"{half}_scalar_mlp2.blocks.0", hidden)
        shapes.update({f"{half}_scalar_head.weight": (heads, hidden), f"{half}_scalar_head.bias": (heads,)})
        for index in range(settings["num_layers"] - 2):
            block(f"{half}_proj_mlp2.blocks.{index}", inside)
        shapes.update({f"{half}_proj_out.weight": (target, hidden), f"{half}_proj_out.bias": (target,)})
        shapes[f"{half}_gate_logit"] = ()
    return shapes


def read_tensors(path, settings):
    require(path.is_file(), path, "file", "an existing file", "none")
    try:
        with warnings.catch_warnings(action="ignore"):  # the refusal is one line
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 (torch raises many kinds, with advice to run the pickle's code)
        raise Refused(f"{path}: tensors: expected a state dict of tensors alone, got a file with more, or with less") from None
    tensors = isinstance(state, dict) and all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    require(tensors, path, "tensors", "a state dict of tensors alone", type(state).__name__)
    shapes = tensor_shapes(settings)
    for name in state:
        require(name in shapes or name == "gate_temperature", path, name, "no tensor of this name", "one")
    for name, shape in shapes.items():
        require(name in state, path, name, f"a tensor {list(shape)}", "none of that name")
        require(tuple(state[name].shape) == shape, path, name, list(shape), list(state[name].shape))
        require(state[name].is_floating_point(), path, name, "floating numbers", state[name].dtype)
    return {name: state[name].contiguous() for name in shapes}


def digest_of(rotation, layers, tensors):
    """What kvtransfer's projectors::fuser::digest gives."""
    kinds = {torch.float64: "Double", torch.float32: "Float", torch.float16: "Half", torch.bfloat16: "BFloat16"}
    crc = zlib.crc32(rotation.encode())
    for layer in layers:
        crc = zlib.crc32(f"[{','.join(map(str, layer))}]".encode(), crc)
    for name, tensor in tensors.items():
        crc = zlib.crc32(f"{name} {kinds[tensor.dtype]} [{', '.join(map(str, tensor.shape))}]".encode(), crc)
        crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().tobytes(), crc)
    return f"{crc:08x}"


def convert(checkpoint, output, receiver_layers=None, source_model="", receiver_model=""):
    mapping = read_mapping(checkpoint / "projector_config.json")
    count = receiver_layers or max(mapping) + 1
    require(max(mapping) < count, checkpoint / "projector_config.json", f"layer {max(mapping)}",
            f"one of {count} layers", "one past them")  # fmt: skip
    layers, tensors, settings = [[] for _ in range(count)], {}, None
    for layer, (source_layer, index) in sorted(mapping.items()):
        path = checkpoint / f"projector_{index}.json"
        own = read_settings(path)
        settings = settings or own
        require(own == settings, path, "init_args", f"those of the other projectors, {settings}", own)
        layers[layer] = [source_layer]
        for name, tensor in read_tensors(path.with_suffix(".pt"), own).items():
            tensors[f"layers.{layer}.{name}"] = tensor
    kinds = {tensor.dtype for tensor in tensors.values()}
    require(len(kinds) == 1, checkpoint, "tensors", "one type in all of them", kinds)
    document = {
        "format": "kvtransfer projector",
        "version": 1,
        "kind": "fuser",
        "keys": "rotated",
        "digest": digest_of("rotated", layers, tensors),
        "source_model": source_model,
        "receiver_model": receiver_model,
        "receiver_reads": "text",
        "tokens": "first",
        "source": {"kv_heads": settings["source_num_heads"], "head_dim": settings["source_dim"]},
        "receiver": {"kv_heads": settings["target_num_heads"], "head_dim": settings["target_dim"]},
        "hidden_size": settings["hidden_dim"],
        "intermediate_size": settings["intermediate_dim"],
        "value_blocks": settings["num_layers"] - 2,
        "source_slots": 1,
        "initial_temperature": settings["initial_temperature"],
        "final_temperature": settings["final_temperature"],
        "anneal_steps": settings["anneal_steps"],
        "dropout": settings["dropout"],
        "layers": [{"source_layers": chosen} for chosen in layers],
    }
    output.mkdir(parents=True, exist_ok=True)
    save_file(tensors, output / "projector.safetensors")
    (output / "projector.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--receiver-layers", type=int, help="default: as many as the last that has a projector says")
    parser.add_argument("--source-model", default="", metavar="DIGEST", help="of the model whose caches are read")
    parser.add_argument("--receiver-model", default="", metavar="DIGEST", help="of the model whose caches are written")
    chosen = parser.parse_args(arguments)
    try:
        convert(chosen.checkpoint, chosen.output, chosen.receiver_layers, chosen.source_model, chosen.receiver_model)
    except Refused as problem:
        print(f"convert_c2c: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
