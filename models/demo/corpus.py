"""The training text, made up on the spot: document i of a seed is always the same.

    python3 corpus.py 20            # print 20 documents
    python3 corpus.py --held-out    # the questions that only the check asks, as JSON lines
"""

import json
import random
import sys

from questions import QUESTIONS
from stories import story
from talk import HELLO, UNKNOWN, SYSTEMS, ask, conversation, tale

HELD_OUT_OTHER = [
    (UNKNOWN, "very small demo model", ["What is the capital of Portugal?", "How do I bake an apple pie?", "who was Leonardo da Vinci", "What is 12 + 30?",
                                        "Can you write a sorting function?", "why is the grass green?", "What is a photon?", "Recommend me a good restaurant."]),
    (HELLO, "Ask me for a story", ["Hello!", "hi there", "Good morning, model."]),
]


def document(seed, index, long):
    """Document `index`: ("raw", text) or ("chat", [(role, text), ...]); `long` ones hold a story."""
    rng = random.Random(f"{seed}/{index}/{long}")
    if not long:
        if rng.random() < 0.04:
            question, answer = ask(rng)
            return "raw", question + "\n" + answer
        return "chat", conversation(rng)
    if rng.random() < 0.45:
        return "raw", story(rng)
    chat = [("system", rng.choice(SYSTEMS))] if rng.random() < 0.2 else []
    for _ in range(2 if rng.random() < 0.06 else 1):
        question, answer = tale(rng)
        chat += [("user", question), ("assistant", answer)]
    if rng.random() < 0.08:
        question, answer = ask(rng)
        chat += [("user", question), ("assistant", answer)]
    return "chat", chat


def held_out():
    """(wording, key phrase of the right answer) of every wording that training never shows."""
    pairs = [(w, key) for _, key, _, held in QUESTIONS.values() for w in held]
    return pairs + [(w, key) for _, key, held in HELD_OUT_OTHER for w in held]


if __name__ == "__main__":
    if sys.argv[1:] == ["--held-out"]:
        for wording, key in held_out():
            print(json.dumps({"question": wording, "expect": key}))
    else:
        for i in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
            kind, body = document(1, i, i % 3 == 0)
            print(f"--- {kind}\n" + (body if kind == "raw" else "\n".join(f"<{role}> {text}" for role, text in body)))
