"""The table of misuse: see tests/misuse/."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from misuse.server import import_rows
from misuse.table import rows, this_build

pytestmark = [pytest.mark.core, pytest.mark.misuse]

import_rows()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[str], dict[str, Any]]]:
    """Run a row, by its name, in a server that has the options that the row wants."""
    servers: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}

    def serve(name: str) -> dict[str, Any]:
        options = rows[name].options
        if options not in servers:
            servers[options] = subprocess.Popen(
                [sys.executable, "-W", "error", *options, "-m", "misuse.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=str(Path(__file__).parent),
                env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDEVMODE": ""},
            )
        server = servers[options]
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(name.encode() + b"\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    yield serve
    for server in servers.values():
        server.communicate(timeout=60)
        assert server.returncode == 0


@pytest.mark.parametrize("name", rows)
def test_row(serve: Callable[[str], dict[str, Any]], name: str) -> None:
    """The process lives, and everything is as the row says."""
    row = rows[name]
    if this_build() not in row.builds:
        pytest.skip("the system's libev aborts by itself: it has its asserts on")
    result = serve(name)
    assert result["row"] == name
    assert result["status"] == 0, result["said"]
    assert re.fullmatch(row.stderr, result["said"], re.DOTALL), result["said"]
