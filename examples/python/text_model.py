"""What the example scripts share: a transformers model with its tokenizer, a prefill, and greedy decoding onto a cache."""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kvtransfer_torch.model_files import from_pretrained_arguments

LAB_MODEL = Path(__file__).resolve().parents[1] / "models" / "lab-llama"


def argument_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=LAB_MODEL, help="folder of a transformers model, or FILE.gguf; default: the lab model that ships"
    )
    return parser


class TextModel:
    """A causal language model, in float32 unless asked otherwise: there equal arithmetic gives equal tokens."""

    def __init__(self, path: Path, dtype: torch.dtype = torch.float32):
        folder, more = from_pretrained_arguments(path)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, **more)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **more).eval()

    def encode(self, text: str, start: bool = False) -> torch.Tensor:
        """Ids [1, seq], after a BOS token where `start` says that the text opens a context."""
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        bos = [self.tokenizer.bos_token_id] if start and self.tokenizer.bos_token_id is not None else []
        return torch.tensor([bos + ids])

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    @torch.no_grad()
    def forward(self, ids: torch.Tensor, start: int, cache=None, **more):
        """Runs `ids` [1, seq] at positions from `start` on, and returns (logits of the last [vocab], cache)."""
        positions = torch.arange(start, start + ids.shape[1])[None]
        out = self.model(input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, **more)
        return out.logits[0, -1], out.past_key_values

    def greedy(self, cache, ids: torch.Tensor, start: int, steps: int) -> list[int]:
        """Reads `ids` at positions from `start` on after what `cache` holds, then says at most `steps` tokens."""
        said: list[int] = []
        while len(said) < steps:
            logits, cache = self.forward(ids, start, cache)
            start += ids.shape[1]
            ids = logits.argmax().view(1, 1)
            if int(ids) == self.tokenizer.eos_token_id:
                break
            said.append(int(ids))
        return said
