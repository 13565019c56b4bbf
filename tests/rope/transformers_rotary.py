"""What transformers makes of a configuration, layer by layer: asked of a small model with that configuration, whose keys are
cached at two places each. Its frequencies are the rotary module's own bits; which layers rotate, the pairing and the width
are what turns the keys of one place into those of the other.

Sizes that have nothing to do with the rotation are made small first, so that any configuration can be asked.
"""

import copy
import os
import warnings

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

SMALL = dict(
    vocab_size=64, intermediate_size=32, moe_intermediate_size=16, shared_expert_intermediate_size=16, num_experts=4,
    num_local_experts=4, n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1, n_shared_experts=1,
    q_lora_rank=16, qk_nope_head_dim=8, v_head_dim=16, ffn_hidden_size=32, expert_ffn_hidden_size=16, moe_num_experts=4,
    pad_token_id=0, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
SHIFT = 5  # positions


def build(config):
    """A random model, in float32 on the CPU. Raises whatever transformers raises where it can't read `config`."""
    kind = config["model_type"]
    default = CONFIG_MAPPING[kind]
    known = {k for k in SMALL if getattr(default, k, None) is not None or k in getattr(default, "__dataclass_fields__", {})}
    fields = copy.deepcopy({k: v for k, v in config.items() if k != "model_type"})
    if "num_key_value_heads" not in fields and "num_attention_heads" in fields:
        if getattr(default, "num_key_value_heads", None) is not None:
            fields["num_key_value_heads"] = fields["num_attention_heads"]
    small = {k: SMALL[k] for k in known if fields.get(k, SMALL[k]) is not None}
    settings = default(**fields | {k: min(size, fields.get(k, size)) if isinstance(fields.get(k), int) else size for k, size in small.items()})
    settings._attn_implementation = "eager"
    settings._experts_implementation = "eager"
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("temp"):
                parameter.fill_(1)  # Zaya's keys are multiplied by it, and it starts at 0
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) * parameter.shape[-1] ** -0.5)
    return model


def cached(model, positions):
    """(keys, values) of every layer, None for a layer without keys."""
    ids = torch.arange(3, 9)[None]
    with torch.no_grad():
        cache = model(input_ids=ids, position_ids=positions, use_cache=True).past_key_values
    layers = []
    for layer in cache.layers:
        keys = getattr(layer, "keys", None)
        layers.append(None if keys is None or keys.numel() == 0 else (keys.double(), layer.values.double()))
    return layers


def rotary_modules(model):
    skipped = ("Vision", "Audio")
    named = [m for m in model.modules() if "Rotary" in type(m).__name__ and not any(s in type(m).__name__ for s in skipped)]
    return [m for m in named if any(n.endswith("inv_freq") for n, _ in m.named_buffers(recurse=False))]


def in_force(module, length):
    """{prefix: (inv_freq, attention_scaling)} that `module` uses for a text of `length` tokens, by layer type."""
    module = copy.deepcopy(module)
    kinds = module.rope_type if isinstance(module.rope_type, dict) else {None: module.rope_type}
    found = {}
    for kind in kinds:
        arguments = {} if kind is None else {"layer_type": kind}
        places = torch.tensor([[1, length - 1 if length > 1 else 0]])
        tables = module(torch.zeros(1), places, **arguments)
        prefix = "" if kind is None else f"{kind}_"
        frequencies = getattr(module, prefix + "inv_freq").detach().clone()
        if torch.is_tensor(tables):  # DeepSeek-V2 and Llama 4 use complex numbers
            cosine, sine = tables.real[0, 0], tables.imag[0, 0]
        else:
            cosine, sine = (table.reshape(-1, *table.shape[-2:])[0][0] for table in tables)
        scaling = float(torch.sqrt(cosine.double()[0] ** 2 + sine.double()[0] ** 2))
        stated = float(getattr(module, prefix + "attention_scaling", 1.0))
        scaling = stated if abs(scaling - stated) < 1e-6 * stated else round(scaling, 6)
        angle = torch.atan2(sine.double(), cosine.double())[0]
        if abs(angle - float(frequencies[0])) > 1e-5:
            raise NotImplementedError("the first frequency is not what the module applies")
        last = torch.atan2(sine.double(), cosine.double())[-1 if len(cosine) == len(frequencies) else len(frequencies) - 1]
        original = getattr(module, prefix + "original_inv_freq", None)
        interleaves = len(cosine) != len(frequencies) and torch.allclose(cosine[0], cosine[1], atol=0)
        last = torch.atan2(sine.double(), cosine.double())[-1] if interleaves else last
        if abs(last - float(frequencies[-1])) > 1e-3 * float(frequencies[-1]) and original is not None:
            frequencies = original.detach().clone()  # Phi-3.5-MoE applies those of a short text at every length
        found[kind] = (frequencies.float(), scaling)
    return found


