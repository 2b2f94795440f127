"""A mail server for the tests: TLS and AUTH are demanded, and every letter is one line of JSON on standard output.

Arguments: "starttls" or "tls" (from the first byte), port, certificate, key, user, password. It knows nobody@example.org not. Says "ready" when it answers, and ends when its input is closed.
"""

import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

TLS, PORT, CERTIFICATE, KEY, USER, PASSWORD = sys.argv[1:]


def say(line):
    print(line, flush=True)


class Letters:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == "nobody@example.org":
            return "550 5.1.1 nobody of that name is here"
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in letter.walk() if not part.is_multipart()}
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "is_tls": server.transport.get_extra_info("ssl_object") is not None,
            "user": session.auth_data,
            "names": letter.keys(),
            "subject": letter["Subject"],
            "id": letter["Message-ID"],
            "parts": parts,
        }
        say(json.dumps(told))
        return "250 taken"


def authenticate(server, session, envelope, mechanism, login):
    is_good = (login.login, login.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_good, handled=False, auth_data=login.login.decode() if is_good else None)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(CERTIFICATE, KEY)
server = Controller(
    Letters(),
    hostname="127.0.0.1",
    port=int(PORT),
    auth_required=True,
    authenticator=authenticate,
    # It does not see for itself that TLS is there from the first byte.
    **({"ssl_context": context, "auth_require_tls": False} if TLS == "tls" else {"tls_context": context, "require_starttls": True}),
)
server.start()
say("ready")
sys.stdin.read()
server.stop()
