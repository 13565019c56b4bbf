"""Whose cache it is: what of a model could change a number in its keys and values, as the C++ library's `model_identity` says it.

    identity = model_identity("SmolLM2-135M-Instruct.Q4_1.gguf", model)     # the path that `model` was loaded from

A cache file carries it, and a model refuses the cache of another, naming the field. Needs `xxhash`, and `gguf` for a GGUF file.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch

from .architectures import conventions_of
from .errors import FrameError
from .model_digest import _gguf_in, _tensors_of_folder, model_digest, tokenizer_digest
from .model_watch import ModelWatch
from .rotary import Rotary, decoder_of, depends_on_length, rotary_of

# Keys of a config.json that change no number, and those whose meaning the fields below tell by value.
_WITHOUT_EFFECT = frozenset(
    "attention_bias mlp_bias _attn_implementation_autoset _name_or_path attention_dropout bos_token_id dtype eos_token_id "
    "initializer_range output_attentions pad_token_id output_hidden_states return_dict torch_dtype transformers_version use_cache "
    "_commit_hash hidden_dropout embd_pdrop".split()
)
_ABOUT_ROTATION = frozenset(
    "rope_theta rope_scaling rope_parameters partial_rotary_factor original_max_position_embeddings max_position_embeddings".split()
)
_ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
}
_GEMMAS = ("gemma2", "gemma3_text")
_ACTIVATIONS = {"silu": 0, "swish": 0, "gelu": 1, "gelu_pytorch_tanh": 2}
_OF_ANY_LENGTH = ("default", "linear", "proportional", "ntk_alpha")
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
_UNKNOWN_TO_EITHER = ("quantization", "adapter", "tokenizer")


@dataclass(frozen=True)
class ModelIdentity:
    """Fields as in a cache file's `origin`; `configuration` and `rotary` are texts by dotted key. An empty digest: nobody knows."""

    digest: str = ""
    quantization: str = ""
    adapter: str = ""
    tokenizer: str = ""
    rotary: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, str] = field(default_factory=dict)
    watch: ModelWatch | None = field(default=None, compare=False, repr=False)  # the model that it was taken of; not in files

    def record(self) -> dict[str, str | dict[str, str]]:
        """The fields that a cache file keeps, by name (`dataclasses.asdict` would copy the model that `watch` looks at)."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "watch"}

    def require_of(self, where: str, model) -> None:
        """Raises FrameError unless this is the identity of `model`, as `model_identity` gave it, and of what `model` is now."""
        if self.watch is None or not self.watch.is_of(model):
            raise FrameError(where, "identity", "what model_identity gives for the frame's model", "another's")
        self.watch.require_unchanged(where, "the weights that its identity was taken of (model_identity, once more)")

    def differences(self, got: ModelIdentity) -> list[tuple[str, str, str]]:
        """(field, expected, got) wherever `got` is known to be another model."""
        found = []
        if self.digest != got.digest:
            found.append(("digest", self.digest or "unknown", got.digest or "unknown"))
        for name in ("configuration", "rotary"):
            ours, theirs = getattr(self, name), getattr(got, name)
            for key in sorted(ours.keys() | theirs.keys()):
                if ours.get(key) != theirs.get(key):
                    found.append((f"{name}.{key}", ours.get(key, "nothing"), theirs.get(key, "nothing")))
        for name in _UNKNOWN_TO_EITHER:
            ours, theirs = getattr(self, name), getattr(got, name)
            if ours and theirs and ours != theirs:
                found.append((name, ours, theirs))
        return found


def model_identity(path: str | os.PathLike, model) -> ModelIdentity:
    """The identity of `model`, loaded by transformers from `path`: a folder with config.json, or a GGUF file.

    Raises FrameError where `model` has not the weights of `path` (every tensor of a folder; of a GGUF file, its embedding), and for an
    architecture that the C++ library does not open, an adapter, or weights that a folder stores quantized.
    """
    path = Path(path)
    config, kind = model.config.get_text_config(), decoder_of(model).config.model_type
    if kind not in _ARCHITECTURES:
        raise FrameError("model_identity", "model_type", f"one of {', '.join(_ARCHITECTURES)}", repr(kind))
    if getattr(model, "peft_config", None) or (path / "adapter_config.json").exists():
        raise FrameError("model_identity", "adapter", "none, or one that is merged into the weights", "an adapter")
    stored = _gguf_in(path)
    raw = _gguf_members(config, kind) if stored else _stated_members(path)
    if not stored and (raw.get("quantization_config") or getattr(model, "is_quantized", False)):
        raise FrameError("model_identity", "quantization", "weights that are not quantized, or a GGUF file", "quantization_config")
    _require_weights("model_identity", model, path, stored)
    number = _nearest_float if stored else float
    return ModelIdentity(
        digest=model_digest(path),
        quantization=_gguf_quantization(stored) if stored else "none",
        adapter="none",
        tokenizer=tokenizer_digest(path) or "",
        rotary=_rotary_values(model, config, number),
        configuration=_configuration_values(model, config, kind, raw, number),
        watch=ModelWatch(model),
    )


# Values as text: the same however a file spells them


def _text(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) <= 2**53 else repr(value)
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, dict) else str(value)


def _members(values: dict, prefix: str = "") -> dict[str, str]:
    """By dotted key; a null is as good as no key."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= _members(value, f"{prefix}{key}.")
        elif value is not None:
            found[prefix + key] = _text(value)
    return found


