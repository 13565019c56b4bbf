"""Makes tests/model/fixtures: small random Llama folders, and what transformers computes on them.

Run from anywhere with a Python that has torch, transformers, safetensors and sentencepiece:

    .venv/bin/python tests/model/make_fixtures.py

fixtures/<name>/ is a model folder as from_pretrained takes it (config.json, model.safetensors or shards with an index),
and beside

    expected.safetensors      everything computed in fp32 on the CPU, eager attention; ids and tokens int64, logits fp32
      prompt.ids              [P]          one text
      prompt.logits           [P, vocab]   its logits, position 0 on
      prompt.greedy           [T]          what greedy decoding adds to it
      source.ids              [S]          a text whose cache is injected: prefilled from position 0 on
      target.ids              [Q]          a text that runs onto that cache
      injected.logits         [Q, vocab]   the target's logits, its positions S, S + 1, ...
      injected.greedy         [T]          what greedy decoding adds
      gap                     [1]          a distance: the same once more, positions S + gap, S + gap + 1, ...
      gap.logits              [Q, vocab]
      gap.greedy              [T]
      batch.ids               [B, L]       texts of unequal length, padded on the left
      batch.lengths           [B]          how many ids of each row, the last ones, are text
      batch.logits            [B, vocab]   logits of every row's last token, first token of its text at position 0
      batch.greedy            [B, T]

The greedy tokens leave a margin of at least 1e-3 to the second best, so another order of fp32 sums gives the same ones.
A target one position too far gives other tokens in every folder (checked here): a random model whose weights are as
small as usual would not tell.

fixtures/tokenizer/ has a SentencePiece model with transformers' own form of it, and expected.json: texts with ids and
decoded text.
"""

import json
import pathlib
import random
import shutil

import safetensors.torch
import sentencepiece
import torch
import transformers
from transformers.convert_slow_tokenizer import SentencePieceExtractor

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"
NEW_TOKENS = 12
GAP = 7
MARGIN = 1e-3
CHANGED = 1  # greedy tokens, at least, that a position off by one has to change


def llama(**changes):
    """A configuration in the newer spelling: one rope_parameters dictionary."""
    sizes = dict(vocab_size=113, hidden_size=32, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.25,
                 rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    return transformers.LlamaConfig(**{**sizes, **changes})


def old_spelling(config):
    """Rewrites a config.json as transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    if config["head_dim"] * config["num_attention_heads"] == config["hidden_size"]:
        del config["head_dim"]
    return config


# name: (configuration, stored dtype, rewriting of config.json, shard size)
FOLDERS = {
    "gqa-tied-fp32": (llama(tie_word_embeddings=True, num_hidden_layers=3), torch.float32, old_spelling, "1GB"),
    "mha-biased-fp16": (llama(num_key_value_heads=4, hidden_size=48, attention_bias=True, mlp_bias=True), torch.float16,
                        dict, "1GB"),
    "wide-heads-bf16-sharded": (llama(num_attention_heads=2, num_key_value_heads=1, head_dim=32, num_hidden_layers=3,
                                      rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
                                torch.bfloat16, dict, "48KB"),
    "llama3-scaled-fp32": (llama(num_attention_heads=8, rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}, hidden_size=64), torch.float32, old_spelling, "1GB"),
    "mistral-fp16": (transformers.MistralConfig(
        vocab_size=97, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5,
        num_key_value_heads=1, head_dim=16, sliding_window=None, max_position_embeddings=512, initializer_range=0.25,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}), torch.float16, old_spelling, "1GB"),
}


def write_folder(name, seed):
    """Saves random weights, with norms and biases that are not all one and zero, and loads the folder again in fp32."""
    config, dtype, spelling, shard = FOLDERS[name]
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    path = folder / "config.json"
    path.write_text(json.dumps(spelling(json.loads(path.read_text())), indent=2) + "\n")
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                             attn_implementation="eager").eval()


class Greedy:
    """Greedy decoding that remembers its smallest margin."""

    def __init__(self):
        self.margin = float("inf")

    def run(self, model, logits, cache, position):
        """Tokens that follow `logits` [vocab], the next one fed at `position`."""
        tokens = []
        for step in range(NEW_TOKENS):
            best = logits.topk(2)
            self.margin = min(self.margin, (best.values[0] - best.values[1]).item())
            tokens.append(best.indices[0].item())
            logits = model(input_ids=best.indices[:1].view(1, 1), past_key_values=cache,
                           position_ids=torch.tensor([[position + step]])).logits[0, -1]
        return torch.tensor(tokens)


def onto_cache(model, greedy, source, target, offset):
    """Logits and greedy tokens of a target at `offset` on the source's cache."""
    cache = transformers.DynamicCache(config=model.config)
    model(input_ids=source[None], past_key_values=cache)
    positions = torch.arange(offset, offset + len(target))[None]
    logits = model(input_ids=target[None], past_key_values=cache, position_ids=positions).logits[0]
    return logits, greedy.run(model, logits[-1], cache, offset + len(target))


def in_batch(model, lengths):
    """A padded batch through transformers' own generate."""
    longest = max(lengths)
    ids = torch.zeros(len(lengths), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, longest - length:] = torch.randint(3, model.config.vocab_size, (length,))
        mask[row, longest - length:] = 1
    out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW_TOKENS, eos_token_id=None,
                         pad_token_id=0, output_logits=True, return_dict_in_generate=True)
    best = torch.stack(out.logits).topk(2).values
    return ids, out.logits[0], out.sequences[:, longest:], (best[..., 0] - best[..., 1]).min().item()