def table_frequencies(model):
    """GPT-J and CodeGen keep a table of angles, at a fixed base."""
    width = getattr(model.config, "rotary_dim", None)
    return [] if width is None else [1.0 / (10000 ** (torch.arange(0, width, 2, dtype=torch.int64) / width))]


def rotated(keys, frequencies, interleaved, offset, by):
    angles = frequencies.double() * by
    cosine, sine, width = angles.cos(), angles.sin(), 2 * len(frequencies)
    window = keys[..., offset : offset + width]
    if interleaved:
        a, b = window[..., 0::2], window[..., 1::2]
        turned = torch.stack((a * cosine - b * sine, b * cosine + a * sine), -1).flatten(-2)
    else:
        a, b = window.chunk(2, -1)
        turned = torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)
    return torch.cat((keys[..., :offset], turned, keys[..., offset + width :]), -1)


def alike(a, b):
    return bool((a - b).abs().max() < 2e-3 * b.abs().max())


def geometry(before, after, candidates):
    """(kind of frequencies, direction, interleaved) that turns one layer's keys into those `SHIFT` further on."""
    for kind, frequencies in candidates.items():
        for direction in (1, -1):
            for interleaved in (False, True):
                if 2 * len(frequencies) <= before.shape[-1] and alike(
                    rotated(before, direction * frequencies, interleaved, 0, SHIFT), after
                ):
                    return kind, direction, interleaved
    raise NotImplementedError("keys that no rotation turns into those of another place")


def read(config, lengths):
    """[{length, layers: [{rotates, inv_freq, attention_scaling, pairing, rotary_dim}]}].

    Raises whatever transformers raises for a configuration that it cannot read or run.
    """
    model = build(config)
    modules = rotary_modules(model)
    here = torch.arange(6)[None]
    before, after = cached(model, here), cached(model, here + SHIFT)
    short = {}
    for number, module in enumerate(modules):
        for kind, (frequencies, _) in in_force(module, 6 + SHIFT).items():
            short[number, kind] = frequencies
    tables = [] if modules else table_frequencies(model)
    short |= {(number, None): table for number, table in enumerate(tables)}
    layers = []
    for index, (first, second) in enumerate(zip(before, after)):
        moved = None if first is None else next((i for i in (0, 1) if not alike(first[i], second[i])), None)
        types = getattr(model.config.get_text_config(), "layer_types", None)
        mine = {key: f for key, f in short.items() if key[1] is None or types is None or key[1] == types[index]}
        layers.append(None if moved is None else geometry(first[moved], second[moved], mine))
    total = model.config.get_text_config().num_hidden_layers
    layers += [None] * (total - len(layers))
    answer = []
    for length in lengths:
        forces = [in_force(module, length) for module in modules] + [{None: (table, 1.0)} for table in tables]
        listed = []
        for layer in layers:
            if layer is None:
                listed.append(dict(rotates=False))
                continue
            (number, kind), direction, interleaved = layer
            frequencies, scaling = forces[number][kind]
            listed.append(
                dict(
                    rotates=True,
                    inv_freq=(direction * frequencies).tolist(),
                    attention_scaling=scaling,
                    pairing="interleaved" if interleaved else "half_split",
                    rotary_dim=2 * len(frequencies),
                )
            )
        answer.append(dict(length=length, layers=listed))
    return answer
