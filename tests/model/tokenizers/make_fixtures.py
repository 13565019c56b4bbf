"""Writes the fixtures of the tokenizers' tests; the oracle is the tokenizers package.

    python tests/model/tokenizers/make_fixtures.py

Small vocabularies of each shape that models have are trained on the spot, so that none of anybody's is committed:
fixtures/NAME/tokenizer.json with its ids in expected.json, and normalizers, pre-tokenizers and decoders by themselves in
fixtures/parts.json. Ids of SentencePiece folders come from transformers.
"""

import json
import pathlib
import random
import shutil

import sentencepiece
import tokenizers
from hard_strings import WORDS, hard_strings
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

assert tokenizers.__version__.startswith(("0.22.", "0.23.")), tokenizers.__version__

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE / "fixtures"
TEXTS = hard_strings(2000)[:150] + hard_strings(2000)[150::16]

SYMBOLS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + SYMBOLS
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + SYMBOLS
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA_CPP_FALLBACK = [r"[\p{P}\$\+<=>\^~\|]+", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)", r"\p{N}+",
                      r"[0-9][0-9][0-9]"]  # one after the other; llama-vocab.cpp
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def corpus():
    """Enough repetition for merges, and a little of many scripts."""
    dice = random.Random(5)
    words = " ".join(WORDS).split()
    lines = [" ".join(dice.choices(words, k=12)) for _ in range(150)]
    lines += [f"My name is Lyra {n} and I live in Seattle, {n} miles from here.\n" for n in range(60)]
    return lines + [text.decode("utf-8", "replace") for text in hard_strings(900)[200:]]


def byte_level(split, normalizer=None, **model):
    made = Tokenizer(models.BPE(**model))
    if normalizer:
        made.normalizer = normalizer
    made.pre_tokenizer = split
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    made.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=700, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return made


def by_expression(expression):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def byte_fallback(normalizer, split, decoder):
    """Trained like SentencePiece's: a special vocabulary in front, bytes, then what was learnt."""
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizer
    # Words must not grow across spaces while training; encoding splits as the model does.
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    made.decoder = decoder
    made.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=900, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + BYTES, limit_alphabet=150))
    content = json.loads(made.to_str())
    content["added_tokens"] = [a for a in content["added_tokens"] if a["id"] < 3]  # bytes are ordinary tokens
    made = Tokenizer.from_str(json.dumps(content))
    if split is None:
        content = json.loads(made.to_str())
        content["pre_tokenizer"] = None
        made = Tokenizer.from_str(json.dumps(content))
    else:
        made.pre_tokenizer = split
    return made


def with_bos(made, bos):
    template = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B",
                                             special_tokens=[(bos, made.token_to_id(bos))])
    before = json.loads(made.to_str())["post_processor"]
    made.post_processor = processors.Sequence([made.post_processor, template]) if before else template


def special(made, *texts, **flags):
    made.add_special_tokens([AddedToken(text, normalized=False, special=True, **flags) for text in texts])


def spaces_back(strip):
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strip else []))


def llama3_like():
    made = byte_level(by_expression(LLAMA3), ignore_merges=True)
    special(made, "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    with_bos(made, "<|begin_of_text|>")
    return made


def qwen_like():
    made = byte_level(by_expression(QWEN2), normalizers.NFC())
    special(made, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    made.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>", "<tool_call>")])
    return made


def tekken_like():
    made = byte_level(by_expression(TEKKEN), ignore_merges=True)
    special(made, "<unk>", "<s>", "</s>", "[INST]", "[/INST]")
    with_bos(made, "<s>")
    return made


def smollm_like():
    split = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made = byte_level(split)
    special(made, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    return made


def llama2_like():
    made = byte_fallback(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
                         spaces_back(strip=True))
    with_bos(made, "<s>")
    return made


def metaspace_like():
    made = byte_fallback(None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), spaces_back(strip=True))
    with_bos(made, "<s>")
    return made


def gemma_like():
    made = byte_fallback(normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
                         spaces_back(strip=False))
    special(made, "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
    made.add_tokens([AddedToken("\n" * n, normalized=False) for n in (2, 3, 4)])
    with_bos(made, "<bos>")
    return made


def phi3_like():
    made = llama2_like()
    special(made, "<|user|>", "<|assistant|>", "<|end|>", rstrip=True)
    made.add_tokens([AddedToken(text, normalized=False, rstrip=True) for text in ("Hello, world!", " abab", "capital of")])
    return made


def flags_like():
    """Every flag of added tokens, no decoder, unknown characters one by one."""
    made = Tokenizer(models.BPE(unk_token="[UNK]"))
    made.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase(), normalizers.Strip()])
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(),
                                                  pre_tokenizers.Digits()])
    made.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=500, show_progress=False, limit_alphabet=90,
                                                           special_tokens=["[UNK]", "[CLS]", "[SEP]"]))
    special(made, "<mask>", lstrip=True)
    special(made, "<s>", rstrip=True, lstrip=True)
    made.add_tokens([AddedToken("day", single_word=True, normalized=False), AddedToken("Today", normalized=True),
                     AddedToken("<|", normalized=False), AddedToken("<|im", normalized=False), AddedToken("été", normalized=True),
                     AddedToken("</s>", normalized=True, single_word=True, rstrip=True)])
    made.post_processor = processors.BertProcessing(("[SEP]", made.token_to_id("[SEP]")), ("[CLS]", made.token_to_id("[CLS]")))
    return made


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


