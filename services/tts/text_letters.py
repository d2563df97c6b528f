"""Words that are no words: acronyms, letters with digits, file names, signs of mathematics. Pure."""

from __future__ import annotations

import re

from services.tts.text_numbers import listed
from services.tts.text_trace import MADE
from services.tts.text_words import Rule, Words, rule

_VOWELS = set("AEIOUYÀÂÉÈÊËÎÏÔÖÙÛÜ")
_SHOUTED = frozenset(listed(
        "NOT AND YES NO ALL YOU NOW THE MUST NEVER ONLY ALWAYS STOP DO BUT FOR THIS THAT ANY ONE TWO NEW "
        "OUT OFF ON IN "
    "IS IT WE ME MY GO SO TOO WHY HOW WILL VERY BIG HOT BAD FUN TOP END BUY SALE FREE NOTE ARE CAN MAY HE "
    "SHE HER "
    "NON OUI PAS NE TOUT TOUS JE TU IL ELLE ON LE LA LES UN UNE ET OU OÙ SI QUE QUI CE CES SA SON TRÈS "
    "PLUS RIEN "
    "MAIS DES DU AU AUX TROP FIN BON VITE ICI LOI SUR PAR"
    ))  # fmt: skip
_TOKEN_PARTS = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+")
_EXTENSIONS = (
    "py|js|ts|tsx|jsx|json|ya?ml|toml|md|txt|csv|tsv|pdf|docx?|xlsx?|pptx?|png|jpe?g|gif|svg|mp[34]|wav|flac|ogg|"
    "zip|tar|gz|html?|css|sh|exe|cpp|rs|go|java|rb|php|sql|ini|cfg|conf|env|log|xml|onnx|so|dll|lock"
)


def acronym(words: Words, capitals: str) -> str | None:
    """Returns how a run of capitals is said; None: as the word that it is.

    Spelled are up to three letters, and those that cannot be read for want of a vowel.
    """
    if capitals in words.acronyms or capitals in _SHOUTED:
        return None
    is_readable = bool(_VOWELS & set(capitals))
    if len(capitals) > 3 and is_readable and not _is_clustered(capitals):
        return None
    return words.spelled(capitals)


def spellings(words: Words) -> list[Rule]:
    """Returns the rules of letters between which there are signs; they come before those of the signs."""

    def dotted(match: re.Match[str]) -> str:
        is_end = match[0].endswith(".") and match.end() == len(match.string.rstrip())
        return words.spelled(match[0].replace(".", "")) + "." * is_end

    sharp = "sharp" if words.language == "en" else "dièse"
    return [
        rule(r"\b[A-Z](?:-[A-Z]){2,}\b", lambda m: words.slowly(m[0].replace("-", "")), "-"),
        rule(r"\b[A-Z](?:\.[A-Z])+\b\.?", dotted, "."),
        rule(r"\b([A-Z]{1,3})&([A-Z]{1,3})\b",
             lambda m: f"{words.spelled(m[1])} {words.signs['&']} {words.spelled(m[2])}", "&"),
        rule(r"\bC\+\+", "C plus plus", "+"),
        rule(r"\b0x[0-9A-Fa-f]+\b", lambda m: " ".join(words.slowly(m[0]).split(", ")), "x"),
        rule(r"\b([CF])#(?!\w)", lambda m: f"{m[1]} {sharp}", "#"),
    ]  # fmt: skip


def letters(words: Words) -> list[Rule]:
    """Returns the rules of acronyms and of what mixes letters and digits."""

    def capitals(match: re.Match[str]) -> str | None:
        if _is_shouted(match):
            return None
        said = acronym(words, match[1])
        if said is None or not match[2]:
            return said
        return f"{said}'s" if words.language == "en" else said

    return [
        rule(r"(?<![\w.])(?=\w*[^\W\d_]\d|\w*\d[^\W\d_])[^\W_]+(?:\.\d+)*(?:-\d+(?:\.\d+)?[A-Za-z]?)?(?!\w)",
             lambda m: _mixed(words, m[0]), "0"),
        rule(rf"(?<=[^\W\d_])-(?=[\d{MADE}])", " ", "-"),
        rule(r"\b([A-Z]{2,6})(s)?(?!\w)", capitals),
    ]  # fmt: skip


