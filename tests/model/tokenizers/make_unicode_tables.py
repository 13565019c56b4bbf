"""Writes src/model/tokenizers/unicode_tables.hpp: where the tokenizers package is older than Unicode 14.

Its normal forms follow Unicode 9 and its punctuation Unicode 7, whatever else it uses: a character that came later is
left as it is. The tables are what it does otherwise than Python 3.11's unicodedata (Unicode 14), found by asking it.

    python tests/model/tokenizers/make_unicode_tables.py
"""

import pathlib
import unicodedata

from tokenizers import normalizers, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0"

FORMS = {"NFC": normalizers.NFC(), "NFD": normalizers.NFD(), "NFKC": normalizers.NFKC(), "NFKD": normalizers.NFKD()}
PUNCTUATION = pre_tokenizers.Punctuation()
ASCII_SYMBOLS = set("$+<=>^`|~")


def normalizes_otherwise(c):
    # Alone; among marks of the smallest and greatest class; before marks; behind what it might be joined to.
    probes = [c, "a\u0345" + c + "\u0334", c + "\u0301\u0323"]
    decomposed = unicodedata.normalize("NFD", c)
    return any(FORMS[form].normalize_str(s) != unicodedata.normalize(form, s)
               for s in probes + ([decomposed] if decomposed != c else []) for form in FORMS)


def joins_otherwise(c):
    """The last part of a character that is not composed: it must not be joined to what stands before it."""
    decomposed = unicodedata.normalize("NFD", c)
    return decomposed != c and FORMS["NFC"].normalize_str(decomposed) != unicodedata.normalize("NFC", decomposed)


def splits_otherwise(c):
    is_punctuation = unicodedata.category(c)[0] == "P" or c in ASCII_SYMBOLS
    return (len(PUNCTUATION.pre_tokenize_str("a" + c + "a")) == 3) != is_punctuation


def ranges(characters):
    found = []
    for c in sorted(map(ord, characters)):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def table(name, comment, characters):
    rows = "".join(f"    {{0x{low:04X}, 0x{high:04X}}},\n" for low, high in ranges(characters))
    return f"/// {comment}\ninline constexpr code_point_range {name}[] = {{\n{rows}}};\n"


assigned = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
inert = {c for c in assigned if normalizes_otherwise(c)}
inert |= {unicodedata.normalize("NFD", c)[-1] for c in inert if joins_otherwise(c)}
text = f"""#pragma once

// Made by tests/model/tokenizers/make_unicode_tables.py, which says what for. Not to be edited.

namespace kvtransfer::detail {{

struct code_point_range {{
  char32_t first;
  char32_t last;
}};

{table("left_as_they_are", "Characters of Unicode 14 that normal forms neither change nor reorder nor join.", inert)}
{table("other_punctuation", "Characters that are punctuation there and not in Unicode 14, or the other way round.",
       {c for c in assigned if splits_otherwise(c)})}
}}  // namespace kvtransfer::detail
"""
root = pathlib.Path(__file__).resolve().parents[3]
(root / "src/model/tokenizers/unicode_tables.hpp").write_text(text)
