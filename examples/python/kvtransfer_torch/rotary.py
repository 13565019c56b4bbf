"""How each layer of a transformers model rotates its keys, read from the model itself."""

import copy
from dataclasses import dataclass

import torch

from .pairing import pairing_of


@dataclass(frozen=True, eq=False)
class Rotary:
    """One rotary embedding.

    inv_freq           float32 [rotary_dim / 2] on the CPU, radians per token: the model's own bits
    attention_scaling  what cos and sin are multiplied by (YaRN, LongRoPE); it sits in every cached key once
    interleaved        pairs are elements (2i, 2i + 1) if true, else (i, i + rotary_dim / 2)
    streams            position streams that the frequencies are shared out to: 3 for M-RoPE, else 1
    """

    inv_freq: torch.Tensor
    attention_scaling: float = 1.0
    interleaved: bool = False
    streams: int = 1

    def rotates_like(self, other: "Rotary | None") -> bool:
        """True if keys move between the two by a difference of positions alone."""
        return other is not None and torch.equal(self.inv_freq, other.inv_freq) and self.interleaved == other.interleaved


def rotary_of(model, length: int | None = None) -> list[Rotary | None]:
    """The rotary embedding of every layer of `model`, None for a layer without RoPE.

    model   a transformers decoder, with or without its head
    length  for types that depend on it (dynamic NTK, LongRoPE): tokens up to and with the last position; the frequencies are
            then those the model would use next at that length. None: those of its last forward pass: ask after a prefill.

    Raises ValueError for a model whose keys cannot be moved by a rotation alone, or whose way to rotate is not known.
    """
    config = model.config.get_text_config()
    _refuse(config)
    embedding = _embedding(model)
    if embedding is None:
        every = [_from_table(model, config)] * config.num_hidden_layers
    else:
        every = _from_embedding(embedding if length is None else _at_length(embedding, length), config)
    return [rotary if _rotates(config, layer) else None for layer, rotary in enumerate(every)]


def _refuse(config) -> None:
    kind = config.model_type
    if kind.startswith("hunyuan"):
        raise ValueError(f"rotary_of: {kind}: its keys pass a weighted norm after RoPE, which does not commute with a rotation")
    if getattr(config, "kv_lora_rank", None) is not None:
        raise ValueError(
            f"rotary_of: {kind}: latent attention caches a rotary part apart from its keys: move that tensor with remap_"
        )
    if kind.startswith("ernie4_5_vl"):
        raise ValueError(f"rotary_of: {kind}: its inv_freq is not in the order of its pairs")


def _embedding(model):
    """The language model's rotary embedding module; None for models that keep a table of angles."""
    for name, module in model.named_modules():
        if name.endswith("rotary_emb") and "vis" not in name:
            return module
    return None


def _at_length(embedding, length: int):
    """A copy of `embedding` as it will be after a forward pass over `length` tokens."""
    later = copy.deepcopy(embedding).cpu()
    types = later.rope_type if isinstance(later.rope_type, dict) else {None: later.rope_type}
    last = torch.tensor([[length - 1]])
    for layer_type, rope_type in types.items():
        if rope_type in ("dynamic", "longrope"):
            later(torch.empty(0), last, **({} if layer_type is None else {"layer_type": layer_type}))
    return later


def _from_embedding(embedding, config) -> list[Rotary]:
    interleaved, sign = pairing_of(embedding, config.model_type)
    streams = 3 if _mrope_section(embedding, config) is not None else 1

    def rotary(prefix: str) -> Rotary:
        inv_freq = sign * getattr(embedding, prefix + "inv_freq").detach().float().cpu()
        return Rotary(inv_freq, float(getattr(embedding, prefix + "attention_scaling", 1.0)), interleaved, streams)

    if hasattr(embedding, "inv_freq"):
        return [rotary("")] * config.num_hidden_layers
    by_type = {kind: rotary(f"{kind}_") for kind in set(config.layer_types)}
    return [by_type[kind] for kind in config.layer_types]


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


def _rotates(config, layer: int) -> bool:
    """False for a layer without RoPE. No config field says so for all models."""
    if getattr(config, "no_rope_layers", None):  # Llama 4, SmolLM3: 1 where there is RoPE
        return bool(config.no_rope_layers[layer])
    windowed_only = config.model_type in ("afmoe", "cohere2", "cohere2_moe")
    if config.model_type in ("exaone4", "exaone_moe"):
        windowed_only = config.sliding_window is not None
    return not windowed_only or config.layer_types[layer] == "sliding_attention"
