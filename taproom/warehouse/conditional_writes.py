"""Whether an object store can hold a warehouse that is written to: it must refuse to write an object that exists.

A commit is a log entry that is written only if no other writer has written it first (`If-None-Match: *`). Some servers
ignore this header and answer that all is well, and the commits of all writers but the last are lost. deltalake looks
for the entry before it writes, so commits one after the other do not show this; two requests do. No library of ours
sends such a request on its own, so it is signed here, by Amazon's Signature Version 4.
"""

import hashlib
import hmac
import os
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, reduce
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from taproom.errors import StorageError
from taproom.object_store import REQUEST_SECONDS, bucket_and_path, endpoint
from taproom.warehouse.storage import Storage

UNSAFE_VARIABLE = "AWS_S3_ALLOW_UNSAFE_RENAME"
FOLDER = "_probe"
CONTENT = b"written by one writer"
REFUSED = (409, 412)


def check_conditional_writes(storage: Storage) -> None:
    """Check, once for each process and store, that the second of two writers of the same object is refused.

    A local folder is not checked, nor is Amazon's own store (no `AWS_ENDPOINT_URL`), which refuses since 2024.

    Raises:
        StorageError: the store ignores the condition, `AWS_S3_ALLOW_UNSAFE_RENAME` is set, or the storage fails.
    """
    if not storage.is_object_store:
        return
    if os.environ.get(UNSAFE_VARIABLE):
        raise StorageError(
            f"{UNSAFE_VARIABLE} is set. With it, writers of {storage.root} overwrite each other's commits. Unset it."
        )
    if address := endpoint():
        _probe(storage.root, address)


@cache
def _probe(root: str, address: str) -> None:
    """Write an object twice, and delete it."""
    storage, path = Storage(root), f"{FOLDER}/{uuid.uuid4().hex}"
    key = quote(f"/{bucket_and_path(root, 'The URL')}/{path}")
    with storage.errors(f"{path} could not be written to {root}"):
        first, second = (_status(_signed_put(address, key)) for _ in range(2))
        if first == 200:
            storage.delete(path)
        else:
            raise OSError(f"the server answered {first}")
    if second not in REFUSED:
        raise StorageError(
            f"The store of {root} lets two writers write the same object: it ignores conditional writes "
            "(If-None-Match), so commits would be lost. Use a store that knows them: Amazon S3, or a present release "
            "of SeaweedFS or MinIO."
        )


def _status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def _signed_put(address: str, path: str) -> urllib.request.Request:
    """A request to write `CONTENT` unless there is an object at `path` (quoted, with bucket)."""
    content_sha256 = hashlib.sha256(CONTENT).hexdigest()
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": urlsplit(address).netloc,
        "if-none-match": "*",
        "x-amz-content-sha256": content_sha256,
        "x-amz-date": time,
    }
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    headers["authorization"] = _authorization(path, headers, content_sha256, time)
    return urllib.request.Request(f"{address.rstrip('/')}{path}", CONTENT, headers, method="PUT")


def _authorization(path: str, headers: Mapping[str, str], content_sha256: str, time: str) -> str:
    """The header that signs a request; see "Signature Version 4 signing process" in Amazon's documentation of S3."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    scope = [time[:8], region, "s3", "aws4_request"]
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    request = "\n".join(["PUT", path, "", *lines, "", names, content_sha256])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", time, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()])
    secret = f"AWS4{os.environ.get('AWS_SECRET_ACCESS_KEY', '')}".encode()
    signature = reduce(_hmac, [*scope, to_sign], secret).hex()
    credential = f"{os.environ.get('AWS_ACCESS_KEY_ID', '')}/{'/'.join(scope)}"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")
