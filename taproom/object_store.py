"""Object stores with the interface of Amazon S3: the client, its time limits, and what a URL may say.

The environment configures a store: `AWS_ENDPOINT_URL` (or `AWS_ENDPOINT_URL_S3`), `AWS_ALLOW_HTTP`, `AWS_REGION` (or
`AWS_DEFAULT_REGION`), `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
"""

import os
import re
from urllib.parse import urlsplit

import pyarrow.fs as pafs

from taproom.errors import StorageError

SCHEMES = ("s3://", "s3a://")
# After these times a server that does not answer is tried once more, then given up.
CONNECT_SECONDS = 5
REQUEST_SECONDS = 10
TRIES = 2

CHECK_THE_SERVER = (
    "Check that the server answers, the bucket's name, AWS_ENDPOINT_URL (with AWS_ALLOW_HTTP=true for http), "
    "AWS_REGION, and that the key of AWS_ACCESS_KEY_ID may read and write there."
)


def s3_files() -> pafs.S3FileSystem:
    """The store that the environment names, as pyarrow's file system."""
    return pafs.S3FileSystem(
        endpoint_override=endpoint(),
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
        allow_delayed_open=True,  # a small file is written by one request instead of three
    )


def endpoint() -> str | None:
    """The server's address; None for Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def bucket_and_path(url: str, what: str) -> str:
    """The bucket and the path of a URL, as pyarrow takes them.

    >>> bucket_and_path("s3://bucket/beers/", "The warehouse's URL")
    'bucket/beers'

    Raises:
        StorageError: the URL has keys or options in it. Both belong in the environment, which is not printed.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query:
        raise StorageError(
            f"{what} ({parts.scheme}://{parts.hostname}...) has keys or options in it. Give those in the environment "
            f"(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL ...) and the URL as {parts.scheme}://bucket/path."
        )
    return f"{parts.netloc}{parts.path}".rstrip("/")


def reason(error: BaseException) -> str:
    """A library's error message as a line of at most 300 printable characters, without colours and backtrace.

    >>> reason(OSError("no space\\nleft. "))
    'no space left'
    >>> reason(OSError("unexpected '\\x1b'"))
    "unexpected '?'"
    """
    text = re.split(r"(?i)\n?(stack )?backtrace|\s0: ", re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error)))[0]
    line = " ".join(text.split())[:300].rstrip(". ")
    return "".join(character if character.isprintable() else "?" for character in line)
