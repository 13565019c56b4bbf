"""Writes fixtures/gguf/: small GGUF files, and what the `gguf` package and transformers make of them.

quants.gguf holds blocks of every readable type with random codes and chosen scales, denormal, extreme and not finite among them;
quants.safetensors what the package's `dequantize` brings back. ARCHITECTURE.gguf is a small random model of transformers, written with the
metadata and the changes to its tensors that llama.cpp's conversion makes and under the package's own names; ARCHITECTURE.safetensors has
the weights transformers had, and configs.json its configurations. That transformers' own `gguf_file=` brings the same weights back is
checked on the way. No line of kvtransfer takes part.

Run: python tests/model/weights/make_gguf_fixtures.py   (needs torch, transformers, accelerate, safetensors, numpy and gguf)
"""

import json
import pathlib

import gguf
import numpy
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent / "fixtures" / "gguf"

# Halves: ones, smallest and largest denormal and normal of both signs, zeros, an arbitrary few, infinity and a NaN.
SCALES = [0x3C00, 0xBC00, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x0000, 0x8000, 0x2E66, 0xA1F7, 0x1234, 0x5678, 0x7C00, 0x7E00]
SCALE_BYTES = {  # where a type's block has its halves
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}  # fmt: skip


def blocks_of(kind: Type, random: numpy.random.Generator) -> numpy.ndarray:
    """[rows, bytes]: every scale, and for types with two halves each also with another for the second."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    places = SCALE_BYTES[kind]
    rows = [[scale] * len(places) for scale in SCALES] + [list(random.permutation(SCALES[:14])[: len(places)]) for _ in SCALES]
    blocks = random.integers(0, 256, (len(rows), size), dtype=numpy.uint8)
    for block, scales in zip(blocks, rows):
        for place, scale in zip(places, scales):
            block[place : place + 2] = numpy.frombuffer(numpy.uint16(scale).tobytes(), numpy.uint8)
    return blocks


def write_quants() -> None:
    random = numpy.random.default_rng(7)
    writer = gguf.GGUFWriter(FOLDER / "quants.gguf", "none")
    expected = {}
    with numpy.errstate(all="ignore"):
        for kind in SCALE_BYTES:
            blocks = blocks_of(kind, random)
            writer.add_tensor(kind.name, blocks, raw_dtype=kind)
            expected[kind.name] = gguf.quants.dequantize(blocks, kind)
        words = random.integers(0, 1 << 16, (8, 64), dtype=numpy.uint16)
        for kind, dtype in ((Type.F16, numpy.float16), (Type.BF16, numpy.uint8)):
            data = words.view(dtype)
            writer.add_tensor(kind.name, data, raw_dtype=kind)
            expected[kind.name] = gguf.quants.dequantize(data, kind)
        floats = random.integers(0, 1 << 32, (8, 64), dtype=numpy.uint32).view(numpy.float32)
        writer.add_tensor("F32", floats)
        expected["F32"] = floats
    finish(writer)
    save_file(expected, FOLDER / "quants.safetensors")


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40,
         "num_hidden_layers": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2,
         "pad_token_id": None}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 16}
GEMMA3 = {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
          "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}}  # fmt: skip
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75, "short_factor": [1.0, 1.08, 1.1],
            "long_factor": [1.07, 4.1, 33.3], "original_max_position_embeddings": 16}  # fmt: skip

CONFIGS = {
    "llama": transformers.LlamaConfig(**SIZES | {"hidden_size": 32, "max_position_embeddings": 131072}, rope_parameters=LLAMA3,
                                      attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "qwen2": transformers.Qwen2Config(**SIZES, rope_parameters=YARN, tie_word_embeddings=True),
    "qwen3": transformers.Qwen3Config(**SIZES, head_dim=8, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
    "gemma2": transformers.Gemma2Config(**SIZES, head_dim=8, query_pre_attn_scalar=8, sliding_window=12,
                                        attn_logit_softcapping=40.0, final_logit_softcapping=20.0),
    "gemma3": transformers.Gemma3TextConfig(**SIZES | {"num_hidden_layers": 7}, head_dim=8, query_pre_attn_scalar=8,
                                            sliding_window=12, rope_parameters=GEMMA3),
    "phi3": transformers.Phi3Config(**SIZES | {"hidden_size": 32}, rope_parameters=LONGROPE, sliding_window=30,
                                    original_max_position_embeddings=16),
    "smollm3": transformers.SmolLM3Config(**SIZES | {"hidden_size": 32, "num_hidden_layers": 5}, tie_word_embeddings=True,
                                          rope_parameters={"rope_type": "default", "rope_theta": 5e6}),
}  # fmt: skip

# What decides on numbers, rotation apart: that is compared as the rotation that comes of it.
DECIDING = ["model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "vocab_size", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "bos_token_id", "eos_token_id",
            "attention_bias", "mlp_bias", "head_dim", "hidden_act", "hidden_activation", "sliding_window",
            "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"]  # fmt: skip
ROTATING = ["rope_parameters", "layer_types", "original_max_position_embeddings"]


def expected_config(config: transformers.PreTrainedConfig) -> dict:
    stated = config.to_dict()
    kept = {key: stated[key] for key in DECIDING + ROTATING if key in stated}
    if config.model_type in ("qwen2", "qwen3", "smollm3"):  # their layers are alike, and the window they name is switched off
        del kept["sliding_window"], kept["layer_types"]
    if config.model_type.startswith("gemma") or config.model_type == "smollm3":
        del kept["attention_bias"]  # always off
    if config.model_type == "smollm3":
        del kept["mlp_bias"]
    return kept


def random_model(config: transformers.PreTrainedConfig) -> torch.nn.Module:
    """Weights that 16 bits hold exactly, and norms that 1 can be added to without rounding."""
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randint(-255, 256, weight.shape) / 256
            weight.copy_(values)
    return model


def permuted(weight: torch.Tensor, heads: int) -> torch.Tensor:
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def llama3_divisors(config: transformers.PreTrainedConfig) -> numpy.ndarray:
    rope = config.rope_parameters
    head_dim = config.head_dim
    frequencies = 1.0 / (rope["rope_theta"] ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim))
    original = rope["original_max_position_embeddings"]
    divisors = []
    for wavelength in 2 * torch.pi / frequencies:
        if wavelength < original / rope["high_freq_factor"]:
            divisors.append(1.0)
        elif wavelength > original / rope["low_freq_factor"]:
            divisors.append(rope["factor"])
        else:
            share = (original / wavelength - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
            divisors.append(float(1 / ((1 - share) / rope["factor"] + share)))
    return numpy.array(divisors, dtype=numpy.float32)


def write_rope(writer: gguf.GGUFWriter, name: str, config: transformers.PreTrainedConfig) -> None:
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    if name != "gemma2":
        writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if name == "llama":
        writer.add_rope_dimension_count(config.head_dim)
        writer.add_tensor("rope_freqs.weight", llama3_divisors(config))
    if name == "phi3":
        original = rope["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * config.hidden_size) // config.num_attention_heads)
        factor = config.max_position_embeddings / original
        writer.add_rope_scaling_attn_factors((1 + numpy.log(factor) / numpy.log(original)) ** 0.5)
        for length in ("long", "short"):
            writer.add_tensor(f"rope_factors_{length}.weight", numpy.array(rope[f"{length}_factor"], dtype=numpy.float32))


def write_metadata(writer: gguf.GGUFWriter, name: str, config: transformers.PreTrainedConfig) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if name in ("qwen3", "gemma2", "gemma3"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if name in ("gemma2", "gemma3", "phi3"):
        writer.add_sliding_window(config.sliding_window)
    if name == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_vocab_size(config.vocab_size)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)


def stored(name: str, config: transformers.PreTrainedConfig, hf_name: str, weight: torch.Tensor) -> numpy.ndarray:
    """A weight as llama.cpp's conversion stores it: matrices in 16 bits, vectors in 32."""
    if name in ("llama", "smollm3") and ".q_proj." in hf_name:
        weight = permuted(weight, config.num_attention_heads)
    if name in ("llama", "smollm3") and ".k_proj." in hf_name:
        weight = permuted(weight, config.num_key_value_heads)
    if name.startswith("gemma") and hf_name.endswith("norm.weight"):
        weight = weight + 1
    return weight.numpy() if weight.dim() == 1 else weight.to(torch.float16).numpy()


