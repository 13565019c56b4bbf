"""How each layer of a transformers model rotates its keys, read from the model itself."""

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .architectures import conventions_of
from .pairing import pairing_of


@dataclass(frozen=True, eq=False)
class Rotary:
    """One rotary embedding.

    inv_freq           float32 [rotary_dim / 2 <= 256], radians per token: the model's own bits, copied to the CPU
    attention_scaling  what cos and sin are multiplied by (YaRN, LongRoPE); it sits in every cached key once
    interleaved        pairs are elements (2i, 2i + 1) if true, else (i, i + rotary_dim / 2)
    streams            position streams that the frequencies are shared out to: 3 for M-RoPE, else 1

    Raises ValueError for what no model could rotate by: other shapes and types, numbers that are not finite, none at all (meta).
    """

    inv_freq: torch.Tensor
    attention_scaling: float = 1.0
    interleaved: bool = False
    streams: int = 1

    def __post_init__(self):
        given = self.inv_freq
        if not isinstance(given, torch.Tensor) or given.dtype != torch.float32 or given.dim() != 1 or not 1 <= len(given) <= 256:
            got = f"{given.dtype} {list(given.shape)}" if isinstance(given, torch.Tensor) else type(given).__name__
            raise ValueError(f"Rotary: inv_freq: expected float32 [rotary_dim / 2], 1 to 256 of them, got {got}")
        if given.is_meta:
            raise ValueError("Rotary: inv_freq: expected numbers, got a tensor on meta (weights that are not loaded, or offloaded)")
        if given.requires_grad:
            raise ValueError("Rotary: inv_freq: expected no gradient (moves have none for frequencies), got requires_grad")
        if not bool(given.isfinite().all()):
            raise ValueError(f"Rotary: inv_freq: expected finite numbers, got {given[~given.isfinite()][0]}")
        if not (math.isfinite(self.attention_scaling) and self.attention_scaling > 0):
            raise ValueError(f"Rotary: attention_scaling: expected a positive number, got {self.attention_scaling}")
        object.__setattr__(self, "inv_freq", given.detach().cpu().clone())  # nobody else's to change

    def rotates_like(self, other: "Rotary | None") -> bool:
        """True if keys move between the two by a difference of positions alone."""
        return other is not None and torch.equal(self.inv_freq, other.inv_freq) and self.interleaved == other.interleaved

    def equals(self, other: "Rotary | None") -> bool:
        """True if both write the same keys."""
        return (
            self.rotates_like(other) and self.attention_scaling == other.attention_scaling and self.streams == other.streams
        )


def are_equal(ours: Sequence[Rotary | None], theirs: Sequence[Rotary | None]) -> bool:
    """True if every layer writes the same keys under both."""
    pairs = zip(ours, theirs)
    return len(ours) == len(theirs) and all(a is b or (a is not None and a.equals(b)) for a, b in pairs)


def what_differs(ours: Sequence[Rotary | None], theirs: Sequence[Rotary | None]) -> str:
    """Where two embeddings that are not equal first differ, for messages: what `theirs` has there, beside what `ours` has."""
    if len(ours) != len(theirs):
        return f"{len(theirs)} layers beside {len(ours)}"
    layer = next(index for index, pair in enumerate(zip(ours, theirs)) if not are_equal(*([each] for each in pair)))
    a, b = ours[layer], theirs[layer]
    if a is None or b is None:
        return f"layer {layer} {'without' if b is None else 'with'} rotation"
    for name in ("attention_scaling", "interleaved", "streams"):
        if getattr(a, name) != getattr(b, name):
            return f"{name} {getattr(b, name)} beside {getattr(a, name)} in layer {layer}"
    if len(a.inv_freq) != len(b.inv_freq):
        return f"{len(b.inv_freq)} frequencies beside {len(a.inv_freq)} in layer {layer}"
    pair = int((a.inv_freq != b.inv_freq).nonzero()[0])
    return f"frequency {pair} {float(b.inv_freq[pair]):.9g} beside {float(a.inv_freq[pair]):.9g} in layer {layer}"


