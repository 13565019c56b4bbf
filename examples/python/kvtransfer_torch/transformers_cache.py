"""Moves the keys that a transformers cache holds, in place.

    DynamicCache    all that it holds; layers with a sliding window hold the last tokens, and those move
    StaticCache     the filled slots alone: what lies behind them is not keys
    QuantizedCache  (optimum-quanto, HQQ, FP8) keys are dequantized, moved and quantized a second time; the residual in full
                    precision moves as it is. Every move costs one more quantization: add up deltas and move once.

Layers that read the keys of others (Gemma 3n) hold none and are passed over.

Positions are those of every token the cache has seen, int64 [cache.get_seq_length()] or with [batch, kv_heads] in front; one
tensor, or one for each layer that holds keys. transformers masks by slot, not by position, so a moved cache goes on with other
`position_ids` and nothing else: see ../move_transformers_cache.py. Written against transformers 5.23.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from . import moves
from .cache_layers import holds_keys, open_layer
from .moves import Positions, Rotaries, one_a_layer


def shift_cache_(cache, rotary: Rotaries, delta: int) -> None:
    """Moves every key of `cache` by `delta` tokens. `rotary` is `rotary_of(model)`."""
    with keys_in_place(cache) as layers:
        moves.shift_(layers, _of_holding(cache, rotary), delta)


def remap_cache_(cache, rotary: Rotaries, old: Positions, new: Positions, model_faithful: bool = False) -> None:
    """Moves the keys of `cache` from positions `old` to `new`, as `moves.remap_`."""
    _require_positions(cache, old, new)
    with keys_in_place(cache) as layers:
        rotary = _of_holding(cache, rotary)
        moves.remap_(layers, rotary, _tails(layers, old), _tails(layers, new), model_faithful)


def reframe_cache_(
    cache, written: Rotaries, old: Positions, wanted: Rotaries, new: Positions, model_faithful: bool = False
) -> None:
    """Moves the keys of `cache` from `old` under one embedding to `new` under another, as `moves.reframe_`."""
    _require_positions(cache, old, new)
    with keys_in_place(cache) as layers:
        written, wanted = _of_holding(cache, written), _of_holding(cache, wanted)
        moves.reframe_(layers, written, _tails(layers, old), wanted, _tails(layers, new), model_faithful)


def keep_slots_(cache, slots: Positions) -> None:
    """Evicts all tokens of a DynamicCache but those at `slots`.

    slots  int64 [kept], or [batch, kv_heads, kept] where each head chooses for itself; one tensor, or one a layer

    Keys keep their rotation: to close the gap, remap them. Raises ValueError where a layer has already dropped tokens, or keeps
    its tensors quantized or at a fixed address.
    """
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    layers = [layer for layer in cache.layers if holds_keys(layer)]
    for layer in layers:
        whole = type(layer) is DynamicSlidingWindowLayer and layer.keys.shape[-2] == layer.cumulative_length
        if type(layer) is not DynamicLayer and not whole:
            raise ValueError(f"keep_slots_: cache: expected layers of a DynamicCache with all their tokens, got {layer}")
    for layer, kept in zip(layers, one_a_layer(slots, len(layers)), strict=True):
        layer.keys, layer.values = take_slots(layer.keys, kept), take_slots(layer.values, kept)
        if layer.is_sliding:
            layer.cumulative_length = kept.shape[-1]


def take_slots(tensor: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """[batch, kv_heads, seq, head_dim] at `slots` [kept] or [batch, kv_heads, kept]."""
    index = slots.to(tensor.device).expand(*tensor.shape[:2], -1)[..., None]
    return tensor.gather(2, index.expand(-1, -1, -1, tensor.shape[-1]))


def held_keys(cache) -> list[torch.Tensor]:
    """The keys of every layer that holds some, [batch, kv_heads, held, head_dim], to be read: views, or dequantized copies."""
    return [open_layer(layer).keys for layer in cache.layers if holds_keys(layer)]


@contextmanager
def keys_in_place(cache) -> Iterator[list[torch.Tensor]]:
    """`held_keys`, to be changed in place. Quantized layers are quantized again at the end; not after an exception."""
    opened = [open_layer(layer) for layer in cache.layers if holds_keys(layer)]
    yield [layer.keys for layer in opened]
    for layer in opened:
        layer.close()


def _of_holding(cache, rotary: Rotaries) -> Rotaries:
    """The embeddings of the layers that hold keys."""
    if not isinstance(rotary, (list, tuple)):
        return rotary
    if len(rotary) < len(cache.layers):
        raise ValueError(f"cache: rotary: expected one for each of {len(cache.layers)} layers, got {len(rotary)}")
    return [embedding for embedding, layer in zip(rotary, cache.layers) if holds_keys(layer)]


def _require_positions(cache, old: Positions, new: Positions) -> None:
    seen = int(cache.get_seq_length())
    for positions in (*one_a_layer(old, 1), *one_a_layer(new, 1)):
        if positions.shape[-1] != seen:
            raise ValueError(f"cache: positions: expected those of all {seen} tokens it has seen, got {list(positions.shape)}")


def _tails(layers: list[torch.Tensor], positions: Positions) -> list[torch.Tensor]:
    """The positions of the last tokens, which are what each layer holds; the same tensor wherever they are the same."""
    tails = {}
    chosen = []
    for layer, of_all in zip(layers, one_a_layer(positions, len(layers)), strict=True):
        held = layer.shape[2]
        chosen.append(tails.setdefault((id(of_all), held), of_all[..., of_all.shape[-1] - held :]))
    return chosen
