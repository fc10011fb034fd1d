"""The page behind the link in a mail: leave its subscription, or come back. Needs no login.

Looking at it changes nothing, since mail filters follow links. The token itself is the authority, so that a
mail program's one-click request (RFC 8058), which has neither cookie nor CSRF token, is taken as well.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from . import opt_out
from .models import OptOut, Subscription


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the link is for; do it when it is posted."""
    wish = opt_out.read(token)
    subscription = Subscription.objects.filter(pk=wish.subscription_id).first() if wish else None
    if wish is None or subscription is None:
        return _page(request, state="unknown", status=404)
    if not subscription.allows_opt_out:
        return _page(request, state="refused", subscription=subscription, wish=wish)
    if request.method == "POST":
        if "again" in request.POST:
            opt_out.come_back(wish)
        else:
            opt_out.leave(wish, is_one_click="List-Unsubscribe" in request.POST)
    has_left = OptOut.objects.filter(subscription=subscription, address=wish.address).exists()
    state = "left" if has_left else "back" if request.method == "POST" else "asked"
    return _page(request, state=state, subscription=subscription, wish=wish)


def _page(
    request: HttpRequest,
    *,
    state: str,
    subscription: Subscription | None = None,
    wish: opt_out.Wish | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"state": state, "subscription": subscription, "wish": wish, "owner": settings.OWNER_NAME}
    response = render(request, "notifications/unsubscribe.html", context, status=status)
    # The address of this page is the right to leave: no other site is told it.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
