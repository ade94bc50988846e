"""The Llama architecture as llama.cpp computes it: RMSNorm, RoPE over neighbouring pairs, GQA, SwiGLU, tied head."""

import math

import torch
from torch import nn
from torch.nn import functional as F

CONFIG = dict(vocab=2048, width=192, layers=8, heads=6, kv_heads=2, ff=512, context=512, rope_base=10000.0, eps=1e-5)


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):  # (..., width)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, turn):
    """RoPE: dimensions 2i and 2i+1 of a head are one complex number. x: (batch, heads, time, head)"""
    return torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * turn).flatten(-2)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.head = c["heads"], c["kv_heads"], c["width"] // c["heads"]
        kv = self.kv_heads * self.head
        self.attn_norm, self.ffn_norm = RMSNorm(c["width"], c["eps"]), RMSNorm(c["width"], c["eps"])
        self.attn_q, self.attn_output = nn.Linear(c["width"], c["width"], False), nn.Linear(c["width"], c["width"], False)
        self.attn_k, self.attn_v = nn.Linear(c["width"], kv, False), nn.Linear(c["width"], kv, False)
        self.ffn_gate, self.ffn_up = nn.Linear(c["width"], c["ff"], False), nn.Linear(c["width"], c["ff"], False)
        self.ffn_down = nn.Linear(c["ff"], c["width"], False)

    def forward(self, x, turn, mask):
        batch, time, width = x.shape
        h = self.attn_norm(x)
        q, k, v = (f(h).view(batch, time, -1, self.head).transpose(1, 2) for f in (self.attn_q, self.attn_k, self.attn_v))
        q, k = rotate(q, turn) / math.sqrt(self.head), rotate(k, turn)
        group = self.heads // self.kv_heads  # query heads that share a key head; their rows are stacked in time
        q = q.reshape(batch, self.kv_heads, group * time, self.head)
        weights = (q @ k.transpose(-1, -2)).view(batch, self.kv_heads, group, time, time) + mask
        mixed = weights.softmax(-1).view(batch, self.kv_heads, group * time, time) @ v
        x = x + self.attn_output(mixed.view(batch, self.heads, time, self.head).transpose(1, 2).reshape(batch, time, width))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Llama(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.config = c = config
        self.token_embd = nn.Embedding(c["vocab"], c["width"])
        self.blk = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.output_norm = RMSNorm(c["width"], c["eps"])
        nn.init.constant_(self.output_norm.weight, 10 / math.sqrt(c["width"]))  # the tied head then gives logits of about 1
        for name, p in self.named_parameters():
            if p.dim() == 2:  # the branches that add to the stream start smaller
                small = math.sqrt(2 * c["layers"]) if name.endswith(("attn_output.weight", "ffn_down.weight")) else 1
                nn.init.normal_(p, std=(0.1 if "embd" in name else p.shape[1] ** -0.5 * 0.7) / small)

    def hidden(self, ids):
        """Normed output of the last layer for ids (batch, time)."""
        c, time = self.config, ids.shape[1]
        head = c["width"] // c["heads"]
        angle = torch.arange(time)[:, None] * c["rope_base"] ** (-torch.arange(0, head, 2) / head)
        turn = torch.polar(torch.ones_like(angle), angle)
        mask = torch.full((time, time), -1e9).triu(1)
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, turn, mask)
        return self.output_norm(x)

    def forward(self, ids):
        return self.hidden(ids) @ self.token_embd.weight.T  # (batch, time, vocab)
