"""A very small text grammar: "[a|b|c]" is a choice (they nest), "{slot}" a value."""

import re

CHOICE = re.compile(r"\[([^\[\]]*)\]")
ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])(?!one|uni|use)")
SENTENCE = re.compile(r"(^|[.!?] \"?|\.\" |\n)([a-z])")  # not after ?" or !": there follows "said she"


def pick(rng, text):
    """Resolve every choice in `text`, innermost first."""
    while "[" in text:
        text = CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), text)
    return text


def polish(text):
    """Put "an" before vowels and a capital at the start of every sentence."""
    text = ARTICLE.sub(lambda match: match.group(1) + "n ", text)
    return SENTENCE.sub(lambda match: match.group(1) + match.group(2).upper(), text)


def render(rng, text, slots):
    """A random sentence of the template `text` with its slots filled in."""
    return polish(pick(rng, text).format(**slots))


def wordings(text):
    """All expansions of `text`, for listing and for counting."""
    match = CHOICE.search(text)
    if not match:
        return [text]
    parts = match.group(1).split("|")
    return [w for part in parts for w in wordings(text[: match.start()] + part + text[match.end():])]
