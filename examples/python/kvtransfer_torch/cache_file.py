"""Caches across the fence: a CacheFrame in the C++ library's cache file, and the C++ library's caches as a CacheFrame.

    identity = model_identity("examples/models/lab-llama", model)
    save_cache(frame, "lyra.safetensors", identity, token_ids=ids)      # C++: cache_file::open(path).view(model.identity)
    frame = load_cache("lyra.safetensors", model, identity)             # C++: save_cache(path, cache)

Needs torch, `safetensors` and `xxhash` (`pip install kvtransfer-torch[files]`), and transformers for the model. Layers of windowed
attention keep what their window shows; rows may have padding; heads may stand at positions of their own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from . import cache_file_format as cache_format
from . import moves
from .cache_file_format import PADDING, UNROTATED, Contents, LayerFrame
from .errors import FrameError
from .frame import CacheFrame
from .model_identity import ModelIdentity, _head_dim, parameters_of
from .rotary import Rotary, are_equal, depends_on_length, rotary_of
from .saved_frame import fill
from .slots import Written, shared

__all__ = ["load_cache", "save_cache"]


def save_cache(
    frame: CacheFrame,
    path: str | os.PathLike,
    identity: ModelIdentity,
    token_ids: torch.Tensor | Sequence[torch.Tensor | None] | None = None,
) -> None:
    """Writes `frame` and its cache as the C++ library's cache file, whole or not at all.

    identity   of the frame's model: `model_identity(path_of_the_model, frame.model)`
    token_ids  the text, where it is known: int64 [batch, seq], -1 for padding, or a list with one a layer, None where it is not known.
               One tensor needs layers that all hold the same slots

    Raises FrameError for an empty frame, one that somebody else has changed, and one whose next token would stand elsewhere than
    behind the last key, which such a file does not tell.
    """
    frame._require_state("save_cache", rotated=None)
    following = frame._behind(frame._positions, torch.zeros_like(frame._next))
    if not torch.equal(frame.next_position, following):
        got = f"{frame.next_position.tolist()}"
        raise FrameError("save_cache", "next_position", f"behind the last key, at {following.tolist()} (go_on_at_)", got)
    if not isinstance(identity, ModelIdentity) or not identity.digest:
        raise FrameError("save_cache", "identity", "that of a model", "nobody's")
    identity.require_of("save_cache", frame.model)
    frame._require_same_model("save_cache")
    _require_no_gaps("save_cache", frame)
    specifications = _specifications(frame)
    made: dict[tuple, LayerFrame] = {}
    layers = []
    for index, layer in enumerate(frame.cache.layers):
        positions, valid, rotary = frame._positions[index], frame._valid[index], frame.rotary[index]
        key = id(positions), id(valid), id(rotary)
        if key not in made:
            state = UNROTATED if rotary is not None and not frame._is_rotated else 0
            states = torch.full(positions.shape, state, dtype=torch.int32).masked_fill(~valid, PADDING)
            made[key] = LayerFrame(positions, states, [specifications[index]], frame.roundings)
        layers.append((layer.keys, layer.values, made[key]))
    tokens = _tokens_by_layer(token_ids, [stands for _, _, stands in layers])
    cache_format.write(path, Contents(identity, layers, tokens, edits=_edits_of_values(frame)))


def load_cache(
    path: str | os.PathLike, model, identity: ModelIdentity, keep_written: bool = True, conventions: dict | None = None
) -> CacheFrame:
    """The cache in `path`, to go on with `model`.

    identity  of `model`, as of `save_cache`: the cache of another model, and one of unknown origin, are refused

    Raises FrameError also where a checksum differs, the version is not known, keys are rotated otherwise than the model's, and for what
    a frame does not keep: edits, an assumed frame or origin, several specifications in a layer.
    """
    name = os.fspath(path)
    identity.require_of("load_cache", model)
    contents = cache_format.read(path)
    _require_origin(name, contents, identity)
    frame = CacheFrame(model, keep_written, conventions)
    if len(contents.layers) != len(frame.windows):
        raise FrameError(name, "layers", f"the model's {len(frame.windows)}", str(len(contents.layers)))
    layers, states = [], []
    head_dim = _head_dim(frame.decoder.config)
    for index, (keys, values, stands) in enumerate(contents.layers):
        if (keys.shape[3], values.shape[3]) != (head_dim, head_dim):
            raise FrameError(name, f"layer {index}", f"head_dim={head_dim}", f"{keys.shape[3]} and {values.shape[3]}")
        own = keys.dtype, values.dtype
        if own != (model.dtype, model.dtype):
            raise FrameError(name, f"layer {index}", f"keys and values in the model's {model.dtype}", f"{own[0]} and {own[1]}")
        valid = stands.states != PADDING
        states.append(_rotation_state(name, index, stands, frame))
        layers.append(dict(keys=keys, values=values, positions=stands.positions, valid=valid))
    rotating = {state for state, rotary in zip(states, frame.rotary) if rotary is not None and state is not None}
    if len(rotating) > 1:
        raise FrameError(name, "states", "all layers rotated, or none", "some of both")
    frame._is_rotated = rotating != {False}
    for layer, window in zip(layers, frame.windows):
        _keep_what_a_window_shows(name, layer, window)
    alike = shared([each["positions"] for each in layers]), shared([each["valid"] for each in layers])
    for layer, positions, valid in zip(layers, *alike):
        layer |= dict(positions=positions, valid=valid)
    frame._next = torch.zeros(len(layers[0]["keys"]), dtype=torch.int64)
    fill(frame, name, layers)
    frame._next = frame._behind(frame._positions, frame._next)
    if bool((frame._next < 0).any()):
        raise FrameError(name, "positions", "the next token at 0 or behind", f"{frame._next.tolist()}")
    _require_windows_filled(name, frame)
    _require_no_gaps(name, frame)
    if keep_written and not frame._is_rotated:
        _keep_rotated(name, frame)
    frame._settled_roundings = max(stands.roundings for _, _, stands in contents.layers)
    frame._remember()
    return frame


def _edits_of_values(frame: CacheFrame) -> list[dict]:
    """What a file tells of values that were changed in place, in no one knows which slots."""
    changed = {"kind": "other", "half": "values", "heads": [], "origin": "changed in place"}
    held = {index: frame.cache.layers[index].values.shape[2] for index in frame.edited_values}
    return [changed | {"layers": [index], "slots": [[0, count]]} for index, count in held.items() if count > 0]


def _require_origin(name: str, contents: Contents, identity: ModelIdentity) -> None:
    if not contents.origin.digest:
        raise FrameError(name, "model", f"a cache of {identity.digest}", "one of unknown origin")
    found = identity.differences(contents.origin)
    if found:
        sides = (", ".join(f"{each[0]} {each[side]}" for each in found) for side in (1, 2))
        raise FrameError(name, "model", *sides)
    for what, kept, plain in (("origin.basis", contents.basis, "recorded"), ("assumed", contents.assumed, False)):
        if kept != plain:
            raise FrameError(name, what, f"{plain}, since a frame keeps no other", f"{kept}")
    if contents.edits:
        kinds = ", ".join(str(each["kind"]) for each in contents.edits)
        raise FrameError(name, "edits", "none, since a frame keeps none", kinds)


def _tokens_by_layer(given, stands: list[LayerFrame]) -> list[torch.Tensor | None]:
    if given is None:
        return []
    if isinstance(given, torch.Tensor):
        other = next((index for index, each in enumerate(stands) if not stands[0].holds_slots_of(each)), None)
        if other is not None:
            expected = "a list with one a layer, since layers hold different slots"
            raise FrameError("save_cache", "token_ids", expected, f"one tensor, and other slots in layer {other} than in layer 0")
    ids = moves.one_a_layer(given, len(stands), "save_cache: token_ids")
    for index, (rows, each) in enumerate(zip(ids, stands)):
        expected = [each.states.shape[0], each.states.shape[2]]
        if rows is not None and (rows.dtype != torch.int64 or list(rows.shape) != expected):
            got = f"{rows.dtype} {list(rows.shape)}"
            raise FrameError("save_cache", "token_ids", f"int64 {expected}, one for each slot of layer {index}", got)
    return ids


# Rotation


def _specifications(frame: CacheFrame) -> list[dict]:
    """One a layer; equal ones are one object."""
    length = _length_in_force(frame)
    known: dict[int, dict] = {}
    config = frame.decoder.config
    for layer, rotary in enumerate(frame.rotary):
        if id(rotary) not in known:
            plain = rotary is not None
            known[id(rotary)] = {
                "rope_type": parameters_of(config, layer)["rope_type"] if plain else "none",
                "inv_freq": [float(each) for each in rotary.inv_freq] if plain else [],
                "attention_scaling": rotary.attention_scaling if plain else 1.0,
                "pairing": "interleaved" if plain and rotary.interleaved else "half_split",
                "window_offset": 0,
                "stream_of": [],
                "normed_after_rotation": False,
                "length": length if plain else 0,
            }
    return [known[id(rotary)] for rotary in frame.rotary]


def _length_in_force(frame: CacheFrame) -> int:
    """Tokens at whose length the model rotates as the frame's keys are; 0 where it does at every length."""
    if not depends_on_length(frame.decoder):
        return 0
    reached = max(1, int(frame.next_position.max()))
    for length in (reached, 1, frame.decoder.config.max_position_embeddings):
        if are_equal(rotary_of(frame.model, length=length, conventions=frame.conventions), frame.rotary):
            return length
    raise FrameError("save_cache", "rotary", f"frequencies of {reached} tokens (reframe_ writes them anew)", "those of another length")


