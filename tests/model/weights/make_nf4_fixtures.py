"""Makes tests/model/weights/fixtures/nf4: what bitsandbytes makes of matrices and of a model, on the CPU.

matrices.safetensors holds, for each NAME (a shape, a dtype), NAME.dense and NAME.codes, .absmax, .values (what dequantizing gives) and,
with nested scales, NAME.nested.absmax, .nested_absmax, .nested_quant_map, .nested_offset, .values.

plain/ and nested/ are folders as save_pretrained writes them of a small Llama that was loaded in 4 bits; expected.safetensors
beside holds a prompt's ids, and the logits that transformers computes with the dequantized matrices.

Run: python tests/model/weights/make_nf4_fixtures.py   (needs torch, transformers, accelerate, safetensors and bitsandbytes)
"""

import pathlib
import shutil

import bitsandbytes
import bitsandbytes.functional as bnb
import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "fixtures" / "nf4"
MODEL = HERE.parent / "fixtures" / "gqa-tied-fp32"

# Blocks that end within rows, a last block that is shorter, an odd number of elements, more than one block of scales.
SHAPES = {"even": (8, 96), "odd": (5, 27), "short": (3, 7), "many": (104, 160)}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def dequantized(codes, state):
    """The values of a matrix, brought back as one long row.

    bitsandbytes' kernel for the CPU begins a new block with every row, unlike its quantizing and its other devices (issue 1884): it
    is right where the length of a row is a multiple of the block's.
    """
    shape = state.shape
    elements = shape.numel()
    blocks = -(-elements // state.blocksize)
    padded = torch.zeros(blocks * state.blocksize // 2, 1, dtype=torch.uint8)
    padded[: codes.numel()] = codes.reshape(-1, 1)
    state.shape = torch.Size([1, 2 * padded.numel()])
    values = bnb.dequantize_4bit(padded, state).flatten()[:elements].reshape(shape)
    state.shape = shape
    return values


def random_matrix(shape, dtype):
    """Rows of different magnitude, with zeros, and a block of nothing else where there is room."""
    matrix = torch.randn(shape) * torch.rand(shape[0], 1)
    matrix[torch.rand(shape) < 0.05] = 0
    if matrix.numel() > 200:
        matrix.view(-1)[64:128] = 0
    return matrix.to(dtype)


def write_matrices():
    torch.manual_seed(5)
    tensors = {}
    for shape_name, shape in SHAPES.items():
        for dtype_name, dtype in DTYPES.items():
            if shape_name == "many" and dtype_name != "bf16":
                continue  # the scales are fp32 whatever the matrix was
            name = f"{shape_name}.{dtype_name}"
            dense = random_matrix(shape, dtype)
            codes, state = bnb.quantize_4bit(dense, quant_type="nf4")
            tensors |= {f"{name}.dense": dense, f"{name}.codes": codes, f"{name}.absmax": state.absmax,
                        f"{name}.values": dequantized(codes, state)}  # fmt: skip
            again, state = bnb.quantize_4bit(dense, quant_type="nf4", compress_statistics=True)
            assert torch.equal(codes, again)
            tensors |= {f"{name}.nested.absmax": state.absmax, f"{name}.nested.nested_absmax": state.state2.absmax,
                        f"{name}.nested.nested_quant_map": state.state2.code.clone(),
                        f"{name}.nested.nested_offset": state.offset.reshape(1),
                        f"{name}.nested.values": dequantized(codes, state)}  # fmt: skip
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "matrices.safetensors")


@torch.no_grad()
def write_model(name, nested):
    quantization = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nested,
                                                   bnb_4bit_compute_dtype=torch.float32)  # fmt: skip
    open_model = transformers.AutoModelForCausalLM.from_pretrained
    model = open_model(MODEL, quantization_config=quantization, dtype=torch.float32, device_map="cpu")
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    dense = open_model(MODEL, dtype=torch.float32, attn_implementation="eager")
    for path, module in model.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            values = dequantized(module.weight.data, module.weight.quant_state)
            dense.get_submodule(path).weight.copy_(values)
    ids = torch.randint(3, model.config.vocab_size, (14,))
    save_file({"ids": ids, "logits": dense(input_ids=ids[None]).logits[0]}, folder / "expected.safetensors")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_matrices()
    torch.manual_seed(6)
    write_model("plain", False)
    write_model("nested", True)
