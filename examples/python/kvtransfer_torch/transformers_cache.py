"""Moves the keys that a transformers cache holds, in place.

    DynamicCache    all that it holds; layers with a sliding window hold the last tokens, and those move
    StaticCache     the filled slots alone: what lies behind them is not keys
    QuantizedCache  (optimum-quanto, HQQ, FP8) keys are dequantized, moved and quantized a second time; the residual in full
                    precision moves as it is. Every move costs one more quantization: add up deltas and move once.

Layers that read the keys of others (Gemma 3n) hold none and are passed over.

Positions are those of every token the cache has seen, int64 [cache.get_seq_length()] or with [batch, kv_heads] in front; one
tensor, or a list with one for each layer that holds keys. transformers masks by slot, not by position, so a moved cache goes on
with other `position_ids` and nothing else: see ../move_transformers_cache.py. Nobody remembers them here: a CacheFrame does, and a
cache that has one is refused. Written against transformers 5.23.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from . import moves
from .cache_layers import holds_keys, open_layer
from .moves import Positions, Rotaries, one_a_layer
from .rotary import Rotary


def shift_cache_(cache, rotary: Rotaries, delta: int) -> None:
    """Moves every key of `cache` by `delta` tokens. `rotary` is `rotary_of(model)`."""
    with keys_in_place(cache) as layers:
        moves.shift_(layers, _of_holding(cache, rotary), delta)


def remap_cache_(cache, rotary: Rotaries, old: Positions, new: Positions, model_faithful: bool = False) -> None:
    """Moves the keys of `cache` from positions `old` to `new`, as `moves.remap_`."""
    reframe_cache_(cache, rotary, old, rotary, new, model_faithful)


def reframe_cache_(
    cache, stored: Rotaries, old: Positions, target: Rotaries, new: Positions, model_faithful: bool = False
) -> None:
    """Moves the keys of `cache` from `old` under one embedding to `new` under another, as `moves.reframe_`."""
    with keys_in_place(cache) as layers:
        stored, target = _of_holding(cache, stored), _of_holding(cache, target)
        seen = int(cache.get_seq_length())
        moves.reframe_(layers, stored, _tails(layers, old, seen), target, _tails(layers, new, seen), model_faithful)


def keep_slots_(cache, slots: Positions) -> None:
    """Evicts all tokens of a DynamicCache but those at `slots`.

    slots  int64 [kept], or [batch, kv_heads, kept] where each head chooses for itself, with 1 for an axis along which they are the
           same; ascending. One tensor, or a list with one for each layer that holds keys

    Keys keep their rotation: to close the gap, remap them. All layers are checked before the first one changes. Raises ValueError
    where a layer has already dropped tokens, or keeps its tensors quantized or at a fixed address. transformers goes on with its
    own idea of positions and windows: a CacheFrame goes on with the right ones.
    """
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    _require_frameless(cache)
    _require_layers(cache)
    layers = [layer for layer in cache.layers if holds_keys(layer)]
    for layer in layers:
        whole = type(layer) is DynamicSlidingWindowLayer and layer.keys.shape[-2] == layer.cumulative_length
        if type(layer) is not DynamicLayer and not whole:
            raise ValueError(f"keep_slots_: cache: expected layers of a DynamicCache with all their tokens, got {layer}")
    chosen = one_a_layer(slots, len(layers), "keep_slots_: slots")
    for layer, kept in zip(layers, chosen):
        require_slots("keep_slots_", kept, layer.keys.shape)
    taken = [(take_slots(layer.keys, kept), take_slots(layer.values, kept)) for layer, kept in zip(layers, chosen)]
    for layer, (keys, values) in zip(layers, taken):
        layer.keys, layer.values = keys, values
        if layer.is_sliding:
            layer.cumulative_length = keys.shape[-2]


def require_slots(where: str, slots, shape: torch.Size) -> None:
    """Raises ValueError unless `slots` are int64 [kept] or [batch, kv_heads, kept], ascending, of keys of that `shape`."""
    batch, kv_heads, held = shape[:3]
    expected = f"int64 [kept] or {moves.named_axes(batch, kv_heads)[:-1]}, kept]"
    is_tensor = isinstance(slots, torch.Tensor) and slots.dtype == torch.int64
    fits = is_tensor and (slots.dim() == 1 or (slots.dim() == 3 and slots.size(0) in (1, batch) and slots.size(1) in (1, kv_heads)))
    if not fits:
        got = f"{slots.dtype} {list(slots.shape)}" if isinstance(slots, torch.Tensor) else type(slots).__name__
        raise ValueError(f"{where}: slots: expected {expected}, got {got}")
    if slots.numel() == 0:
        return
    if int(slots.min()) < 0 or int(slots.max()) >= held or bool((slots.diff(dim=-1) <= 0).any()):
        raise ValueError(f"{where}: slots: expected them ascending, each once, 0 <= slot < {held}, got {slots.tolist()}")


def take_slots(tensor: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """[batch, kv_heads, seq, head_dim] at `slots` [kept] or [batch, kv_heads, kept], 1 for an axis along which they are the same."""
    index = slots.to(tensor.device).expand(*tensor.shape[:2], -1)[..., None]
    return tensor.gather(2, index.expand(-1, -1, -1, tensor.shape[-1]))


def held_keys(cache) -> list[torch.Tensor]:
    """The keys of every layer that holds some, [batch, kv_heads, held, head_dim], to be read: views, or dequantized copies."""
    _require_layers(cache)
    return [open_layer(layer).keys for layer in cache.layers if holds_keys(layer)]


@contextmanager
def keys_in_place(cache) -> Iterator[list[torch.Tensor]]:
    """`held_keys`, to be changed in place. Quantized layers are quantized again at the end; not after an exception."""
    _require_frameless(cache)
    _require_layers(cache)
    if getattr(cache, "offloading", False):
        raise ValueError("cache: expected keys that stay where they are, got a cache that is offloaded (offloading=True)")
    opened = [open_layer(layer) for layer in cache.layers if holds_keys(layer)]
    yield [layer.keys for layer in opened]
    closed = [layer.closed() for layer in opened]
    for layer, result in zip(opened, closed):
        layer.store(result)


def _require_frameless(cache) -> None:
    if hasattr(cache, "frame"):
        raise ValueError("cache: expected one without a frame, got one whose CacheFrame keeps its positions: move it by that")


def _require_layers(cache) -> None:
    if not isinstance(getattr(cache, "layers", None), list):
        hint = " (its self_attention_cache is one)" if hasattr(cache, "self_attention_cache") else ""
        raise ValueError(f"cache: expected a Cache of transformers, with layers, got {type(cache).__name__}{hint}")


def _of_holding(cache, rotary: Rotaries) -> list[Rotary | None]:
    """The embeddings of the layers that hold keys. A list may go on: the last layers of some models read the keys of others."""
    of_cache = rotary[: len(cache.layers)] if isinstance(rotary, (list, tuple)) else rotary
    every = one_a_layer(of_cache, len(cache.layers), "cache: rotary")
    return [embedding for embedding, layer in zip(every, cache.layers) if holds_keys(layer)]


def _tails(layers: list[torch.Tensor], positions: Positions, seen: int) -> list[torch.Tensor]:
    """The positions of the last tokens, which are what each layer holds; the same tensor wherever they are the same."""
    every = one_a_layer(positions, len(layers), "cache: positions")
    for layer, of_all in zip(layers, every):
        moves.require_positions("cache", of_all, (*layer.shape[:2], seen))
    tails: dict[tuple, torch.Tensor] = {}
    held = [layer.shape[2] for layer in layers]
    return [tails.setdefault((id(of_all), n), of_all[..., seen - n :]) for of_all, n in zip(every, held)]