def _rotary(name: str, index: int, specification: dict) -> Rotary | None:
    """What keys of one specification are rotated by; None for those that do not rotate."""
    moved = specification["window_offset"] != 0 or specification["normed_after_rotation"] is not False
    if moved or any(specification["stream_of"]):
        raise FrameError(name, f"layer {index}", "a rotation at the head's start, of one stream, without a norm behind", str(specification))
    if not specification["inv_freq"]:
        return None
    frequencies = torch.tensor(specification["inv_freq"], dtype=torch.float32)
    return Rotary(frequencies, float(specification["attention_scaling"]), specification["pairing"] == "interleaved")


def _rotation_state(name: str, index: int, stands: LayerFrame, frame: CacheFrame) -> bool | None:
    """Whether a layer's keys are rotated; None where there is none. Those that are, are so as the model's."""
    codes = sorted(int(each) for each in stands.states.unique() if each != PADDING)
    if not codes:
        return None
    rotaries = [None if code == UNROTATED else _rotary(name, index, stands.specifications[code]) for code in codes]
    if UNROTATED in codes and len(codes) > 1:
        raise FrameError(name, f"layer {index}", "keys that are all rotated, or none", "some of both")
    if UNROTATED in codes:
        return False
    first = rotaries[0]
    if not all(are_equal([first], [each]) for each in rotaries):
        raise FrameError(name, f"layer {index}", "keys under one rotary specification", f"{len(codes)} that differ")
    own = frame.rotary[index]
    if depends_on_length(frame.decoder):
        length = max(1, stands.specifications[codes[0]]["length"])
        own = rotary_of(frame.model, length=length, conventions=frame.conventions)[index]
    if not are_equal([own], [first]):
        raise FrameError(name, f"layer {index}", f"keys rotated as the model does ({_described(own)})", _described(first))
    frame.rotary = [*frame.rotary[:index], own, *frame.rotary[index + 1 :]]
    return True


