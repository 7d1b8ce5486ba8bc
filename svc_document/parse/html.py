"""HTML: what a reader sees of a page, without navigation, scripts and styles."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from svc_document.parse.document import Source
from svc_document.parse.docx import CELL_SEPARATOR
from svc_document.parse.manuscript import Manuscript
from svc_document.parse.plain import decoded

_UNSEEN = {"script", "style", "nav", "template", "noscript", "svg", "iframe", "object", "button", "select"}
_BLOCKS = (
    {"address", "article", "aside", "blockquote", "body", "details", "div", "fieldset", "figcaption", "figure"}
    | {"footer", "form", "header", "hr", "main", "p", "pre", "section", "summary"}
    | {"dd", "dl", "dt", "li", "ol", "ul", "caption", "table", "tbody", "tfoot", "thead"}
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = {"td", "th"}
_WHITE = re.compile(r"\s+")


def read(source: Source, manuscript: Manuscript) -> int:
    """Fills in the page; returns 0, for HTML has no pages."""
    read_markup(decoded(source), manuscript)
    return 0


def read_markup(markup: str, manuscript: Manuscript) -> None:
    """Fills in what a browser would show of the markup."""
    body = LexborHTMLParser(markup).body
    if body is None:
        return
    page = _Page(manuscript)
    for node, entering in _walk(body):
        if entering:
            page.enter(node)
        else:
            page.leave(node)


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Each visible node on the way down, and again on the way up. No recursion: trees can be a million deep."""
    node, entering = root, True
    while True:
        yield node, entering
        child = node.first_child if entering and node.tag not in _UNSEEN else None
        if child is not None:
            node = child
        elif entering:
            entering = False
        elif node.mem_id == root.mem_id:
            return
        elif (sibling := node.next) is not None:
            node, entering = sibling, True
        else:
            node = _above(node)


def _above(node: LexborNode) -> LexborNode:
    if node.parent is None:
        raise ValueError("the walk left the tree")
    return node.parent


class _Page:
    """Gathers the text between the edges of blocks."""

    def __init__(self, manuscript: Manuscript) -> None:
        self._manuscript = manuscript
        self._inline: list[str] = []
        self._rows = 0  # table rows around the present node
        self._preformatted = 0

    def enter(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            self._inline.append(text if self._preformatted else _WHITE.sub(" ", text))
        elif tag == "br":
            self._inline.append("\n")
        elif tag == "tr":
            self._end_paragraph()
            self._rows += 1
        elif tag in _CELLS and any(map(str.strip, self._inline)):
            self._inline.append(CELL_SEPARATOR)
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._edge()
            self._preformatted += tag == "pre"

    def leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "tr":
            self._manuscript.line(self._take())
            self._rows -= 1
        elif tag in _HEADINGS and not self._rows:
            self._manuscript.heading(_HEADINGS[tag], self._take())
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._edge()
            self._preformatted -= tag == "pre"

    def _edge(self) -> None:
        if self._rows:
            self._inline.append(" ")
        else:
            self._end_paragraph()

    def _end_paragraph(self) -> None:
        if self._preformatted:
            self._manuscript.paragraph(self._take())
            return
        lines = (" ".join(line.split()) for line in self._take().split("\n"))
        self._manuscript.paragraph("\n".join(lines))

    def _take(self) -> str:
        text = "".join(self._inline)
        self._inline.clear()
        return text
