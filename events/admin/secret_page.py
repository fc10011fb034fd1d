"""Showing a new secret once: in the answer to the request that made it, and nowhere else."""

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse


def show_once(
    request: HttpRequest, site: AdminSite, row: Model, *, secret: str, title: str, use: str, note: str = ""
) -> TemplateResponse:
    """Return the page with the secret. It is not stored in the session, a message or a browser's cache."""
    opts = row._meta
    page = f"admin:{opts.app_label}_{opts.model_name}"
    response = TemplateResponse(
        request,
        "admin/secret_once.html",
        {
            **site.each_context(request),
            "title": title,
            "secret": secret,
            "use": use,
            "note": note or "Copy it now. It is shown once, on this page only, and cannot be shown again.",
            "row": row,
            "opts": opts,
            "change_url": reverse(f"{page}_change", args=[row.pk]),
            "list_url": reverse(f"{page}_changelist"),
        },
    )
    response["Cache-Control"] = "no-store"
    return response
