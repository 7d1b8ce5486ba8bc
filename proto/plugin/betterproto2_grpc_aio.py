#!/usr/bin/env python3
"""buf plugin: betterproto2 messages with stubs and servicers for grpc.aio.

betterproto2's own asynchronous stubs speak grpclib. This runs its compiler unchanged, except that the templates
beside this file come before the packaged ones.
"""

from pathlib import Path
from typing import Any

import jinja2
from betterproto2_compiler.plugin import main

TEMPLATES = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
packaged_loader = jinja2.FileSystemLoader


def ours_first(*args: Any, **kwargs: Any) -> jinja2.BaseLoader:
    return jinja2.ChoiceLoader([TEMPLATES, packaged_loader(*args, **kwargs)])


if __name__ == "__main__":
    jinja2.FileSystemLoader = ours_first  # type: ignore[misc, assignment]
    main()
