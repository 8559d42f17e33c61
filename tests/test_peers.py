"""Other codes beside an emulator: those that run, that fail, that are not there."""

import pytest

from benchmarks.codes import peers as study


@pytest.fixture
def broken(monkeypatch):
    def fails():
        raise AttributeError("no corr_gg")

    monkeypatch.setitem(study.PEERS, "absent", ("no_such_module", fails, ""))
    monkeypatch.setitem(study.PEERS, "broken", ("numpy", fails, ""))


def test_what_runs_agrees_and_what_does_not_says_why(broken, monkeypatch):
    monkeypatch.setattr("benchmarks.codes.timing.ROUND_SECONDS", 0.001)
    result = study.peers(rounds=2, points=100)
    rows = result["rows"]
    differences = rows["pyccl, with scipy's FFTLog"]["differences"]
    assert differences.keys() == {"w_p", "Delta_Sigma"}
    assert max(differences.values()) < 2e-3
    assert rows["absent"] == {"missing": "no_such_module is not installed"}
    assert rows["broken"] == {"missing": "AttributeError: no corr_gg"}
    table = study.render(result)
    assert "| broken | | | | | AttributeError: no corr_gg |" in table
    assert "| hodspectra, one call |" in table
