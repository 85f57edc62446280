"""Writes host/tokenizer/unicode/unicode_*.h (classes, compositions, decompositions): what the `tokenizers` library says of every code point.

    python unicode.py ../../host/tokenizer/unicode

Its regular expressions know another Unicode than its NFC, and Python a third, so the library itself is asked."""
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def matching(pattern):
    found = set()
    for i in range(0, len(CODE_POINTS), 20000):
        text = "".join(map(chr, CODE_POINTS[i:i + 20000]))
        for piece, _ in pre_tokenizers.Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(text):
            found.update(map(ord, piece))
    return found


def digits():
    """What Digits takes for one: the numbers of a newer Unicode than that of the regular expressions."""
    split = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str
    return {c for c in CODE_POINTS if len(split("a" + chr(c))) > 1}


def word_characters():
    """The \\w of single_word: those before which the added token x is none."""
    tokenizer = Tokenizer(models.BPE(vocab={"z": 0}, merges=[]))
    tokenizer.add_tokens([AddedToken("x", single_word=True, normalized=False)])
    found, others = set(), [c for c in CODE_POINTS if c != ord("x")]
    for i in range(0, len(others), 100):
        part = others[i:i + 100]
        text = "".join(chr(c) + "x " for c in part)
        single = {begin for begin, _ in tokenizer.encode(text).offsets}
        found.update(c for k, c in enumerate(part) if 3 * k + 1 not in single)
    return found | {ord("x")}


def ranges(members):
    out = []
    for c in sorted(members):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def wrapped(items):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > 120:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join(lines + [line])


def array(name, members):
    rows = wrapped(f"{{{a:#X}, {b:#X}}}".replace("0X", "0x") for a, b in ranges(members))
    return f"inline constexpr CodePointRange {name}[] = {{\n{rows}\n}};\n"


def canonical(c):
    """The canonical decomposition as Python's newer Unicode has it, if the library's has it too; else nothing."""
    text = unicodedata.decomposition(chr(c))
    if not text or text.startswith("<") or normalizers.NFD().normalize_str(chr(c)) == chr(c):
        return ()
    return tuple(int(x, 16) for x in text.split())


def combining_class(c):
    """Likewise: the library puts a mark of a higher class behind one of a lower."""
    value, probe = unicodedata.combining(chr(c)), chr(0x334)
    if value == 0 or value == 1:
        return value
    return value if normalizers.NFD().normalize_str(chr(c) + probe) == probe + chr(c) else 0


def main(folder):
    head = "// Made by dev/oracle/unicode.py from the tables of Hugging Face's tokenizers.\n// clang-format off\n#pragma once\n"
    letters, marks, numbers = (matching(p) for p in (r"\p{L}", r"\p{M}", r"\p{N}"))
    with open(folder + "/unicode_classes.h", "w") as file:
        file.write(head + "\nstruct CodePointRange { char32_t first, last; };\n\n")
        file.write("// General categories L, M and N (Unicode 16).\n")
        file.write(array("letters", letters) + array("marks", marks) + array("numbers", numbers))
        file.write("\n// Of the letters: categories Lu and Lt, and Ll.\n")
        file.write(array("capitals", matching(r"[\p{Lu}\p{Lt}]")) + array("small_letters", matching(r"\p{Ll}")))
        file.write("\n// No numbers to the regular expressions, but digits to Digits (Unicode 17).\n")
        file.write(array("further_digits", digits() - numbers))
        file.write("\n// White_Space.\n" + array("spaces", matching(r"\s")))
        file.write("\n// \\w less the letters, marks and numbers, and of those what \\w lacks.\n")
        words = word_characters()
        file.write(array("other_word_characters", words - letters - marks - numbers))
        file.write(array("no_word_characters", (letters | marks | numbers) - words))
    nfc = normalizers.NFC().normalize_str
    rows = [(c, d, nfc(chr(c)) == chr(c)) for c in CODE_POINTS if (d := canonical(c)) and not 0xAC00 <= c < 0xD7A4]
    classes = {}
    for c in CODE_POINTS:
        if value := combining_class(c):
            classes.setdefault(value, []).append(c)
    with open(folder + "/unicode_compositions.h", "w") as file:
        file.write(head + "\n// Canonical decompositions that NFC composes again; Hangul's are computed.\n"
                   "struct Composition { char32_t whole, first, second; };\n")
        items = ("{%#x, %#x, %#x}" % (c, *d) for c, d, back in rows if back)
        file.write(f"inline constexpr Composition compositions[] = {{\n{wrapped(items)}\n}};\n")
    with open(folder + "/unicode_decompositions.h", "w") as file:
        file.write(head + "\n// Canonical decompositions that stay; second is 0 where there is none.\n"
                   "struct Decomposition { char32_t whole, first, second; };\n")
        items = ("{%#x, %#x, %#x}" % (c, d[0], d[1] if len(d) > 1 else 0) for c, d, back in rows if not back)
        file.write(f"inline constexpr Decomposition decompositions[] = {{\n{wrapped(items)}\n}};\n")
        file.write("\n// Canonical combining classes that are not 0.\n"
                   "struct CombiningRange { char32_t first, last; int combining_class; };\n")
        items = sorted((a, b, value) for value, members in classes.items() for a, b in ranges(members))
        file.write("inline constexpr CombiningRange combining_ranges[] = {\n"
                   + wrapped("{%#x, %#x, %d}" % item for item in items) + "\n};\n")


main(sys.argv[1])
