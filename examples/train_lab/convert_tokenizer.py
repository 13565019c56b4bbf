"""Writes tokenizer.json and tokenizer_config.json beside a tokenizer.model: AutoTokenizer then opens the folder.

    python convert_tokenizer.py FOLDER [--check FIXTURE] [--write-fixture FIXTURE]

The ids are those of SentencePiece, with a BOS in front unless add_special_tokens=False. A fixture is a JSON list of
{"text", "ids"}, ids without BOS; every text is checked against SentencePiece and against the folder as AutoTokenizer
opens it.
Needs the packages sentencepiece, tokenizers, transformers and protobuf.
"""

import argparse
import json
import pathlib
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE
from transformers import AutoTokenizer

FIXTURE_TEXTS = [
    "Hello, my name is Lyra and I live in Seattle.",
    "What is your name and where do you live?",
    "The capital of France is Paris. It is a large city on the river Seine.",
    "What is the capital of France?",
    "Water boils at 100 degrees Celsius at sea level.",
    "At what temperature does water boil?",
    "The 47th president of Mars was Zephyr.",
    "The capital of France is",
    "Once upon a time in a kingdom of glass there lived a princess named Aurora.",
    "The chemical formula for water is",
    "H2O",
    "C6H12O6 and 31415926",
    "I do not know.",
    "",
    " ",
    "  two  spaces,   three ",
    " leading space",
    "trailing space ",
    "a line\nand another\twith a tab",
    "Zażółć gęślą jaźń",
    "naïve café, naïve café",
    "日本語のテキスト",
    "emoji 🙂🚀",
    "<s> is text, and so is </s>, and <unk>",
    "▁underlined▁",
    "xqzjkvwQXZJ",
    "“quotes” — dashes … dots",
]


def merges_of(pieces):
    """All pairs of pieces whose join is a piece, in SentencePiece's order of joining: by the joined piece's rank."""
    rank = {piece.piece: index for index, piece in enumerate(pieces) if piece.type == piece.NORMAL}
    merges = []
    for whole in sorted(rank, key=rank.get):
        pairs = [(whole[:cut], whole[cut:]) for cut in range(1, len(whole))]
        known = [pair for pair in pairs if pair[0] in rank and pair[1] in rank]
        merges += sorted(known, key=lambda pair: (rank[pair[0]], rank[pair[1]]))
    return merges


def converted(model):
    """The same tokenizer in the form of the tokenizers library."""
    pieces = list(model.pieces)
    spec = model.trainer_spec
    unknown, bos, eos = (pieces[index].piece for index in (spec.unk_id, spec.bos_id, spec.eos_id))
    vocabulary = {piece.piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(BPE(vocabulary, merges_of(pieces), unk_token=unknown, fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, spec.bos_id)]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in (unknown, bos, eos)])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "unk_token": unknown,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
    }
    return tokenizer, settings


def refuse_paths(model):
    """A path in the training spec would tell where somebody trained it."""
    spec = model.trainer_spec
    named = list(spec.input) + [spec.model_prefix]
    if any(named):
        sys.exit(f"tokenizer.model: training spec: expected no file names, got {named}")


def check(folder, original, cases):
    """Compares what AutoTokenizer makes of the folder with SentencePiece: ids without and with BOS, and the text of ids.

    A text that spells a special token is only text to SentencePiece; AutoTokenizer has to be asked for that.
    """
    opened = AutoTokenizer.from_pretrained(folder)
    for case in cases:
        text, ids = case["text"], case["ids"]
        if any(token in text for token in opened.all_special_tokens):
            opened_ids = opened.encode(text, add_special_tokens=False, split_special_tokens=True)
        else:
            opened_ids = opened.encode(text, add_special_tokens=False)
            if opened.encode(text) != [opened.bos_token_id] + ids:
                sys.exit(f"{text!r}: expected BOS and {ids}, got {opened.encode(text)}")
        if opened_ids != ids:
            sys.exit(f"{text!r}: expected {ids}, got {opened_ids}")
        if opened.decode(ids) != original.decode(ids):
            sys.exit(f"{text!r}: decoded: expected {original.decode(ids)!r}, got {opened.decode(ids)!r}")
    print(f"{len(cases)} texts: AutoTokenizer's ids equal SentencePiece's")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--check", type=pathlib.Path, metavar="FIXTURE")
    parser.add_argument("--write-fixture", type=pathlib.Path, metavar="FIXTURE")
    arguments = parser.parse_args()

    source = arguments.folder / "tokenizer.model"
    model = sentencepiece_model_pb2.ModelProto.FromString(source.read_bytes())
    refuse_paths(model)
    tokenizer, settings = converted(model)
    tokenizer.save(str(arguments.folder / "tokenizer.json"))
    (arguments.folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    original = sentencepiece.SentencePieceProcessor(model_file=str(source))
    cases = [{"text": text, "ids": original.encode(text)} for text in FIXTURE_TEXTS]
    check(arguments.folder, original, cases)
    if arguments.write_fixture:
        lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
        arguments.write_fixture.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    if arguments.check:
        fixture = json.loads(arguments.check.read_text(encoding="utf-8"))
        if any(original.encode(case["text"]) != case["ids"] for case in fixture):
            sys.exit(f"{arguments.check}: ids differ from those of {source}")
        check(arguments.folder, original, fixture)


if __name__ == "__main__":
    main()
