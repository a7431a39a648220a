"""``dipronn.v1.Program`` ↔ JSON, by protobuf's own mapping."""

from __future__ import annotations

from google.protobuf import json_format

from controller.program.check import check
from controller.program.defaults import fill_in
from controller.program.diagnostics import Diagnostic, Severity
from controller.program.parse import too_large
from controller.program.parsed import Parsed
from dipronn.v1 import session_pb2 as pb


def to_json(program: pb.Program) -> str:
    """With every field that has a value of its own when nothing is said."""
    return json_format.MessageToJson(program, ensure_ascii=False, always_print_fields_with_no_presence=True)


def check_json(text: str) -> Parsed:
    """Read and check one session in JSON.  Never raises for a fault of the text: the diagnostics say it."""
    parsed = Parsed(pb.Program())
    if refusal := too_large(text):
        parsed.diagnostics.append(refusal)
        return parsed
    try:
        json_format.Parse(text, parsed.program)
    except (json_format.ParseError, RecursionError) as error:
        hint = "the message is dipronn.v1.Program; `dipronn program json` prints one"
        parsed.diagnostics.append(Diagnostic(Severity.ERROR, f"no session in JSON: {error}", hint=hint))
        return parsed
    fill_in(parsed.program)
    parsed.diagnostics += check(parsed.program)
    return parsed
