"""A frame beside a transformers cache: where every key of every layer and head stands, so that what it is used for is right.

    frame = kvtransfer.CacheFrame(model)        # with an empty DynamicCache, frame.cache
    frame.forward(input_ids)                    # as model(input_ids, ...): reads them, and remembers where they stand
    frame.keep_(slots)                          # evicts, by layer and head where asked to
    frame.close_gap_()                          # moves what stayed together
    frame.generate(question, max_new_tokens=20) # goes on from there

Positions by layer and head, validity of padding, the rotary embedding that the keys were written under and the next position are
the frame's own. A forward pass gets its positions and each layer's mask from it, windows by position and not by slot. What it cannot
justify it refuses with a FrameError, and nothing has changed then: keys rotated twice, positions that go back, a cache that
somebody else moved or grew, a forward pass that does not say where its tokens stand, a model that was changed since it wrote the keys.
Keys that were changed in place are noticed as torch counts changes: not in inference mode, nor through `.data` or numpy.

Moves go through operators in place. Where a key moves again, it moves from what the model wrote, which the frame keeps from the
first move on (half as much memory again as the cache; `keep_written=False` does without): a thousand moves are off by one rounding.

What a window has dropped is gone, as if it had been evicted. For decoders of full and sliding attention with eager or sdpa
attention. Written against transformers 5.23.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from . import moves
from .errors import FrameError
from .frame_state import FrameState
from .moves import Positions, one_a_layer
from .rotary import are_equal, what_differs
from .slots import shared
from .transformers_cache import require_slots


class CacheFrame(FrameState):
    """The frame of one cache of one model. See the module."""

    def __init__(self, model, keep_written: bool = True, conventions: dict | None = None):
        """A frame with an empty cache.

        model         a causal language model of transformers
        keep_written  move keys from what the model wrote, so that roundings do not add up
        conventions   as of `rotary_of`

        Raises ValueError for a model whose keys cannot be moved, FrameError for one whose attention takes no mask a layer.
        """
        super().__init__(model, keep_written, conventions)

    @classmethod
    def adopt(
        cls,
        model,
        cache,
        positions: Positions,
        valid: torch.Tensor | None = None,
        next_position: int | torch.Tensor | None = None,
        keep_written: bool = True,
        conventions: dict | None = None,
    ) -> CacheFrame:
        """A frame for a DynamicCache that was written without one, whose layers it takes over.

        positions      where `model` wrote the keys, of every token the cache has seen: int64 [seen], or [batch, kv_heads, seen] with 1
                       for an axis along which they are the same. One tensor, or a list with one a layer
        valid          bool [batch, seen]: false for padding; None: all count
        next_position  as of `remap_`

        Raises FrameError for a cache that was made without `config=` where layers have windows, or whose frequencies would depend on
        the length that it was written at.
        """
        frame = cls(model, keep_written, conventions)
        frame.adopt_layers(cache, positions, valid, next_position)
        return frame

    # What it knows

    @property
    def positions(self) -> list[torch.Tensor]:
        """Where the keys of each layer stand, int64 [batch, 1 or kv_heads, held]."""
        return [each.clone() for each in self._positions]

    @property
    def valid(self) -> list[torch.Tensor]:
        """False for padding, bool of the shape of `positions`."""
        return [each.clone() for each in self._valid]

    @property
    def next_position(self) -> torch.Tensor:
        """Where the next token of each row will stand, int64 [batch]."""
        return self._next.clone()

    @property
    def is_rotated(self) -> bool:
        """False between `unrotate_` and `rotate_`."""
        return self._is_rotated

    @property
    def roundings(self) -> int:
        """How many roundings to the cache's type moves have put on any key, beyond the model's own."""
        return self._settled_roundings + int(self.keep_written and any(each is not None for each in self._written))

    @property
    def edited_values(self) -> list[int]:
        """The layers whose values were changed in place since the model wrote them, as torch counts it. `save_cache` tells of them."""
        self._require_unchanged("edited_values")
        return sorted(self._edited_values)

    @property
    def error_bound(self) -> float:
        """The most by which moves have taken any pair of elements off, as a share of the pair's length."""
        return self.roundings * torch.finfo(self.cache.layers[0].keys.dtype).eps / 2 if self.roundings else 0.0

    def __repr__(self) -> str:
        held = [each.shape[-1] for each in self._positions]
        return f"CacheFrame({type(self.model).__name__}, held={held}, next_position={self._next.tolist()})"

    # Reading

    def forward(
        self,
        input_ids: torch.Tensor,
        *,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        **options,
    ):
        """As `model(input_ids, past_key_values=cache)`, at the frame's positions. Returns what the model returns.

        attention_mask  [batch, seq] of these tokens alone: 0 for padding. Padding stands at position 0 and counts for nothing
        position_ids    int64 [batch, seq] of these tokens, ascending in each row. Of the first tokens alone: later ones go on where
                        the frame ends, or where `go_on_at_` says, and positions that say otherwise are refused
        options         logits_to_keep, output_hidden_states, output_attentions, return_dict: as the model takes them
        """
        unknown = options.keys() - {"logits_to_keep", "output_hidden_states", "output_attentions", "return_dict"}
        if unknown:
            raise FrameError("forward", "options", "such as change neither tokens nor attention", ", ".join(sorted(unknown)))
        with self._reading(attention_mask, position_ids):
            return self.model(input_ids=input_ids, past_key_values=self.cache, use_cache=True, **options)

    def generate(self, input_ids: torch.Tensor, *, attention_mask: torch.Tensor | None = None, **settings) -> torch.Tensor:
        """As `model.generate`, going on from the cache: `input_ids` are the new tokens alone. Returns them and what follows.

        attention_mask  [batch, seq] of the new tokens: 0 for padding
        settings        of `model.generate`: one beam, one sequence a row

        The last token that it says is not in the cache yet.
        """
        own = settings.keys() & {"past_key_values", "use_cache", "cache_implementation", "position_ids", "inputs_embeds"}
        if own:
            raise FrameError("generate", "settings", "none of what the frame itself decides", ", ".join(sorted(own)))
        past = input_ids.new_ones(input_ids.shape[0], self.cache.get_seq_length())
        new = torch.ones_like(input_ids) if attention_mask is None else attention_mask.to(past)
        mask = torch.cat([past, new], dim=1)
        with self._reading(attention_mask, None):
            return self.model.generate(input_ids, attention_mask=mask, past_key_values=self.cache, use_cache=True, **settings)

    def go_on_at_(self, position: int | torch.Tensor) -> None:
        """Says where the next token stands, int or [batch], after every key: leaves a gap, or takes one back that was left."""
        at = self._by_row("go_on_at_", "position", position)
        last = self._last_positions(self._positions)
        if bool((at <= last).any()):
            raise FrameError("go_on_at_", "position", f"one behind the last key, > {last.tolist()}", f"{at.tolist()}")
        self._next = at

    # Changes

    def shift_(self, delta: int | torch.Tensor) -> None:
        """Moves every key by `delta` tokens, an int or one a row [batch], and the next position with them."""
        self._require_state("shift_")
        by = self._by_row("shift_", "delta", delta)
        self._move("shift_", self._for_each(lambda positions, valid: positions + by[:, None, None]), self._next + by)

    def remap_(self, positions: Positions, next_position: int | torch.Tensor | None = None) -> None:
        """Moves keys to `positions`, int64 [held] or [batch, kv_heads, held] with 1 for an axis along which they are the same.

        positions      one tensor, or a list with one a layer. Ascending from slot to slot, padding aside
        next_position  where the next token stands, int or [batch]; None: behind the last key
        """
        self._require_state("remap_")
        self._move("remap_", *self._asked("remap_", positions, next_position))

    def close_gap_(self) -> None:
        """Moves the keys of every layer and head together, the last one to directly in front of the next token.

        The next token stands at the number of tokens that the fullest head holds, row by row; a head that holds fewer begins later,
        so that the nearest tokens are equally near everywhere.
        """
        self._require_state("close_gap_")
        following = torch.stack([each.sum(-1).amax(-1) for each in self._valid]).amax(0)

        def together(positions: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
            from_here_on = valid.long().flip(-1).cumsum(-1).flip(-1)
            return following[:, None, None] - from_here_on

        self._move("close_gap_", self._for_each(together), following)

    def keep_(self, slots: Positions | Sequence[torch.Tensor | None]) -> None:
        """Evicts all keys but those at `slots`, which keep their positions: see `close_gap_`.

        slots  int64 [kept], or [batch, kv_heads, kept] where each head chooses for itself; ascending. One tensor where all layers
               hold the same tokens, or a list with one a layer, None for a layer that keeps everything
        """
        self._require_state("keep_", rotated=None)
        layers = self.cache.layers
        held = sorted({layer.keys.shape[2] for layer in layers})
        if not isinstance(slots, (list, tuple)) and len(held) > 1:
            raise FrameError("keep_", "slots", f"a list with one a layer, since layers hold {held} tokens", "one for all")
        chosen = one_a_layer(slots, len(layers), "keep_: slots")
        for layer, kept in zip(layers, chosen):
            if kept is not None:
                require_slots("keep_", kept, layer.keys.shape)
        taken = [None if kept is None else self._taken(index, kept.cpu()) for index, kept in enumerate(chosen)]
        for index, (layer, each) in enumerate(zip(layers, taken)):
            if each is not None:
                layer.keys, layer.values, self._positions[index], self._valid[index], self._written[index] = each
                if self.windows[index] is not None:
                    layer.cumulative_length = layer.keys.shape[2]
        self._positions, self._valid = shared(self._positions), shared(self._valid)
        self._remember()

    def unrotate_(self) -> None:
        """Takes the rotation off all keys, until `rotate_` puts them back. Nothing can be read in between."""
        self._require_state("unrotate_")
        self._rewrite("unrotate_", [None] * len(self.rotary), None)
        self._is_rotated = False

    def rotate_(self, positions: Positions | None = None, next_position: int | torch.Tensor | None = None) -> None:
        """Rotates keys that `unrotate_` left without rotation: to where they stood, or as `remap_` to `positions`."""
        self._require_state("rotate_", rotated=False)
        targets, following = (self._positions, self._next) if positions is None else self._asked("rotate_", positions, next_position)
        self._move("rotate_", targets, following)
        self._is_rotated = True

    def reframe_(self, length: int) -> None:
        """Writes all keys anew under the embedding that the model uses at `length` tokens, positions as they are.

        For embeddings that change with the length (dynamic NTK, LongRoPE), before a forward pass that would use another. It cannot
        change what deeper layers read when the keys were written: a prefill at that length is something else there.
        """
        self._require_state("reframe_")
        target = self._rotary_at(length)
        keys = [layer.keys for layer in self.cache.layers]
        with self._writing():
            moves.run(moves.plan("reframe_", keys, self.rotary, target, self._positions, self._positions))
        self._settled_roundings = self.roundings + 1
        self.rotary, self._written = target, [None] * len(keys)
        self._remember()

    def copy(self) -> CacheFrame:
        """Another frame with a cache of its own: the same tokens at the same positions."""
        copied = join_frames(self)
        copied._next = self._next
        return copied


def join_frames(*frames: CacheFrame) -> CacheFrame:
    """A frame of copies, one behind another: the first where it stands, each later one where the one before it ends.

    The tokens of one do not know of those of another: it equals a prefill under a block-diagonal mask. The frames stay as they are,
    and one that is given twice stands there twice.

    Raises FrameError for frames of other models, rows or frequencies, for empty ones, for keys that a gradient is wanted of, and for
    padding where layers have windows.
    """
    if not frames:
        raise FrameError("join_frames", "frames", "at least one", "none")
    first = frames[0]
    for frame in frames:
        frame._require_state("join_frames")
        if frame.model is not first.model:
            raise FrameError("join_frames", "model", "one for all", "two")
        frame._require_same_model("join_frames")
        if len(frame._next) != len(first._next):
            raise FrameError("join_frames", "rows", f"batch={len(first._next)}", f"batch={len(frame._next)}")
        tracked = [moves.gradient_of(each) for layer in frame.cache.layers for each in (layer.keys, layer.values)]
        if any(tracked):
            raise FrameError("join_frames", "cache", "no gradient, which copies would lose", next(filter(None, tracked)))
        if not are_equal(first.rotary, frame.rotary):
            raise FrameError("join_frames", "rotary", "keys under the same frequencies (reframe_)", what_differs(first.rotary, frame.rotary))
        windowed = any(window is not None for window in frame.windows)
        if len(frames) > 1 and windowed and not all(bool(each.all()) for each in frame._valid):
            raise FrameError("join_frames", "padding", "none where layers have windows", "padded rows")
    joined = CacheFrame(first.model, first.keep_written, first.conventions)
    starts, places = first._first_positions(), []
    for frame in frames:
        by = starts - frame._first_positions()
        places.append(frame._for_each(lambda positions, valid, by=by: positions + by[:, None, None]))
        starts = frame._next + by
    joined.take_over(frames, places, starts)
    return joined
