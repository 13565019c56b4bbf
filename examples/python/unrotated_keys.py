"""The keys of a transformers model before RoPE, recorded while it runs, and rotated from scratch by the model's own functions.

The reference of evict_and_close_gap.py. StreamingLLM's own code works so: it caches keys without rotation and rotates all of
them, at their place in the cache, for every new token.
"""

import inspect
import sys

import torch

from kvtransfer_torch import take_slots


class UnrotatedKeys:
    """Stands in for the `apply_rotary_pos_emb` of a model's file and keeps what goes in; `with` puts the original back.

    layers  [batch, kv_heads, seq, head_dim] of every layer
    """

    def __init__(self, model):
        self.model = model.get_decoder()
        self.config = self.model.config
        self.file = sys.modules[type(self.model).__module__]
        self.original = self.file.apply_rotary_pos_emb
        self.layers: list[torch.Tensor] = []
        self.next_layer = 0  # the layer that comes next

    def __enter__(self) -> "UnrotatedKeys":
        self.file.apply_rotary_pos_emb = self._recording
        return self

    def __exit__(self, *_) -> None:
        self.file.apply_rotary_pos_emb = self.original

    def _recording(self, queries, keys, cos, sin, *more, **named):
        if len(self.layers) <= self.next_layer:
            self.layers.append(keys[:, :, :0])
        self.layers[self.next_layer] = torch.cat([self.layers[self.next_layer], keys], dim=2)
        self.next_layer = (self.next_layer + 1) % self.config.num_hidden_layers
        return self.original(queries, keys, cos, sin, *more, **named)

    def keep(self, slots: list[torch.Tensor]) -> None:
        """Forgets all keys but those at `slots`, one tensor [kept] or [batch, kv_heads, kept] a layer."""
        self.layers = [take_slots(keys, kept) for keys, kept in zip(self.layers, slots, strict=True)]

    def rotated(self, positions: torch.Tensor) -> list[torch.Tensor]:
        """The keys of every layer as the model would cache them at `positions` [seq]."""
        tables = [self._angles(layer, positions[None]) for layer in range(len(self.layers))]
        return [self.original(keys, keys, *angles)[1] for keys, angles in zip(self.layers, tables)]

    def _angles(self, layer: int, positions: torch.Tensor):
        """Cosines and sines of a layer: some models have two embeddings, for global and for local layers."""
        types = getattr(self.config, "layer_types", None)
        takes_a_type = "layer_type" in inspect.signature(self.model.rotary_emb.forward).parameters
        return self.model.rotary_emb(self.layers[layer], positions, *([types[layer]] if takes_a_type else []))
