"""Compares moved keys with a prefill at the new positions: evidence for a model that nobody has tried yet."""

import torch

from .rotary import rotary_of
from .transformers_cache import held_keys, reframe_cache_


def check_moves(model, start: int = 3, delta: int = 500, tokens: int = 6, tolerance: float | None = None) -> float:
    """The largest error over the layers of `model`: norm(moved - prefilled) / norm(prefilled).

    Some tokens are prefilled at `start`, their keys moved on by `delta`, and compared with a prefill there. Costs two small
    forward passes, which leave the frequencies of a length-dependent embedding as the second one set them.

    Raises AssertionError where a layer is further off than `tolerance` (a few roundings of the model's type): then the keys of
    this model are not what `rotary_of` says.
    """
    if tolerance is None:
        tolerance = 1e-3 if model.dtype == torch.float32 else 3e-2
    moved, written = _prefill(model, start, tokens)
    expected, wanted = _prefill(model, start + delta, tokens)
    old = torch.arange(start, start + tokens)
    reframe_cache_(moved, written, old, wanted, old + delta, model_faithful=True)
    pairs = zip(held_keys(moved), held_keys(expected), strict=True)
    errors = [float((a.float() - b.float()).norm() / b.float().norm()) for a, b in pairs]
    if not all(b is None or b.rotates_like(a) for a, b in zip(written, wanted)):
        errors = errors[:1]  # under other frequencies deeper layers read other hidden states
    off = {layer: error for layer, error in enumerate(errors) if not error <= tolerance}
    if off:
        raise AssertionError(f"check_moves: expected errors of at most {tolerance}, got by layer {off}")
    return max(errors)


@torch.no_grad()
def _prefill(model, start: int, tokens: int):
    """A cache of `tokens` tokens from position `start` on, and the embeddings that its keys were written with."""
    ids = torch.arange(3, 3 + tokens, device=model.device)[None] % model.config.get_text_config().vocab_size
    positions = torch.arange(start, start + tokens, device=model.device)[None]
    cache = model(input_ids=ids, position_ids=positions, use_cache=True).past_key_values
    return cache, rotary_of(model)
