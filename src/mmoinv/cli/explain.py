"""``mmoinv explain``: what the bytes of packets mean. How that is shown: `mmoinv.explain`."""

import argparse

from mmoinv.cli.arguments import Commands, Formatter, add_verbose

EXAMPLE_HEX = "81 0c 00 00 00 2a 00 00 00 00 00 00 00 00 00 00 00"
"""A world server asks for character 42."""


def add_explain(commands: Commands) -> None:
    """The arguments of ``mmoinv explain``."""
    command = commands.add_parser(
        "explain",
        help="say what the bytes of packets mean",
        description="Take frames apart, byte by byte: from the hex of a log or from a capture's\n"
        "file. What is broken is shown as far as it goes, and then what is wrong, and where:\n"
        "exit code 1.",
        epilog=(
            "examples:\n"
            f"  mmoinv explain {EXAMPLE_HEX}\n"
            "      a world server asks for character 42\n"
            "  mmoinv explain capture.bin --dialect 2\n"
            "      a file, records as a C++ peer writes them\n"
        ),
        formatter_class=Formatter,
    )
    command.add_argument(
        "what",
        metavar="HEX|FILE",
        nargs="+",
        help="hex as it stands in a log (spaces, colons and 0x do no harm), or a file of bytes, "
        "hex or a hex dump; - reads standard input",
    )
    command.add_argument(
        "--dialect", type=int, choices=range(4), help="of the link (default: by the length)"
    )
    command.add_argument(
        "--from",
        dest="sender",
        choices=("world", "realm"),
        default="",
        help="who sent it, where an opcode has two meanings (default: what fits)",
    )
    command.add_argument("--all", action="store_true", help="every record, not only the first 8")
    command.add_argument("--json", action="store_true", help="JSON instead of lines")
    add_verbose(command)
    command.set_defaults(run=_run_explain)


def _run_explain(options: argparse.Namespace) -> int:
    from mmoinv import explain

    return explain.run(options)
