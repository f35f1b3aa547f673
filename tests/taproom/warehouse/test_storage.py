"""Object stores that do not answer, refuse, or lack the bucket: an error by name, and never an empty warehouse.

The servers are sockets of this process that say what S3 says.
"""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from taproom import object_store
from taproom.errors import StorageError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Published
from taproom.warehouse.warehouse import Warehouse
from tests.serving import serving

NOTES = Contract("notes", "one note", (Column("id", pa.int64(), "number"),), ("id",))
SECRET = "not-to-be-seen"
ASKED = {
    "tables": lambda warehouse: warehouse.tables(),
    "heads": lambda warehouse: warehouse.heads(),
    "head": lambda warehouse: warehouse.head("notes"),
    "read": lambda warehouse: warehouse.read("notes"),
    "partitions": lambda warehouse: warehouse.partitions("notes"),
    "history": lambda warehouse: warehouse.history("notes"),
    "sweep": lambda warehouse: warehouse.sweep(),
    "check": lambda warehouse: warehouse.check("notes"),
    "publish": lambda warehouse: warehouse.publish(NOTES, NOTES.table_of(id=[1]), since=None),
    "put_figure": lambda warehouse: warehouse.put_figure(Published("notes", 0, True, 1, 1, "ab"), b"picture"),
}


class Answer(BaseHTTPRequestHandler):
    """Answers every request with the server's `status` and `code`, as S3 does."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        code = self.server.code
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        if code is None:
            body = b"<?xml version='1.0'?><ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def bucket(monkeypatch):
    """Opens a warehouse in a bucket of a server at a port."""

    def at(port: int) -> Warehouse:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        return Warehouse("s3://bucket/warehouse")

    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return at


@pytest.fixture
def answers(bucket):
    """Opens a warehouse whose server answers all requests alike."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Answer)) as server:

        def with_answer(status: int, code: str | None) -> Warehouse:
            server.status, server.code = status, code
            return bucket(server.server_port)

        yield with_answer


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (403, "SignatureDoesNotMatch"), (404, "NoSuchBucket")],
)
def test_a_store_that_refuses_or_lacks_the_bucket_is_a_named_error(answers, status, code, asked):
    warehouse = answers(status, code)
    with pytest.raises(StorageError, match=r"s3://bucket/warehouse(?s:.)*AWS_ENDPOINT_URL") as raised:
        asked(warehouse)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_bucket_without_anything_under_the_root_is_an_empty_warehouse(answers):
    warehouse = answers(200, None)
    assert warehouse.heads() == {}
    assert warehouse.tables() == []


@pytest.fixture
def stalled(bucket, monkeypatch):
    """A warehouse whose server takes connections and never says a word."""
    monkeypatch.setattr(object_store, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(object_store, "REQUEST_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield bucket(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["heads", "read", "publish"])
def test_a_server_that_does_not_answer_is_given_up_after_seconds(stalled, asked):
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"s3://bucket/warehouse(?s:.)*Check that the server answers"):
        ASKED[asked](stalled)
    assert time.monotonic() - began < 15


@pytest.mark.slow
def test_deltalake_has_the_same_time_limits(stalled):
    began = time.monotonic()
    with pytest.raises(OSError, match="Generic S3 error"):
        DeltaTable(stalled.uri("notes"), storage_options=stalled.storage.options)
    assert time.monotonic() - began < 15


def test_a_url_of_an_unknown_kind_is_refused():
    with pytest.raises(StorageError, match="'beer://cellar/warehouse' cannot be opened"):
        Warehouse("beer://cellar/warehouse")


def test_a_url_with_keys_in_it_is_refused_and_not_repeated():
    for url in (f"s3://somebody:{SECRET}@bucket/warehouse", f"s3://bucket/warehouse?secret_key={SECRET}"):
        with pytest.raises(StorageError, match="has keys or options in it") as raised:
            Warehouse(url)
        assert SECRET not in str(raised.value)
