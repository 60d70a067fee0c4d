"""What every test shares: which codec runs, said in the header, how hard hypothesis tries, and
real database servers.

``CI=true`` gives hypothesis more examples, always the same ones; otherwise it is quick.
"""

import os

import pytest
from certificates import Authority
from hypothesis import HealthCheck, settings
from servers.fixtures import (  # noqa: F401 (pytest finds them here)
    mariadb_server,
    mariadb_url,
    postgresql_server,
    postgresql_url,
    pytest_terminal_summary,
)

settings.register_profile(
    "quick", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci",
    max_examples=150,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")
settings.load_profile("ci" if IN_CI else "quick")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs certificates for the tests; `openssl` makes them."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def realm_files(authority: Authority) -> dict[str, str]:
    """The arguments of a realm that speaks TLS."""
    certificate, key = authority.issue("realm")
    return {"tls_certificate": certificate, "tls_key": key}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that none of two workers ends long after the other."""
    items.sort(key=lambda item: "torture" not in item.path.parts)


def pytest_report_header(config: pytest.Config) -> str:
    """Which codec runs and where it lies: never a silent accident."""
    wanted = os.environ.get("MMOINV_CODEC", "unset")
    try:
        from mmoinv import codec
    except ImportError as error:
        return f"codec: NONE (MMOINV_CODEC={wanted}): {error}"
    where = codec.encode_batch.__module__
    module = __import__(where, fromlist=["__file__"])
    return f"codec: {codec.CODEC} (MMOINV_CODEC={wanted}), {where} at {module.__file__}"
