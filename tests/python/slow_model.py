"""The reference of what a cache with a frame must equal: no cache at all.

Every key is kept as it was before RoPE, beside plain lists of where it stands, and every forward pass rotates all of them anew, in
float64 and by complex numbers. Operations change the lists.
"""

import contextlib
import copy
import sys

import torch
from transformers import AttentionInterface, AttentionMaskInterface

from kvtransfer_torch.rotary import decoder_of


class SlowModel:
    """One cache's worth of tokens.

    slots[layer][row][head]  a list of [token, position, is_valid], in order
    """

    def __init__(self, model):
        self.model = copy.deepcopy(model).double()
        self.model.set_attn_implementation("slow")
        decoder = decoder_of(self.model)
        self.config = decoder.config
        self.file = sys.modules[type(decoder).__module__]
        self.frequencies = [_frequencies(decoder, layer) for layer in range(self.config.num_hidden_layers)]
        types = getattr(self.config, "layer_types", None) or ["full_attention"] * self.config.num_hidden_layers
        self.windows = [self.config.sliding_window if kind == "sliding_attention" else None for kind in types]
        self.slots, self.next, self.bare, self.count = None, None, None, 0

    # What a cache can be told to do, on plain lists

    def shift(self, by: int) -> None:
        self._each(lambda slot: [slot[0], slot[1] + by, slot[2]])
        self.next = [each + by for each in self.next]

    def keep(self, chosen) -> None:
        """chosen[layer][row][head]: lists of slots, None for a layer that stays."""
        for layer, of_layer in enumerate(chosen):
            for row, heads in enumerate(of_layer or []):
                for head, kept in enumerate(heads):
                    held = self.slots[layer][row][head]
                    self.slots[layer][row][head] = [held[index] for index in kept]

    def remap(self, places) -> None:
        """places[layer][row][head]: a position for each slot."""
        for layer, of_layer in enumerate(places):
            for row, heads in enumerate(of_layer):
                for head, positions in enumerate(heads):
                    for slot, position in zip(self.slots[layer][row][head], positions, strict=True):
                        slot[1] = position
        for row in range(len(self.next)):
            of_row = [slot[1] for layer in self.slots for slot in sum(layer[row], []) if slot[2]]
            self.next[row] = max(of_row) + 1 if of_row else self.next[row]

    def close_gap(self) -> None:
        for row in range(len(self.next)):
            heads = [head for layer in self.slots for head in layer[row]]
            self.next[row] = max(sum(slot[2] for slot in head) for head in heads)
            for head in heads:
                place = self.next[row]
                for slot in reversed(head):
                    place -= slot[2]
                    slot[1] = place

    def join(self, other: "SlowModel") -> None:
        """Puts a copy of what `other` holds behind what is held here."""
        assert other is not self
        for row in range(len(self.next)):
            first = min(slot[1] for layer in other.slots for slot in sum(layer[row], []) if slot[2])
            by = self.next[row] - first
            for layer in range(len(self.slots)):
                for head in range(len(self.slots[layer][row])):
                    moved = [[token + self.count, place + by, ok] for token, place, ok in other.slots[layer][row][head]]
                    self.slots[layer][row][head] = self._within(layer, self.slots[layer][row][head] + moved)
            self.next[row] = other.next[row] + by
        for layer, both in enumerate(other.bare):
            self.bare[layer] = [torch.cat([mine, theirs], dim=2) for mine, theirs in zip(self.bare[layer], both)]
        self.count += other.count

    # Reading

    @torch.no_grad()
    def forward(self, ids: torch.Tensor, valid: torch.Tensor | None = None, start: int | None = None) -> torch.Tensor:
        """Logits [batch, seq, vocab] of `ids` behind what is held."""
        batch, seq = ids.shape
        kv_heads = self.config.num_key_value_heads
        if self.slots is None:
            self.slots = [[[[] for _ in range(kv_heads)] for _ in range(batch)] for _ in self.windows]
            self.next, self.bare = [start or 0] * batch, [None for _ in self.windows]
        self.is_valid = [[True] * seq for _ in range(batch)] if valid is None else valid.bool().tolist()
        self.places = []
        for row in range(batch):
            place, places = self.next[row], []
            for token in range(seq):
                places.append(place if self.is_valid[row][token] else 0)
                place += self.is_valid[row][token]
            self.places.append(places)
            self.next[row] = place
        with self._in_charge():
            logits = self.model(input_ids=ids, use_cache=False).logits
        for layer, rows in enumerate(self.slots):
            for row, heads in enumerate(rows):
                new = [[self.count + token, self.places[row][token], self.is_valid[row][token]] for token in range(seq)]
                heads[:] = [self._within(layer, head + copy.deepcopy(new)) for head in heads]
        self.count += seq
        return logits

    def attend(self, module, query, key, value, attention_mask, scaling=None, **_):
        """Stands in for the attention of transformers; `query` and `key` come without rotation."""
        layer, (batch, _, seq, _) = module.layer_idx, query.shape
        held = self.bare[layer]
        self.bare[layer] = [key, value] if held is None else [torch.cat([a, b], dim=2) for a, b in zip(held, (key, value))]
        keys, values = self.bare[layer]
        groups = query.shape[1] // key.shape[1]
        out = torch.zeros_like(query[..., : value.shape[-1]])
        for row in range(batch):
            for head in range(key.shape[1]):
                for token in range(seq):
                    new = [[self.count + i, self.places[row][i], self.is_valid[row][i] or i == token] for i in range(token + 1)]
                    out[row, head * groups : (head + 1) * groups, token] = self._one(
                        layer, query[row, head * groups : (head + 1) * groups, token], self.places[row][token],
                        self.slots[layer][row][head] + new, keys[row, head], values[row, head], scaling,
                    )  # fmt: skip
        return out.transpose(1, 2), None

    def _one(self, layer, queries, place, slots, keys, values, scaling):
        window = self.windows[layer]
        seen = [(token, at) for token, at, ok in slots if ok and (window is None or at > place - window)]
        tokens = [token for token, _ in seen]
        turned = self._rotated(layer, keys[tokens], torch.tensor([at for _, at in seen]))
        scores = self._rotated(layer, queries, torch.full((len(queries),), place)) @ turned.T * scaling
        return scores.softmax(-1) @ values[tokens]

    def _rotated(self, layer, states, places):
        frequencies = self.frequencies[layer]
        width = 2 * len(frequencies)
        real, imaginary = states[:, :width].chunk(2, dim=-1)
        turned = torch.complex(real, imaginary) * torch.polar(torch.ones((), dtype=torch.float64), places[:, None] * frequencies)
        return torch.cat([turned.real, turned.imag, states[:, width:]], dim=-1)

    def _within(self, layer, slots):
        window = self.windows[layer]
        return slots if window is None else slots[-(window - 1) :]

    def _each(self, change) -> None:
        for layer in self.slots:
            for row in layer:
                row[:] = [[change(slot) for slot in head] for head in row]

    @contextlib.contextmanager
    def _in_charge(self):
        global _reader
        original, _reader = self.file.apply_rotary_pos_emb, self
        self.file.apply_rotary_pos_emb = lambda query, key, *_, **__: (query, key)
        try:
            yield
        finally:
            self.file.apply_rotary_pos_emb, _reader = original, None


_reader: SlowModel | None = None
AttentionInterface.register("slow", lambda *args, **named: _reader.attend(*args, **named))
AttentionMaskInterface.register("slow", lambda *args, **named: None)


def _frequencies(decoder, layer: int) -> torch.Tensor:
    """Radians per token, as float64 of the model's own float32 numbers."""
    embedding = decoder.rotary_emb
    if hasattr(embedding, "inv_freq"):
        return embedding.inv_freq.float().double()
    return getattr(embedding, f"{decoder.config.layer_types[layer]}_inv_freq").float().double()
