"""The ``mmoinv`` command: arguments in, exit codes out. What is done stands elsewhere.

A file a command; each imports what it runs only when it runs.
"""

from mmoinv.cli.command import main, parser

__all__ = ["main", "parser"]
