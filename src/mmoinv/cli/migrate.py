"""``mmoinv migrate``: moving over from an old way of saving inventories, and back.

Each group of its actions has a file of its own.
"""

from mmoinv.cli.arguments import Commands, Formatter
from mmoinv.cli.migrate_rehearse import add_rehearse_command
from mmoinv.cli.migrate_sides import add_side_commands
from mmoinv.cli.migrate_tables import add_table_commands


def add_migrate(commands: Commands) -> None:
    """The arguments of all its actions."""
    command = commands.add_parser(
        "migrate",
        help="move over from an old way of saving inventories, with evidence, and back",
        description="Both ways run side by side and are compared; then the new one decides, for "
        "as many\ncharacters as you want; then the old one is cleared away. Each step can be "
        "undone.\ndocs/migration.md is the plan; docs/migration-evidence.md says what the figures "
        "mean.",
        epilog=(
            "examples:\n"
            "  mmoinv migrate rehearse\n"
            "      all of it, played on throw-away databases\n"
            "  mmoinv migrate import --from mariadb://reader@db/old --dry-run\n"
            "      what the old tables have, and what could not be taken of it\n"
            "  mmoinv migrate mode shadow --share 0.1\n"
            "      write both ways for a tenth of the characters; the old one decides\n"
            "  mmoinv migrate status world-1.evidence world-2.evidence\n"
            "      what was compared, what differed, and whether it is safe to go on\n"
            "  mmoinv migrate mode primary --characters 7 8\n"
            "      the new way decides for these two\n"
        ),
        formatter_class=Formatter,
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    add_table_commands(actions)
    add_rehearse_command(actions)
    add_side_commands(actions)
