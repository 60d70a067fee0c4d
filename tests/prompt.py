"""``python -m asyncio`` for a pipe: takes pasted lines, prints what they print, no prompts.

The real one garbles several lines from a pipe on some Pythons. Like there, each statement runs
in the loop, ``await`` is taken, and a value is shown. Knows nothing of documents.
"""

import ast
import asyncio
import builtins
import codeop
import sys
import traceback
import types
from typing import Any


async def prompt() -> None:
    """Run each statement as it is complete, until the pipe ends."""
    command = codeop.CommandCompiler()
    command.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins, "asyncio": asyncio}
    loop = asyncio.get_running_loop()
    lines: list[str] = []
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        lines.append(line.rstrip("\n"))
        try:
            code = command("\n".join(lines), "<document>", "single")
            if code is None:
                continue
            result = types.FunctionType(code, names)()
            if asyncio.iscoroutine(result):
                await asyncio.create_task(result)
        except Exception:
            traceback.print_exc()
        lines = []


asyncio.run(prompt())
