"""Documents as pytest-benchmark writes them, cut to what is read of them."""

from typing import Any

JOB = "main job: players save"


def entry(group: str | None, name: str, seconds: float, **extra: Any) -> dict[str, Any]:
    return {"group": group, "name": name, "extra_info": extra, "stats": {"min": seconds}}


def document(
    msgspec_ns: float = 1500.0, rtt_p99_ms: float = 12.0, **figures: Any
) -> dict[str, Any]:
    """Ours takes 100 ns, of 1,000 calls a round."""
    return {
        "datetime": "2026-11-20T10:11:12.345678+00:00",
        "machine_info": {
            "node": "a-name-nobody-needs",
            "cpu": {"brand_raw": "A CPU", "count": 2},
            "python_implementation": "CPython",
            "python_version": "3.11.7",
            "system": "Linux",
            "machine": "x86_64",
        },
        "commit_info": {"id": "abc"},
        "benchmarks": [
            entry("encode 25 items", "test_ours", 100e-6, way="ours", calls=1000),
            entry("encode 25 items", "test_m", msgspec_ns * 1e-6, way="msgspec", calls=1000),
            entry("encode an answer", "test_answer", 50e-6, way="ours", calls=1000),
            entry(JOB, "test_job", 1.0, rtt_p99_ms=rtt_p99_ms, rtt_p50_ms=3.0, saves=7, **figures),
        ],
    }
