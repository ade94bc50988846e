"""Train the tokenizer: SentencePiece BPE with byte fallback on a sample of the corpus.

    python3 train_tokenizer.py --dir build
"""

import argparse
import os

import sentencepiece

from corpus import document
from worlds import HER_NAMES, HIS_NAMES

VOCAB_SIZE = 2048
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]  # ids 3, 4, 5 after <unk> <s> </s>
BOS, EOS = 1, 2
NAME_WEIGHT = 3  # who is who is the hard part of a story


def sample(documents=15000, seed=7):
    """Lines of text; nothing that the check holds out."""
    for i in range(documents):
        kind, body = document(seed, i, i % 3 == 0)
        for text in [body] if kind == "raw" else [text for _, text in body]:
            yield from (line for line in text.split("\n") if line)


def train(folder):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sample(), model_prefix=os.path.join(folder, "tokenizer"), model_type="bpe", vocab_size=VOCAB_SIZE,
        byte_fallback=True, split_digits=True, character_coverage=0.9999, num_threads=1, control_symbols=ROLES,
        # llama.cpp neither normalizes nor, with add_space_prefix = false, puts a space before a text
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False, minloglevel=1)


class Tokenizer:
    """Text to ids and documents to ids with loss weights."""

    def __init__(self, folder):
        self.sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))
        names = {self.sp.piece_to_id(space + name) for name in HER_NAMES + HIS_NAMES for space in ("▁", "")}
        self.names = names - {self.sp.unk_id()}
        self.roles = {name[2:-2]: self.sp.piece_to_id(name) for name in ROLES}

    def encode(self, kind, body):
        """(ids, weights): raw text counts as a whole, in a chat only what the assistant says."""
        ids, weights = [BOS], [0]
        for role, text in [("raw", body)] if kind == "raw" else body:
            piece = self.sp.encode(text) + [EOS]
            if role != "raw":
                ids.append(self.roles[role])
                weights.append(0)
            ids += piece
            said = role in ("raw", "assistant")
            weights += [said and (NAME_WEIGHT if i in self.names else 1) for i in piece]
        return ids, weights


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default="build")
    folder = parser.parse_args().dir
    os.makedirs(folder, exist_ok=True)
    train(folder)