def rotary_of(model, length: int | None = None, conventions: dict | None = None) -> list[Rotary | None]:
    """The rotary embedding of every layer of `model`, None for a layer without RoPE.

    model   a transformers decoder, with or without its head
    length  for types that depend on it (dynamic NTK, LongRoPE): tokens up to and with the last position; the frequencies are
            then those the model would use next at that length. None: those of its last forward pass: ask after a prefill.
    conventions  for a model_type that the table (architectures.json) doesn't have: an entry as the table's

    Raises ValueError for a model whose keys cannot be moved by a rotation alone, or whose way to rotate is not known.
    """
    config = model.config.get_text_config()
    known = conventions_of(config.model_type) if conventions is None else conventions
    _refuse(config, known)
    embedding = _embedding(model)
    if embedding is None and not _is_rotary(config, known):
        return [None] * config.num_hidden_layers
    if embedding is None:
        every = [_from_table(model, config)] * config.num_hidden_layers
    else:
        every = _from_embedding(embedding if length is None else _at_length(embedding, length), config)
    if known.get("mscale_by_length"):
        every = [_with_mscale(rotary, embedding, config, length) for rotary in every]
    for rotary in every:
        if rotary is not None and rotary.interleaved != (known.get("pairing") == "interleaved"):
            raise ValueError(f"rotary_of: {config.model_type}: its functions rotate other pairs than its conventions say")
    return [rotary if _rotates(config, known, layer) else None for layer, rotary in enumerate(every)]


def _refuse(config, known) -> None:
    kind = config.model_type
    if known.get("norms_after_rotation"):
        raise ValueError(f"rotary_of: {kind}: its keys pass a weighted norm after RoPE, which does not commute with a rotation")
    if known.get("latent"):
        raise ValueError(
            f"rotary_of: {kind}: latent attention caches a rotary part apart from its keys: move that tensor with remap_"
        )
    if known.get("mrope") == "height_width":
        raise ValueError(f"rotary_of: {kind}: its inv_freq is not in the order of its pairs")
    if known.get("layer_theta_key") or known.get("layers") == "none":
        raise ValueError(f"rotary_of: {kind}: its layers have a base each, or no positions at all")


def decoder_of(model):
    """The language model within `model`: without its head, and without the towers beside it that see or hear."""
    while hasattr(model, "get_decoder") and model.get_decoder() is not model:
        model = model.get_decoder()
    return model


def _embedding(model):
    """The language model's rotary embedding module; None for models that keep a table of angles.

    Raises ValueError where there are several of which it is not known which one the layers use.
    """
    found = [(name, module) for name, module in decoder_of(model).named_modules() if _frequencies(module)]
    if not found:
        return None
    _, first = found[0]
    for name, module in found[1:]:
        alike = _frequencies(first).keys() == _frequencies(module).keys() and all(
            _is_equal(frequencies, _frequencies(module)[key]) for key, frequencies in _frequencies(first).items()
        )
        if not alike or type(module) is not type(first):
            names = ", ".join(each for each, _ in found)
            raise ValueError(f"rotary_of: expected one rotary embedding in the language model, got several that differ: {names}")
    return first


def depends_on_length(model) -> bool:
    """True if the frequencies or the scaling change with the number of tokens."""
    embedding = _embedding(model)
    types = getattr(embedding, "rope_type", "default")
    return bool({"dynamic", "longrope"} & set(types.values() if isinstance(types, dict) else [types]))


