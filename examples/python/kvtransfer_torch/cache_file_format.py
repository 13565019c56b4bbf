"""The cache file of the C++ library, format 2: which tensors and metadata a safetensors file has to hold, and what they say.

Layers may differ in length, rows may have padding, heads may stand at positions of their own. Its C++ description is
include/kvtransfer/cache/file/detail/format.hpp; nothing here imports transformers.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from dataclasses import dataclass, field

import torch

from .errors import FrameError
from .model_identity import ModelIdentity
from .whole_file import whole_file

VERSION = 2
LAYOUT = "batch_heads_seq_dim"
FRAME, CHECKSUM, QUANTIZED = "kvtransfer.frame", "kvtransfer.checksum", "kvtransfer.quantized"
UNROTATED, PADDING = -1, -2  # states of slots; others are the number of a specification
_LARGEST_POSITION = 1 << 53
_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_SPECIFICATION = {
    "rope_type", "inv_freq", "attention_scaling", "pairing", "window_offset", "stream_of", "normed_after_rotation", "length",
}  # fmt: skip
_ORIGIN = {"digest", "quantization", "adapter", "tokenizer", "rotary", "configuration", "basis"}
_EDIT = {"kind", "half", "layers", "heads", "slots", "origin"}


@dataclass
class LayerFrame:
    """Where keys stand: int64 positions and int32 states [batch, kv_heads or 1, seq], and the rotary specifications that states name."""

    positions: torch.Tensor
    states: torch.Tensor
    specifications: list[dict]
    roundings: int = 0

    def equals(self, other: LayerFrame) -> bool:
        same = (torch.equal(ours, theirs) for ours, theirs in ((self.positions, other.positions), (self.states, other.states)))
        return all(same) and (self.specifications, self.roundings) == (other.specifications, other.roundings)

    def holds_slots_of(self, other: LayerFrame) -> bool:
        """Whether slots stand at the same positions, or are padding, in both: whatever rotates them."""
        ours, theirs = self.states == PADDING, other.states == PADDING
        if ours.shape[2] != theirs.shape[2]:
            return False
        stand = (self.positions.masked_fill(ours, 0) == other.positions.masked_fill(theirs, 0)) & (ours == theirs)
        return bool(stand.all())


@dataclass
class Contents:
    """A whole file: of each layer keys and values [batch, kv_heads, seq, head_dim] and where they stand."""

    origin: ModelIdentity
    layers: list[tuple[torch.Tensor, torch.Tensor, LayerFrame]]
    token_ids: list[torch.Tensor | None] = field(default_factory=list)  # a layer's int64 [batch, seq], -1 for padding; none: not known
    basis: str = "recorded"
    assumed: bool = False
    edits: list[dict] = field(default_factory=list)

    @property
    def text(self) -> torch.Tensor | None:
        """The tokens that every layer holds; None where layers hold different ones, or one's are not known."""
        first = self.token_ids[0] if self.token_ids else None
        alike = first is not None and all(ids is not None and torch.equal(ids, first) for ids in self.token_ids)
        return first if alike else None


