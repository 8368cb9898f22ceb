"""Lets a server that speaks MongoDB's protocol end abandoned transactions after 10 s instead of 60.

Usage: mongodb_limits.py HOST PORT. A client that dies inside a transaction leaves its documents locked until this
limit; nothing of ours takes longer than a few seconds.
"""

import socket
import sys

from mongodb_writes import command, succeeded


def main():
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3) as connection:
        limit = {"setParameter": 1, "transactionLifetimeLimitSeconds": 10}
        if not succeeded(command(connection, limit, database="admin")):
            sys.exit("the limit was refused")


if __name__ == "__main__":
    main()
