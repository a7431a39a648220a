"""The language server as an editor meets it: a process that speaks the protocol on its standard streams."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

URI = "file:///program.phonepl"
SOURCE = """import In;
import Out;
class T {
  private NetStream out;
  private int[] count = new int[4];
  T(NetStream a > go, NetStream b) { out = b; }
  Packet marked(Packet p) { return new Packet(x"01", p.subpacket(2)); }
  void go(Packet i) {
    int kind = i.byteAt(0) & 3;
    count[kind]++;
    out.put(marked(i));
  }
  void main() { new T(new In(), new Out()); }
}
"""


class _Editor:
    """A client that waits for what the server publishes."""

    def __init__(self) -> None:
        self.client = LanguageClient("test", "1")
        self._published: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()
        self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(
            lambda told: self._published.put_nowait(told)
        )
        self._version = 1

    async def published(self) -> list[lsp.Diagnostic]:
        return list((await asyncio.wait_for(self._published.get(), 60)).diagnostics)

    def open(self, text: str) -> None:
        item = lsp.TextDocumentItem(URI, "phonepl", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def change(self, text: str) -> None:
        self._version += 1
        document = lsp.VersionedTextDocumentIdentifier(self._version, URI)
        whole = [lsp.TextDocumentContentChangeWholeDocument(text)]
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, whole))

    def _at(self, text: str, within: int = 0) -> lsp.Position:
        index = SOURCE.index(text) + within
        return lsp.Position(SOURCE.count("\n", 0, index), index - (SOURCE.rfind("\n", 0, index) + 1))

    async def hover(self, text: str, within: int = 0) -> str | None:
        params = lsp.HoverParams(lsp.TextDocumentIdentifier(URI), self._at(text, within))
        found = await asyncio.wait_for(self.client.text_document_hover_async(params), 60)
        return found.contents.value if found and isinstance(found.contents, lsp.MarkupContent) else None

    async def definition(self, text: str, within: int = 0) -> lsp.Position | None:
        params = lsp.DefinitionParams(lsp.TextDocumentIdentifier(URI), self._at(text, within))
        found = await asyncio.wait_for(self.client.text_document_definition_async(params), 60)
        return found.range.start if isinstance(found, lsp.Location) else None


async def _stop(client: Any) -> None:
    await client.stop()


@pytest_asyncio.fixture
async def editor() -> AsyncIterator[_Editor]:
    editor = _Editor()
    await editor.client.start_io(sys.executable, "-m", "phonepl.language_server")
    await asyncio.wait_for(
        editor.client.initialize_async(lsp.InitializeParams(capabilities=lsp.ClientCapabilities())), 60
    )
    yield editor
    await asyncio.wait_for(editor.client.shutdown_async(None), 60)
    editor.client.exit(None)
    await _stop(editor.client)


async def test_diagnostics_come_and_go_with_the_text(editor: _Editor) -> None:
    editor.open(SOURCE)
    assert await editor.published() == []
    editor.change(SOURCE.replace("int kind", "String kind"))
    wrong = await editor.published()
    assert [(d.code, d.range.start.line) for d in wrong] == [("WrongType", 8), ("WrongType", 9)]
    assert wrong[0].message.startswith("an int where a String is due\nhint: write String.ofInt(")
    editor.change(SOURCE + "class U { }\n")
    (second,) = await editor.published()
    assert second.related_information is not None
    assert second.related_information[0].location.range.start == lsp.Position(2, 6)
    editor.change(SOURCE)
    assert await editor.published() == []


async def test_hover_tells_types_and_representations(editor: _Editor) -> None:
    editor.open(SOURCE)
    await editor.published()
    assert await editor.hover("kind]") == "int"
    assert await editor.hover("count[") == "int[]"
    assert await editor.hover("out.put") == "NetStream"
    assert await editor.hover("new Packet") == "Packet: gathered, resolved by the compiler"
    assert await editor.hover("p.subpacket", 3) == "Packet: cached or mixed, resolved by the compiler"
    assert await editor.hover("i.byteAt") == "Packet: cached or mixed, resolved by the compiler"
    assert await editor.hover("import In") is None


async def test_names_lead_to_their_declarations(editor: _Editor) -> None:
    editor.open(SOURCE)
    await editor.published()
    assert await editor.definition("marked(i)") == lsp.Position(6, 9)
    assert await editor.definition("kind]") == lsp.Position(8, 8)
    assert await editor.definition("count[kind") == lsp.Position(4, 16)
    assert await editor.definition("go, NetStream") == lsp.Position(7, 7)
    assert await editor.definition("In()") == lsp.Position(0, 7)
    assert await editor.definition("class") is None


def test_the_grammar_for_editors_colours_what_the_language_has() -> None:
    path = Path(__file__).parents[3] / "phonepl" / "editor" / "phonepl.tmLanguage.json"
    grammar = json.loads(path.read_text(encoding="utf-8"))
    patterns = [p for part in grammar["repository"].values() for p in part["patterns"]]
    matches = [re.compile(p.get("match") or p["begin"]) for p in patterns]
    included = {f"#{name}" for name in grammar["repository"]}
    assert {p["include"] for p in grammar["patterns"]} == included
    for text in (
        "import A",
        "class T",
        "NetStream a > go",
        'x"00"',
        '"a"',
        "0x1fL",
        "while",
        "Packet",
        ">>>=",
        "// c",
    ):
        assert any(m.match(text) for m in matches), text
