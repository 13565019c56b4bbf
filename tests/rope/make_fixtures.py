"""Writes tests/rope/fixtures/families.{json,bin}: keys that small random transformers models cache at two places each.

For every family: the config as transformers saves it, the inverse frequencies and attention scaling of each layer, and
  layer0: keys of the first layer in float32, every token at a random position, then at another one;
  every_layer: keys of all layers in a float64 copy of the model, the whole text at one position, then further on.
In the float64 copy the angles are float64 too (from the float32 inverse frequencies): a model with float32 angles is
translation invariant only to their rounding, so its deeper layers could not tell an exact move from a nearly exact one.

Run: python tests/rope/make_fixtures.py   (needs torch and transformers 5; takes about half a minute)
"""

import copy
import json
import pathlib

import numpy
import torch
import transformers
from torch.overrides import TorchFunctionMode

TOKENS = 6
FAR = 1_048_576  # positions below this
FOLDER = pathlib.Path(__file__).parent / "fixtures"

SMALL = dict(
    vocab_size=32,
    hidden_size=32,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=128,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=64)
SHORT = [1.0, 1.1, 1.3, 1.7, 2.0, 2.6]
LONG = [1.0, 1.5, 3.0, 7.0, 13.0, 27.0]
MOE = dict(moe_intermediate_size=8, num_experts_per_tok=1)

# name: (model_type, config fields beyond SMALL)
FAMILIES = {
    "llama": ("llama", {}),
    "llama linear": ("llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0))),
    "llama dynamic": ("llama", dict(rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=3.0))),
    "llama yarn": ("llama", dict(rope_parameters=YARN)),
    "llama yarn with attention_factor": (
        "llama",
        dict(rope_parameters=YARN | dict(attention_factor=1.3, beta_fast=20)),
    ),
    "llama3": (
        "llama",
        dict(
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=500000.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=64,
            )
        ),
    ),
    "phi3 longrope": (
        "phi3",
        dict(
            original_max_position_embeddings=64,
            partial_rotary_factor=0.75,
            rope_parameters=dict(
                rope_type="longrope",
                rope_theta=10000.0,
                short_factor=SHORT,
                long_factor=LONG,
                partial_rotary_factor=0.75,
            ),
        ),
    ),
    "deepseek_v3": (
        "deepseek_v3",
        dict(
            q_lora_rank=None,
            head_dim=None,
            num_key_value_heads=2,
            kv_lora_rank=8,
            qk_rope_head_dim=8,
            qk_nope_head_dim=8,
            v_head_dim=8,
            n_routed_experts=2,
            n_shared_experts=1,
            n_group=1,
            topk_group=1,
            first_k_dense_replace=2,
            rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=0.5),
        )
        | MOE,
    ),
    "deepseek_v2": (
        "deepseek_v2",
        dict(
            q_lora_rank=None,
            head_dim=None,
            num_key_value_heads=2,
            kv_lora_rank=8,
            qk_rope_head_dim=8,
            qk_nope_head_dim=8,
            v_head_dim=8,
            n_routed_experts=2,
            n_shared_experts=1,
            n_group=1,
            topk_group=1,
            first_k_dense_replace=2,
        )
        | MOE,
    ),
    "gpt_oss": (
        "gpt_oss",
        dict(
            num_local_experts=2,
            num_experts_per_tok=1,
            rope_parameters=YARN | dict(truncate=False, beta_fast=32.0, beta_slow=1.0),
        ),
    ),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {}),
    "phi": ("phi", dict(head_dim=None)),
    "gpt_neox": ("gpt_neox", dict(head_dim=None)),
    "stablelm": ("stablelm", dict(head_dim=None)),
    "nemotron": ("nemotron", {}),
    "gemma": ("gemma", {}),
    "glm": ("glm", {}),
    "cohere": ("cohere", dict(head_dim=None)),
    "cohere2": ("cohere2", dict(num_hidden_layers=4)),
    "ernie4_5": ("ernie4_5", {}),
    "helium": ("helium", {}),
    "gptj": ("gptj", dict(rotary_dim=8, max_position_embeddings=131072)),
    "codegen": ("codegen", dict(rotary_dim=8, max_position_embeddings=131072, hidden_size=64, num_attention_heads=4)),
    "llama4": (
        "llama4_text",
        dict(
            num_hidden_layers=4,
            intermediate_size_mlp=16,
            num_local_experts=2,
            moe_layers=[],
            attention_chunk_size=FAR,
            attn_temperature_tuning=False,
        ),
    ),
    "smollm3": ("smollm3", dict(num_hidden_layers=4)),
    "exaone4": ("exaone4", dict(num_hidden_layers=4)),
    "gemma3": ("gemma3_text", dict(num_hidden_layers=6)),
    "gemma3 linear": (
        "gemma3_text",
        dict(
            num_hidden_layers=6,
            rope_parameters=dict(
                sliding_attention=dict(rope_type="default", rope_theta=10000.0),
                full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
            ),
        ),
    ),
    "gemma4": (
        "gemma4_text",
        dict(
            num_hidden_layers=6,
            global_head_dim=32,
            vocab_size_per_layer_input=32,
            hidden_size_per_layer_input=8,
            num_kv_shared_layers=0,
        ),
    ),
    "modernbert-decoder": (
        "modernbert-decoder",
        dict(num_hidden_layers=3, global_attn_every_n_layers=3, head_dim=None),
    ),
    "olmo3": ("olmo3", dict(num_hidden_layers=4, head_dim=None)),
    "qwen2_vl": ("qwen2_vl_text", dict(rope_parameters=dict(rope_type="default", mrope_section=[2, 3, 3]))),
    "qwen3_vl": ("qwen3_vl_text", dict(rope_parameters=dict(rope_type="default", mrope_section=[4, 2, 2]))),
    "glm4v": ("glm4v_text", dict(rope_parameters=dict(rope_type="default", mrope_section=[2, 3, 3]))),
    "ernie4_5_vl": (
        "ernie4_5_vl_moe_text",
        dict(
            rope_parameters=dict(rope_type="default", mrope_section=[3, 3, 2]),
            mlp_layer_types=["dense", "dense"],
            moe_num_experts=2,
            moe_k=1,
        ),
    ),
    "nanochat": ("nanochat", dict(head_dim=None)),
    "hunyuan": ("hunyuan_v1_dense", {}),
    "hunyuan ntk_alpha": (
        "hunyuan_v1_dense",
        dict(rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, alpha=1000.0, factor=1.0)),
    ),
}
THREE_STREAMS = {"qwen2_vl", "qwen3_vl", "glm4v", "ernie4_5_vl"}
FEW_POSITIONS = {"gptj", "codegen"}  # their table of angles ends at n_positions


