"""Random calls from callbacks, `__del__` and signal handlers do not end the process."""

import subprocess
import sys
from pathlib import Path

import pytest
from misuse.table import SYSTEM, this_build
from soak import scaled

pytestmark = pytest.mark.core

CHAOS = Path(__file__).with_name("chaos.py")


@pytest.mark.soak
@pytest.mark.skipif(
    this_build() == SYSTEM, reason="the system's libev aborts for closed descriptors"
)
@pytest.mark.parametrize("first", range(0, scaled(1000, 8), 4))
def test_random_calls_do_not_end_the_process(first):
    for seed in range(first, first + 4):
        result = subprocess.run(
            [sys.executable, str(CHAOS), str(seed), "5000"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, ""), (seed, result)
