"""What a layer of a transformers cache holds, opened for changes in place.

A layer is opened, its `keys` are changed, then `closed()` computes what is to be stored and `store()` stores it: so nothing is
stored where another layer fails.

transformers is imported when a layer is looked at: plain and paged tensors do without.
"""

import torch

from .overlap import share_memory


def holds_keys(layer) -> bool:
    """False for a layer that reads the keys of another, or that has no attention."""
    from transformers import cache_utils as hf

    return not isinstance(layer, hf.DummyLayer)


def open_layer(layer) -> "OpenedLayer | OpenedFp8Layer | OpenedResidualLayer":
    """`layer` with its held keys as `keys`.

    Raises ValueError for an empty layer or one whose values lie in the memory of its keys, and TypeError for one that keeps
    something else than keys: a recurrent state, an indexer.
    """
    from transformers import cache_utils as hf

    kind = type(layer)
    if not getattr(layer, "is_initialized", False):
        raise ValueError(f"cache: expected a layer with tokens, got an empty {kind.__name__}")
    if isinstance(layer, hf.QuantizedLayer):
        return OpenedResidualLayer(layer)
    if isinstance(layer, hf.Fp8QuantizedLayer):
        return OpenedFp8Layer(layer)
    if share_memory(layer.keys, layer.values):
        raise ValueError(f"cache: expected keys and values apart, got a {kind.__name__} whose values would move with its keys")
    if kind in (hf.DynamicLayer, hf.DynamicSlidingWindowLayer):
        return OpenedLayer(layer.keys)
    if kind in (hf.StaticLayer, hf.StaticSlidingWindowLayer):
        return OpenedLayer(layer.keys[:, :, : _filled(layer)])
    raise TypeError(f"cache: expected layers that hold keys and nothing else with a position, got {kind.__name__}")


def _filled(layer) -> int:
    """Slots of a static layer that hold tokens; a window that has rolled is full."""
    return min(int(layer.get_seq_length()), layer.max_cache_len)


class OpenedLayer:
    """Keys [batch, kv_heads, held, head_dim] where they lie."""

    def __init__(self, keys: torch.Tensor):
        self.keys = keys

    def closed(self) -> None:
        pass

    def store(self, closed: None) -> None:
        pass


class OpenedFp8Layer:
    """Keys in FP8 under one scale for all, which is chosen anew: a rotation may bring forth larger elements."""

    def __init__(self, layer):
        self.layer = layer
        self.keys = layer._dequantize(layer._quantized_keys)

    def closed(self):
        return self.layer._quantize(self.keys)

    def store(self, closed) -> None:
        self.layer._quantized_keys = closed


class OpenedResidualLayer:
    """Keys of optimum-quanto or HQQ: quantized ones, and behind them the last few in full precision."""

    def __init__(self, layer):
        if layer._pending_beam_idx is not None:
            raise ValueError("cache: expected rows in their final order, got a beam reordering that waits for the next update")
        self.layer = layer
        quantized = layer._dequantize(layer._quantized_keys)
        self.quantized_length = quantized.shape[-2]
        self.has_residual = layer.keys.dim() == 4
        # Contiguous: what HQQ and quanto dequantize to has strides of its own.
        self.keys = (torch.cat([quantized, layer.keys], dim=-2) if self.has_residual else quantized).contiguous()

    def closed(self):
        quantized, residual = self.keys.tensor_split([self.quantized_length], dim=-2)
        # A view of the residual would keep all keys in full precision.
        return self.layer._quantize(quantized.contiguous(), axis=self.layer.axis_key), residual.clone()

    def store(self, closed) -> None:
        self.layer._quantized_keys, residual = closed
        if self.has_residual:
            self.layer.keys = residual
