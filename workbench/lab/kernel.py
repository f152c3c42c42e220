"""The "TRII Workbench" kernel: IPython, with nothing of it listening on TCP.

With the ``ipc`` transport a kernel's channels are sockets in a private folder, but ipykernel still binds one TCP port,
for output of forked children. Here that port is left out; a forked child's output stays in the child.
"""

from __future__ import annotations

from ipykernel import kernelapp
from ipykernel.iostream import IOPubThread


class PortlessIOPubThread(IOPubThread):
    """Publish output without a listening port."""

    def _setup_pipe_in(self) -> None:
        self._pipe_flag = False


def main() -> None:
    """Run the kernel; the arguments are ``-f CONNECTION_FILE``."""
    kernelapp.IOPubThread = PortlessIOPubThread  # type: ignore[attr-defined]
    kernelapp.launch_new_instance()


if __name__ == "__main__":
    main()