def expected_of(made, texts, ids_of_all):
    """Ids of the plain texts, of the texts as markup where those differ, a whole one, and texts of ids.

    Null for a text that merges to a special token in spite of encode_special_tokens: ours never does.
    """
    strings = [text.decode("utf-8", "replace") for text in texts]
    made.encode_special_tokens = True
    plain = [made.encode(s, add_special_tokens=False).ids for s in strings]
    content = json.loads(made.to_str())
    special_ids = {a["id"] for a in content["added_tokens"] if a["special"] and a["content"] != content["model"]["unk_token"]}
    plain = [None if special_ids & set(ids) else ids for ids in plain]
    whole = made.encode(strings[0]).ids
    made.encode_special_tokens = False
    markup = [made.encode(s, add_special_tokens=False).ids for s in strings]
    dice = random.Random(3)
    lists = [dice.choices(ids_of_all, k=dice.randint(1, 12)) for _ in range(80)]
    lists += [dice.choices(ids_of_all[:260], k=dice.randint(1, 8)) for _ in range(80)]
    return {
        "plain": plain,
        "markup": [[i, ids] for i, ids in enumerate(markup) if ids != plain[i]],
        "whole_first": whole,
        "decoded_plain": [None if ids is None else made.decode(ids) for ids in plain],
        "decoded": [[ids, made.decode(ids)] for ids in lists],
    }


def part_of(kind, part):
    made = Tokenizer(models.BPE())
    setattr(made, kind, part)
    return json.loads(made.to_str())[kind]


def write_parts():
    strings = [t.decode("utf-8", "replace") for t in hard_strings(2000)[:170] + hard_strings(2000)[170::40]] + ["aXbXXc", "XX", "X1X"]
    splits = []
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            for pattern in ("X", "", " ", Regex(r"\d"), Regex(r"[a-z]*"), Regex(r"\s+|$")):
                splits.append(pre_tokenizers.Split(pattern, behavior, invert))
    expressions = [GPT2, LLAMA3, QWEN2, TEKKEN, r"\w+", r"[\w]+|\W", r"\p{Han}+|\p{^Han}", r"\p{Greek}|\p{Cyrillic}+", r"\p{N}{1,3}+",
                   r"a{,2}b|x{3}?", r"\S+(?=\s)|[^\S]", r"(?<=a)b+?|(?<!x)y", r"[:x]|\u00e9+|\x{1F600}|\x41", r"(?i)he[la]|[K]+",
                   r"^.|.$", r"\A.|\n\Z|.\z", r"[^\s\d]++|{|}", "é|ü"]
    others = [pre_tokenizers.Split(Regex(e), "isolated", False) for e in expressions] + [
        pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        pre_tokenizers.Digits(True), pre_tokenizers.Digits(False), pre_tokenizers.Metaspace(),
        pre_tokenizers.Metaspace("_", "first", False), pre_tokenizers.Metaspace(prepend_scheme="never"),
        pre_tokenizers.Punctuation(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Whitespace(),
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.BertPreTokenizer(), pre_tokenizers.CharDelimiterSplit("a"),
        pre_tokenizers.FixedLength(3),
        pre_tokenizers.Sequence([pre_tokenizers.Split("x", "removed"), pre_tokenizers.Metaspace("_", "first")])]
    fallback = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(e), "isolated") for e in LLAMA_CPP_FALLBACK]
                                       + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    write(FIXTURES / "parts.json", {
        "texts": strings,
        "gguf_default": [[word for word, _ in fallback.pre_tokenize_str(s)] for s in strings],
        "pre_tokenizers": [
            {"json": part_of("pre_tokenizer", part), "few": few,
             "words": [[word for word, _ in part.pre_tokenize_str(s)] for s in (few_of(strings) if few else strings)]}
            for part, few in [(part, True) for part in splits] + [(part, False) for part in others]
        ],
        "normalizers": [
            {"json": part_of("normalizer", part), "texts": [part.normalize_str(s) for s in strings]}
            for part in (normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(),
                         normalizers.Strip(), normalizers.Strip(left=False), normalizers.Prepend("▁"), normalizers.Replace(" ", "▁"),
                         normalizers.Replace("", "."), normalizers.Replace(Regex(r"\s+"), " "), normalizers.ByteLevel(),
                         normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase(), normalizers.Prepend(">")]))
        ],
        "decoders": [
            {"json": part_of("decoder", part), "cases": [[tokens, part.decode(tokens)] for tokens in token_lists()]}
            for part in (decoders.ByteLevel(), decoders.Metaspace(), decoders.Metaspace("_", "never"), decoders.Fuse(), decoders.ByteFallback(),
                         decoders.Replace("▁", " "), decoders.Replace(Regex("a+"), "-"), decoders.Strip("a", 1, 0), decoders.Strip("▁", 2, 0),
                         spaces_back(True), spaces_back(False),
                         decoders.Sequence([decoders.Fuse(), decoders.Strip("a", 2, 0), decoders.Replace("b", "aa")]),
                         decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]),
                         decoders.Sequence([decoders.Fuse(), decoders.Metaspace()]))
        ],
    })