class Float64(TorchFunctionMode):
    """Reads every request for float32 as one for float64."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            return args[0].double()
        widened = lambda value: torch.float64 if value is torch.float32 else value
        args = tuple(widened(a) for a in args)
        return function(*args, **{k: widened(v) for k, v in (kwargs or {}).items()})


def build(model_type, fields, seed):
    settings = {k: v for k, v in (SMALL | fields).items() if v is not None or k not in SMALL}
    config = transformers.AutoConfig.for_model(model_type, **copy.deepcopy(settings))
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    torch.manual_seed(seed)
    model = getattr(transformers, type(config).__name__.replace("Config", "Model"))(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter)
            parameter.copy_(0.3 * noise if parameter.dim() > 1 else 1 + 0.2 * noise)
    return config, model


def run(model, ids, positions):
    """Cached tensors of every layer that move: `positions` is [streams, seq]."""
    position_ids = positions[:, None, :] if positions.shape[0] > 1 else positions
    with torch.no_grad():
        cache = model(input_ids=ids, position_ids=position_ids, use_cache=True).past_key_values
    latent = getattr(model.config, "kv_lora_rank", None) is not None
    return [layer.values if latent else layer.keys for layer in cache.layers]


def rotary_module(model):
    return next((m for n, m in model.named_modules() if n.endswith("rotary_emb")), None)


def table_frequencies(model):
    dim = model.config.rotary_dim
    return 1.0 / (10000 ** (torch.arange(0, dim, 2, dtype=torch.int64) / dim))


def widen(model):
    """A float64 copy; a table of angles is computed anew from the float32 frequencies."""
    wide = copy.deepcopy(model).double()
    for module in wide.modules():
        if hasattr(module, "embed_positions"):
            positions = torch.arange(len(module.embed_positions), dtype=torch.float64)
            angles = positions[:, None] * table_frequencies(model).double()
            module.embed_positions = torch.cat((angles.sin(), angles.cos()), dim=1)
    return wide


def regime(model, layer):
    """(inv_freq, attention_scaling) that `layer` used in the last forward pass."""
    rotary = rotary_module(model)
    if rotary is None:  # GPT-J and CodeGen keep a table of angles
        return table_frequencies(model), 1.0
    kinds = getattr(model.config, "layer_types", None)
    prefix = f"{kinds[layer]}_" if kinds and hasattr(rotary, f"{kinds[layer]}_inv_freq") else ""
    inv_freq = getattr(rotary, prefix + "inv_freq").clone()
    if model.config.model_type.startswith("ernie4_5_vl"):  # keeps the frequencies of height before those of width
        height, width, _ = rotary.mrope_section
        in_order = inv_freq.clone()
        in_order[0 : height + width : 2] = inv_freq[:height]
        in_order[1 : height + width : 2] = inv_freq[height : height + width]
        inv_freq = in_order
    direction = -1 if model.config.model_type == "nanochat" else 1  # its rotate_half turns the other way
    return direction * inv_freq, getattr(rotary, prefix + "attention_scaling")


class Writer:
    def __init__(self):
        self.bytes = bytearray()

    def __call__(self, tensor):
        array = tensor.detach().contiguous().numpy()
        entry = dict(dtype=str(array.dtype), shape=list(array.shape), offset=len(self.bytes))
        self.bytes += array.tobytes()
        return entry


def family(name, write, seed):
    model_type, fields = FAMILIES[name]
    config, model = build(model_type, fields, seed)
    streams = 3 if name in THREE_STREAMS else 1
    far = 131072 if name in FEW_POSITIONS else FAR
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 32, (1, TOKENS), generator=generator)
    low = 64 if "longrope" in name else far
    start = torch.randint(0, low, (streams, TOKENS), generator=generator)
    end = torch.randint(0, far, (streams, TOKENS), generator=generator)
    record = dict(name=name, config=config.to_diff_dict(), layer0={}, every_layer={})
    for side, positions in (("from", start), ("to", end)):
        fresh = copy.deepcopy(model)
        keys = run(fresh, ids, positions)
        inv_freq, scaling = regime(fresh, 0)
        record["layer0"][side] = dict(
            positions=positions.tolist(),
            keys=write(keys[0]),
            inv_freq=write(inv_freq),
            attention_scaling=float(scaling),
        )

    first, delta = 300, 31337
    text = torch.arange(first, first + TOKENS)[None].repeat(streams, 1)
    if streams == 3:
        text[1, 2:5] += 1  # an image's rows
        text[2, 3:5] += 2
    run(model, ids, text + delta)  # brings length-dependent types into the regime of the longer text, in float32
    regimes = [regime(model, layer) for layer in range(len(run(model, ids, text)))]
    wide = widen(model)
    with Float64():
        before = run(wide, ids, text)
        after = run(wide, ids, text + delta)
    record["every_layer"] = dict(
        positions=text.tolist(),
        delta=delta,
        length=int((text + delta).max()) + 1,
        layers=[
            {
                "from": write(a),
                "to": write(b),
                "rotates": not torch.allclose(a, b, rtol=1e-6, atol=1e-9),
                "inv_freq": write(r[0].float()),
                "attention_scaling": float(r[1]),
            }
            for a, b, r in zip(before, after, regimes)
        ],
    )
    if "hunyuan" in name:
        record["norm_weights"] = [write(layer.self_attn.key_layernorm.weight) for layer in model.layers]
    return record


def main():
    torch.set_num_threads(1)
    write = Writer()
    records = [family(name, write, seed) for seed, name in enumerate(FAMILIES)]
    FOLDER.mkdir(exist_ok=True)
    written_with = dict(transformers=transformers.__version__, torch=torch.__version__)
    text = ",\n".join(json.dumps(record, sort_keys=True) for record in records)
    (FOLDER / "families.json").write_text(f'{{"written_with": {json.dumps(written_with)}, "families": [\n{text}\n]}}\n')
    (FOLDER / "families.bin").write_bytes(numpy.frombuffer(write.bytes, numpy.uint8).tobytes())


if __name__ == "__main__":
    main()
