"""Runs the event loop of a process of mmoinv's own: uvloop if the extra ``speed`` is there.

Libraries' users bring their own loop; this is for the command line and the load test.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run`, on uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
