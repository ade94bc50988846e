"""Compare PyTorch with llama.cpp on an F32 export: ids of the tokenizer, logits, and the best next token.

    python3 export.py --dir build --f32 --out build/f32.gguf
    python3 compare.py --dir build --root .        (root: where npm ci was run)
"""

import argparse
import json
import os
import subprocess
import sys

import torch

from corpus import document
from model import Llama
from train_tokenizer import Tokenizer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--dir", default="build")
parser.add_argument("--root", default=".")
options = parser.parse_args()
torch.set_num_threads(1)

state = torch.load(os.path.join(options.dir, "checkpoint.pt"))
model = Llama(state["config"])
model.load_state_dict(state["model"])
tokenizer = Tokenizer(options.dir)
documents = [document(99, i, i % 3 == 0) for i in range(60)]
texts = [body if kind == "raw" else "".join(f"<|{role}|>{text}</s>" for role, text in body) for kind, body in documents]

script = """
const { open } = await import(process.argv[1]);
const model = open(process.argv[2]);
const texts = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const out = texts.map((text) => { model.start(); const ids = model.tokenize(text).slice(0, 500); return { ids: [...ids], logits: [...model.decode(ids, 0)] }; });
process.stdout.write(JSON.stringify(out));
"""
here = os.path.dirname(os.path.abspath(__file__))
arguments = [os.path.join(here, "llama.mjs"), os.path.abspath(os.path.join(options.dir, "f32.gguf"))]
result = subprocess.run(["node", "-e", "(async () => {" + script + "})()", *arguments], cwd=options.root, input=json.dumps(texts), capture_output=True, text=True, check=True)

same_ids = same_best = 0
worst = 0.0
for (kind, body), theirs in zip(documents, json.loads(result.stdout)):
    ids, _ = tokenizer.encode(kind, body)
    ids = (ids[:-1] if kind == "raw" else ids)[:500]
    same_ids += ids == theirs["ids"]
    with torch.no_grad():
        ours = model(torch.tensor([theirs["ids"]]))[0, -1]
    difference = ours - torch.tensor(theirs["logits"])
    worst = max(worst, difference.abs().max().item())
    same_best += int(ours.argmax() == torch.tensor(theirs["logits"]).argmax())
print(f"{len(documents)} documents: ids equal {same_ids}, best token equal {same_best}, largest logit difference {worst:.6f}")
sys.exit(same_ids != len(documents) or same_best != len(documents))
