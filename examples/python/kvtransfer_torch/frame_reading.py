"""A forward pass over a cache that has a frame: every layer gets positions and a mask of its own.

transformers makes one mask for all layers of a type, by slot. After an eviction slots are not positions, and layers may hold
other numbers of them: so while a frame is read, hooks put the frame's positions in front of the decoder, and each layer's mask
in front of its attention.
"""

import torch

from .errors import FrameError

_IMPLEMENTATIONS = ("eager", "sdpa")  # those that take a mask per head


def attention_modules(decoder, count: int) -> list[torch.nn.Module]:
    """The attention of each of `count` layers. Raises FrameError where one cannot be told, or takes no mask of ours."""
    _require_implementation("CacheFrame", decoder)
    found: list[list[torch.nn.Module]] = [[] for _ in range(count)]
    for module in decoder.modules():
        layer = getattr(module, "layer_idx", None)
        if type(module).__name__.endswith("Attention") and isinstance(layer, int) and layer < count:
            found[layer].append(module)
    for layer, modules in enumerate(found):
        if len(modules) != 1:
            names = ", ".join(type(module).__name__ for module in modules) or "none"
            raise FrameError("CacheFrame", f"layer {layer}", "one attention", names)
        if not getattr(modules[0], "is_causal", True):
            raise FrameError("CacheFrame", f"layer {layer}", "causal attention", "one that sees later tokens")
    return [modules[0] for modules in found]


def _require_implementation(where: str, decoder) -> None:
    """Raises FrameError where attention goes by another way than it may: a model can be told another at any time."""
    implementation = getattr(decoder.config, "_attn_implementation", None)
    if implementation not in _IMPLEMENTATIONS:
        raise FrameError(where, "attn_implementation", " or ".join(_IMPLEMENTATIONS), repr(implementation))


class Reading:
    """The hooks of one `frame.forward` or `frame.generate`.

    attention_mask  bool [batch, seq] of the first forward pass's tokens: false for padding; None: all count
    position_ids    int64 [batch, seq] of the first forward pass's tokens; None: on from where the frame ends
    """

    def __init__(self, frame, attention_mask: torch.Tensor | None, position_ids: torch.Tensor | None):
        self.frame = frame
        self.attention_mask = attention_mask
        self.position_ids = position_ids

    def __enter__(self) -> "Reading":
        decoder = self.frame.decoder
        _require_implementation("forward", decoder)
        self.handles = [decoder.register_forward_pre_hook(self._before, with_kwargs=True), decoder.register_forward_hook(self._after)]
        for layer, module in enumerate(self.frame.attention):
            self.handles.append(module.register_forward_pre_hook(self._hook_for(layer), with_kwargs=True))
        self.frame.cache.is_open = True
        return self

    def __exit__(self, *_) -> None:
        self.frame.cache.is_open = False
        for handle in self.handles:
            handle.remove()

    def _before(self, module, args, kwargs):
        frame = self.frame
        given = kwargs.get("inputs_embeds") if kwargs.get("input_ids") is None else kwargs["input_ids"]
        if given is None or kwargs.get("past_key_values") is not frame.cache:
            got = "no tokens by name" if given is None else f"{type(kwargs.get('past_key_values')).__name__} that is another's"
            raise FrameError("CacheFrame", "forward pass", "its own cache and tokens by name", got)
        if given.dim() < 2 or given.numel() == 0:
            raise FrameError("forward", "input_ids", "[batch, seq] of one token or more", f"{list(given.shape)}")
        batch, seq = given.shape[:2]
        self.valid, self.positions = frame.placed(batch, seq, self.attention_mask, self.position_ids)
        self.attention_mask = self.position_ids = None  # what generate adds comes behind
        self.masks: dict[tuple, torch.Tensor | None] = {}
        return args, kwargs | {"position_ids": self.positions.to(given.device), "attention_mask": None}

    def _after(self, module, args, output) -> None:
        self.frame.append(self.positions, self.valid)

    def _hook_for(self, layer: int):
        def put_mask(module, args, kwargs):
            if "attention_mask" not in kwargs:
                raise FrameError("CacheFrame", f"layer {layer}", "attention that takes attention_mask by name", type(module).__name__)
            states = args[0] if args else kwargs["hidden_states"]
            return args, kwargs | {"attention_mask": self._mask(layer, module, states)}

        return put_mask

    def _mask(self, layer: int, module, states: torch.Tensor) -> torch.Tensor | None:
        """Additive, [batch, 1 or q_heads, seq, held + seq]; None where one query sees everything."""
        positions, valid, window = self.frame.slots_of(layer)
        groups = getattr(module, "num_key_value_groups", 1) if positions.shape[1] > 1 else 1
        key = (id(positions), id(valid), window, groups, states.device)
        if key not in self.masks:
            visible = visibility(positions, valid, self.positions, self.valid, window).repeat_interleave(groups, dim=1)
            is_plain = visible.shape[2] == 1 and bool(visible.all())
            hidden = ~visible.to(states.device)
            none_hidden = torch.zeros(hidden.shape, dtype=states.dtype, device=states.device)
            self.masks[key] = None if is_plain else none_hidden.masked_fill(hidden, torch.finfo(states.dtype).min)
        return self.masks[key]


def visibility(
    positions: torch.Tensor, valid: torch.Tensor, queries: torch.Tensor, valid_queries: torch.Tensor, window: int | None
) -> torch.Tensor:
    """Bool [batch, 1 or kv_heads, seq, held + seq]: what each new token sees of the held ones and of those before it.

    positions, valid        [batch, 1 or kv_heads, held]
    queries, valid_queries  [batch, seq]
    """
    batch, seq = queries.shape
    heads = positions.shape[1]
    old = valid[:, :, None, :].expand(-1, -1, seq, -1)
    new = torch.ones(seq, seq, dtype=torch.bool).tril() & valid_queries[:, None, None, :]
    if window is not None:
        first = queries[:, None, :, None] - window  # the last position out of sight
        old = old & (positions[:, :, None, :] > first)
        new = new & (queries[:, None, None, :] > first)
    new = new | torch.eye(seq, dtype=torch.bool)  # padding sees itself, so that no row of the softmax is empty
    return torch.cat([old, new.expand(batch, heads, seq, seq)], dim=-1)
