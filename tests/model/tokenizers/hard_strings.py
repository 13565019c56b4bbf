"""Texts that tokenizers get wrong: every script, emoji, controls, numbers, spaces, broken UTF-8, look-alikes of tokens.

Deterministic. Texts are bytes, since some are no UTF-8.
"""

import random
import unicodedata

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
NOT_SPACES = "\u180e\u200b\u200c\u200d\u2060\ufeff\u2800\u3164"
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "☃️", "1️⃣", "👨🏿‍🚀", "❤️‍🔥", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫠", "©️", "🅰️", "㊗️"]
NUMBERS = ["1", "12", "123", "1234", "12345678901", "3.14159", "1,000,000", "-7", "0x1F", "1e-9", "٣٤٥", "१२३४", "Ⅷ", "½⅓¾",
           "²³¹", "①②③", "1234567²", "五十", "𝟘𝟙𝟚", "𒐀", "12:34:56", "2024-01-31", "১২৩abc"]
WORDS = ["The capital of France is", "Hello, world!", "I'm you're WE'LL they'Ve it'S don'T I’m", "naïve café Ünïcödé",
         "camelCaseAndSNAKE_CASE", "https://example.org/a?b=c&d=%20#e", "def f(x):\n\treturn x**2  # comment\n",
         "for (int i = 0; i < 10; ++i) {\r\n    sum += i;\r\n}\r\n", "{\"key\": [1, 2.5, null]}", "a/b\\c//d///", "...!!!???",
         "$100 €50 £20 ¥1000 ₿", "Straße STRASSE ﬁne ﬀ ſ İstanbul ıI", "e\u0301 é E\u0301 É \u212b \u00c5 A\u030a",
         "ﷺ ㎏ ﬃ ½ ² ™ Ω K", "각 가\u11a8 \u1100\u1161\u11a8", "\u0344 \u0340\u0341 \u0387 \u2126", "q\u0323\u0307 q\u0307\u0323",
         "ZWJ\u200djoined ZWNJ\u200cbroken", "snake▁metaspace ▁▁ ▁x", "Ġbyte ĊLevel Ã©", "tab\tseparated\tvalues", "x" * 300,
         "ab" * 200, "no_break\xa0space", "Ⓐⓩ 🄰🅩", "'s 't 're 'S 'T 'RE 'ſ", "\u02bcn ŉ"]
LOOK_ALIKES = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>", "<|begin_of_text|>", "<|eot_id|>",
               "[INST] x [/INST]", "<start_of_turn>user", "<0x41>", "<0xE2><0x82><0xAC>", "<|", "|>", "<s", "< s >", "<S>",
               "<|user|>  \n x", "  <mask>  x", "xday today day  day", "<think>a</think>", "<bos><eos>", "<|im_start|",
               "<<s>>", "<|im_start|><|im_start|>", "<|end|>\n\n<|end|>"]
BROKEN = [b"\xff", b"a\x80b", b"\xe2\x82", b"\xe2\x82a", b"\xf0\x9f\x98", b"\xf0\x9f\x98\xf0\x9f\x98\x80", b"\xc0\xaf", b"\xed\xa0\x80",
          b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"caf\xe9 na\xefve", b"\xe0\x80\x80", b"ok \xc3", b"\xc3\x28 x", b"\xfe\xfe\xff\xff"]


def assigned():
    return [chr(c) for c in range(0x110000)
            if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def blocks():
    """Assigned characters by runs of 128 code points, Han and Hangul thinned out."""
    found = {}
    for c in assigned():
        found.setdefault(ord(c) >> 7, []).append(c)
    thinned = lambda key: 0x68 <= key < 0x140 or 0x158 <= key < 0x1b0 or key >= 0x400
    return [found[key] for key in sorted(found) if not thinned(key) or key % 16 == 0]


def hard_strings(count, seed=0):
    """At least one text of each block, then `count` in all."""
    dice = random.Random(seed)
    texts = [w.encode() for w in WORDS + LOOK_ALIKES + NUMBERS + EMOJI] + BROKEN + [b"", b" ", b"  ", b"\n", b"\0"]
    texts += ["".join(chr(c) for c in range(0x00, 0x20)).encode(), "".join(chr(c) for c in range(0x7f, 0xa0)).encode()]
    texts += [("a" + s * n + "b").encode() for s in SPACES + NOT_SPACES for n in (1, 3)]
    texts += [(s * n).encode() for s in " \n\t" for n in (2, 5, 17, 40)]
    for block in blocks():
        words = ["".join(dice.choices(block, k=dice.randint(1, 8))) for _ in range(dice.randint(2, 5))]
        texts.append(dice.choice([" ", "", ", ", "\n"]).join(words).encode())
    everything = assigned()
    while len(texts) < count:
        kind = dice.randrange(6)
        if kind == 0:
            parts = dice.choices(WORDS + LOOK_ALIKES + NUMBERS + EMOJI, k=dice.randint(2, 6))
            text = dice.choice(["", " ", "  ", "\n"]).join(parts).encode()
        elif kind == 1:
            text = "".join(dice.choices(SPACES + NOT_SPACES + "ab1.'", k=dice.randint(1, 30))).encode()
        elif kind == 2:
            text = "".join(dice.choices(everything, k=dice.randint(1, 25))).encode()
        elif kind == 3:
            text = b"".join(dice.choices(BROKEN + [w.encode() for w in NUMBERS + EMOJI], k=dice.randint(1, 5)))
        elif kind == 4:
            text = "".join(dice.choices("aAbBéß'sdtlv .,!?0123456789\n", k=dice.randint(1, 60))).encode()
        else:
            marks = "".join(dice.choices("aeqoAE\u0300\u0301\u0308\u0323\u0327\u0345\u0f71\u0f72\u093c\u3099\u1161\u1100\u11a8", k=20))
            text = marks.encode()
        texts.append(text)
    return texts[:count]