def write(path: str | os.PathLike, contents: Contents) -> None:
    """Writes the file, whole or not at all; an older one of its name is replaced."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors, record = _tensors_and_record(contents)
    text = json.dumps(record)
    headers = {name: (_DTYPES.get(each.dtype) or _OF_FRAMES[each.dtype], list(each.shape)) for name, each in tensors.items()}
    values = {name: f"{zlib.crc32(_bytes(each)):08x}" for name, each in tensors.items()}
    values[FRAME] = f"{zlib.crc32(text.encode()):08x}"
    metadata = {"format": "pt", FRAME: text}
    names = f"{_header_checksum(headers, metadata):08x}"
    metadata[CHECKSUM] = json.dumps({"algorithm": "crc32", "header": names, "values": values})
    with whole_file(path) as partial:
        try:
            save_file(tensors, partial, metadata)
        except SafetensorError as error:
            raise OSError(f"{os.fspath(path)}: expected a file that can be written, got {str(error).partition(chr(10))[0]}") from error


def read(path: str | os.PathLike) -> Contents:
    """All that the file holds, its checksums compared. Raises FrameError naming the field, what was expected and what was found."""
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    try:
        with safe_open(name, framework="pt") as file:
            return _Reader(name, file).contents()
    except SafetensorError as error:
        raise FrameError(name, "safetensors", "a file of that format", str(error).partition("\n")[0]) from error


# Writing


_OF_FRAMES = {torch.int64: "I64", torch.int32: "I32"}


def _tensors_and_record(contents: Contents) -> tuple[dict[str, torch.Tensor], dict]:
    tensors: dict[str, torch.Tensor] = {}
    frames: list[LayerFrame] = []
    numbers = []
    for index, (keys, values, frame) in enumerate(contents.layers):
        found = next((i for i, known in enumerate(frames) if known is frame or known.equals(frame)), None)
        if found is None:
            frames.append(frame)
        numbers.append(len(frames) - 1 if found is None else found)
        for half, tensor in (("key", keys), ("value", values)):
            if tensor.dtype not in _DTYPES:
                raise FrameError("write", f"layers.{index}.{half}", ", ".join(map(str, _DTYPES)), str(tensor.dtype))
            tensors[f"layers.{index}.{half}"] = tensor.detach().cpu().contiguous().clone()
    for index, frame in enumerate(frames):
        tensors[f"frames.{index}.positions"] = frame.positions[None].masked_fill(frame.states == PADDING, 0).contiguous()
        tensors[f"frames.{index}.states"] = frame.states.to(torch.int32).contiguous()
    tensors |= _token_tensors(contents)
    origin = contents.origin.record() | {"basis": contents.basis}
    record = {
        "version": VERSION,
        "layout": LAYOUT,
        "checksums": True,
        "origin": origin,
        "assumed": contents.assumed,
        "edits": contents.edits,
        "layers": numbers,
        "frames": [{"specifications": frame.specifications, "roundings": frame.roundings} for frame in frames],
    }
    return tensors, record


def _token_tensors(contents: Contents) -> dict[str, torch.Tensor]:
    """One for all layers where these hold the same tokens, else one for each whose tokens are known."""
    known = {"token_ids": contents.text} if contents.text is not None else dict(_token_names(contents))
    for name, ids in known.items():
        if ids.dtype != torch.int64:
            raise FrameError("write", name, "int64", str(ids.dtype))
    return {name: ids.detach().cpu().contiguous().clone() for name, ids in known.items()}


def _token_names(contents: Contents):
    for index, ids in enumerate(contents.token_ids):
        if ids is not None:
            yield f"layers.{index}.token_ids", ids


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _is_reserved(name: str) -> bool:
    return name.startswith(("layers.", "frames.")) or name == "token_ids"


def _header_checksum(headers: dict[str, tuple[str, list[int]]], metadata: dict[str, str]) -> int:
    """CRC-32 over names, types and shapes of tensors, then names and texts of our entries, a line each."""
    lines = []
    for name in sorted(filter(_is_reserved, headers), key=str.encode):
        dtype, shape = headers[name]
        lines += [name, dtype, ",".join(map(str, shape))]
    for name in sorted(metadata, key=str.encode):
        if name.startswith("kvtransfer.") and name != CHECKSUM:
            lines += [name, metadata[name]]
    return zlib.crc32("".join(f"{line}\n" for line in lines).encode())


# Reading


class _Reader:
    """One open file. Every tensor that is read is compared with its checksum first."""

    def __init__(self, path: str, file):
        self.path, self.file = path, file
        self.metadata = file.metadata() or {}
        self.headers = {}
        for name in file.keys():
            part = file.get_slice(name)
            self.headers[name] = (part.get_dtype(), list(part.get_shape()))
        self.used: set[str] = set()
        self.values: dict[str, str] | None = None

    def refuse(self, what: str, expected: str, got: str):
        raise FrameError(self.path, what, expected, got)

    def contents(self) -> Contents:
        if FRAME not in self.metadata:
            self.refuse("metadata", f"an entry {FRAME}, as a cache file has it", f"a file of {len(self.headers)} tensors without one")
        if QUANTIZED in self.metadata:
            self.refuse("metadata", "a cache of keys and values", f"an entry {QUANTIZED}")
        record = self.json(FRAME)
        version = self.integer(record, FRAME, "version")
        if version != VERSION:
            self.refuse(f"{FRAME}.version", str(VERSION), str(version))
        self.require_members(record, FRAME, {"version", "layout", "checksums", "origin", "assumed", "edits", "layers", "frames"})
        if record["layout"] != LAYOUT:
            self.refuse(f"{FRAME}.layout", LAYOUT, _shown(record["layout"]))
        for member in ("checksums", "assumed"):
            if not isinstance(record[member], bool):
                self.refuse(f"{FRAME}.{member}", "true or false", _shown(record[member]))
        self.read_checksums(record["checksums"])
        origin, basis = self.origin(record["origin"])
        for kind in ("layers", "frames", "edits"):
            if not isinstance(record[kind], list):
                self.refuse(f"{FRAME}.{kind}", "a list", _shown(record[kind]))
        frames = [self.frame(index, each) for index, each in enumerate(record["frames"])]
        layers = [self.layer(index, number, frames) for index, number in enumerate(record["layers"])]
        for index, edit in enumerate(record["edits"]):
            self.require_members(edit, f"{FRAME}.edits[{index}]", _EDIT)
        ids = self.token_ids([stands.states for _, _, stands in layers])
        strays = sorted(name for name in self.headers if _is_reserved(name) and name not in self.used)
        if strays:
            self.refuse(f"tensor {_shown(strays[0])}", "a name that the frame accounts for", "one of another layer or frame")
        return Contents(origin, layers, ids, basis, record["assumed"], record["edits"])

    # JSON

    def json(self, entry: str):
        def once(pairs):
            names = [name for name, _ in pairs]
            if len(set(names)) != len(names):
                raise ValueError("a member that stands there twice")
            return dict(pairs)

        def no_number(text):
            raise ValueError(text)

        try:
            found = json.loads(self.metadata[entry], object_pairs_hook=once, parse_constant=no_number)
        except (ValueError, RecursionError) as error:
            self.refuse(entry, "JSON", str(error).partition("\n")[0])
        return found if isinstance(found, dict) else self.refuse(entry, "an object", _shown(found))

    def require_members(self, found, what: str, names: set[str]) -> None:
        if not isinstance(found, dict) or found.keys() != names:
            got = ", ".join(sorted(found)) if isinstance(found, dict) else _shown(found)
            self.refuse(what, f"the members {', '.join(sorted(names))}", got)

    def integer(self, found: dict, what: str, name: str, least: int = 0) -> int:
        value = found.get(name)
        if type(value) is not int or not least <= value < 1 << 63:
            self.refuse(f"{what}.{name}", f"an integer, {least} or more", _shown(value))
        return value

    def read_checksums(self, said: bool) -> None:
        if said != (CHECKSUM in self.metadata):
            self.refuse("metadata", f"{'an' if said else 'no'} entry {CHECKSUM}, as {FRAME} says", "none" if said else "one")
        if not said:
            return
        found = self.json(CHECKSUM)
        self.require_members(found, CHECKSUM, {"algorithm", "header", "values"})
        if found["algorithm"] != "crc32" or not isinstance(found["values"], dict):
            self.refuse(CHECKSUM, "values of crc32", _shown(found["algorithm"]))
        self.values = found["values"]
        self.require_checksum("names and metadata", found["header"], _header_checksum(self.headers, self.metadata))
        self.require_checksum(FRAME, self.values.get(FRAME), zlib.crc32(self.metadata[FRAME].encode()))

    def require_checksum(self, what: str, expected, computed: int) -> None:
        if expected != f"{computed:08x}":
            self.refuse(f"checksum of {what}", _shown(expected), f"{computed:08x}, so it has changed since it was written")

    # Tensors

    def header(self, name: str, axes: int) -> tuple[str, list[int]]:
        if name not in self.headers:
            self.refuse(f"tensor {name}", "a tensor of that name", "none")
        dtype, shape = self.headers[name]
        if len(shape) != axes:
            self.refuse(f"tensor {name}", f"a shape of {axes} axes", str(shape))
        self.used.add(name)
        return dtype, shape

    def tensor(self, name: str) -> torch.Tensor:
        tensor = self.file.get_tensor(name)
        if self.values is not None:
            self.require_checksum(name, self.values.get(name), zlib.crc32(_bytes(tensor)))
        return tensor

    def frame(self, index: int, record) -> LayerFrame:
        what = f"{FRAME}.frames[{index}]"
        self.require_members(record, what, {"specifications", "roundings"})
        positions, states = f"frames.{index}.positions", f"frames.{index}.states"
        (dtype, shape), (states_dtype, states_shape) = self.header(positions, 4), self.header(states, 3)
        if dtype != "I64" or states_dtype != "I32" or states_shape != shape[1:]:
            self.refuse(f"tensor {states}", f"I32 {shape[1:]} beside I64 positions", f"{states_dtype} {states_shape} beside {dtype}")
        if shape[0] != 1 or min(shape[1:3]) < 1:
            self.refuse(f"tensor {positions}", "one stream, 1 or more rows and heads", str(shape))
        if not isinstance(record["specifications"], list):
            self.refuse(f"{what}.specifications", "a list", _shown(record["specifications"]))
        specifications = [self.specification(f"{what}.specifications[{i}]", each) for i, each in enumerate(record["specifications"])]
        found = LayerFrame(self.tensor(positions)[0], self.tensor(states), specifications, self.integer(record, what, "roundings"))
        if found.states.numel() > 0:
            least, most = (int(each) for each in found.states.aminmax())
            if least < PADDING or most >= len(specifications):
                got = str(least if least < PADDING else most)
                self.refuse(f"tensor {states}", f"-2, -1, or the number of one of {len(specifications)} specifications", got)
            low, high = (int(each) for each in found.positions.aminmax())
            if max(-low, high) > _LARGEST_POSITION:
                self.refuse(f"tensor {positions}", "positions within 2^53 of 0", f"{low} to {high}")
        return found

    def specification(self, what: str, found) -> dict:
        self.require_members(found, what, _SPECIFICATION)
        numbers = found["inv_freq"] if isinstance(found["inv_freq"], list) else [None]
        for number in numbers:
            if type(number) not in (int, float) or not math.isfinite(number) or float(torch.tensor(float(number))) != number:
                self.refuse(f"{what}.inv_freq", "numbers that fp32 holds exactly", _shown(number))
        scaling = found["attention_scaling"]
        if type(scaling) not in (int, float) or not (math.isfinite(scaling) and scaling > 0):
            self.refuse(f"{what}.attention_scaling", "a finite, positive number", _shown(scaling))
        if not isinstance(found["rope_type"], str) or found["pairing"] not in ("half_split", "interleaved"):
            self.refuse(what, "a rope_type, and half_split or interleaved pairs", _shown(found["pairing"]))
        self.integer(found, what, "length")
        return found

    def layer(self, index: int, number, frames: list[LayerFrame]):
        if type(number) is not int or not 0 <= number < len(frames):
            self.refuse(f"{FRAME}.layers[{index}]", f"the number of one of {len(frames)} frames", _shown(number))
        frame = frames[number]
        batch, heads, seq = frame.states.shape
        shapes = []
        for half in ("key", "value"):
            dtype, shape = self.header(f"layers.{index}.{half}", 4)
            if dtype not in _DTYPES.values():
                self.refuse(f"tensor layers.{index}.{half}", f"one of {', '.join(_DTYPES.values())}", dtype)
            if (shape[0], shape[2]) != (batch, seq) or heads not in (1, shape[1]):
                self.refuse(f"tensor layers.{index}.{half}", f"[{batch}, {heads if heads > 1 else 'kv_heads'}, {seq}, head_dim]", str(shape))
            shapes.append(shape)
        if shapes[0][1] != shapes[1][1]:
            self.refuse(f"tensor layers.{index}.value", f"kv_heads={shapes[0][1]}", str(shapes[1]))
        for specification in frame.specifications:
            if 2 * len(specification["inv_freq"]) > shapes[0][3]:
                self.refuse(f"tensor layers.{index}.key", f"at least {2 * len(specification['inv_freq'])} elements a head", str(shapes[0]))
        return self.tensor(f"layers.{index}.key"), self.tensor(f"layers.{index}.value"), frame

    def token_ids(self, states: list[torch.Tensor]) -> list[torch.Tensor | None]:
        """Those of each layer: one tensor tells of all, or each has its own. Where layers have different lengths, that for all tells of
        layer 0, as it was written before layers had their own, and of those in its frame."""
        if not states or "token_ids" not in self.headers:
            own = [f"layers.{index}.token_ids" for index in range(len(states))]
            return [self.rows(name, each) if name in self.headers else None for name, each in zip(own, states)]
        ids = self.rows("token_ids", states[0])
        even = all(each.shape[2] == states[0].shape[2] for each in states)
        return [ids if even or each is states[0] else None for each in states]

    def rows(self, name: str, states: torch.Tensor) -> torch.Tensor:
        """The tokens of slots in `states`."""
        dtype, shape = self.header(name, 2)
        expected = [states.shape[0], states.shape[2]]
        if dtype != "I64":
            self.refuse(f"tensor {name}", "I64", dtype)
        if shape != expected:
            self.refuse(f"tensor {name}", f"shape {expected}", str(shape))
        return self.tensor(name)

    def origin(self, found) -> tuple[ModelIdentity, str]:
        self.require_members(found, f"{FRAME}.origin", _ORIGIN)
        for name in ("rotary", "configuration"):
            values = found[name]
            if not isinstance(values, dict) or not all(isinstance(each, str) for each in values.values()):
                self.refuse(f"{FRAME}.origin.{name}", "texts by name", _shown(values))
        plain = {name: found[name] for name in ("digest", "quantization", "adapter", "tokenizer")}
        if not all(isinstance(each, str) for each in plain.values()):
            self.refuse(f"{FRAME}.origin", "texts", _shown(plain))
        if found["basis"] not in ("recorded", "same_weights", "unknown_origin"):
            self.refuse(f"{FRAME}.origin.basis", "recorded, same_weights or unknown_origin", _shown(found["basis"]))
        return ModelIdentity(**plain, rotary=found["rotary"], configuration=found["configuration"]), found["basis"]


def _shown(value) -> str:
    """A value as errors show it, cut short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
