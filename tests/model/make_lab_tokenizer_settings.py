"""Makes tests/model/fixtures/lab_llama_tokenizer_settings.json: the lab model's vocabulary under other settings, as AutoTokenizer reads them.

    .venv/bin/python tests/model/make_lab_tokenizer_settings.py

A list of `{"tokenizer_config": {…}, "texts": [{"text", "whole", "markup"}], "decoded": [{"ids", "text"}]}`: the ids of a
whole text with what stands around it, those of a piece with its special tokens, and the text of ids without them.
"""

import json
import pathlib
import shutil
import tempfile

from transformers import AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True,
        "add_eos_token": False, "clean_up_tokenization_spaces": False}
PLAIN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": False}
ADDED = {"2048": PLAIN | {"content": "Seattle"}, "2049": PLAIN | {"content": "<|im_start|>", "special": True}}
SETTINGS = [BASE | {"add_bos_token": False}, BASE | {"add_prefix_space": False}, BASE | {"added_tokens_decoder": ADDED}]
TEXTS = ["Hello, my name is Lyra.", "in Seattle on Mars", "What is 12 + 30?\n", "<|im_start|>user", "two  spaces"]
IDS = [[300, 2048, 301], [300, 2049, 301], [311, 295, 1983, 1792, 457]]


def main():
    made = []
    for settings in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(ROOT / "examples/models/lab-llama/tokenizer.model", folder)
            pathlib.Path(folder, "tokenizer_config.json").write_text(json.dumps(settings))
            tokens = AutoTokenizer.from_pretrained(folder)
        texts = [{"text": text, "whole": tokens(text)["input_ids"], "markup": tokens(text, add_special_tokens=False)["input_ids"]} for text in TEXTS]
        known = [ids for ids in IDS if max(ids) < len(tokens)]
        decoded = [{"ids": ids, "text": tokens.decode(ids, skip_special_tokens=True)} for ids in known]
        made.append({"tokenizer_config": settings, "texts": texts, "decoded": decoded})
    lines = ",\n".join(json.dumps(each) for each in made)
    (ROOT / "tests/model/fixtures/lab_llama_tokenizer_settings.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
