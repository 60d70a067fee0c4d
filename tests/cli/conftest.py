"""A command that is refused."""

from collections.abc import Callable, Sequence

import pytest

from mmoinv.cli import main


@pytest.fixture
def refusal(tmp_path, capsys, monkeypatch) -> Callable[[Sequence[str]], str]:
    """Runs a wrong command in an empty folder; gives the one message that it ends with."""
    monkeypatch.chdir(tmp_path)

    def refused(arguments: Sequence[str]) -> str:
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("mmoinv: ")
        assert "Traceback" not in said
        return said

    return refused
