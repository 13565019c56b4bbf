"""Compares moved keys with a prefill at the new positions: evidence for a model that nobody has tried yet."""

import copy

import torch

from .rotary import Rotary, rotary_of
from .transformers_cache import held_keys, reframe_cache_

_SLACK = 4  # errors may be so many times what the type itself costs


@torch.no_grad()
def check_moves(model, start: int = 3, delta: int = 500, tokens: int = 6, tolerance: float | None = None) -> float:
    """The largest error over the layers of `model`: norm(moved - prefilled) / norm(prefilled).

    Some tokens are prefilled at `start`, their keys moved on by `delta`, and compared with a prefill there. For every model that
    `rotary_of` reads, also those that a CacheFrame, and so `verify_moves`, does not take. The forward passes leave the frequencies
    of a length-dependent embedding as the last one set them.

    tolerance  None: of each layer, four times what the model's type costs there (its keys against those of a copy in a wider type),
               and what float32 angles lose

    Raises AssertionError where a layer is further off: then the keys of this model are not what `rotary_of` says.
    """
    moved, stored = _prefill(model, start, tokens)
    expected, target = _prefill(model, start + delta, tokens)
    old = torch.arange(start, start + tokens)
    reframe_cache_(moved, stored, old, target, old + delta, model_faithful=True)
    keys = held_keys(expected)
    errors = _errors(held_keys(moved), keys)
    if tolerance is None:
        wide = copy.deepcopy(model).to(torch.float64 if model.dtype == torch.float32 else torch.float32)
        floors = _errors(keys, held_keys(_prefill(wide, start + delta, tokens)[0]))
        angle = max(map(_fastest, target)) * (start + delta + tokens) * 2.0**-24
        allowed = [_SLACK * floor + angle for floor in floors]
    else:
        allowed = [tolerance] * len(errors)
    if not all(b is None or b.rotates_like(a) for a, b in zip(stored, target)):
        errors = errors[:1]  # under other frequencies deeper layers read other hidden states
    off = {layer: (error, most) for layer, (error, most) in enumerate(zip(errors, allowed)) if not error <= most}
    if off:
        said = ", ".join(f"{error:.1e} > {most:.1e} in layer {layer}" for layer, (error, most) in off.items())
        raise AssertionError(f"check_moves: expected errors within tolerance, got {said}")
    return max(errors)


def _prefill(model, start: int, tokens: int):
    """A cache of `tokens` tokens from position `start` on, and the embeddings that its keys were written with."""
    ids = torch.arange(3, 3 + tokens, device=model.device)[None] % model.config.get_text_config().vocab_size
    positions = torch.arange(start, start + tokens, device=model.device)[None]
    cache = model(input_ids=ids, position_ids=positions, use_cache=True).past_key_values
    return cache, rotary_of(model)


def _errors(keys: list[torch.Tensor], expected: list[torch.Tensor]) -> list[float]:
    pairs = [(a.double(), b.double()) for a, b in zip(keys, expected, strict=True)]
    return [float((a - b).norm() / b.norm().clamp_min(torch.finfo(b.dtype).tiny)) for a, b in pairs]


def _fastest(rotary: Rotary | None) -> float:
    """Radians per token."""
    return 0.0 if rotary is None else float(rotary.inv_freq.abs().max())
