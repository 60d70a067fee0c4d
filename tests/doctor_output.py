"""What ``mmoinv doctor`` prints, read by its tests."""


def remedy_of(output: str, mark: str, name: str) -> tuple[str, str]:
    """The text of the one line with this mark and name, and the line below it."""
    shown = output.splitlines()
    (at,) = (at for at, line in enumerate(shown) if line.startswith(f"{mark} {name} "))
    return shown[at], shown[at + 1].strip()