def _keep_rotated(name: str, frame: CacheFrame) -> None:
    """Keys that come without rotation: what a frame keeps as written are rotated ones, which later moves begin at."""
    copies = [layer.keys.clone() for layer in frame.cache.layers]
    moves.run(moves.plan(name, copies, [None] * len(copies), frame.rotary, None, frame._positions))
    frame._written = [Written(keys, positions) for keys, positions in zip(copies, frame._positions)]


def _described(rotary: Rotary | None) -> str:
    if rotary is None:
        return "not at all"
    return f"{len(rotary.inv_freq)} frequencies from {float(rotary.inv_freq[0]):g}, scaling {rotary.attention_scaling:g}"


# Windows


def _keep_what_a_window_shows(name: str, layer: dict, window: int | None) -> None:
    """A layer with a window keeps its last window - 1 slots, as transformers does: what is older no later token sees."""
    valid = layer["valid"]
    if window is None:
        return
    if bool((valid[..., :-1] & ~valid[..., 1:]).any()):
        raise FrameError(name, "states", "padding in front of all tokens, where layers have windows", "padding behind")
    kept = min(valid.shape[-1], max(window - 1, 1))
    for what, axis in (("keys", 2), ("values", 2), ("positions", -1), ("valid", -1)):
        layer[what] = layer[what].narrow(axis, valid.shape[-1] - kept, kept).contiguous()


def _require_windows_filled(name: str, frame: CacheFrame) -> None:
    """A layer that lacks keys which its window shows, and other layers hold, would be read as if they had never been."""
    longest = max(range(len(frame.windows)), key=lambda layer: frame._valid[layer].shape[-1])
    for index, window in enumerate(frame.windows):
        count = min(window - 1, frame._valid[longest].shape[-1]) if window is not None else 0
        held = frame._valid[index].shape[-1]
        if held < count:
            raise FrameError(name, f"layer {index}", f"the last {count} keys that other layers hold, for its window of {window}", f"{held}")


def _require_no_gaps(name: str, frame: CacheFrame) -> None:
    """A frame's windows count positions, transformers' and the C++ library's count keys: they agree where positions have no gaps."""
    for index, window in enumerate(frame.windows):
        if window is None:
            continue
        positions, valid = frame._positions[index], frame._valid[index]
        both = valid[..., 1:] & valid[..., :-1]
        if bool((both & (positions[..., 1:] - positions[..., :-1] != 1)).any()):
            raise FrameError(name, f"layer {index}", f"positions without gaps, for its window of {window} (close_gap_)", "gaps")
