"""Succeeds when a server that speaks MongoDB's protocol takes a durable write and reads it back.

Usage: mongodb_writes.py HOST PORT [TIMEOUT_SECONDS]. Needs only Python's standard library. A ping is not
enough: a server whose storage has failed still answers it.
"""

import os
import socket
import struct
import sys

DATABASE = "bellhop_health"
OP_MSG = 2013


def encode(document):
    """BSON of the few types that the commands below use."""
    body = b""
    for name, value in document.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x08" + key + struct.pack("<?", value)
        elif isinstance(value, int):
            body += b"\x10" + key + struct.pack("<i", value)
        elif isinstance(value, str):
            text = value.encode() + b"\0"
            body += b"\x02" + key + struct.pack("<i", len(text)) + text
        elif isinstance(value, dict):
            body += b"\x03" + key + encode(value)
        elif isinstance(value, list):
            body += b"\x04" + key + encode({str(index): item for index, item in enumerate(value)})
        else:
            raise TypeError(f"no encoding for {type(value).__name__}")
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def receive(connection, size):
    """Exactly `size` bytes, or an error when the server hangs up."""
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the server closed the connection")
        data += chunk
    return data


def command(connection, document, database=DATABASE):
    """Runs one command and returns the raw bytes of the reply document."""
    payload = struct.pack("<I", 0) + b"\0" + encode({**document, "$db": database})
    connection.sendall(struct.pack("<iiii", len(payload) + 16, 1, 0, OP_MSG) + payload)
    (length,) = struct.unpack("<i", receive(connection, 4))
    return receive(connection, length - 4)[17:]


def succeeded(reply):
    """Whether a reply says ok and lists no error of a single write."""
    ok = b"\x01ok\0" + struct.pack("<d", 1.0) in reply or b"\x10ok\0" + struct.pack("<i", 1) in reply
    return ok and b"writeErrors\0" not in reply and b"writeConcernError\0" not in reply


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    timeout = float(sys.argv[3]) if len(sys.argv) > 3 else 3.0
    token = os.urandom(8).hex()
    with socket.create_connection((host, port), timeout=timeout) as connection:
        written = command(
            connection,
            {
                "update": "probe",
                "updates": [{"q": {"_id": "probe"}, "u": {"$set": {"token": token}}, "upsert": True}],
                "writeConcern": {"w": "majority", "j": True, "wtimeout": int(timeout * 1000)},
            },
        )
        if not succeeded(written):
            sys.exit("the write was refused")
        if token.encode() not in command(connection, {"find": "probe", "filter": {"_id": "probe"}}):
            sys.exit("the write cannot be read back")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"no usable server: {error}")