def _nearest_float(value) -> float:
    """A GGUF file's numbers are fp32: the shortest decimal that reads back to one."""
    import numpy

    return float(str(numpy.float32(value))) if float(numpy.float32(value)) == float(value) else float(value)


# What files say


def _stated_members(folder: Path) -> dict:
    whole = json.loads((folder / "config.json").read_text())
    if "text_config" not in whole:
        return whole
    text = dict(whole["text_config"])
    text |= {key: whole[key] for key in ("bos_token_id", "eos_token_id") if whole.get(key) is not None}
    text |= {key: whole[key] for key in ("quantization_config",) if whole.get(key) is not None and key not in text}
    kind = text["model_type"]
    return text | {"tie_word_embeddings": whole.get("tie_word_embeddings", True), "architectures": [_ARCHITECTURES[kind]]}


def _gguf_members(config, kind: str) -> dict:
    """What the C++ library makes of a GGUF file's metadata, beside the sizes."""
    members = {"model_type": kind, "architectures": [_ARCHITECTURES[kind]]}
    if kind not in _GEMMAS:
        members["hidden_act"] = "silu"
        windowed = kind in ("mistral", "phi3")
        return members | ({"sliding_window": config.sliding_window} if windowed and config.sliding_window else {})
    members |= {"hidden_activation": "gelu_pytorch_tanh", "sliding_window": config.sliding_window}
    members |= {key: getattr(config, key) for key in ("query_pre_attn_scalar", "layer_types", "final_logit_softcapping")}
    if kind == "gemma2":
        return members | {"attn_logit_softcapping": config.attn_logit_softcapping}
    return members | {"rope_local_base_freq": config.rope_parameters["sliding_attention"]["rope_theta"]}


def _gguf_quantization(path: Path) -> str:
    """The type of most matrices of its layers; none where they are floating."""
    import gguf

    matrices = [each for each in gguf.GGUFReader(path).tensors if each.name.startswith("blk.") and len(each.shape) == 2]
    count = Counter(each.tensor_type for each in matrices)
    most = max(sorted(count), key=lambda kind: count[kind], default=None)
    return "none" if most is None or most.name in ("F32", "F16", "BF16") else most.name


# What a model computes


def _configuration_values(model, config, kind: str, raw: dict, number) -> dict[str, str]:
    values = _members({key: value for key, value in raw.items() if key not in _WITHOUT_EFFECT | _ABOUT_ROTATION})
    gemma = kind in _GEMMAS
    biased = kind not in ("mistral", "phi3") and bool(getattr(config, "attention_bias", False))
    cap = getattr(config, "final_logit_softcapping", None) if gemma else None
    resolved = {
        "architecture": _ARCHITECTURES[kind],
        "num_hidden_layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": _head_dim(config),
        "vocab_size": config.vocab_size,
        "rms_norm_eps": number(config.rms_norm_eps),
        "tie_word_embeddings": bool(model.config.tie_word_embeddings),
        "qkv_bias": kind == "qwen2" or biased,
        "output_bias": kind != "qwen2" and biased,
        "mlp_bias": kind in ("llama", "smollm3") and bool(config.mlp_bias),
        "norms_queries_and_keys": kind in ("qwen3", "gemma3_text"),
        "norms_outputs": gemma,
        "norms_add_one": gemma,
        "activation": _ACTIVATIONS[config.hidden_activation if gemma else config.hidden_act],
        "embedding_scale": math.sqrt(config.hidden_size) if gemma else 1,
        "final_softcap": "none" if cap is None else number(cap),
        "attention": _attention_text(model, config, kind, number),
    }
    return values | {key: _text(value) for key, value in resolved.items()}


