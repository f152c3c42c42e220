"""How Voilà meets the kernel of a page."""

from __future__ import annotations

import time
from queue import Empty

from jupyter_client.asynchronous.client import AsyncKernelClient

ANSWER_SECONDS = 1.0
SUBSCRIPTION_SECONDS = 0.2


class PageClient(AsyncKernelClient):
    """A client that is ready when the kernel has answered on both channels.

    Jupyter's own then waits until nothing has come for 0.2 seconds, so that nothing old is left to be read. Voilà reads
    only what belongs to the cell that it runs.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel answers and its output arrives.

        Raises
        ------
        RuntimeError
            If the kernel has died, or does not answer within ``timeout`` seconds; Voilà shows it on the page.
        """
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while not await self._answers():
            if not await self._async_is_alive():
                raise RuntimeError("the kernel died before it answered; reload the page")
            if time.monotonic() > end:
                raise RuntimeError(f"the kernel did not answer within {timeout} seconds; reload the page")

    async def _answers(self) -> bool:
        """Ask once; the answer counts when output comes with it, which shows that the subscription has begun."""
        self.kernel_info()
        try:
            answer = await self.shell_channel.get_msg(timeout=ANSWER_SECONDS)
            await self.iopub_channel.get_msg(timeout=SUBSCRIPTION_SECONDS)
        except Empty:
            return False
        self._handle_kernel_info_reply(answer)
        return True
