"""OpenAI's package for Python, as its users use it: requests come as lines of JSON, and so do their results."""
import json
import sys
from typing import Literal

from openai import BadRequestError, OpenAI
from pydantic import BaseModel, ConfigDict, Field

client = OpenAI(base_url=sys.argv[1], api_key="-", max_retries=0)
completions = client.chat.completions


class Forecast(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: Literal["Bern", "Rome"]
    days: int = Field(ge=1, le=9)


def plain(asked):
    return completions.create(**asked).choices[0].message.content


def stream(asked, leaves):
    pieces = []
    with completions.create(**asked, stream=True) as chunks:
        for chunk in chunks:
            piece = chunk.choices[0].delta.content if chunk.choices else None
            if piece:
                pieces.append(piece)
                if leaves:
                    break
    return pieces


def tool(asked, called, result):
    function = {"name": called, "parameters": Forecast.model_json_schema()}
    tools = [{"type": "function", "function": function}]
    asked = {**asked, "tools": tools, "parallel_tool_calls": False}
    message = completions.create(**asked, tool_choice="required").choices[0].message
    call = message.tool_calls[0]
    told = {"role": "tool", "tool_call_id": call.id, "content": result}
    asked["messages"] = [*asked["messages"], message, told]
    answered = completions.create(**asked, tool_choice="none")
    return {
        "given": json.loads(call.function.arguments),
        "answer": answered.choices[0].message.content,
    }


def structured(asked):
    reply = completions.parse(**asked, response_format=Forecast)
    return reply.choices[0].message.parsed.model_dump()


CASES = {case.__name__: case for case in (plain, stream, tool, structured)}

for line in sys.stdin:
    case, arguments = json.loads(line)
    try:
        print(json.dumps({"result": CASES[case](*arguments)}), flush=True)
    except BadRequestError as error:
        refused = {"code": error.code, "message": error.message}
        print(json.dumps({"refused": refused}), flush=True)
