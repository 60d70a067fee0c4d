"""Log lines that an attacker must not fill the disk with. Knows neither log nor clock."""

EVERY_S = 10.0


class Seldom:
    """Something that may happen very often, and is told of ``often`` times in ten seconds."""

    def __init__(self, often: int = 1) -> None:
        self._often = often
        self._told = 0
        self._untold = 0
        self._since_s = -EVERY_S

    def happened(self, now_s: float, count: int = 1) -> int:
        """It has happened so often: the number to tell of now, 0 if it is too soon."""
        self._untold += count
        if now_s - self._since_s >= EVERY_S:
            self._since_s, self._told = now_s, 0
        if self._told == self._often:
            return 0
        self._told += 1
        untold, self._untold = self._untold, 0
        return untold
