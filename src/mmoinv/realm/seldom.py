"""Log lines that an attacker must not fill the disk with. Knows neither log nor clock."""

EVERY_S = 10.0


class Seldom:
    """Something that may happen very often, and is told of at most every ten seconds."""

    def __init__(self) -> None:
        self._untold = 0
        self._told_s = -EVERY_S

    def happened(self, now_s: float, count: int = 1) -> int:
        """It has happened so often: the number to tell of now, 0 if it is too soon."""
        self._untold += count
        if now_s - self._told_s < EVERY_S:
            return 0
        self._told_s = now_s
        untold, self._untold = self._untold, 0
        return untold