def _frequencies(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The buffers in force of a rotary embedding; none for another module."""
    buffers = module.named_buffers(recurse=False)
    return {name: each for name, each in buffers if name.endswith("inv_freq") and "original" not in name}


def _is_equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return not a.is_meta and not b.is_meta and a.device == b.device and torch.equal(a, b)


def _at_length(embedding, length: int):
    """A copy of `embedding` as it will be after a forward pass over `length` tokens."""
    _require_numbers(embedding)
    later = copy.deepcopy(embedding).cpu()
    types = later.rope_type if isinstance(later.rope_type, dict) else {None: later.rope_type}
    last = torch.tensor([[length - 1]])
    for layer_type, rope_type in types.items():
        if rope_type in ("dynamic", "longrope"):
            later(torch.empty(0), last, **({} if layer_type is None else {"layer_type": layer_type}))
    return later


def _require_numbers(embedding) -> None:
    for name, frequencies in _frequencies(embedding).items():
        if frequencies.is_meta:
            raise ValueError(f"rotary_of: {name}: expected numbers, got a tensor on meta (weights not loaded, or offloaded)")


def _from_embedding(embedding, config) -> list[Rotary]:
    _require_numbers(embedding)
    interleaved, sign = pairing_of(embedding, config.model_type)
    streams = 3 if _mrope_section(embedding, config) is not None else 1

    def rotary(prefix: str) -> Rotary:
        inv_freq = sign * getattr(embedding, prefix + "inv_freq").detach().float().cpu()
        return Rotary(inv_freq, float(getattr(embedding, prefix + "attention_scaling", 1.0)), interleaved, streams)

    if hasattr(embedding, "inv_freq"):
        return [rotary("")] * config.num_hidden_layers
    kinds = {kind for kind in config.layer_types if hasattr(embedding, f"{kind}_inv_freq")}
    by_type = {kind: rotary(f"{kind}_") for kind in kinds}
    return [by_type.get(kind) for kind in config.layer_types]


def _with_mscale(rotary: Rotary, embedding, config, length: int | None) -> Rotary:
    """Phi-3.5-MoE's: frequencies of a short text at every length, scaled by what its config gives for short and long ones."""
    parameters = config.rope_parameters
    if parameters["rope_type"] == "default":
        return rotary
    if length is None:
        raise ValueError(f"rotary_of: {config.model_type}: how it scales its keys depends on the length: give one")
    scaling = parameters["long_mscale" if length > parameters["original_max_position_embeddings"] else "short_mscale"]
    inv_freq = embedding.original_inv_freq.detach().float().cpu()
    return Rotary(inv_freq, float(scaling), rotary.interleaved, rotary.streams)


def _mrope_section(embedding, config):
    parameters = getattr(config, "rope_parameters", None) or {}
    return getattr(embedding, "mrope_section", None) or parameters.get("mrope_section")


def _from_table(model, config) -> Rotary:
    """GPT-J's and CodeGen's, whose attention keeps a table of sines and cosines."""
    attention = next((module for module in model.modules() if hasattr(module, "embed_positions")), None)
    dim = getattr(config, "rotary_dim", None)
    if attention is None or dim is None:
        raise ValueError(f"rotary_of: {config.model_type}: no rotary embedding found")
    interleaved, sign = pairing_of(attention, config.model_type)
    return Rotary(sign * 1.0 / (10000 ** (torch.arange(0, dim, 2, dtype=torch.int64) / dim)), 1.0, interleaved)


def _is_rotary(config, known) -> bool:
    """False for a model that says in its config that it has no RoPE."""
    key = known.get("rotates_if_key")
    return key is None or getattr(config, key, None) == json.loads(known["rotates_if_value"])


def _rotates(config, known, layer: int) -> bool:
    """False for a layer without RoPE."""
    kind = config.layer_types[layer] if getattr(config, "layer_types", None) else None
    rule = known.get("layers", "all")
    if rule == "listed":
        return bool(config.no_rope_layers[layer])
    if rule == "sliding_windows_if_any" and config.sliding_window is None:
        return True
    return kind == "sliding_attention" if rule.startswith("sliding") else kind not in ("linear_attention", "conv")
