"""A frame with its cache in a file, by torch.save; opened only with the model that it was made by."""

import hashlib
import json
import os

import torch

from . import moves
from .errors import FrameError
from .frame import CacheFrame
from .model_watch import ModelWatch
from .rotary import Rotary, are_equal, depends_on_length
from .slots import Written, shared
from .whole_file import whole_file

FORMAT = "kvtransfer-torch cache 1"
_FIELDS = {"format", "model", "rope", "rotary", "layers", "next_position", "is_rotated", "roundings"}
_OF_LAYER = {"keys", "values", "positions", "valid", "written", "written_positions"}


def weights_digest(model) -> str:
    """SHA-256 over name, type, shape and bytes of every parameter and buffer that a checkpoint holds, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _rope_of(model) -> str:
    """What the model's configuration says of its rotary embedding, as JSON."""
    config = model.config.get_text_config()
    return json.dumps([config.model_type, config.max_position_embeddings, config.rope_parameters], sort_keys=True)


def save_frame(frame: CacheFrame, path: str | os.PathLike) -> None:
    """Writes `frame` and its cache to `path`. Raises FrameError for an empty one, or one that somebody else has changed."""
    frame._require_state("save_frame", rotated=None)
    layers = []
    for layer, positions, valid, written in zip(frame.cache.layers, frame._positions, frame._valid, frame._written):
        layers.append(
            dict(
                keys=layer.keys.detach().cpu().contiguous(),
                values=layer.values.detach().cpu().contiguous(),
                positions=positions.clone(),
                valid=valid.clone(),
                written=None if written is None else written.keys.detach().cpu().contiguous(),
                written_positions=None if written is None else written.positions.clone(),
            )
        )
    rotary = [None if r is None else (r.inv_freq, r.attention_scaling, r.interleaved, r.streams) for r in frame.rotary]
    contents = dict(format=FORMAT, model=weights_digest(frame.model), rope=_rope_of(frame.model), rotary=rotary, layers=layers)
    contents |= dict(next_position=frame._next, is_rotated=frame._is_rotated, roundings=frame._settled_roundings)
    with whole_file(path) as partial:
        torch.save(contents, partial)


def load_frame(path: str | os.PathLike, model, keep_written: bool = True, conventions: dict | None = None) -> CacheFrame:
    """The frame in `path`, to go on with `model`.

    Raises FrameError for a file of another model (any parameter, any type), of other frequencies, or that does not hold together.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        said = str(error).partition("\n")[0]
        raise FrameError("load_frame", str(path), FORMAT, f"{type(error).__name__}: {said}") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT or contents.keys() != _FIELDS:
        raise FrameError("load_frame", str(path), FORMAT, str(contents.get("format") if isinstance(contents, dict) else type(contents)))
    frame = CacheFrame(model, keep_written, conventions)
    if contents["model"] != (digest := weights_digest(model)):
        raise FrameError("load_frame", "model", f"the one of digest {contents['model'][:16]}", digest[:16])
    saved = [None if each is None else Rotary(*each) for each in contents["rotary"]]
    # Frequencies that change with the length are those of a length: a forward pass compares them with the one that it has.
    own = saved if depends_on_length(frame.decoder) else frame.rotary
    if contents["rope"] != _rope_of(model) or not are_equal(own, saved):
        raise FrameError("load_frame", "rotary", f"that of the keys, {contents['rope']}", _rope_of(model))
    _fill(frame, contents)
    frame.rotary = saved
    return frame


def _fill(frame: CacheFrame, contents: dict) -> None:
    layers, following = contents["layers"], contents["next_position"]
    if len(layers) != len(frame.windows) or any(each.keys() != _OF_LAYER for each in layers):
        raise FrameError("load_frame", "layers", f"{len(frame.windows)}, each whole", f"{len(layers)}")
    frame._next = following
    fill(frame, "load_frame", layers)
    for index, saved in enumerate(layers):
        if frame.keep_written and saved["written"] is not None:
            moves.require_positions("load_frame", saved["written_positions"], saved["written"].shape[:3])
            frame._written[index] = Written(saved["written"].to(frame.model.device), saved["written_positions"])
    frame._is_rotated, frame._settled_roundings = contents["is_rotated"], contents["roundings"]
    if not frame.keep_written:
        frame._settled_roundings += any(each["written"] is not None for each in layers)
    if bool((following <= frame._last_positions(frame._positions)).any()):
        raise FrameError("load_frame", "next_position", "one behind the last key", f"{following.tolist()}")
    frame._remember()


def fill(frame: CacheFrame, where: str, layers: list[dict]) -> None:
    """Puts keys, values, positions and validity of every layer into an empty frame, whose `_next` says how many rows there are."""
    config, device, dtype = frame.decoder.config, frame.model.device, layers[0]["keys"].dtype
    frame._watch = ModelWatch(frame.model)
    shape = (len(frame._next), config.num_key_value_heads)
    for index, (layer, saved) in enumerate(zip(frame.cache.layers, layers)):
        keys, values, positions, valid = (saved[name] for name in ("keys", "values", "positions", "valid"))
        if keys.dim() != 4 or keys.shape[:2] != shape or values.shape[:3] != keys.shape[:3] or {keys.dtype, values.dtype} != {dtype}:
            got = f"{keys.dtype} {list(keys.shape)}"
            raise FrameError(where, f"layer {index}", f"{dtype} [batch={shape[0]}, kv_heads={shape[1]}, held, head_dim]", got)
        moves.require_positions(where, positions, keys.shape[:3])
        if valid.shape != positions.shape or valid.dtype != torch.bool:
            raise FrameError(where, f"layer {index}: valid", f"bool {list(positions.shape)}", f"{valid.dtype} {list(valid.shape)}")
        layer.lazy_initialization(keys.to(device), values.to(device))
        layer.keys, layer.values = keys.to(device), values.to(device)
        if frame.windows[index] is not None:
            layer.cumulative_length = keys.shape[2]
        frame._positions.append(positions)
        frame._valid.append(valid)
    frame._positions, frame._valid = shared(frame._positions), shared(frame._valid)
    frame._require_order(where, frame._positions)
