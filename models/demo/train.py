"""Train the demo model on one core. It writes a checkpoint now and then and goes on from it when run again.

    OMP_NUM_THREADS=1 python3 train.py --dir build --steps 1300
"""

import argparse
import os
import time

import torch
from torch.nn import functional as F

from corpus import document
from model import CONFIG, Llama
from muon import Muon
from train_tokenizer import Tokenizer

# Documents with and without a story per step. At first only the beginnings of many stories, where every name comes back soon: meant to teach the
# model to say a name again. Whether it does so sooner than from whole stories was not measured on its own.
BEGINNINGS, CLIP, CLIPPED_STEPS = 14, 96, 400
STORIES, SHORT = 4, 14
QUESTIONS_FROM, FEW_STORIES, MANY_SHORT = 960, 1, 30  # from this step on mostly questions and their answers
GROUP = 16  # steps whose documents are sorted together, so that the rows of a matrix are of like length
MATRIX_RATE, VECTOR_RATE = 0.02, 3e-3  # peak learning rates: Muon for the matrices, AdamW for embedding and norms
WARMUP, DECAY = 20, 0.4  # steps; the last part of the schedule, in which the rate falls to nothing


def batches(tokenizer, group):
    """The steps of a group, each a list of (ids, targets, weights)."""
    clipped, late = (group + 1) * GROUP <= CLIPPED_STEPS, group * GROUP >= QUESTIONS_FROM
    stories = (True, BEGINNINGS, CLIP) if clipped else (True, FEW_STORIES if late else STORIES, CONFIG["context"])
    documents = []
    for long, count, size in (stories, (False, MANY_SHORT if late else SHORT, CONFIG["context"])):
        for i in range(GROUP * count):
            ids, weights = tokenizer.encode(*document(1, group * GROUP * count + i, long))
            documents.append((ids[:size], weights[:size]))
    documents.sort(key=lambda d: len(d[0]))
    pieces, start = [], 0
    while start < len(documents):  # about 1,200 tokens a matrix
        end = start + 1
        while end < len(documents) and (end - start + 1) * len(documents[end][0]) <= 1200:
            end += 1
        pieces.append(matrix(documents[start:end]))
        start = end
    order = torch.randperm(GROUP, generator=torch.Generator().manual_seed(group)).tolist()
    return [pieces[i::GROUP] for i in order]


def matrix(rows):
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for row, (i, w) in enumerate(rows):
        ids[row, : len(i)] = torch.tensor(i)
        weights[row, : len(w)] = torch.tensor(w, dtype=torch.float)
    return ids[:, :-1], ids[:, 1:], weights[:, 1:]


def loss_sum(model, ids, targets, weights):
    """Weighted sum of the losses; the head is computed only where a token counts."""
    wanted = weights > 0
    logits = model.hidden(ids)[wanted] @ model.token_embd.weight.T
    return (F.cross_entropy(logits, targets[wanted], reduction="none") * weights[wanted]).sum()


def rate(step, steps):
    """The learning rate as a part of its peak: up, level, down."""
    return min(1, (step + 1) / WARMUP, (steps - step) / (DECAY * steps))


def save(path, **state):
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)


def train(folder, steps, stop, every):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    tokenizer, model, checkpoint = Tokenizer(folder), Llama(), os.path.join(folder, "checkpoint.pt")
    vectors = [p for name, p in model.named_parameters() if p.dim() == 1 or "embd" in name]
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embd" not in name]
    optimizers = [(Muon(matrices), MATRIX_RATE), (torch.optim.AdamW(vectors, betas=(0.9, 0.97), weight_decay=0), VECTOR_RATE)]
    step, queue = 0, []
    if os.path.exists(checkpoint):
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        for (optimizer, _), saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        step = state["step"]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, from step {step} to {steps}", flush=True)
    began, seen, smooth = time.time(), 0, None
    while step < min(steps, stop):
        if not queue or step % GROUP == 0:
            queue = batches(tokenizer, step // GROUP)[step % GROUP:]
        pieces = queue.pop(0)
        counted = sum(p[2].sum() for p in pieces)
        total = 0.0
        for piece in pieces:
            loss = loss_sum(model, *piece) / counted
            loss.backward()
            total += loss.item()
            seen += piece[0].numel()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate(step, steps)
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        smooth = total if smooth is None else 0.95 * smooth + 0.05 * total
        if step % 20 == 0:
            print(f"step {step} loss {total:.4f} smooth {smooth:.4f} {seen / (time.time() - began):.0f} tokens/s", flush=True)
        if step % every == 0 or step in (steps, stop):
            save(checkpoint, model=model.state_dict(), optimizers=[o.state_dict() for o, _ in optimizers], step=step, loss=smooth, config=CONFIG)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default="build")
    parser.add_argument("--steps", type=int, default=1300, help="length of the schedule")
    parser.add_argument("--stop", type=int, default=10**9, help="stop early at this step")
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    options = parser.parse_args()
    train(options.dir, options.steps, options.stop, options.every)
