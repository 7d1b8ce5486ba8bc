"""Documents of many formats to text: `read` for one in this process, `pool` for many and hostile ones in others.

    read(Source(path, "report.pdf"), max_chars=20_000_000).sections[0].page   # 1

What a file is, is found in its bytes. A reader per format fills a Manuscript, which becomes a ParsedDocument.
"""