@torch.no_grad()
def expected(model):
    """What expected.safetensors holds; None if a margin is too thin or a position off by one does not show."""
    vocab = model.config.vocab_size
    prompt, source, target = (torch.randint(3, vocab, (n,)) for n in (14, 11, 6))
    greedy = Greedy()
    nothing = transformers.DynamicCache(config=model.config)
    prompt_logits = model(input_ids=prompt[None], past_key_values=nothing).logits[0]
    prompt_greedy = greedy.run(model, prompt_logits[-1], nothing, len(prompt))
    logits, tokens = onto_cache(model, greedy, source, target, len(source))
    gap_logits, gap_tokens = onto_cache(model, greedy, source, target, len(source) + GAP)
    lengths = [9, 4, 13]
    batch_ids, batch_logits, batch_greedy, batch_margin = in_batch(model, lengths)
    _, off_by_one = onto_cache(model, Greedy(), source, target, len(source) + 1)
    changed = int((off_by_one != tokens).sum())
    margin = min(greedy.margin, batch_margin)
    if margin < MARGIN or changed < CHANGED:
        return None
    print(f"  one position off: {changed} of {NEW_TOKENS} tokens differ; smallest margin {margin:.1e}")
    values = {
        "prompt.ids": prompt, "prompt.logits": prompt_logits, "prompt.greedy": prompt_greedy,
        "source.ids": source, "target.ids": target, "injected.logits": logits, "injected.greedy": tokens,
        "gap": torch.tensor([GAP]), "gap.logits": gap_logits, "gap.greedy": gap_tokens,
        "batch.ids": batch_ids, "batch.lengths": torch.tensor(lengths), "batch.logits": batch_logits,
        "batch.greedy": batch_greedy,
    }
    return {key: value.contiguous() for key, value in values.items()}


def make_models():
    for name in FOLDERS:
        print(name)
        for seed in range(1, 50):
            values = expected(write_folder(name, seed))
            if values is not None:
                safetensors.torch.save_file(values, FIXTURES / name / "expected.safetensors")
                break
        else:
            raise SystemExit(f"{name}: no seed below 50 gives margins of {MARGIN}")


def make_tokenizer():
    """A small byte-fallback BPE in both forms, trained from memory: a path would be embedded in the model."""
    folder = FIXTURES / "tokenizer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(0)
    words = ("the a of is in at my name lives water boils capital city "
             "Paris France Lyra Seattle 2024 3.14 naïve café").split()
    sentences = [" ".join(rng.choices(words, k=rng.randint(3, 12))) + "." for _ in range(2000)]
    path = folder / "tokenizer.model"
    with path.open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=model, vocab_size=360, model_type="bpe", byte_fallback=True,
            split_digits=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
            character_coverage=1.0, minloglevel=2)
    extracted = SentencePieceExtractor(str(path)).extract(transformers.LlamaTokenizer.model)
    fast = transformers.LlamaTokenizer(vocab=extracted["vocab"], merges=extracted["merges"])
    fast.save_pretrained(folder)
    texts = ["", "a", "My name is Lyra.", "Paris is the capital of France", "water boils at 100 °C\n\tin Zürich",
             "two  spaces", "ends with a space ", "naïve café, 日本語 and 🎉", "digits 2024 and 3.14159", "</s"]
    cases = []
    for text in texts:
        ids = fast.encode(text, add_special_tokens=False)
        cases.append({"text": text, "ids": ids, "decoded": fast.decode(ids, skip_special_tokens=True)})
    content = {"bos": fast.bos_token_id, "eos": fast.eos_token_id, "cases": cases}
    (folder / "expected.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    make_models()
    make_tokenizer()
