"""Bounce mails in the forms of four mail systems, written by their formats; about one mail to one recipient."""

RETURNED = (
    "Received: from billing.example.com (billing.example.com [203.0.113.7])\r\n\tby {by} with ESMTPS id 1A2B\r\n"
    "From: Example Telecom Billing <billing@example.com>\r\nTo: {to}\r\nSubject: Your invoice\r\n"
    "Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@example.com>\r\n"
)

POSTFIX = """Return-Path: <>\r
Received: by mx.example.net (Postfix)\r
	id 4T1XyZ0abc; Mon, 23 Nov 2026 10:00:02 +0000 (UTC)\r
Date: Mon, 23 Nov 2026 10:00:02 +0000 (UTC)\r
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\r
Subject: Undelivered Mail Returned to Sender\r
To: bounces@example.com\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
	boundary="4T1XyZ0abc.1795428002/mx.example.net"\r
Content-Transfer-Encoding: 8bit\r
Message-Id: <20261123100002.4T1XyZ0abc@mx.example.net>\r
\r
This is a MIME-encapsulated message.\r
\r
--4T1XyZ0abc.1795428002/mx.example.net\r
Content-Description: Notification\r
Content-Type: text/plain; charset=utf-8\r
\r
This is the mail system at host mx.example.net.\r
\r
<{to}>: host mail.example.org[203.0.113.25] said: {said}\r
\r
--4T1XyZ0abc.1795428002/mx.example.net\r
Content-Description: Delivery report\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.net\r
X-Postfix-Queue-ID: 4T1XyZ0abc\r
X-Postfix-Sender: rfc822; bounces@example.com\r
Arrival-Date: Mon, 23 Nov 2026 10:00:01 +0000 (UTC)\r
\r
Final-Recipient: rfc822; {to}\r
Original-Recipient: rfc822;{to}\r
Action: {action}\r
Status: {status}\r
Remote-MTA: dns; mail.example.org\r
Diagnostic-Code: smtp; {said}\r
\r
--4T1XyZ0abc.1795428002/mx.example.net\r
Content-Description: Undelivered Message Headers\r
Content-Type: text/rfc822-headers\r
Content-Transfer-Encoding: 8bit\r
\r
{returned}\r
--4T1XyZ0abc.1795428002/mx.example.net--\r
"""

EXIM = """Received: from Debian-exim by mx.example.net with local (Exim 4.97)\r
	id 1uABCD-000000001Zz-0Abc\r
	for bounces@example.com; Mon, 23 Nov 2026 10:00:02 +0000\r
X-Failed-Recipients: {to}\r
Auto-Submitted: auto-replied\r
From: Mail Delivery System <Mailer-Daemon@mx.example.net>\r
To: bounces@example.com\r
References: <{id}@example.com>\r
Content-Type: multipart/report; report-type=delivery-status; boundary=1795428002-eximdsn-1804289383\r
MIME-Version: 1.0\r
Subject: Mail delivery failed: returning message to sender\r
Message-Id: <E1uABCD-000000001Zz-0Abc@mx.example.net>\r
Date: Mon, 23 Nov 2026 10:00:02 +0000\r
\r
--1795428002-eximdsn-1804289383\r
Content-type: text/plain; charset=us-ascii\r
\r
This message was created automatically by mail delivery software.\r
\r
--1795428002-eximdsn-1804289383\r
Content-type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.net\r
\r
Action: {action}\r
Final-Recipient: rfc822;{to}\r
Status: 5.0.0\r
Remote-MTA: dns; mail.example.org\r
Diagnostic-Code: smtp; {said}\r
\r
--1795428002-eximdsn-1804289383\r
Content-type: message/rfc822\r
\r
Return-path: <bounces@example.com>\r
{returned}\r
Hello\r
\r
--1795428002-eximdsn-1804289383--\r
"""