def few_of(strings):
    return strings[:90:2] + strings[-3:]


def token_lists():
    dice = random.Random(11)
    tokens = ["a", "aa", "b", "▁", "▁a", "a▁b", "▁▁", "Ġa", "Ã", "©", "Ã©", "é", "<0x41>", "<0xE2>", "<0x82>", "<0xAC>", "<0xg1>", " ", "_",
              "<0xe2>", "😀", "ĠðŁĺ", "Ģ"]
    return [[]] + [dice.choices(tokens, k=dice.randint(1, 7)) for _ in range(60)]


def write_sentencepiece():
    """Folders with a tokenizer.model: settings and added tokens as transformers reads them."""
    from transformers import AutoTokenizer
    source = HERE.parent / "fixtures" / "tokenizer" / "tokenizer.model"
    base = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True,
            "add_eos_token": False, "clean_up_tokenization_spaces": False}
    flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": False}
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(source))
    size = pieces.get_piece_size()
    type_of = lambda i: (2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1)
    write(FIXTURES / "sentencepiece_pieces.json", [[pieces.id_to_piece(i), pieces.get_score(i), type_of(i)] for i in range(size)])
    added = {str(size): {**flags, "content": "Seattle"}, str(size + 1): {**flags, "content": "<|im_start|>", "special": True},
             str(size + 2): {**flags, "content": "<|end|>", "special": True, "rstrip": True}}
    folders = {
        "sentencepiece_plain": base,
        "sentencepiece_no_bos": {**base, "add_bos_token": False},
        "sentencepiece_eos": {**base, "add_eos_token": True},
        "sentencepiece_no_prefix": {**base, "add_prefix_space": False},
        "sentencepiece_added": {**base, "added_tokens_decoder": added},
        "sentencepiece_legacy": {**base, "legacy": True, "added_tokens_decoder": added},
    }
    for name, settings in folders.items():
        folder = FIXTURES / name
        write(folder / "tokenizer_config.json", settings)
        shutil.copy(source, folder / "tokenizer.model")
        made = AutoTokenizer.from_pretrained(folder)._tokenizer
        expected = expected_of(made, TEXTS, list(range(3, made.get_vocab_size())))
        # Bytes that are no UTF-8 become one U+FFFD each, and what is whole among them stays: SentencePiece's own rule.
        expected["decoded"] = [case for case in expected["decoded"] if "\ufffd" not in case[1]]
        # The same applies to a space that the text begins with: SentencePiece puts another in front.
        keep = [settings.get("add_prefix_space") is False or not text.startswith((b" ", "▁".encode())) for text in TEXTS]
        for key in ("plain", "decoded_plain"):
            expected[key] = [value if kept else None for value, kept in zip(expected[key], keep)]
        expected["markup"] = [case for case in expected["markup"] if keep[case[0]]]
        write(folder / "expected.json", expected)
        (folder / "tokenizer.model").unlink()  # the tests copy it: one is enough


def main():
    for old in FIXTURES.glob("*"):
        if old.is_dir():
            shutil.rmtree(old)
        elif old.name != "real.safetensors":  # real_vocabularies.py's
            old.unlink()
    write(FIXTURES / "texts.json", [text.hex() for text in TEXTS])
    for make in (llama3_like, qwen_like, tekken_like, smollm_like, llama2_like, metaspace_like, gemma_like, phi3_like, flags_like):
        made = make()
        content = json.loads(made.to_str())
        if make is smollm_like:  # the older spelling
            content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
            made = Tokenizer.from_str(json.dumps(content))
        write(FIXTURES / make.__name__ / "tokenizer.json", content)
        write(FIXTURES / make.__name__ / "expected.json", expected_of(made, TEXTS, list(range(made.get_vocab_size() + 2))))
    write_parts()
    write_sentencepiece()


if __name__ == "__main__":
    main()
