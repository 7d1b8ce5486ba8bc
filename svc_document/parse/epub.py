"""EPUB: the chapters in their order of reading, each a page."""

import zipfile
from collections.abc import Iterator
from posixpath import dirname, join, normpath
from urllib.parse import unquote

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] compiled, without stubs

from svc_document.parse.archive import check_archive, opening
from svc_document.parse.document import ParseError, Source, encrypted
from svc_document.parse.html import read_markup
from svc_document.parse.manuscript import Manuscript

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
FONT_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read(source: Source, manuscript: Manuscript) -> int:
    """Fills in the chapters; returns how many there are."""
    check_archive(source, doctype_allowed=True)
    with opening(source, "EPUB"), zipfile.ZipFile(source.path) as archive:
        if _is_protected(archive):
            raise encrypted(source)
        chapters = list(_chapters(archive))
        if not chapters:
            raise ParseError("no_pages", f"{source.name} has no chapters: upload an EPUB that has")
        for number, chapter in enumerate(chapters, start=1):
            manuscript.page(number)
            read_markup(archive.read(chapter).decode("utf-8", errors="replace"), manuscript)
        return len(chapters)


def _chapters(archive: zipfile.ZipFile) -> Iterator[str]:
    """Names of the members that the book's spine lists."""
    package_name = _xml(archive, CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)")
    package = _xml(archive, str(package_name))
    files = {item.get("id"): item.get("href") for item in package.iterfind(".//{*}manifest/{*}item")}
    for reference in package.iterfind(".//{*}spine/{*}itemref"):
        if href := files.get(reference.get("idref")):
            yield normpath(join(dirname(str(package_name)), unquote(href)))


def _xml(archive: zipfile.ZipFile, member: str) -> etree._Element:
    return etree.fromstring(archive.read(member), etree.XMLParser(resolve_entities=False, no_network=True))


def _is_protected(archive: zipfile.ZipFile) -> bool:
    """Whether more than fonts are encrypted."""
    if ENCRYPTION not in archive.namelist():
        return False
    methods = _xml(archive, ENCRYPTION).xpath("//*[local-name()='EncryptionMethod']/@Algorithm")
    return any(method not in FONT_OBFUSCATION for method in methods)
