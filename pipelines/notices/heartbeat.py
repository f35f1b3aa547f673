"""A signal that the daemon runs, for a watcher on another machine, which raises an alarm when the signal stays away.

Such a watcher ("dead man's switch") gives an address to request regularly. The sensor `notify_operators` does so; the
signal therefore means that the daemon evaluates sensors, and that the code can be loaded.
"""

import logging
import time
from threading import Thread

from pipelines.notices.redaction import host_of
from pipelines.notices.settings import heartbeat_address
from pipelines.notices.target import NotDeliveredError
from pipelines.notices.webhook import request

log = logging.getLogger("taproom.pipelines")

SECONDS_BETWEEN = 300.0


def beat(last: float) -> float:
    """Request the address if one is set and the last time was `SECONDS_BETWEEN` ago; give the time of the last request.

    Times are in seconds since 1970. Nothing waits for the answer; a request that fails is logged.

    Raises:
        InputError: the address is not valid.
    """
    address, now = heartbeat_address(), time.time()
    if address is None or now - last < SECONDS_BETWEEN:
        return last
    Thread(target=_request, args=(address,), daemon=True).start()
    return now


def _request(address: str) -> None:
    try:
        request(address, f"the watcher at {host_of(address)}", body=None, headers={})
    except NotDeliveredError as error:
        log.warning("%s", error)
