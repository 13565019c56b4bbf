"""A frame with its cache in a file, by torch.save; opened only with the model that it was made by.

torch compares no checksum when it reads: the file carries a digest of its own.
"""

import hashlib
import json
import os

import torch

from . import moves
from .errors import FrameError
from .frame import CacheFrame
from .model_watch import ModelWatch
from .rotary import Rotary, are_equal, depends_on_length, what_differs
from .slots import Written, shared
from .whole_file import whole_file

FORMAT = "kvtransfer-torch cache 2"
_FIELDS = {
    "format", "model", "configuration", "rotary", "layers", "next_position", "is_rotated", "roundings", "edited_values", "sha256",
}  # fmt: skip
_OF_LAYER = {"keys", "values", "positions", "valid", "written", "written_positions"}
# Keys of a configuration that change no number. Types are those of the weights.
_WITHOUT_EFFECT = frozenset(
    "architectures attention_dropout bos_token_id chunk_size_feed_forward dtype eos_token_id id2label initializer_range label2id "
    "is_encoder_decoder output_attentions output_hidden_states pad_token_id problem_type return_dict torch_dtype transformers_version "
    "use_cache".split()
)


def weights_digest(model) -> str:
    """SHA-256 over name, type, shape and bytes of every parameter and buffer that a checkpoint holds, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        _add(digest, name, tensor)
    return digest.hexdigest()


def _add(digest, name: str, value) -> None:
    """Puts `value`, and all that it consists of, into `digest`."""
    if isinstance(value, torch.Tensor):
        digest.update(f"{name} {value.dtype} {list(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            _add(digest, f"{name}.{key}", value[key])
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            _add(digest, f"{name}[{index}]", each)
    else:
        digest.update(f"{name} {value!r};".encode())


def _digest_of(contents: dict) -> str:
    digest = hashlib.sha256()
    _add(digest, "", {name: value for name, value in contents.items() if name != "sha256"})
    return digest.hexdigest()


def _configuration_of(model) -> dict[str, str]:
    """What of the configuration may change a number, each value as JSON."""
    config = model.config.get_text_config().to_dict()
    meant = {key: value for key, value in config.items() if key not in _WITHOUT_EFFECT and not key.startswith("_")}
    return {key: json.dumps(value, sort_keys=True, default=str) for key, value in meant.items()}


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
    contents = dict(format=FORMAT, model=weights_digest(frame.model), configuration=_configuration_of(frame.model), rotary=rotary)
    contents |= dict(layers=layers, next_position=frame._next, is_rotated=frame._is_rotated, roundings=frame._settled_roundings)
    contents |= dict(edited_values=frame.edited_values)
    contents |= dict(sha256=_digest_of(contents))
    with whole_file(path) as partial:
        torch.save(contents, partial)


def load_frame(path: str | os.PathLike, model, keep_written: bool = True, conventions: dict | None = None) -> CacheFrame:
    """The frame in `path`, to go on with `model`.

    Raises FrameError for a file of another model (any parameter, any type, any number of its configuration), of other frequencies, whose
    bytes are not those that were written, or that does not hold together.
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
    if contents["sha256"] != (digest := _digest_of(contents)):
        wrote = str(contents["sha256"])[:16]
        raise FrameError("load_frame", str(path), f"contents of digest {wrote}", f"{digest[:16]}, so they have changed")
    frame = CacheFrame(model, keep_written, conventions)
    if contents["model"] != (digest := weights_digest(model)):
        raise FrameError("load_frame", "model", f"the one of digest {contents['model'][:16]}", digest[:16])
    saved = [None if each is None else Rotary(*each) for each in contents["rotary"]]
    # Frequencies that change with the length are those of a length: a forward pass compares them with the one that it has.
    own = saved if depends_on_length(frame.decoder) else frame.rotary
    if not are_equal(own, saved):
        raise FrameError("load_frame", "rotary", "that of the keys", what_differs(saved, own))
    wrote, now = contents["configuration"], _configuration_of(model)
    differing = sorted(key for key in wrote.keys() | now.keys() if wrote.get(key) != now.get(key))
    if differing:
        sides = (", ".join(f"{key} {side.get(key, 'nothing')}" for key in differing) for side in (wrote, now))
        raise FrameError("load_frame", "configuration", *sides)
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
    frame._edited_values = set(contents["edited_values"])
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
