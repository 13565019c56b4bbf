"""Makes tests/model/fixtures/smollm2.json: what the tokenizers package and transformers make of SmolLM2-135M-Instruct.

    .venv/bin/python tests/model/make_smollm2_fixture.py examples/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf

Ids come from a tokenizer put together as the model's authors define it (digits one by one, then byte-level), since
transformers' reading of the file's tokenizer leaves the first step out. Weights are transformers' reading of the file, in
fp32 on the CPU with eager attention; that needs the packages gguf and accelerate. For every test of
examples/phase2a/suites/phase2a.json, raw and in one ChatML user turn "SOURCE TARGET" cut behind the source and its space (`opening`,
`head`, `tail`: token ids), and for each reading of them
  alone    opening and tail
  whole    head and tail
  gap      head, then tail 50 positions further on than it would stand
`logits` at every 768th id after the last token, the largest magnitude of all as `scale`, the ids that greedy decoding
adds, the end of the text left out, and the smallest top-2 margin on the way.
"""

import json
import pathlib
import sys

import gguf
import tokenizers
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEW_TOKENS = 40
GAP = 50
STRIDE = 768


def open_tokenizer(metadata):
    """The tokenizer.json of the model's authors, from the same vocabulary and merges."""
    tokens = metadata["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"].contents()]
    made = tokenizers.Tokenizer(tokenizers.models.BPE({text: i for i, text in enumerate(tokens)}, merges))
    split = tokenizers.pre_tokenizers
    made.pre_tokenizer = split.Sequence([split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)])
    kinds = metadata["tokenizer.ggml.token_type"].contents()
    made.add_special_tokens([tokenizers.AddedToken(text, normalized=False) for text, kind in zip(tokens, kinds) if kind == 3])
    return made


def continued(model, parts, positions, ends):
    """Logits after the parts, each read at its positions, and the greedy continuation."""
    cache = transformers.DynamicCache()
    with torch.no_grad():
        for ids, first in zip(parts, positions):
            places = torch.arange(first, first + len(ids))[None]
            logits = model(torch.tensor([ids]), past_key_values=cache, position_ids=places).logits[0, -1]
        read = logits
        added, margins, place = [], [], positions[-1] + len(parts[-1])
        while True:
            top = torch.topk(logits, 2)
            margins.append(float(top.values[0] - top.values[1]))
            if int(top.indices[0]) in ends or len(added) == NEW_TOKENS:
                break
            added.append(int(top.indices[0]))
            if len(added) == NEW_TOKENS:
                break
            logits = model(torch.tensor([added[-1:]]), past_key_values=cache,
                           position_ids=torch.tensor([[place]])).logits[0, -1]
            place += 1
    return {"logits": [float(x) for x in read[::STRIDE]], "scale": float(read.abs().max()), "greedy": added,
            "margin": min(margins)}


def cases(encode, suite):
    for test in suite["tests"]:
        source, target = test["source"], test["target"]
        yield test["name"], "raw", [], encode(source), encode(target)
        opening = "<|im_start|>user\n"
        yield (test["name"], "chat", encode(opening), encode(opening + source + " "),
               encode(target + "<|im_end|>\n<|im_start|>assistant\n"))


def main():
    file = pathlib.Path(sys.argv[1]).resolve()
    metadata = gguf.GGUFReader(file).fields
    made = open_tokenizer(metadata)
    ends = {metadata[key].contents() for key in ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id") if key in metadata}
    model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32,
                                                              attn_implementation="eager").eval()
    suite = json.loads((ROOT / "examples/phase2a/suites/phase2a.json").read_text())
    written = []
    for name, form, opening, head, tail in cases(lambda text: made.encode(text, add_special_tokens=False).ids, suite):
        print(name, form, file=sys.stderr, flush=True)
        written.append({"test": name, "form": form, "opening": opening, "head": head, "tail": tail,
                        "alone": continued(model, [opening + tail], [0], ends),
                        "whole": continued(model, [head + tail], [0], ends),
                        "gap": continued(model, [head, tail], [0, len(head) + GAP], ends)})
    lines = ",\n".join(json.dumps(case) for case in written)
    (ROOT / "tests/model/fixtures/smollm2.json").write_text(f'{{"gap": {GAP}, "stride": {STRIDE}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
