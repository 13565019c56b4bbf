"""Writes corpus/gguf/: one small GGUF file for each thing that the reader does, to begin fuzzing from.

Run: python tests/fuzz/make_gguf_corpus.py   (needs numpy and gguf)
"""

import pathlib

import gguf
import numpy

FOLDER = pathlib.Path(__file__).parent / "corpus" / "gguf"


def model(name: str, architecture: str, add=lambda writer: None) -> None:
    writer = gguf.GGUFWriter(FOLDER / name, architecture)
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(8)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tensor("token_embd.weight", numpy.zeros((2, 34), numpy.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    add(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama(writer: gguf.GGUFWriter) -> None:
    writer.add_head_count_kv([1, 1])
    writer.add_sliding_window(32)
    writer.add_tensor("rope_freqs.weight", numpy.arange(1, 9, dtype=numpy.float32))


def yarn(writer: gguf.GGUFWriter) -> None:
    writer.add_rope_freq_base(1e6)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(16)
    writer.add_rope_scaling_yarn_beta_fast(16.0)
    writer.add_tensor("blk.0.attn_q.bias", numpy.ones(32, numpy.float32))


def gemma(writer: gguf.GGUFWriter) -> None:
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_sliding_window(8)
    writer.add_array("gemma2.attention.sliding_window_pattern", [True, False])
    writer.add_final_logit_softcapping(30.0)


def gemma3(writer: gguf.GGUFWriter) -> None:
    writer.add_rope_freq_base(1e6)
    writer.add_rope_freq_base_swa(1e4)
    writer.add_sliding_window(8)


def phi3(writer: gguf.GGUFWriter) -> None:
    writer.add_rope_scaling_orig_ctx_len(16)
    writer.add_rope_scaling_attn_factors(1.2)
    writer.add_rope_dimension_count(12)
    for length in ("long", "short"):
        writer.add_tensor(f"rope_factors_{length}.weight", numpy.ones(6, numpy.float32))


def tokenizer(writer: gguf.GGUFWriter) -> None:
    writer.add_token_list(["a", "b"])
    writer.add_token_scores([0.5, -1.0])
    writer.add_token_types([1, 3])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_eot_token_id(0)
    writer.add_add_bos_token(True)


def sentencepiece(writer: gguf.GGUFWriter) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "</s>", "<|user|>", "  ", "a", "aa"])
    writer.add_token_scores([0.0] * 6)
    writer.add_token_types([3, 3, 3, 4, 1, 1])
    writer.add_unk_token_id(0)


def every_type(writer: gguf.GGUFWriter) -> None:
    writer.add_custom_alignment(64)
    for kind in gguf.GGMLQuantizationType:
        _, size = gguf.GGML_QUANT_SIZES[kind]
        plain = {gguf.GGMLQuantizationType.F32: numpy.float32, gguf.GGMLQuantizationType.F16: numpy.float16}
        block = numpy.zeros((1, size), numpy.uint8).view(plain.get(kind, numpy.uint8))
        writer.add_tensor(kind.name, block, raw_dtype=kind)
    for number, kind in enumerate(("uint8", "int8", "uint16", "int16", "int32", "uint64", "int64", "float64")):
        getattr(writer, f"add_{kind}")(kind, number)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    model("llama", "llama", llama)
    model("qwen2_yarn", "qwen2", yarn)
    model("qwen3", "qwen3")
    model("gemma2", "gemma2", gemma)
    model("gemma3", "gemma3", gemma3)
    model("phi3", "phi3", phi3)
    model("smollm3", "smollm3")
    model("sentencepiece", "phi3", sentencepiece)
    (FOLDER / "git_lfs").write_text("version https://git-lfs.github.com/spec/v1\n")
    model("tokenizer", "llama", tokenizer)
    model("every_type", "other", every_type)