def write_model(name: str, config: transformers.PreTrainedConfig) -> None:
    model = random_model(config)
    weights = model.state_dict()
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    writer = gguf.GGUFWriter(FOLDER / f"{name}.gguf", name)
    write_metadata(writer, name, config)
    write_rope(writer, name, config)
    kind = next(kind for kind, text in gguf.MODEL_ARCH_NAMES.items() if text == name)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    for hf_name, weight in weights.items():
        gguf_name = names.get_name(hf_name, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(gguf_name, stored(name, config, hf_name, weight))
    finish(writer)
    save_file({key: weight.to(torch.float16).numpy() for key, weight in weights.items()}, FOLDER / f"{name}.safetensors")
    if name == "smollm3":
        return  # transformers does not read this architecture
    # It is given the configuration: of a file's it takes neither Qwen 3's width of a head nor Llama's biases.
    open_model = transformers.AutoModelForCausalLM.from_pretrained
    loaded = open_model(FOLDER, gguf_file=f"{name}.gguf", dtype=torch.float32, config=config).state_dict()
    for key, weight in weights.items():
        assert torch.equal(loaded[key], weight), f"{name}: transformers brings back another {key}"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_quants()
    for name, config in CONFIGS.items():
        write_model(name, config)
    configs = {name: expected_config(config) for name, config in CONFIGS.items()}
    (FOLDER / "configs.json").write_text(json.dumps(configs, indent=1) + "\n")
