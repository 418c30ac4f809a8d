"""Under load: every byte arrives, and no event comes to a wrong connection.

load.py is the server, a loop in one process, and its clients in another. Thousands of
connections are echoed while, in each round, a tenth of them is reset, or closed by the
server in the same batch as their event and replaced by one with the same descriptor.
"""

import json

import pytest
from soak import FULL, scaled

ROUNDS = 8


@pytest.mark.soak
def test_load(run_script):
    count, seconds = scaled(10_000, 500), scaled(60, 0)
    result = run_script(
        f"import load; load.main({count}, {ROUNDS}, {seconds})",
        env={"PYTHONDEVMODE": ""},
        timeout=600,
    )
    report = json.loads(result.stdout)
    print(report)
    # Fewer only where the machine lets a process have fewer descriptors.
    assert report["connections"] == count or (FULL and report["connections"] > 500)
    assert report["wrong"] == [], report

    fates, events = report["fates"], report["events"]
    victims = report["connections"] // 10 // 3 * report["rounds"]
    assert fates["ended"] == report["connections"]
    assert fates["reset"] == fates["reset in traffic"] == victims
    assert fates["replaced"] > victims / 2
    # It is the load that it is meant to be.
    assert report["rounds"] >= ROUNDS
    assert events["errors"] > victims / 4
    assert events["closed while pending"] > fates["replaced"] / 2
    assert events["writers closed while pending"] > 0
    assert events["same descriptor in the batch"] > fates["replaced"] / 2
    assert events["same descriptor and watcher in the batch"] > 0
    assert events["stopped by backpressure"] > 0
