"""Plays a document: pastes its blocks into real interpreters and gives what they print.

``python tests/tours.py docs/tour-realm-operator.md`` prints what every block prints, for whoever
writes a document; it changes nothing.

A document has three kinds of fenced blocks. ``python`` is pasted into a prompt like that of
``python -m asyncio``, ``sh`` into bash, each in the document's order into one process, in an
empty folder. ``text`` right behind one of them is all that it prints: ``...`` stands for anything
in a line, a line of its own for any lines. A block without one prints nothing. Port 6280 is
exchanged for a free one.
"""

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[1]
PORT = "6280"
WITHIN_S = 60.0
"""A block that takes longer hangs."""
FENCE = re.compile(r"^```(\w*)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
INTERPRETERS = {
    # The blank line ends a block that is still open.
    "python": ([sys.executable, "-u", str(ROOT / "tests" / "prompt.py")], '\nprint("{mark}")\n'),
    "sh": (["bash"], "\necho '{mark}'\n"),
}


class Block(NamedTuple):
    """One block that is run, and what the document says it prints."""

    language: str
    text: str
    shown: str
    line: int


def blocks(document: Path) -> list[Block]:
    """The blocks that are run; `ValueError` for one that is neither run nor an output."""
    text = document.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for fence in FENCE.finditer(text):
        language, content = fence.groups()
        line = text.count("\n", 0, fence.start()) + 1
        if language in INTERPRETERS:
            found.append(Block(language, content, "", line))
        elif language == "text" and found and not text[end : fence.start()].strip():
            found[-1] = found[-1]._replace(shown=content)
        else:
            raise ValueError(
                f"{document.name}:{line}: a {language or 'nameless'} block is neither python, sh "
                "nor the text that the block right before it prints"
            )
        end = fence.end()
    return found


def matches(shown: str, printed: str) -> bool:
    """Whether a block printed what the document shows, but for blanks at the ends of lines."""
    printed = re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE)
    pattern = ""
    for line in shown.splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*?".join(map(re.escape, line.rstrip().split("..."))) + r"\n"
    return re.fullmatch(pattern, printed) is not None


def python_path() -> dict[str, str]:
    """PYTHONPATH for a process in another folder: the folders that this process has by it."""
    given = os.environ.get("PYTHONPATH")
    if not given:
        return {}
    return {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, given.split(os.pathsep)))}


class Interpreter:
    """A process that runs what is pasted into it."""

    def __init__(self, language: str, folder: Path, environment: dict[str, str]) -> None:
        command, self._ending = INTERPRETERS[language]
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def run(self, text: str) -> str:
        """Paste a block; all that it prints."""
        mark = "--- end of the block ---"
        assert self._process.stdin is not None
        self._process.stdin.write(text + self._ending.format(mark=mark))
        self._process.stdin.flush()
        printed = ""
        while True:
            try:
                line = self._lines.get(timeout=WITHIN_S)
            except queue.Empty:
                raise TimeoutError(f"{text}\nhangs; until then it printed\n{printed}") from None
            if not line:
                raise EOFError(f"{text}\nended its interpreter; it had printed\n{printed}")
            if line.endswith(mark + "\n"):
                return printed + line.removesuffix(mark + "\n")
            printed += line

    def end(self) -> None:
        """End it, and what it has started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()


class Tour:
    """The interpreters of one document, in a folder and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "here"
        self._folder.mkdir()
        # What is done in a checkout is done to its tests' data only, and that is read.
        (self._folder / "tests").symlink_to(ROOT / "tests")
        commands = folder / "bin"
        commands.mkdir()
        for name, call in (("mmoinv", "-m mmoinv"), ("python", "")):
            (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
            (commands / name).chmod(0o755)
        ours = {name: value for name, value in os.environ.items() if name.startswith("MMOINV_")}
        self._environment = {
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONUTF8": "1",
            "COLUMNS": "100",
            **python_path(),
            **ours,
        }
        self._interpreters: dict[str, Interpreter] = {}
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._port = str(server.getsockname()[1])

    def run(self, block: Block) -> str:
        """What a block prints, port 6280 in the place of the real one."""
        if block.language not in self._interpreters:
            self._interpreters[block.language] = Interpreter(
                block.language, self._folder, self._environment
            )
        text = block.text.replace(PORT, self._port)
        return self._interpreters[block.language].run(text).replace(self._port, PORT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for interpreter in self._interpreters.values():
            interpreter.end()


def played(document: Path, folder: Path) -> Iterator[tuple[Block, str]]:
    """Each block of a document with what it prints; ``folder`` is empty."""
    with Tour(folder) as tour:
        for block in blocks(document):
            yield block, tour.run(block)


def missing_programs() -> list[str]:
    """What the documents' blocks call, and this machine has not."""
    return [name for name in ("bash", "sqlite3", "openssl") if shutil.which(name) is None]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for block, printed in played(Path(sys.argv[1]), Path(name)):
            verdict = "as shown" if matches(block.shown, printed) else "NOT AS SHOWN"
            print(f"line {block.line} ({block.language}): {verdict}\n{printed}")
