"""Makes tests/model/fixtures/tied-but-stored-apart/expected.safetensors, from transformers.

    .venv/bin/python tests/model/make_tied_head_fixture.py

The folder holds a small random Llama whose config.json ties the head to the embedding while model.safetensors stores a
head of its own (both are inputs). fp32 on the CPU, eager attention:

    ids      [P]          a text
    logits   [P, vocab]   its logits in one pass
"""

import pathlib

import safetensors.torch
import torch
import transformers

FOLDER = pathlib.Path(__file__).resolve().parent / "fixtures" / "tied-but-stored-apart"


@torch.no_grad()
def main():
    model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    if torch.equal(model.lm_head.weight, model.model.embed_tokens.weight):
        raise SystemExit("transformers has tied the head: this folder would show nothing")
    ids = torch.randint(3, model.config.vocab_size, (12,), generator=torch.Generator().manual_seed(0))
    safetensors.torch.save_file({"ids": ids, "logits": model(ids[None]).logits[0].contiguous()}, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    main()
