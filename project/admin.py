"""People and groups in the console. Mails go to their addresses, so these are asked for and shown."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User

from events.admin.audited import Audited

if TYPE_CHECKING:
    _UserAdmin = DjangoUserAdmin[User]
else:
    _UserAdmin = DjangoUserAdmin  # not generic at run time

# Imported above, Django's own pages are registered by now.
admin.site.unregister([get_user_model(), Group])


@admin.register(Group)
class GroupAdmin(Audited[Group], DjangoGroupAdmin):
    """Groups: whom subscriptions mail together, and what their members may do here."""

    search_help_text = "Name"


@admin.register(get_user_model())
class UserAdmin(Audited[User], _UserAdmin):
    """System users: who signs in here, and whom subscriptions mail."""

    list_display = ["username", "email", "first_name", "last_name", "is_active", "is_staff", "last_login"]
    search_help_text = "Name or address"
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": ["username", "email", "usable_password", "password1", "password2"],
                "description": "A user without a password gets mails and cannot sign in.",
            },
        ),
    ]
