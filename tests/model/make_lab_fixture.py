"""Makes tests/model/fixtures/lab_llama.safetensors: what transformers computes on the lab model.

    .venv/bin/python tests/model/make_lab_fixture.py

For each test N of examples/phase2a/suites/phase2a.json, in fp32 on the CPU, eager attention:
  N.source, N.target   int64 ids without BOS
  N.baseline.logits    fp32 [vocab] after BOS + target, N.baseline.greedy the ids that greedy decoding adds, EOS left out
  N.oracle.logits      the same after BOS + source + target, N.oracle.greedy
"""

import json
import pathlib

import safetensors.torch
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples/models/lab-llama"
NEW_TOKENS = 40


def continued(model, ids):
    """Logits after `ids`, and the greedy continuation without EOS."""
    inputs = torch.tensor([ids])
    with torch.no_grad():
        logits = model(inputs).logits[0, -1]
        text = model.generate(inputs, max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0)[0, len(ids):]
    return logits.clone(), text[text != model.config.eos_token_id]


def main():
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    suite = json.loads((ROOT / "examples/phase2a/suites/phase2a.json").read_text())
    tensors = {}
    for number, test in enumerate(suite["tests"]):
        source = tokenizer(test["source"], add_special_tokens=False)["input_ids"]
        target = tokenizer(test["target"], add_special_tokens=False)["input_ids"]
        bos = [model.config.bos_token_id]
        tensors[f"{number}.source"] = torch.tensor(source)
        tensors[f"{number}.target"] = torch.tensor(target)
        for name, ids in (("baseline", bos + target), ("oracle", bos + source + target)):
            tensors[f"{number}.{name}.logits"], tensors[f"{number}.{name}.greedy"] = continued(model, ids)
    safetensors.torch.save_file(tensors, ROOT / "tests/model/fixtures/lab_llama.safetensors")


if __name__ == "__main__":
    main()
