"""What a person can do about a mail server's refusal."""

from .account import Phase, SendResult, SmtpAccount

_BY_CLASS = {
    "dns": "Check how the server's name is written.",
    "timeout": "Check server and port, and whether a firewall lets this machine out to them.",
    "address_refused": "If this server is meant, an operator adds its network to SMTP_ALLOWED_NETWORKS.",
    "reset": "Check that port and security belong together: 587 with STARTTLS, 465 with TLS from the start.",
    "protocol": "Check that this port belongs to a mail server.",
    "smtp_4xx": "Try again in some minutes; the server says why above.",
}


def remedy(result: SendResult, account: SmtpAccount) -> str:
    """Return one or two sentences, for the step in which it failed."""
    if result.error_class == "tls":
        return _of_tls(result, account)
    if result.error_class == "connect":
        return f"Check the port, {account.port}, and whether a firewall lets this machine out to it."
    if result.phase is Phase.AUTH or result.error_class == "smtp_auth":
        return _of_login(result, account)
    if result.phase is Phase.MAIL:
        return f"The server does not take mail from {account.sender}: use an address that this login may send from."
    if result.phase is Phase.RCPT:
        return (
            "The server does not take mail for this recipient: try another address, or let it relay for us."
        )
    return _BY_CLASS.get(result.error_class, "The server says why above.")


def _of_tls(result: SendResult, account: SmtpAccount) -> str:
    if "STARTTLS" in result.text:
        return "Choose TLS from the start with port 465, or a server that offers STARTTLS."
    if "ostname mismatch" in result.text or "not valid for" in result.text:
        return f"Write the server's name as its certificate has it, instead of {account.host}."
    if "certificate" in result.text:
        return "If the server's authority is your own, paste its certificate into “CA certificate”."
    return "Port and security do not belong together: 587 with STARTTLS, 465 with TLS from the start."


def _of_login(result: SendResult, account: SmtpAccount) -> str:
    if "XOAUTH2" in result.text:
        return "This server takes no OAuth2 tokens here: choose user name and password, or another server."
    if result.enhanced_code in ("5.7.30", "5.7.139"):
        return "The server takes passwords no longer: choose OAuth2 as the way of logging in."
    if account.grant is not None:
        return (
            "The token was given and the mailbox refused it: check the user name, the scope, and that the "
            "application may send for this mailbox (Microsoft 365: SMTP.SendAsApp and a service principal)."
        )
    if not account.username:
        return "The server wants a login: choose user name and password, or OAuth2."
    return "Enter user name and password again. Google and others want an app password; Microsoft 365 wants OAuth2."