EXCHANGE = """Received: from EX1.example.org (10.0.0.5) by EX2.example.org (10.0.0.6) with Microsoft SMTP Server\r
 id 15.20.8000.1; Mon, 23 Nov 2026 10:00:02 +0000\r
MIME-Version: 1.0\r
From: <postmaster@example.org>\r
To: <bounces@example.com>\r
Date: Mon, 23 Nov 2026 10:00:02 +0000\r
Content-Type: multipart/report; report-type=delivery-status;\r
	boundary="6f3b5d1c-0001-4f0e-9a7e-8a5b1f0c2d3e"\r
Content-Language: en-US\r
Message-ID: <0a1b2c3d-0001-4f0e-9a7e-8a5b1f0c2d3e@EX2.example.org>\r
In-Reply-To: <{id}@example.com>\r
References: <{id}@example.com>\r
Subject: Undeliverable: Your invoice\r
Auto-Submitted: auto-replied\r
\r
--6f3b5d1c-0001-4f0e-9a7e-8a5b1f0c2d3e\r
Content-Type: multipart/alternative; differences=Content-Type;\r
	boundary="1b2c3d4e"\r
\r
--1b2c3d4e\r
Content-Type: text/plain; charset="us-ascii"\r
\r
Delivery has failed to these recipients or groups: {to}\r
\r
--1b2c3d4e\r
Content-Type: text/html; charset="us-ascii"\r
\r
<html><body>Delivery has failed</body></html>\r
\r
--1b2c3d4e--\r
\r
--6f3b5d1c-0001-4f0e-9a7e-8a5b1f0c2d3e\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns;EX2.example.org\r
Received-From-MTA: dns;billing.example.com\r
Arrival-Date: Mon, 23 Nov 2026 10:00:01 +0000\r
\r
Final-Recipient: rfc822;{to}\r
Action: {action}\r
Status: {status}\r
Diagnostic-Code: smtp;{said}\r
X-Display-Name: Ada\r
\r
--6f3b5d1c-0001-4f0e-9a7e-8a5b1f0c2d3e\r
Content-Type: message/rfc822\r
\r
{returned}\r
\r
--6f3b5d1c-0001-4f0e-9a7e-8a5b1f0c2d3e--\r
"""

GMAIL = """Return-Path: <>\r
MIME-Version: 1.0\r
Date: Mon, 23 Nov 2026 02:00:02 -0800 (PST)\r
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r
To: bounces@example.com\r
Auto-Submitted: auto-replied\r
Subject: Delivery Status Notification (Failure)\r
References: <{id}@example.com>\r
In-Reply-To: <{id}@example.com>\r
X-Failed-Recipients: {to}\r
Message-ID: <6740f0a2.050a0220.1.0001.GMR@mx.google.com>\r
Content-Type: multipart/report; boundary="0000000000001a2b3c0627a00001"; report-type=delivery-status\r
\r
--0000000000001a2b3c0627a00001\r
Content-Type: multipart/related; boundary="0000000000001a2b460627a00002"\r
\r
--0000000000001a2b460627a00002\r
Content-Type: text/plain; charset="UTF-8"\r
Content-Transfer-Encoding: quoted-printable\r
\r
** Address not found **\r
\r
--0000000000001a2b460627a00002--\r
--0000000000001a2b3c0627a00001\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; googlemail.com\r
Received-From-MTA: dns; bounces@example.com\r
Arrival-Date: Mon, 23 Nov 2026 02:00:01 -0800 (PST)\r
X-Original-Message-ID: <{id}@example.com>\r
\r
Final-Recipient: rfc822; {to}\r
Action: {action}\r
Status: {status}\r
Remote-MTA: dns; mail.example.org. (203.0.113.25, the server for the domain example.org.)\r
Diagnostic-Code: smtp; {said}\r
Last-Attempt-Date: Mon, 23 Nov 2026 02:00:02 -0800 (PST)\r
\r
--0000000000001a2b3c0627a00001\r
Content-Type: message/rfc822\r
\r
{returned}\r
--0000000000001a2b3c0627a00001--\r
"""

SAMPLES = {"postfix": POSTFIX, "exim": EXIM, "exchange": EXCHANGE, "gmail": GMAIL}
UNKNOWN_USER = "550 5.1.1 <reader@example.com>: Recipient address rejected: User unknown"


def bounce(
    form: str = "postfix",
    *,
    name: str,
    to: str = "reader@example.com",
    action: str = "failed",
    status: str = "5.1.1",
    said: str = UNKNOWN_USER,
) -> bytes:
    """A bounce mail about the mail with this name (dlv_…)."""
    returned = RETURNED.format(by="mx.example.net", to=to, id=name)
    text = SAMPLES[form].format(to=to, id=name, action=action, status=status, said=said, returned=returned)
    return text.encode()
