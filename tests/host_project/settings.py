"""The settings of a host: its own apps, those of the product, and what the product asks for."""

import os

import environ

SECRET_KEY = os.environ["SECRET_KEY"]
DATABASES = {"default": environ.Env().db_url("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
ROOT_URLCONF = "tests.host_project.urls"
INSTALLED_APPS = [
    "tests.host_project.shop",
    "tests.host_project.ledger",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django_q",
    "notifications",
    "events",
    "smtpprofiles",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["events.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["events.authentication.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["events.api.wire.JSONBody"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "events.problems.handle",
}

# What the product asks of its host; docs/operation.md says what each is for.
SECRETS_KEYS = os.environ["SECRETS_KEYS"].split(",")
OWNER_NAME = "Shop"
OUTBOUND_ALLOWED_NETWORKS: list[str] = []
SMTP_ALLOWED_NETWORKS: list[str] = []
OUTBOUND_CONNECT_TO: list[str] = []
OUTBOUND_CA_BUNDLE = ""
RETENTION_DAYS = 90
Q_WORKERS = 1
DELIVERY_THREADS = 2
DELIVERY_LEASE_SECONDS = 25
Q_CLUSTER = {
    "name": "default",
    "orm": "default",
    "broker_class": "notifications.broker.Broker",
    "workers": 1,
    "poll": 1,
    "timeout": 600,
    "retry": 900,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "ALT_CLUSTERS": {
        "delivery": {
            "workers": 1,
            "queue_limit": 1,
            "timeout": 60,
            "retry": 120,
            "max_attempts": 1,
            "ack_failures": True,
            "save_limit": -1,
            "bulk": 1,
            "poll": 1,
            "recycle": 200,
        }
    },
}
