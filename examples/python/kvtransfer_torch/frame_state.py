"""What a CacheFrame remembers and how it moves keys; frame.py is what its user sees."""

from __future__ import annotations

import contextlib
import operator
import weakref
from collections.abc import Callable, Sequence

import torch

from . import moves
from .errors import FrameError
from .frame_reading import Reading, attention_modules
from .model_watch import ModelWatch
from .moves import Positions, one_a_layer
from .rotary import Rotary, are_equal, decoder_of, depends_on_length, rotary_of, what_differs
from .slots import Written, ascend, cat_places, places_at, shared, version
from .transformers_cache import keys_in_place, take_slots


class FrameState:
    """Tensors of positions and validity are never changed in place, so that layers may share one."""

    def __init__(self, model, keep_written: bool, conventions: dict | None):
        from .framed_cache import FramedCache, layers_for, window_of

        self.model = model
        self.decoder = decoder_of(model)
        self.keep_written = keep_written
        self.conventions = conventions
        self.rotary: list[Rotary | None] = self._rotary_at(1)
        if any(each is not None and each.streams > 1 for each in self.rotary):
            raise FrameError("CacheFrame", "rotary", "one stream of positions", "M-RoPE's three")
        self.windows = [window_of(layer) for layer in layers_for(model)]
        self.attention = attention_modules(self.decoder, len(self.windows))
        self.cache = FramedCache(config=model.config)
        self.cache.frame = weakref.ref(self)
        self._positions: list[torch.Tensor] = []  # [batch, 1 or kv_heads, held], a layer each; none: an empty cache
        self._valid: list[torch.Tensor] = []
        self._next = torch.zeros(0, dtype=torch.int64)
        self._written: list[Written | None] = [None] * len(self.windows)
        self._seen: list[tuple] = []  # the tensors of each layer as the frame left them
        self._edited_values: set[int] = set()  # layers whose values somebody has changed in place
        self._watch: ModelWatch | None = None  # the model as it was when it wrote the first keys
        self._is_rotated = True
        self._settled_roundings = 0  # behind what counts as written

    # A forward pass

    @contextlib.contextmanager
    def _reading(self, attention_mask, position_ids):
        if not self._is_rotated:
            raise FrameError("forward", "keys", "rotated ones (rotate_ puts them back)", "keys without rotation")
        self._require_unchanged("forward")
        self._require_same_model("forward")  # once for all tokens that `generate` reads
        try:
            with Reading(self, attention_mask, position_ids):
                yield
        except BaseException:  # an interrupt too leaves some layers with tokens that others lack
            self._go_back()
            raise

    def _go_back(self) -> None:
        """Leaves nothing in the cache of a forward pass that did not come to its end."""
        from .framed_cache import layers_for

        if not self._seen:
            self.cache.layers = layers_for(self.model)
        for layer, (keys, _, values, _, length) in zip(self.cache.layers, self._seen):
            layer.keys, layer.values = keys, values
            if length is not None:
                layer.cumulative_length = length

    def placed(self, batch: int, seq: int, attention_mask, position_ids) -> tuple[torch.Tensor, torch.Tensor]:
        """Validity and positions [batch, seq] of tokens that are about to be read. Raises FrameError; nothing has changed then."""
        self._require_unchanged("forward")
        if self._positions and batch != len(self._next):
            raise FrameError("forward", "rows", f"batch={len(self._next)}", f"batch={batch}")
        valid = torch.ones(batch, seq, dtype=torch.bool) if attention_mask is None else attention_mask.cpu().bool()
        if valid.shape != (batch, seq):
            got = f"{list(valid.shape)}"
            raise FrameError("forward", "attention_mask", f"that of the new tokens alone, [batch={batch}, seq={seq}]", got)
        if attention_mask is not None and not torch.equal(attention_mask.cpu(), valid.to(attention_mask.dtype)):
            raise FrameError("forward", "attention_mask", "0 for padding and 1 for tokens", f"{attention_mask.unique().tolist()}")
        positions = (self._start(batch)[:, None] + valid.long().cumsum(-1) - 1).masked_fill(~valid, 0)
        if position_ids is not None:
            positions = self._agreed(positions, valid, position_ids)
        if not ascend(positions, valid):
            raise FrameError("forward", "position_ids", "them to ascend in each row", "some that go back or stand still")
        self._require_padding_in_front(valid)
        length = 1 + int(positions.max()) if positions.numel() > 0 else 1
        if length - 1 > moves.LARGEST_POSITION:
            raise FrameError("forward", "positions", f"at most {moves.LARGEST_POSITION}", f"{length - 1}")
        self._require_same_rotary(length)
        self._nothing = torch.zeros(batch, 1, 0, dtype=torch.int64), torch.zeros(batch, 1, 0, dtype=torch.bool)
        return valid, positions

    def slots_of(self, layer: int) -> tuple[torch.Tensor, torch.Tensor, int | None]:
        """Positions and validity of a layer before the tokens that are being read, and its window."""
        positions, valid = (self._positions[layer], self._valid[layer]) if self._positions else self._nothing
        return positions, valid, self.windows[layer]

    def append(self, positions: torch.Tensor, valid: torch.Tensor) -> None:
        """Takes in what a forward pass has put into the cache, at positions [batch, seq]."""
        if not self._positions:
            self._positions, self._valid = ([each] * len(self.windows) for each in self._nothing)
        before = self._positions
        grown = {}  # by what layers share
        for layer, window in enumerate(self.windows):
            key = (id(self._positions[layer]), id(self._valid[layer]), window)
            if key not in grown:
                grown[key] = tuple(
                    _last(torch.cat([old, new[:, None].expand(-1, old.shape[1], -1)], dim=-1), window)
                    for old, new in ((self._positions[layer], positions), (self._valid[layer], valid))
                )
        keys = [(id(p), id(v), window) for p, v, window in zip(self._positions, self._valid, self.windows)]
        self._positions, self._valid = [grown[key][0] for key in keys], [grown[key][1] for key in keys]
        for layer, (old, now) in enumerate(zip(before, self._positions)):
            self._drop_written(layer, old.shape[-1] + positions.shape[-1] - now.shape[-1])
        start = self._start(len(positions))
        self._next = torch.where(valid, positions + 1, start[:, None]).amax(dim=-1).maximum(start)
        self._remember()

    def _start(self, batch: int) -> torch.Tensor:
        """Where each row goes on, [batch]."""
        return self._next.expand(batch) if len(self._next) in (1, batch) else torch.zeros(batch, dtype=torch.int64)

    def _agreed(self, positions: torch.Tensor, valid: torch.Tensor, given) -> torch.Tensor:
        """`given` [batch, seq] where the frame has nothing to say against it, else FrameError."""
        batch, seq = valid.shape
        given = given.cpu()
        if given.dtype != torch.int64 or given.dim() != 2 or given.shape[1] != seq or given.shape[0] not in (1, batch):
            raise FrameError("forward", "position_ids", f"int64 [batch={batch}, seq={seq}]", f"{given.dtype} {list(given.shape)}")
        given = given.expand(batch, -1).masked_fill(~valid, 0)
        if self._positions and not torch.equal(given, positions):
            at = self._next.tolist()
            raise FrameError("forward", "position_ids", f"those that go on at {at} (go_on_at_ changes that)", f"{given.tolist()}")
        return given

    def _require_padding_in_front(self, valid: torch.Tensor) -> None:
        """A layer with a window drops its first slots, so that padding behind tokens would push tokens out."""
        if all(window is None for window in self.windows):
            return
        held = torch.stack([each.any(dim=1).any(dim=-1) for each in self._valid]).any(0) if self._valid else valid.new_zeros(len(valid))
        if bool((~valid & (held[:, None] | (valid.long().cumsum(-1) > 0))).any()):
            raise FrameError("forward", "attention_mask", "padding in front of all tokens, where layers have windows", "padding behind")

    def _require_same_model(self, where: str) -> None:
        """Raises FrameError where the model was changed since it wrote the first of the cached keys."""
        if self._watch is None or not self._positions:
            self._watch = ModelWatch(self.model)
        self._watch.require_unchanged(where, "the weights that wrote the cached keys (begin another CacheFrame)")

    def _require_same_rotary(self, length: int) -> None:
        if self._positions and not depends_on_length(self.decoder):
            return
        now = self._rotary_at(length)
        if not self._positions:
            self.rotary = now
        elif not are_equal(self.rotary, now):
            expected = f"the frequencies of the cached keys at length {length} (reframe_ writes them anew)"
            raise FrameError("forward", "rotary", expected, what_differs(self.rotary, now))

    # Changes

    def _move(self, where: str, targets: list[torch.Tensor], following: torch.Tensor) -> None:
        self._rewrite(where, self.rotary, targets)
        self._stand_at(targets, following)

    def _stand_at(self, targets: list[torch.Tensor], following: torch.Tensor) -> None:
        """Takes note of new positions, which may be by head where the old ones were not."""
        self._positions, self._next = targets, following
        if any(each.shape != valid.shape for each, valid in zip(targets, self._valid)):
            self._valid = shared([valid.expand(each.shape) for each, valid in zip(targets, self._valid)])

    def _rewrite(self, where: str, target: list[Rotary | None], new: list[torch.Tensor] | None) -> None:
        """Rotates every layer from what is kept of it to `new` under `target`; checked before the first key changes."""
        layers = self.cache.layers
        stored, old = (self.rotary, self._positions) if self._is_rotated else ([None] * len(layers), None)
        written = None
        if self.keep_written:
            written = self._all_written()
            stored, old = self.rotary, [each.positions for each in written]
        with self._writing():
            calls = moves.plan(where, [layer.keys for layer in layers], stored, target, old, new)
            for layer, each in zip(layers, written or []):
                layer.keys.copy_(each.keys)
            moves.run(calls)
        if written is None:
            self._settled_roundings += 1
        else:
            self._written = written
        self._remember()

    def _writing(self):
        """Tensors of inference mode change within it alone."""
        return torch.inference_mode() if self.cache.layers[0].keys.is_inference() else torch.no_grad()

    def _all_written(self) -> list[Written]:
        """What the model wrote, of every slot."""
        every = [self._written_of(layer) for layer in range(len(self.windows))]
        places = shared([each.positions for each in every])
        return [Written(each.keys, positions) for each, positions in zip(every, places)]

    def _written_of(self, layer: int) -> Written:
        keys, positions, written = self.cache.layers[layer].keys, self._positions[layer], self._written[layer]
        if written is None:
            return Written(keys.detach().clone(), positions)
        count = written.keys.shape[2]
        if count == keys.shape[2]:
            return written
        places = cat_places([written.positions, positions[..., count:]])
        return Written(torch.cat([written.keys, keys[:, :, count:]], dim=2), places)

    def _drop_written(self, layer: int, dropped: int) -> None:
        """Forgets what a window has dropped."""
        written = self._written[layer]
        if written is not None and dropped > 0:
            left = Written(written.keys[:, :, dropped:], written.positions[..., dropped:])
            self._written[layer] = left if left.keys.shape[2] > 0 else None

    def _taken(self, layer: int, slots: torch.Tensor) -> tuple:
        """(keys, values, positions, valid, written) of a layer at `slots`."""
        written = None
        if self._written[layer] is not None:
            every = self._written_of(layer)
            written = Written(take_slots(every.keys, slots), places_at(every.positions, slots))
        held = self.cache.layers[layer]
        return (
            take_slots(held.keys, slots),
            take_slots(held.values, slots),
            places_at(self._positions[layer], slots),
            places_at(self._valid[layer], slots),
            written,
        )

    def adopt_layers(self, cache, positions: Positions, valid: torch.Tensor | None, next_position) -> None:
        """Takes over the layers of a DynamicCache that `CacheFrame.adopt` was given."""
        from transformers import DynamicCache

        from .framed_cache import window_of

        if depends_on_length(self.decoder):
            raise FrameError("adopt", "rotary", "frequencies of every length", "such as depend on it: read the tokens by a frame")
        if type(cache) is not DynamicCache or [window_of(layer) for layer in cache.layers] != self.windows:
            raise FrameError("adopt", "cache", "a DynamicCache(config=model.config)", repr(cache))
        with keys_in_place(cache) as keys:  # refuses empty layers, offloading, and values among the keys
            shapes = [each.shape for each in keys]
        seen = [int(layer.get_seq_length()) for layer in cache.layers]
        for index, (shape, count, window) in enumerate(zip(shapes, seen, self.windows)):
            held = count if window is None or window < 2 else min(count, window - 1)
            if shape[2] != held:  # positions are those of the last tokens: which of them were cut, nobody says
                raise FrameError("adopt", f"layer {index}", f"the last {held} of the {count} tokens that it has seen", f"{shape[2]}")
        every = one_a_layer(positions, len(seen), "adopt: positions")
        batch, longest = shapes[0][0], max(seen)
        counted = torch.ones(batch, longest, dtype=torch.bool) if valid is None else valid.cpu().bool()
        if counted.shape != (batch, longest):
            raise FrameError("adopt", "valid", f"[batch={batch}, seen={longest}]", f"{list(counted.shape)}")
        places, counts = [], []
        for each, shape, count in zip(every, shapes, seen):
            moves.require_positions("adopt", each, (*shape[:2], count))
            rows = each.cpu().expand(batch, 1, -1) if each.dim() == 1 else each.cpu().expand(batch, -1, -1)
            places.append(rows[..., count - shape[2] :].clone())
            counts.append(counted[:, None, count - shape[2] : count].expand(places[-1].shape).clone())
        self._positions, self._valid = shared(places), shared(counts)
        self._next = torch.zeros(batch, dtype=torch.int64)
        self._watch = ModelWatch(self.model)
        self.cache.layers = cache.layers
        self._remember()
        self._stand_at(*self._asked("adopt", self._positions, next_position))

    def take_over(self, frames: Sequence[FrameState], positions: list[list[torch.Tensor]], following: torch.Tensor) -> None:
        """Fills this empty frame with copies of what `frames` hold, moved to `positions`, one a layer for each of them."""
        self.rotary = frames[0].rotary
        self._watch = frames[0]._watch
        self._edited_values = set().union(*(frame._edited_values for frame in frames))
        for index, (layer, window) in enumerate(zip(self.cache.layers, self.windows)):
            parts = [frame.cache.layers[index] for frame in frames]
            written = [frame._written_of(index) for frame in frames]
            layer.lazy_initialization(parts[0].keys, parts[0].values)
            layer.keys = _last(torch.cat([each.keys for each in written], dim=2), window, axis=2)
            layer.values = _last(torch.cat([part.values for part in parts], dim=2), window, axis=2)
            self._written[index] = Written(layer.keys.clone(), _last(cat_places([each.positions for each in written]), window))
            self._positions.append(_last(cat_places([each[index] for each in positions]), window))
            self._valid.append(_last(cat_places([frame._valid[index] for frame in frames]), window))
            if window is not None:
                layer.cumulative_length = layer.keys.shape[2]
        self._positions, self._valid, self._next = shared(self._positions), shared(self._valid), following
        self._require_order("join_frames", self._positions)
        with self._writing():
            old = shared([each.positions for each in self._written])
            keys = [layer.keys for layer in self.cache.layers]
            moves.run(moves.plan("join_frames", keys, self.rotary, self.rotary, old, self._positions))
        if not self.keep_written:
            self._written = [None] * len(self.windows)
        self._settled_roundings = max(frame._settled_roundings for frame in frames) + (not self.keep_written)
        self._remember()

    # Positions

    def _rotary_at(self, length: int) -> list[Rotary | None]:
        return rotary_of(self.model, length=length, conventions=self.conventions)

    def _by_row(self, where: str, what: str, given) -> torch.Tensor:
        """int64 [batch], of an int or of that."""
        rows = len(self._next)
        if isinstance(given, torch.Tensor) and given.dtype == torch.int64 and given.shape == (rows,) and rows > 0:
            return given.cpu().clone()
        try:
            return torch.full((max(1, rows),), operator.index(given), dtype=torch.int64)
        except (TypeError, RuntimeError, OverflowError):
            got = f"{given.dtype} {list(given.shape)}" if isinstance(given, torch.Tensor) else repr(given)
            raise FrameError(where, what, f"an int or int64 [batch={rows}]", got) from None

    def _for_each(self, change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
        """`change(positions, valid)` of every layer, once where layers share both."""
        changed: dict[tuple, torch.Tensor] = {}
        for positions, valid in zip(self._positions, self._valid):
            if (id(positions), id(valid)) not in changed:
                changed[id(positions), id(valid)] = change(positions, valid)
        return [changed[id(positions), id(valid)] for positions, valid in zip(self._positions, self._valid)]

    def _asked(self, where: str, positions: Positions, next_position) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The positions of every layer and the next one, of what a caller gives. Raises FrameError where they cannot be."""
        every = one_a_layer(positions, len(self._positions), f"{where}: positions")
        for layer, each in zip(self.cache.layers, every):
            moves.require_positions(where, each, layer.keys.shape[:3])
        shapes = [torch.broadcast_shapes(each.shape, own.shape) for each, own in zip(every, self._positions)]
        targets = shared([each.cpu().expand(shape).clone() for each, shape in zip(every, shapes)])
        self._require_order(where, targets)
        last = self._last_positions(targets)
        following = self._behind(targets, self._next) if next_position is None else self._by_row(where, "next_position", next_position)
        if bool((following <= last).any()):
            raise FrameError(where, "next_position", f"one behind the last key, > {last.tolist()}", f"{following.tolist()}")
        return targets, following

    def _last_positions(self, positions: list[torch.Tensor]) -> torch.Tensor:
        """The largest position of a token in each row; what is before all positions where a row has none."""
        before = -moves.LARGEST_POSITION - 1
        nothing = torch.full((max(1, len(self._next)), 1), before)
        last = [each.masked_fill(~valid, before).flatten(1) for each, valid in zip(positions, self._valid)]
        return torch.cat([nothing, *last], dim=1).amax(-1)

    def _behind(self, positions: list[torch.Tensor], otherwise: torch.Tensor) -> torch.Tensor:
        """One past the largest position in each row; `otherwise` where a row has no token."""
        last = self._last_positions(positions)
        return torch.where(last < -moves.LARGEST_POSITION, otherwise, last + 1)

    def _first_positions(self) -> torch.Tensor:
        """The smallest position of a token in each row; the next one where a row has none."""
        beyond = 2 * moves.LARGEST_POSITION
        first = [each.masked_fill(~valid, beyond).flatten(1) for each, valid in zip(self._positions, self._valid)]
        return torch.cat([*first, self._next[:, None]], dim=1).amin(-1)

    # What must hold

    def _require_order(self, where: str, targets: list[torch.Tensor]) -> None:
        """Raises FrameError unless positions ascend from slot to slot in every layer, padding aside."""
        checked: set[tuple] = set()
        for positions, valid in zip(targets, self._valid):
            if (id(positions), id(valid)) not in checked and not ascend(positions, valid):
                raise FrameError(where, "positions", "them to ascend from slot to slot", "one that goes back or stands still")
            checked.add((id(positions), id(valid)))

    def _require_state(self, where: str, rotated: bool | None = True) -> None:
        """Raises FrameError unless there are tokens, as the frame left them, `rotated` or not, or either way for None."""
        if not self._positions:
            raise FrameError(where, "cache", "tokens", "an empty one")
        self._require_unchanged(where)
        if rotated is not None and self._is_rotated != rotated:
            states = ("keys without rotation", "rotated keys")
            raise FrameError(where, "keys", states[rotated], states[not rotated])

    def _require_unchanged(self, where: str) -> None:
        """Raises FrameError where somebody else has moved, grown or cut the cache since the frame last saw it."""
        if self._seen and len(self.cache.layers) != len(self._seen):
            raise FrameError(where, "layers", f"{len(self._seen)}", f"{len(self.cache.layers)}")
        for index, (layer, (keys, count, values, values_count, _)) in enumerate(zip(self.cache.layers, self._seen)):
            if layer.keys is not keys or layer.values is not values or version(layer.keys) != count:
                raise FrameError(where, f"layer {index}", "the keys that the frame knows", "a cache changed behind its frame's back")
            if version(layer.values) != values_count:
                self._edited_values.add(index)
        if not self._seen and any(layer.is_initialized for layer in self.cache.layers):
            raise FrameError(where, "cache", "an empty one", "what a failed forward pass has left")

    def _remember(self) -> None:
        self._seen = [
            (layer.keys, version(layer.keys), layer.values, version(layer.values), getattr(layer, "cumulative_length", None))
            for layer in self.cache.layers
        ]


def _last(tensor: torch.Tensor, window: int | None, axis: int = -1) -> torch.Tensor:
    """What a layer with a window keeps of its slots: as transformers, the last window - 1."""
    count = tensor.shape[axis]
    kept = count if window is None or window < 2 else min(count, window - 1)
    return tensor.narrow(axis, count - kept, kept)
