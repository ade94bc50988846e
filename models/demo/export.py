"""Write a checkpoint as GGUF v3, as llama.cpp reads it: weights Q8_0, norms F32.

    python3 export.py --dir build --out shoal-demo.gguf [--f32]
"""

import argparse
import os
import struct

import numpy
import torch

from train_tokenizer import BOS, EOS, ROLES, Tokenizer

ALIGNMENT = 32
F32, Q8_0 = 0, 8  # ggml tensor types
U32, FLOAT, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5  # GGUF value types
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # llama.cpp token types

# The turns as they were trained: no BOS here, llama.cpp adds it (add_bos_token); no spaces or newlines between the tokens.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' + (message['content'] | trim) + '</s>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    if kind == STRING:
        return string(v)
    return struct.pack({U32: "<I", FLOAT: "<f", BOOL: "<?", INT32: "<i"}[kind], v)


def entry(key, kind, v, of=None):
    """One key-value pair; `of` is the element type of an array."""
    head = string(key) + struct.pack("<I", kind)
    if kind == ARRAY:
        return head + struct.pack("<IQ", of, len(v)) + b"".join(value(of, x) for x in v)
    return head + value(kind, v)


def metadata(c, tokenizer):
    sp = tokenizer.sp
    ids = range(sp.get_piece_size())

    def kind(i):
        return UNKNOWN if sp.is_unknown(i) else CONTROL if sp.is_control(i) else BYTE if sp.is_byte(i) else NORMAL

    assert [sp.id_to_piece(i) for i in (3, 4, 5)] == ROLES
    return [
        entry("general.architecture", STRING, "llama"),
        entry("general.name", STRING, "Shoal demo"),
        entry("general.license", STRING, "MIT"),
        entry("general.alignment", U32, ALIGNMENT),
        entry("llama.vocab_size", U32, c["vocab"]),
        entry("llama.context_length", U32, c["context"]),
        entry("llama.embedding_length", U32, c["width"]),
        entry("llama.block_count", U32, c["layers"]),
        entry("llama.feed_forward_length", U32, c["ff"]),
        entry("llama.attention.head_count", U32, c["heads"]),
        entry("llama.attention.head_count_kv", U32, c["kv_heads"]),
        entry("llama.attention.layer_norm_rms_epsilon", FLOAT, c["eps"]),
        entry("llama.rope.dimension_count", U32, c["width"] // c["heads"]),
        entry("llama.rope.freq_base", FLOAT, c["rope_base"]),
        entry("tokenizer.ggml.model", STRING, "llama"),
        entry("tokenizer.ggml.pre", STRING, "default"),
        entry("tokenizer.ggml.tokens", ARRAY, [sp.id_to_piece(i) for i in ids], STRING),
        entry("tokenizer.ggml.scores", ARRAY, [sp.get_score(i) for i in ids], FLOAT),
        entry("tokenizer.ggml.token_type", ARRAY, [kind(i) for i in ids], INT32),
        entry("tokenizer.ggml.bos_token_id", U32, BOS),
        entry("tokenizer.ggml.eos_token_id", U32, EOS),
        entry("tokenizer.ggml.unknown_token_id", U32, 0),
        entry("tokenizer.ggml.add_bos_token", BOOL, True),
        entry("tokenizer.ggml.add_eos_token", BOOL, False),
        entry("tokenizer.ggml.add_space_prefix", BOOL, False),
        entry("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
    ]


def q8_0(weights):
    """Blocks of 32: an f16 scale and 32 signed bytes, rounded as ggml does it."""
    blocks = weights.astype(numpy.float32).reshape(-1, 32)
    scale = numpy.abs(blocks).max(1, keepdims=True) / numpy.float32(127)
    inverse = numpy.divide(1, scale, out=numpy.zeros_like(scale), where=scale > 0)
    steps = blocks * inverse
    rounded = numpy.trunc(steps + numpy.copysign(numpy.float32(0.5), steps)).astype(numpy.int8)
    return numpy.concatenate([scale.astype("<f2").view(numpy.int8).reshape(-1, 2), rounded], axis=1).tobytes()


def export(folder, out, f32=False):
    state = torch.load(os.path.join(folder, "checkpoint.pt"), map_location="cpu")
    config = state["config"]
    infos, data = [], b""
    for name, tensor in state["model"].items():
        array = tensor.numpy().astype("<f4")
        plain = f32 or array.ndim == 1
        shape = array.shape[::-1]  # ggml names the fastest dimension first
        infos.append(string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
                     + struct.pack("<IQ", F32 if plain else Q8_0, len(data)))
        data += array.tobytes() if plain else q8_0(array)
        data += bytes(-len(data) % ALIGNMENT)
    pairs = metadata(config, Tokenizer(folder))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(pairs)) + b"".join(pairs) + b"".join(infos)
    head += bytes(-len(head) % ALIGNMENT)
    with open(out + ".tmp", "wb") as file:
        file.write(head + data)
    os.replace(out + ".tmp", out)
    print(f"{out}: step {state['step']}, loss {state['loss']:.4f}, {len(head) + len(data):,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default="build")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "shoal-demo.gguf"))
    parser.add_argument("--f32", action="store_true", help="no quantization, to compare with PyTorch")
    options = parser.parse_args()
    export(options.dir, options.out, options.f32)
