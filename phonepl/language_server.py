"""The language server: diagnostics, hover with types and representations, go to definition.

`python -m phonepl.language_server` speaks the Language Server Protocol on its standard streams. Everything it
knows comes from the compiler's own front end.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer

from phonepl import syntax as s
from phonepl.compiler import Compiled, compile_source
from phonepl.diagnostics import Diagnostic, ProgramError
from phonepl.representation import Kinds, Representation, Use, representations
from phonepl.types import Type


@dataclass(frozen=True)
class Analysis:
    """What the compiler says about one version of a text."""

    compiled: Compiled | None
    diagnostics: tuple[Diagnostic, ...]


def analyse(source: str, file: str) -> Analysis:
    """Compile a text for an editor."""
    try:
        return Analysis(compile_source(source, file), ())
    except ProgramError as wrong:
        return Analysis(None, wrong.diagnostics)


def hover(compiled: Compiled, line: int, column: int) -> str | None:
    """The type of the expression at a position (counted from 1), and how it is held if it is a Packet."""
    path = _path(compiled.checked.program, line, column)
    for node in reversed(path):
        kind = compiled.checked.types.get(node) if isinstance(node, s.Expression) else None
        if kind is None:
            continue
        told = kind.value
        if kind is Type.PACKET and (held := _held(compiled, node, path)):
            told += f": {held}"
        return told
    return None


def definition(compiled: Compiled, line: int, column: int) -> s.Span | None:
    """Where the name at a position is declared."""
    for node in reversed(_path(compiled.checked.program, line, column)):
        if node in compiled.checked.definitions:
            return compiled.checked.definitions[node]
    return None


def _path(node: s.Node, line: int, column: int) -> list[s.Node]:
    """The nodes around a position, from the outermost to the innermost."""
    path = [node]
    while True:
        inside = [child for child in path[-1].children() if child.span.covers(line, column)]
        if not inside:
            return path
        path.append(inside[0])


def _held(compiled: Compiled, node: s.Node, path: list[s.Node]) -> str:
    """The representations of a packet expression: what it results in, or as what its user meets it."""
    uses = [
        use for handler in compiled.program.handlers for use in representations(handler, compiled.optimized)
    ]
    results = [use for use in uses if use.span == node.span and use.result]
    if results:
        return _told(frozenset().union(*(use.result for use in results)), results)
    around = {outer.span for outer in path}
    met = [use for use in uses if use.span in around and use.span != node.span]
    if not met:
        return ""
    nearest = max(met, key=lambda use: (use.span.line, use.span.column))
    same = [use for use in met if use.span == nearest.span]
    return _told(frozenset().union(*(use.kinds for use in same)), same)


def _told(kinds: Kinds, uses: list[Use]) -> str:
    names = " or ".join(kind.value for kind in Representation if kind in kinds)
    checked = any(use.checked for use in uses)
    return f"{names}, {'tag checked at run time' if checked else 'resolved by the compiler'}"


# ── the protocol ──


def make_server() -> LanguageServer:
    """A server that has not started yet."""
    server = LanguageServer("phonepl", "1")
    texts: dict[str, Compiled] = {}  # the last version of each text that was right

    def publish(uri: str) -> None:
        document = server.workspace.get_text_document(uri)
        analysis = analyse(document.source, document.filename or uri)
        if analysis.compiled is not None:
            texts[uri] = analysis.compiled
        told = [_diagnostic(found, uri) for found in analysis.diagnostics]
        server.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri=uri, version=document.version, diagnostics=told)
        )

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        publish(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        publish(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        texts.pop(params.text_document.uri, None)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hovered(params: lsp.HoverParams) -> lsp.Hover | None:
        compiled = texts.get(params.text_document.uri)
        at = params.position
        told = hover(compiled, at.line + 1, at.character + 1) if compiled else None
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.PlainText, told)) if told else None

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def defined(params: lsp.DefinitionParams) -> lsp.Location | None:
        uri, at = params.text_document.uri, params.position
        compiled = texts.get(uri)
        span = definition(compiled, at.line + 1, at.character + 1) if compiled else None
        return lsp.Location(uri, _range(span)) if span else None

    return server


def _range(span: s.Span) -> lsp.Range:
    return lsp.Range(
        lsp.Position(span.line - 1, span.column - 1), lsp.Position(span.end_line - 1, span.end_column - 1)
    )


def _diagnostic(found: Diagnostic, uri: str) -> lsp.Diagnostic:
    related = None
    if found.related:
        place = lsp.Location(uri, _range(found.related.span))
        related = [lsp.DiagnosticRelatedInformation(place, found.related.text)]
    message = f"{found.message}\nhint: {found.advice}" if found.advice else found.message
    return lsp.Diagnostic(
        range=_range(found.span),
        message=message,
        severity=lsp.DiagnosticSeverity.Error,
        source="phonepl",
        code=type(found).__name__,
        related_information=related,
    )


if __name__ == "__main__":
    make_server().start_io()
