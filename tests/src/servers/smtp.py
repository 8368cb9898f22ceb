"""A mail server for one test: aiosmtpd, which tells what it took and misbehaves when it is told to.

Standard output, one JSON object a line: {"port": n} once it listens, then each mail whose text it took.
Standard input, likewise: {"stage": "rcpt" | "data", "action": "answer" | "drop" | "hang", "text": "550 …", "times": n}.
It ends with its standard input, so that it never outlives the test.
"""

import asyncio
import email
import email.policy
import json
import os
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult

faults = []


def tell(what):
    print(json.dumps(what), flush=True)


def fault_at(stage):
    for fault in faults:
        if fault["stage"] == stage:
            fault["times"] -= 1
            if fault["times"] == 0:
                faults.remove(fault)
            return fault
    return None


async def misbehave(server, fault):
    if fault["action"] == "answer":
        return fault["text"]
    if fault["action"] == "hang":
        await asyncio.sleep(3600)
    server.transport.abort()
    return "421 gone"


def shown(envelope):
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)

    def text(kind):
        body = mail.get_body((kind,))
        return body.get_content().replace("\r\n", "\n") if body else ""

    return {
        "from": envelope.mail_from,
        "to": envelope.rcpt_tos,
        "headers": [[name, str(value)] for name, value in mail.items()],
        "plain": text("plain"),
        "html": text("html"),
    }


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        fault = fault_at("rcpt")
        if fault:
            return await misbehave(server, fault)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        fault = fault_at("data")
        if fault and fault["action"] == "answer":
            return fault["text"]
        tell({**shown(envelope), "user": session.auth_data})
        return await misbehave(server, fault) if fault else "250 OK"


def sign_in(server, session, envelope, mechanism, data):
    good = data.login == b"user@acme" and data.password == b"p/s:w"
    # Not handled: the refusal is left to aiosmtpd, which answers 535.
    return AuthResult(success=good, handled=False, auth_data=data.login.decode() if good else None)


def listen_to_the_test(loop):
    for line in sys.stdin:
        loop.call_soon_threadsafe(faults.append, json.loads(line))
    os._exit(0)


async def main(port, wants_password):
    loop = asyncio.get_running_loop()

    def protocol():
        return SMTP(
            Handler(),
            hostname="mail.test",
            enable_SMTPUTF8=False,
            auth_require_tls=False,
            auth_required=wants_password,
            authenticator=sign_in,
        )

    server = await loop.create_server(protocol, "127.0.0.1", port)
    threading.Thread(target=listen_to_the_test, args=(loop,), daemon=True).start()
    tell({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2] == "password"))