def files(words: Words) -> list[Rule]:
    """Returns the rules of file names and of paths."""
    slash, dot = words.signs["/"], words.signs["."]

    def path(match: re.Match[str]) -> str:
        parts = [part for part in match[0].strip("/").split("/") if part]
        if len(parts) > 4:
            parts = [parts[0], parts[-1]]
        lead = f"{slash} " if match[0].startswith("/") else ""
        return lead + f" {slash} ".join(name(words, part) for part in parts)

    return [
        rule(r"(?<![\w.:/])(?:~|\.{1,2})?/(?:[\w.@-]{1,64}/){1,20}[\w.@-]{0,64}(?<=[\w/])", path, "/"),
        rule(rf"(?<![\w./-])(?:[\w-]{{1,64}}/){{0,20}}[\w-][\w.-]{{0,64}}\.(?:{_EXTENSIONS})\b(?![/.]\w)",
             path, "."),
        rule(rf"(?<!\S)\.((?!\d)[a-z][\w-]*|{_EXTENSIONS})\b", lambda m: f"{dot} {name(words, m[1])}", "."),
    ]  # fmt: skip


def signs(words: Words) -> list[Rule]:
    """Returns the rules of mathematics and of signs between words; they come before plain numbers."""
    is_english = words.language == "en"
    named = dict(zip(_SIGNS, _ENGLISH_SIGNS if is_english else _FRENCH_SIGNS, strict=True))
    less, more = named["<"], named[">"]
    return [
        rule(r"(?<!\S)<3(?=\s*(?:$|[.!?]))", "", "<"),
        rule(r"(?<!\S)(--?)(?=[a-z])", lambda m: f"{words.signs['-']} " * len(m[1]), "-"),
        *_arithmetic(words, named),
        rule(r"\s?(==|!=|<=|>=|=>|->|<-|\+=)\s?", lambda m: f" {_PAIRS_OF_SIGNS[words.language][m[1]]} ",
             "=-"),
        rule(r"\s?([÷≠≤≥≈±√∞∑∆])\s?", lambda m: f" {named[m[1]]} ", "÷≠≤≥≈±√∞∑∆"),
        rule(r"\s?(?<![<>=!])=(?!=)\s?", f" {named['=']} ", "="),
        rule(r"(?<=[\w)])\s<\s(?=[\w(])|<\s?(?=\d)", f" {less} ", "<"),
        rule(r"(?<=[\w)])\s>\s(?=[\w(])|(?<!\S)>\s?(?=\d)", f" {more} ", ">"),
        rule(r"~\s?(?=\d)", f"{named['~']} ", "~"),
        rule(r"#(?=\d)", f"{named['#']} ", "#"),
        rule(r"№\s?|[Nn]°\s(?=\w)", f"{named['#']} ", "№°"),
        rule(r"(?<=\d)\s/\s(?=\d)", f" {named['÷']} ", "/"),
        rule(r"\s?&\s?", f" {words.signs['&']} ", "&"),
        rule(r"\s?%", " percent" if is_english else " pour cent", "%"),
        rule(r"(?<=[^\W\d_])/(?=[^\W\d_])", " ", "/"),
        rule(r"§+\s?", "section " if is_english else "paragraphe ", "§"),
    ]  # fmt: skip


def _arithmetic(words: Words, named: dict[str, str]) -> list[Rule]:
    is_english = words.language == "en"
    power = "to the power of" if is_english else "puissance"
    squares = {"²": "squared", "³": "cubed"} if is_english else {"²": "au carré", "³": "au cube"}
    times_ten = f"{named['×']} {words.numerals.count(10)} {power}"
    minus = f"{named['−']} "
    plus = (
        rf"(?<=[\w){MADE}])\s?\+\s?(?=[\d({MADE}])|(?<={MADE})\s\+\s(?=\w)|(?<=\d)\s\+\s(?=\w)"
        r"|(?<=\b\w)\s\+\s(?=\w\b)"
    )
    return [
        rule(
            r"(?<=\d)[eE]([-+]?)(\d{1,3})\b",
            lambda m: f" {times_ten} {minus * (m[1] == '-')}{words.numerals.whole(m[2])}",
            "eE",
        ),
        rule(r"[²³]", lambda m: f" {squares[m[0]]}", "²³"),
        rule(r"(?<=[\w)])\^\{?([-−]?)(\d+|[a-z])\}?",
             lambda m: f" {power} {minus * bool(m[1])}"
                       f"{words.numerals.whole(m[2]) if m[2].isdecimal() else m[2]}", "^"),
        rule(r"(?<=[\d½])\s?[x×*]\s?(?=\d)|\s?×\s?", f" {named['×']} ", "x×*"),
        rule(r"(?<=\d)\s?\*\*\s?(?=\d)", f" {power} ", "*"),
        rule(r"(?<=\d)\s[-−]\s(?=\d[\d.,]*\s?=)|(?<=\d)\s?−\s?(?=\d)", f" {named['−']} ", "-−"),
        rule(plus, " plus ", "+"),
        rule(r"(?<=\d)\+(?!\w)", " plus", "+"),
    ]  # fmt: skip


