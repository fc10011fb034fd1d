"""What goes wrong between a callout and its receiver, and who mends it how."""

# By a word of what OpenSSL says; the first that fits.
TLS = (
    (
        "has expired",
        "Their certificate has expired.",
        "The receiver renews its certificate, and looks why that did not happen by itself.",
    ),
    (
        "not yet valid",
        "Their certificate is not valid yet.",
        "The receiver checks the clock of the machine that made its certificate, and has a new one made.",
    ),
    (
        "mismatch",
        "Their certificate is for another name.",
        "Change the base URL to a name that the certificate is for, or the receiver gets one for this name.",
    ),
    (
        "self-signed",
        "Their certificate is signed by itself or by a private authority, which nobody here trusts.",
        "Paste the certificate of that authority into the endpoint's CA certificate, "
        "or the receiver gets one of a public authority.",
    ),
    (
        "unable to get",
        "Their certificate is from an authority that is not trusted here, or they do not send its chain.",
        "With a public authority, the receiver adds the intermediate certificates to what it sends (the full "
        "chain). With a private one, paste its certificate into the endpoint's CA certificate.",
    ),
    (
        "revoked",
        "Their certificate was revoked.",
        "The receiver has a new certificate made.",
    ),
    (
        "ca certificate to trust",
        "The endpoint's own CA certificate cannot be read.",
        "Paste it again in PEM form, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
    ),
    (
        "wrong version number",
        "What answers there does not speak TLS: probably plain http.",
        "The receiver offers https on port 443; callouts use nothing else.",
    ),
    (
        "protocol version",
        "They speak only versions of TLS before 1.2.",
        "The receiver turns on TLS 1.2 or 1.3.",
    ),
    (
        "handshake failure",
        "They refused the TLS handshake.",
        "The receiver may want a client certificate, or offers no common cipher: their TLS log says which.",
    ),
    (
        "certificate required",
        "They want a client certificate.",
        "Give the endpoint a client certificate that the receiver trusts.",
    ),
)
# By the status of the answer.
STATUS = {
    400: (
        "They could not make sense of the request.",
        "Their answer often says why; compare the body sent with what their code expects.",
    ),
    401: (
        "They do not accept its signature or credentials.",
        "The receiver verifies the raw body, before any parsing, with this endpoint's signing secret; a "
        "password, token or key that it expects beside the signature is set at the endpoint's authentication.",
    ),
    403: (
        "They understood it and forbid it.",
        "The receiver checks its signature code, its firewall and lists of allowed addresses, and any "
        "protection against forgery (CSRF), which callouts must be exempt from.",
    ),
    404: (
        "There is nothing at this path.",
        "Compare the path with the receiver's, capitals and the slash at the end included, and correct it.",
    ),
    405: (
        "This path takes no POST.",
        "Callouts are POST requests: correct the path, or the receiver accepts POST there.",
    ),
    406: (
        "They want to answer in a form that was not asked for.",
        "The receiver answers callouts with any 2xx status, whatever the Accept header says.",
    ),
    408: ("They gave up waiting for the request.", "The receiver allows more time for a request to arrive."),
    409: (
        "They see a conflict, as with something that they have already.",
        "A receiver that has seen a webhook-id before answers 2xx, or the callout is tried again and again.",
    ),
    411: (
        "They want a length, though it was sent.",
        "A proxy before the receiver drops Content-Length: look there.",
    ),
    413: ("The request is too large for them.", "The receiver accepts bodies of 512 KB."),
    415: (
        "They expect another content type than application/json.",
        "The receiver accepts Content-Type: application/json at this path.",
    ),
    421: (
        "Their server does not serve this host name.",
        "Correct the base URL, or the receiver's virtual hosts.",
    ),
    422: (
        "They read the request and do not accept what it says.",
        "Their answer often says which member; compare the body sent with what their code expects.",
    ),
    426: ("They want another version of HTTP.", "The receiver accepts HTTP/1.1."),
    429: (
        "They receive more than they want.",
        "Set the endpoint's rate limit to what the receiver can take.",
    ),
    502: (
        "Their proxy got no answer from the application behind it.",
        "The receiver's application is down: start it.",
    ),
    503: ("They are not available now.", "Wait, or ask the receiver whether it is being maintained."),
    504: (
        "Their proxy waited too long for the application behind it.",
        "The receiver answers 2xx first, and works on it afterwards.",
    ),
}
