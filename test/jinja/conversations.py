"""
Writes rendered.jsonl: what Jinja2 makes of whole chat templates with each conversation here.

    python3 conversations.py                  # templates/*.jinja
    python3 conversations.py FOLDER OUTPUT    # other templates, such as a folder of models' own

Each line is {"template", "conversation", "want"}, or "error" with the name of Python's exception. The conversations are written to
conversations.jsonl, which is what the test gives the templates.
"""

import glob
import json
import os
import sys

from judge import environment

HERE = os.path.dirname(os.path.abspath(__file__))

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, as of <now>.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city, such as \"Zürich\""},
                "days": {"type": "integer", "default": 1, "minimum": 1},
                "unit": {"type": "string", "enum": ["C", "F"]},
            },
            "required": ["city"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}


def call(name, arguments, id="abcdef123"):
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


def text(*parts):
    return [{"type": "text", "text": part} for part in parts]


SYSTEM = {"role": "system", "content": "You are helpful. Antworte kurz."}
USER = {"role": "user", "content": "  What's the weather in Zürich? 😀\n"}
AGAIN = {"role": "user", "content": "And <b>tomorrow</b>?"}
CALLED = {"role": "assistant", "content": "", "tool_calls": [call("get_weather", {"city": "Zürich", "days": 2})]}
CALLED_TEXT = {"role": "assistant", "content": None, "tool_calls": [call("get_weather", '{"city": "Zürich"}')]}
TWICE = {
    "role": "assistant",
    "content": "Let me see.",
    "tool_calls": [call("get_weather", {"city": "Bern"}, "call00001"), call("clock", {}, "call00002")],
}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": '{"temperature": 21.5}'}
SECOND = {"role": "tool", "name": "clock", "tool_call_id": "call00002", "content": "12:00"}
ANSWER = {"role": "assistant", "content": "It is 21.5 degrees."}
THOUGHT = {"role": "assistant", "content": "<think>\nThe user greets.\n</think>\n\n    Hello!\n"}
REASONED = {"role": "assistant", "reasoning_content": "They greet.", "thinking": "They greet.", "content": "Hello!"}

CONVERSATIONS = {
    "one": {"messages": [USER]},
    "system": {"messages": [SYSTEM, USER]},
    "turns": {"messages": [USER, ANSWER, AGAIN]},
    "system and turns": {"messages": [SYSTEM, USER, ANSWER, AGAIN]},
    "ended": {"messages": [SYSTEM, USER, ANSWER], "add_generation_prompt": False},
    "think": {"messages": [USER, THOUGHT, AGAIN]},
    "reasoned": {"messages": [SYSTEM, USER, REASONED, AGAIN]},
    "no thinking": {"messages": [SYSTEM, USER], "enable_thinking": False},
    "thinking": {"messages": [USER], "enable_thinking": True, "thinking": True, "reasoning_effort": "high"},
    "tools": {"messages": [USER], "tools": [WEATHER, CLOCK]},
    "system and tools": {"messages": [SYSTEM, USER], "tools": [WEATHER]},
    "called": {"messages": [USER, CALLED, RESULT], "tools": [WEATHER]},
    "called, system": {"messages": [SYSTEM, USER, CALLED, RESULT, ANSWER, AGAIN], "tools": [WEATHER, CLOCK]},
    "arguments as text": {"messages": [USER, CALLED_TEXT, RESULT], "tools": [WEATHER]},
    "two calls": {"messages": [USER, TWICE, RESULT, SECOND], "tools": [WEATHER, CLOCK]},
    "typed": {"messages": [{"role": "user", "content": text("Hello", "there")}]},
    "typed, system": {"messages": [{"role": "system", "content": text("Be brief.")}, {"role": "user", "content": text("Hello")}]},
    "image": {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]},
    "documents": {"messages": [USER], "documents": [{"doc_id": 1, "title": "A", "text": "alpha"}, {"title": "B", "text": "beta", "contents": "beta"}]},
    "no system first": {"messages": [USER, SYSTEM, AGAIN]},
    "two users": {"messages": [USER, AGAIN]},
    "assistant first": {"messages": [ANSWER, USER]},
    "developer": {"messages": [{"role": "developer", "content": "Be brief."}, USER]},
    "empty": {"messages": []},
}


def main(folder, output):
    env = environment()
    with open(os.path.join(HERE, "conversations.jsonl"), "w", encoding="utf-8") as out:
        for name, given in CONVERSATIONS.items():
            out.write(json.dumps({"name": name, "given": given}, ensure_ascii=False) + "\n")
    with open(output, "w", encoding="utf-8") as out:
        for path in sorted(glob.glob(os.path.join(folder, "*.jinja"))):
            with open(path, encoding="utf-8", newline="") as file:
                source = file.read()
            for name, given in CONVERSATIONS.items():
                variables = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, **json.loads(json.dumps(given))}
                try:
                    answer = {"want": env.from_string(source).render(**variables)}
                except Exception as error:
                    answer = {"error": type(error).__name__}
                line = {"template": os.path.basename(path), "conversation": name, **answer}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


main(*(sys.argv[1:] or [os.path.join(HERE, "templates"), os.path.join(HERE, "rendered.jsonl")]))