_SIGNS = "×−÷≠≤≥≈±√∞∑∆=<>~#"
_ENGLISH_SIGNS = (
    "times", "minus", "divided by", "is not equal to", "is at most", "is at least", "about", "plus or minus",
    "the square root of", "infinity", "the sum of", "delta", "equals", "less than", "greater than", "about",
    "number",
)  # fmt: skip
_FRENCH_SIGNS = (
    "fois", "moins", "divisé par", "différent de", "inférieur ou égal à", "supérieur ou égal à", "environ",
    "plus ou moins", "racine carrée de", "l'infini", "la somme de", "delta", "égale", "inférieur à",
    "supérieur à",
    "environ", "numéro",
)  # fmt: skip
_PAIRS_OF_SIGNS = {
    "en": {"==": "equals", "!=": "is not equal to", "<=": "is at most", ">=": "is at least", "=>": ",",
           "->": ",", "<-": ",", "+=": "plus equals"},
    "fr": {"==": "égale", "!=": "différent de", "<=": "inférieur ou égal à", ">=": "supérieur ou égal à",
           "=>": ",", "->": ",", "<-": ",", "+=": "plus égale"},
}  # fmt: skip


def name(words: Words, written: str) -> str:
    """Returns how a file, a host or a person on a network is called: ``ada_l42`` → ``ada L forty-two``."""
    said: list[str] = []
    for match in re.finditer(r"[A-ZÀ-Þ]?[a-zß-ÿ]+|[A-ZÀ-Þ]+(?![a-zß-ÿ])|\d+|[^\W\d_]+|[.-]", written):
        part = match[0]
        if part == ".":
            said.append(words.signs["."])
        elif part == "-":
            said.append(words.signs["-"])
        elif part.isdecimal():
            said.append(words.numerals.whole(part))
        elif part.isascii() and (len(part) == 1 or (part.isupper() and len(part) <= 3) or part in _SPELLED):
            said.append(words.spelled(part))
        else:
            said.append(part)
    return " ".join(said)


_SPELLED = frozenset(
    listed("js ts md txt pdf csv tsv png jpg svg mp css html htm xml sql cfg dll tsx jsx rb rs http ssh")
)


def _is_clustered(capitals: str) -> bool:
    """Whether it begins or ends with consonants as no word does, or has four of them in a row."""
    run = longest = 0
    for char in capitals:
        run = 0 if char in _VOWELS else run + 1
        longest = max(longest, run)
    head, tail = capitals[:2], capitals[-2:]
    is_head_odd = not _VOWELS & set(head) and head not in _HEADS
    return longest > 3 or is_head_odd or (not _VOWELS & set(tail) and tail not in _TAILS)


_HEADS = frozenset(
    listed("BL BR CH CL CR DR FL FR GL GN GR KN PH PL PR PS QU SC SH SK SL SM SN SP SQ ST SW TH TR TW WH WR")
)
_TAILS = frozenset(listed(
        "CH CK CT FF FT GH GS HT KS LD LF LK LL LM LP LS LT MB MP MS NC ND NG NK NS NT PS PT RB RC RD RF "
        "RG RK RL RM RN RP "
    "RS RT SH SK SM SP SS ST TH TS TT TZ WD WL WN WS XT ZZ"
    ))  # fmt: skip


def _is_shouted(match: re.Match[str]) -> bool:
    """Whether the words beside it are in capitals too."""
    near = match.string[max(0, match.start() - 12) : match.start()] + " " + match.string[match.end() :][:12]
    return bool(re.search(r"(?:^|\s)[A-ZÀ-Þ']{4,}(?=[\s!.,?]|$)", near)) and not near.isspace() and (
        sum(char.islower() for char in near) == 0
    )  # fmt: skip


def _mixed(words: Words, token: str) -> str:
    """``MP3`` → ``M P three``."""
    said: list[str] = []
    for part in _TOKEN_PARTS.findall(token):
        if part[0].isdecimal():
            said.append(_digits(words, part))
        elif part.isupper():
            said.append(acronym(words, part) or part)
        elif len(part) == 1 or (len(part) <= 3 and not _VOWELS & set(part.upper())):
            said.append(words.spelled(part))
        else:
            said.append(part)
    return " ".join(said)


def _digits(words: Words, digits: str) -> str:
    if "." in digits:
        return f" {words.signs['.'] if words.language == 'fr' else 'point'} ".join(
            words.numerals.whole(part) for part in digits.split(".")
        )
    if len(digits) > 4:
        return words.numerals.digits(digits)
    if len(digits) == 4 and words.language == "en" and digits[2:] != "00":
        return f"{words.numerals.whole(digits[:2])} {words.numerals.whole(digits[2:])}"
    return words.numerals.whole(digits)
