"""The description of the API is true: schemathesis sends what it allows and what it forbids, and compares."""

import asyncio
import sys
from pathlib import Path

import pytest

SECONDS = 60
EXAMPLES = 12  # of each route, on top of those that cover its description
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
# 501 tells of what this version has no model or no part for: a documented answer, not a fault.
CONFIGURATION = "[checks.not_a_server_error]\nexpected-statuses = ['2xx', '3xx', '4xx', 501]\n"


@pytest.mark.timeout(240)
async def test_no_request_brings_the_edge_to_an_error_or_to_an_answer_that_is_not_described(mesh, tmp_path):
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)

    run = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(configuration)),
        *("run", f"{mesh.url}/openapi.json", "--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--max-time", str(SECONDS)),
        *("--continue-on-failure", "--no-shrink", "--request-timeout", "30"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed = (await run.communicate())[0].decode()

    assert run.returncode == 0, printed
    assert "generated" in printed.rpartition("Test cases:")[2], printed
