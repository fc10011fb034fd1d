"""Every setting an operator may change comes from the environment, and only from here.

Each variable can also be given as NAME_FILE, the path of a file that holds its value.
docs/operation.md lists them all.
"""

from pathlib import Path
from typing import Any

import environ

from project import embedded, keys, logs

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.FileAwareEnv()
environ.Env.read_env(BASE_DIR / ".env", overwrite=False)

DEBUG = env.bool("DEBUG", default=False)
# Empty where neither the environment nor `manage.py up` gave one: project.E001 stops the start.
SECRET_KEY = env.str("SECRET_KEY", default="") or keys.stored(VAR_DIR, "secret_key")
# Newest first. They encrypt SMTP passwords and signing secrets; see smtpprofiles/encryption.py.
SECRETS_KEYS: list[str] = env.list("SECRETS_KEYS", default=[]) or [
    key for key in [keys.stored(VAR_DIR, "secrets_key")] if key
]
BASE_URL = env.str("BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
OWNER_NAME = env.str("OWNER_NAME", default="Bellwether")

# Networks that the address guard would refuse, opened by the operator: CIDR, comma-separated.
OUTBOUND_ALLOWED_NETWORKS: list[str] = env.list("OUTBOUND_ALLOWED_NETWORKS", default=[])
SMTP_ALLOWED_NETWORKS: list[str] = env.list("SMTP_ALLOWED_NETWORKS", default=[])
# An egress proxy, http://user:password@proxy:3128: callouts and token requests leave through it.
OUTBOUND_PROXY = env.str("OUTBOUND_PROXY", default="")
# host:443=host:port pairs, as curl's --connect-to; development and tests only.
OUTBOUND_CONNECT_TO: list[str] = env.list("OUTBOUND_CONNECT_TO", default=[])
# Outside DEBUG such a mapping is refused, unless it is allowed outright.
OUTBOUND_CONNECT_TO_ALLOWED = env.bool("OUTBOUND_CONNECT_TO_ALLOWED", default=False)
OUTBOUND_CA_BUNDLE = env.str("OUTBOUND_CA_BUNDLE", default="")

Q_WORKERS = env.int("Q_WORKERS", default=2)
DELIVERY_THREADS = env.int("DELIVERY_THREADS", default=8)
# A send (15 s at most) must end before its lease: notifications.E001 checks it, and E002 that a drain
# ends before its task's own limit.
DELIVERY_LEASE_SECONDS = env.int("DELIVERY_LEASE_SECONDS", default=25)
RETENTION_DAYS = env.int("RETENTION_DAYS", default=90)

INSTALLED_APPS = [
    "project.apps.ProjectConfig",
    "notifications",
    "events",
    "smtpprofiles",
    "project.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "axes",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "notifications.origin.OriginMiddleware",
    "project.unreadable.UnreadableSecretMiddleware",
]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_VERBOSE = False
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL")
    if env.str("DATABASE_URL", default="")
    else embedded.connection_settings(VAR_DIR)
}
# A connection is kept, and tried before use: a restarted PostgreSQL costs nobody an error page.
DATABASES["default"].update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
# A server with fsync off is refused, unless nothing in it is worth keeping, as in tests.
DURABILITY_NOT_NEEDED = env.bool("DURABILITY_NOT_NEEDED", default=False)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "project.formats"
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
# Served from the apps themselves, so that a fresh clone needs no collectstatic.
WHITENOISE_USE_FINDERS = True

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [BASE_URL]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "events.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["events.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["events.api.wire.JSONBody"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "events.problems.handle",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Bellwether",
    "DESCRIPTION": "Event notifications for billing systems.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "EventSourceEnum": "events.models.Event.Source",
        "ParameterSourceEnum": "notifications.models.Parameter.Source",
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 11 * 1024 * 1024  # a batch of 10 MB, and its envelope

# django-q2 starts the delivery processes and wakes them; our own tables hold the truth. notifications/checks.py
# says why each of these has to be so.
Q_CLUSTER: dict[str, Any] = {
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
    "save_limit": 250,
    "ALT_CLUSTERS": {
        "delivery": {
            "workers": Q_WORKERS,
            "queue_limit": Q_WORKERS,
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

# Why triggers did, or did not, fire is kept so long; see docs/triggers.md.
TRIGGER_LEDGER_DAYS = env.int("TRIGGER_LEDGER_DAYS", default=90)
TRIGGER_LEDGER_MOST_A_DAY = env.int("TRIGGER_LEDGER_MOST_A_DAY", default=10_000)

LOG_FORMAT = env.str("LOG_FORMAT", default="console")
LOGGING = logs.configuration(LOG_FORMAT)
