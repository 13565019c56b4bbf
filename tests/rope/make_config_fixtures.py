"""Writes tests/rope/fixtures/config_answers.json: what transformers makes of each line of the *.jsonl beside it.

An answer is {name, lengths} as rope_of_config gives it, or {name, error} for what transformers cannot read.

Run: python tests/rope/make_config_fixtures.py   (needs torch and transformers 5; takes about half a minute)
"""

import json
import pathlib

import transformers
import transformers_rotary

FOLDER = pathlib.Path(__file__).parent / "fixtures"
# Sizes that are made smaller than the line's, where its own would need gigabytes: nothing in the rotation depends on them.
SMALLER = {"flint": dict(hidden_size=64, num_attention_heads=2, num_key_value_heads=1, architectures=None)}


def answer(request):
    config = request["config"]
    try:
        lengths = transformers_rotary.read(config | SMALLER.get(config.get("model_type"), {}), request["lengths"])
    except Exception as refused:
        return dict(name=request["name"], error=f"{type(refused).__name__}: {refused}".splitlines()[0])
    return dict(name=request["name"], lengths=lengths)


def main():
    answers = {}
    for path in sorted(FOLDER.glob("*.jsonl")):
        if path.name == "unknown_model_types.jsonl":
            continue  # of billions of parameters; what matters is that they aren't taken for another model
        answers[path.name] = [answer(json.loads(line)) for line in path.read_text().splitlines()]
    written_with = dict(transformers=transformers.__version__)
    text = ",\n".join(f"{json.dumps(name)}: [\n" + ",\n".join(map(json.dumps, of)) + "\n]" for name, of in answers.items())
    (FOLDER / "config_answers.json").write_text(f'{{"written_with": {json.dumps(written_with)}, "answers": {{\n{text}\n}}}}\n')


if __name__ == "__main__":
    main()
