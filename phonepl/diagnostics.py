"""What the compiler says about a program: one located class per diagnostic, with a hint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from phonepl.syntax import Span


class PhoneplError(Exception):
    """Base of every error that Phonepl raises on purpose."""


@dataclass(frozen=True)
class Related:
    """A second place that matters, and why."""

    span: Span
    text: str


class Diagnostic:
    """One located complaint. Subclasses give `text` and `hint` as format strings over the facts."""

    text: ClassVar[str] = ""
    hint: ClassVar[str] = ""

    def __init__(self, span: Span, related: Related | None = None, **facts: object) -> None:
        self.span = span
        self.related = related
        self.message = self.text.format(**facts)
        self.advice = self.hint.format(**facts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.span.line}:{self.span.column}: {self.message})"


class ProgramError(PhoneplError):
    """The program was refused; `diagnostics` says why, in source order, and is never empty."""

    def __init__(self, diagnostics: list[Diagnostic], source: str, file: str) -> None:
        ordered = sorted(diagnostics, key=lambda d: (d.span.line, d.span.column))
        self.diagnostics = tuple(ordered)
        self.source = source
        self.file = file
        super().__init__("\n".join(render(d, source, file) for d in ordered))


def render(diagnostic: Diagnostic, source: str, file: str) -> str:
    """`FILE:LINE:COL: error: …`, the line, a caret, the second place if there is one, and the hint."""
    parts = [_located(diagnostic.span, "error", diagnostic.message, source, file)]
    if diagnostic.related:
        parts.append(_located(diagnostic.related.span, "note", diagnostic.related.text, source, file))
    if diagnostic.advice:
        parts.append(f"  hint: {diagnostic.advice}")
    return "\n".join(parts)


def _located(span: Span, kind: str, message: str, source: str, file: str) -> str:
    lines = source.split("\n")
    line = lines[span.line - 1].rstrip("\r") if span.line <= len(lines) else ""
    end = span.end_column if span.end_line == span.line else len(line) + 1
    # Tabs are kept before the caret, so that it stands below its text whatever the tab width is.
    lead = "".join("\t" if c == "\t" else " " for c in line[: span.column - 1])
    caret = "^" * max(1, min(end, len(line) + 1) - span.column)
    return f"{file}:{span.line}:{span.column}: {kind}: {message}\n    {line}\n    {lead}{caret}"


# ── the text of the file ──


class FileTooLarge(Diagnostic):
    text = "the file has {size} bytes; at most {limit} are read"
    hint = "split the work into several programs and chain them by channels"


class NotUtf8(Diagnostic):
    text = "byte 0x{byte:02x} is not UTF-8 text"
    hint = "save the file as UTF-8; bytes in strings are written \\xHH"


class UnknownCharacter(Diagnostic):
    text = "the character {character!r} has no meaning here"
    hint = "outside comments and strings Phonepl is written in ASCII letters, digits and operators"


class UnterminatedComment(Diagnostic):
    text = "this comment never ends"
    hint = "close it by */"


class UnterminatedString(Diagnostic):
    text = "this string does not end on its line"
    hint = 'close it by "; a line feed in a string is written \\n'


class NoCharacterLiteral(Diagnostic):
    text = "there is no char type"
    hint = "write the number of the character, or a one-byte String in double quotes"


class NoConditionalOperator(Diagnostic):
    text = "there is no conditional operator ?:"
    hint = "write if (condition) … else …"


class NoArrayInitializer(Diagnostic):
    text = "an array has no list of first values"
    hint = "write new int[LENGTH]; elements begin as zero or as the empty String"


class ReservedWord(Diagnostic):
    text = "Phonepl has no `{word}`"
    hint = "{advice}"


class MissingSemicolon(Diagnostic):
    text = "a semicolon is missing before {found}"
    hint = "end the statement by ;"


class UnexpectedToken(Diagnostic):
    text = "{found} is not expected here"
    hint = "expected {expected}"


class TooDeep(Diagnostic):
    text = "{what} are nested more than {limit} deep"
    hint = "move the inner part into a method of its own"


class MalformedNumber(Diagnostic):
    text = "`{number}` is not a number"
    hint = "write decimal digits without leading zero or 0x and hexadecimal digits, with suffix L for a long"


class NumberTooLarge(Diagnostic):
    text = "`{number}` does not fit {type}"
    hint = "{type} holds {range}"


class MalformedString(Diagnostic):
    text = "{reason}"
    hint = 'a string holds ASCII and \\xHH \\n \\r \\t \\0 \\\\ \\"; bytes in bulk are written x"00 1b 21"'


class StringTooLong(Diagnostic):
    text = "this String has {length} bytes; a String holds at most 256"
    hint = "pass several Strings to new Packet(…)"


# ── declarations ──


class NoClass(Diagnostic):
    text = "the program declares no class"
    hint = "write class NAME {{ … void main() {{ new NAME(…); }} }}"


class SeveralClasses(Diagnostic):
    text = "a second class `{name}`"
    hint = "a program is one class; use methods, or several programs joined by channels"


class DuplicateName(Diagnostic):
    text = "`{name}` is declared twice"
    hint = "give one of them another name"


class NoMain(Diagnostic):
    text = "class `{name}` has no main()"
    hint = "write void main() {{ new {name}(new STREAM(), …); }} with imported streams"


class MainSignature(Diagnostic):
    text = "main takes no parameters and returns nothing"
    hint = "write void main() {{ … }}"


class MainStatement(Diagnostic):
    text = "main() only makes the one instance of `{name}`"
    hint = "write new {name}(new STREAM(), …); streams may be named before by NetStream s = new STREAM();"


class MainInstances(Diagnostic):
    text = "main() makes {count} instances of `{name}`; it must make exactly one"
    hint = "write new {name}(…); once"


class SeveralConstructors(Diagnostic):
    text = "a second constructor"
    hint = "a class has one constructor; the instance is made once"


class ConstructorName(Diagnostic):
    text = "the constructor of class `{name}` is named `{found}`"
    hint = "call it {name}; if it should be a method, write its result type before the name"


class ConstructorParameter(Diagnostic):
    text = "a constructor takes streams only, not {type}"
    hint = "write a static final constant, or send the value in a packet"


class ConstructorStatement(Diagnostic):
    text = "a constructor only stores its streams"
    hint = "write field = parameter; arrays and constants get their values where they are declared"


class RouteOutsideConstructor(Diagnostic):
    text = "`> {handler}` stands in a method"
    hint = "packets are sent to methods by the constructor's parameters: NetStream port > {handler}"


class RouteOfOther(Diagnostic):
    text = "only the packets of a NetStream can be sent to a method, not {type}"
    hint = "write NetStream {name} > {handler}"


class UnknownHandler(Diagnostic):
    text = "there is no method `{name}` for these packets"
    hint = "write void {name}(Packet i) {{ … }}"


class HandlerSignature(Diagnostic):
    text = "`{name}` cannot take packets of a stream"
    hint = "such a method takes one Packet and returns nothing: void {name}(Packet i)"


class StreamHandledTwice(Diagnostic):
    text = "the packets of `{name}` already go to a method"
    hint = "send them to one method, and call the other from there"


class UnknownType(Diagnostic):
    text = "there is no type `{name}`"
    hint = "{advice}"


class ArrayOf(Diagnostic):
    text = "there are no arrays of {type}"
    hint = "arrays are int[], long[] or String[]{advice}"


class ArrayLocal(Diagnostic):
    text = "an array is made by a field only"
    hint = "move it to the class: private {type} {name} = new {element}[LENGTH]; it is shared by all cores"


class ArrayFieldValue(Diagnostic):
    text = "the array `{name}` needs a length"
    hint = "write {type} {name} = new {element}[LENGTH];"


class ArrayLength(Diagnostic):
    text = "the length of an array is a constant from 1 to {limit}, not {found}"
    hint = "write a number or a static final constant"


class MutableField(Diagnostic):
    text = "the field `{name}` of type {type} could change, and cores share nothing but arrays"
    hint = "{advice}"


class PacketField(Diagnostic):
    text = "a field cannot hold a Packet"
    hint = "store what you need of it: private String[] {name} = new String[1]; (at most 64 bytes an element)"


class ConstantWithoutValue(Diagnostic):
    text = "the constant `{name}` has no value"
    hint = "write static final {type} {name} = VALUE;"


class NotConstant(Diagnostic):
    text = "the value of `{name}` is not known when the program is compiled"
    hint = "a constant is made of literals, operators and other constants"


class StreamFieldValue(Diagnostic):
    text = "the stream `{name}` gets its value in the constructor"
    hint = "write {name} = PARAMETER; there; only main() makes streams"


class StreamFieldUnset(Diagnostic):
    text = "the constructor does not set the stream `{name}`"
    hint = "write {name} = PARAMETER; in the constructor"


class StreamFieldTwice(Diagnostic):
    text = "the stream `{name}` is set twice"
    hint = "use two fields"


class UnknownStream(Diagnostic):
    text = "the stream `{name}` is not imported"
    hint = "write import {name}; before the class"


# ── names and calls ──


class UnknownName(Diagnostic):
    text = "`{name}` is not declared"
    hint = "{advice}"


class UnknownMethod(Diagnostic):
    text = "{type} has no method `{name}`"
    hint = "{advice}"


class UnknownMember(Diagnostic):
    text = "{type} has no field `{name}`"
    hint = "{advice}"


class ArgumentCount(Diagnostic):
    text = "`{name}` takes {expected}, here are {found}"
    hint = "write {signature}"


class CallOfMain(Diagnostic):
    text = "main() cannot be called"
    hint = "it runs once, when the program starts"


class Recursion(Diagnostic):
    text = "`{name}` calls itself{through}"
    hint = "write a loop with a known limit"


class NotAnObject(Diagnostic):
    text = "`this` stands only before a dot"
    hint = "write this.NAME"


class NewOutsideMain(Diagnostic):
    text = "`new {name}(…)` stands outside main()"
    hint = "a method makes packets only: new Packet(…)"


class NotAClass(Diagnostic):
    text = "there is nothing called `{name}` to make"
    hint = "a method makes packets: new Packet(…); main() makes new {class_name}(…) and imported streams"


# ── types ──


class WrongType(Diagnostic):
    text = "{found} where {expected} is due"
    hint = "{advice}"


class Narrowing(Diagnostic):
    text = "a long does not fit an int"
    hint = "write (int) before it to keep its low 32 bits, or declare a long"


class PacketWhereString(Diagnostic):
    text = "a Packet where a String is due"
    hint = "write {packet}.substring(BEGIN, END) to take its bytes"


class StringWherePacket(Diagnostic):
    text = "a String where a Packet is due"
    hint = "write new Packet({string})"


class StringEquality(Diagnostic):
    text = "`{operator}` does not compare the bytes of Strings"
    hint = "write {advice}"


class PacketEquality(Diagnostic):
    text = "`{operator}` does not compare Packets"
    hint = "compare bytes of theirs: {left}.substring(0, 14).equals({right}.substring(0, 14))"


class StringAddition(Diagnostic):
    text = "`+` does not join Strings"
    hint = "write {left}.concat({right})"


class PacketAddition(Diagnostic):
    text = "`+` does not join packets"
    hint = "{advice}"


class PacketsJoined(Diagnostic):
    text = "a Packet may stand only as the last argument of new Packet(…)"
    hint = "two packets cannot be joined; take the bytes of the first by {packet}.substring(BEGIN, END)"


class BadOperand(Diagnostic):
    text = "`{operator}` is not defined for {types}"
    hint = "{advice}"


class BadCast(Diagnostic):
    text = "{found} cannot be cast to {type}"
    hint = "{advice}"


class NoValue(Diagnostic):
    text = "`{name}` returns nothing"
    hint = "call it as a statement of its own, or give it a result type"


class NotAssignable(Diagnostic):
    text = "this cannot be assigned to"
    hint = "assign to a local variable or to an element of an array"


class AssignmentToConstant(Diagnostic):
    text = "`{name}` cannot change"
    hint = "{advice}"


# ── flow ──


class NotAStatement(Diagnostic):
    text = "this expression does nothing as a statement"
    hint = "assign its value, or call a method"


class NotInitialized(Diagnostic):
    text = "`{name}` may have no value here"
    hint = "give it a value where it is declared"


class MissingReturn(Diagnostic):
    text = "`{name}` can end without returning its {type}"
    hint = "end every path by return VALUE;"


class ReturnValue(Diagnostic):
    text = "`{name}` returns nothing"
    hint = "write return; or give the method a result type"


class ReturnWithoutValue(Diagnostic):
    text = "`{name}` must return a value of type {type}"
    hint = "write return VALUE;"


class Unreachable(Diagnostic):
    text = "this is never reached"
    hint = "remove it, or the return before it"


class UnboundedLoop(Diagnostic):
    text = "this loop is not proved to end within {limit} turns: {reason}"
    hint = (
        "count an int up by constants towards a limit that is a constant or of known range, such as "
        "byteAt(i) or x & 0xff: for (int j = 0; j < LIMIT; j++)"
    )


class ProgramTooLarge(Diagnostic):
    text = "the program grows beyond {limit} operations when its method calls are expanded"
    hint = "call large methods from fewer places"
