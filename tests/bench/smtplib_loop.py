"""The baseline of mail: bare smtplib on connections that are kept, as simply as it is usually written.

`python -m tests.bench.smtplib_loop PORT CA THREADS MESSAGE_BYTES` connects, and hands in as many mails as each
line of standard input says on the same connections; it answers with a line when it is done.
"""

import contextlib
import smtplib
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.mail_server import HOST

_HEADERS = (
    f"Subject: Invoice\r\nFrom: Example Telecom <billing@{HOST}>\r\nTo: ops@example.com\r\n"
    f"Message-ID: <dlv_01a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6@{HOST}>\r\n\r\n"
)


def _main(port: int, ca_bundle: str, threads: int, size: int) -> None:
    context = ssl.create_default_context(cafile=ca_bundle)
    lines = "x" * 70 + "\r\n"
    message = (_HEADERS + lines * max(1, (size - len(_HEADERS)) // len(lines))).encode()
    connections = [smtplib.SMTP_SSL("localhost", port, context=context, timeout=15) for _ in range(threads)]

    def send(connection: smtplib.SMTP, count: int) -> None:
        for _ in range(count):
            connection.sendmail(f"billing@{HOST}", ["ops@example.com"], message)

    for line in sys.stdin:
        count, before = int(line), time.process_time()
        shares = [count // threads + (number < count % threads) for number in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            # Read, so that a failed mail ends the process instead of making it look fast.
            list(pool.map(send, connections, shares))
        sys.stdout.write(f"{time.process_time() - before}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
