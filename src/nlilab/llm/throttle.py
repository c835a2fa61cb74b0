"""How many calls may be under way at one endpoint: additive increase, multiplicative decrease (AIMD)."""

import asyncio

SHRINK = 0.5


class Throttle:
    """At most `most` calls at once; fewer after a rate limit, and none while the server asked for a pause.

    A burst of rate limits is one cut: what was sent before the cut cannot cause another. Only rate limits shrink it.
    Times are of the event loop's clock, which never goes back.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self._active = 0
        self._cuts = 0
        self._open_at = 0.0
        self._waiting: list[asyncio.Future[None]] = []

    async def enter(self) -> int:
        """Wait for a place; returns a mark that tells `cut` when the call was sent."""
        loop = asyncio.get_running_loop()
        while True:
            pause = self._open_at - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._active < int(self.limit):
                self._active += 1
                return self._cuts
            else:
                place: asyncio.Future[None] = loop.create_future()
                self._waiting.append(place)
                try:
                    await place
                except asyncio.CancelledError:
                    self._wake()
                    raise

    def leave(self) -> None:
        """Give the place back."""
        self._active -= 1
        self._wake()

    def grow(self) -> None:
        """A call went well: one more place for each full round of them."""
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._wake()

    def cut(self, mark: int, pause: float) -> None:
        """A call with this mark was rate limited; `pause` is what the server asked for, in seconds."""
        self._open_at = max(self._open_at, asyncio.get_running_loop().time() + pause)
        if mark == self._cuts:
            self._cuts += 1
            self.limit = max(1.0, self.limit * SHRINK)

    def _wake(self) -> None:
        free = int(self.limit) - self._active
        while self._waiting and free > 0:
            place = self._waiting.pop(0)
            if not place.done():
                place.set_result(None)
                free -= 1