def _head_dim(config) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _attention_text(model, config, kind: str, number) -> str:
    from .framed_cache import layers_for, window_of

    scale = 1 / math.sqrt(number(config.query_pre_attn_scalar) if kind in _GEMMAS else _head_dim(config))
    cap = config.attn_logit_softcapping if kind == "gemma2" else None
    layers = []
    for window in (window_of(layer) for layer in layers_for(model)):
        shown = ("none" if each is None else _text(each) for each in (None if cap is None else number(cap), window))
        layers.append("scale {} cap {} window {}".format(_text(scale), *shown))
    return layers[0] if len(set(layers)) == 1 else "; ".join(layers)


def _rotary_values(model, config, number) -> dict[str, str]:
    distinct: list[dict] = []
    layers = []
    for layer, rotary in enumerate(rotary_of(model, length=1)):
        values = _values_of(model, config, layer, rotary, number)
        if values not in distinct:
            distinct.append(values)
        layers.append(distinct.index(values))
    if len(distinct) == 1:
        return distinct[0]
    found = {"layers": " ".join(map(str, layers))}
    return found | {f"{index}.{key}": value for index, values in enumerate(distinct) for key, value in values.items()}


def parameters_of(config, layer: int) -> dict:
    """The rotary parameters of `layer`, as transformers has them in one spelling."""
    parameters = config.rope_parameters
    return parameters if "rope_type" in parameters else parameters[config.layer_types[layer]]


def _values_of(model, config, layer: int, rotary: Rotary | None, number) -> dict[str, str]:
    if rotary is None:
        return {"rope_type": "none"}
    stated = {key: number(value) if isinstance(value, float) else value for key, value in parameters_of(config, layer).items()}
    kind = stated["rope_type"]
    if kind == "default" or "partial_rotary_factor" in conventions_of(config.model_type):
        stated.setdefault("partial_rotary_factor", 1.0)
    stated.setdefault("original_max_position_embeddings", config.max_position_embeddings)
    if kind in _OF_ANY_LENGTH:
        del stated["original_max_position_embeddings"]
    values = _members(stated)
    if depends_on_length(decoder_of(model)):
        values["max_position_embeddings"] = _text(config.max_position_embeddings)
    return values | {
        "rotary_dim": _text(2 * len(rotary.inv_freq)),
        "pairing": "interleaved" if rotary.interleaved else "half_split",
        "window_offset": "0",
        "stream_of": "[]",
        "normed_after_rotation": "false",
        "attention_scaling": _text(rotary.attention_scaling),
        "direction": "backwards" if float(rotary.inv_freq[0]) < 0 else "forwards",
    }


# Whether the model is the one in the files


def _require_weights(where: str, model, path: Path, stored: Path | None) -> None:
    if stored:
        import gguf

        tensor = next(each for each in gguf.GGUFReader(stored).tensors if each.name == "token_embd.weight")
        held = {"token_embd.weight": model.get_input_embeddings().weight}
        given = [("token_embd.weight", torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type)))]
    else:
        held = model.state_dict()
        given = ((name, _tensor(*each)) for name, *each in _tensors_of_folder(path) if name in held)
    compared = 0
    for name, tensor in given:
        own = held[name].detach().cpu()
        if own.shape != tensor.shape or not torch.equal(own, tensor.to(own.dtype)):
            got = f"{own.dtype} {list(own.shape)}"
            if own.shape == tensor.shape:
                got = f"{int((own != tensor.to(own.dtype)).sum())} of {own.numel()} elements that differ"
            raise FrameError(where, name, f"the weights in {path}", got)
        compared += 1
    if compared == 0:
        raise FrameError(where, "model", f"the one in {path}", "one that shares no tensor with it")


def _tensor(dtype: str, shape: list[int], data) -> torch.Tensor:
    if dtype not in _DTYPES:
        raise FrameError("model_identity", "weights", ", ".join(_DTYPES), dtype)
    return torch.frombuffer(bytearray(data), dtype=_DTYPES[dtype]).view(shape)
