"""Every setting of Tessera, and the one reader of the environment.

In: environment variables and the data directory `TESSERA_VAR`. Out: Django's settings.
A secret that the environment does not give is made on the first start and kept in `TESSERA_VAR/secret.json`.
"""

import contextlib
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

import environ
import structlog
from celery.schedules import crontab
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL
from django.templatetags.static import static
from django.urls import reverse_lazy
from kombu import Queue

from config.sidebar import navigation

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
VAR = Path(env.str("TESSERA_VAR", default=str(BASE_DIR / "var"))).resolve()


def _made_secrets() -> dict[str, str]:
    """Read the made secrets, making them once (0600); two first starts at once agree on one file."""
    path = VAR / "secret.json"
    if not path.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        made = {"secret_key": secrets.token_urlsafe(48), "kek": secrets.token_urlsafe(32)}
        draft = path.with_name(f".secret-{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(made, file)
        with contextlib.suppress(FileExistsError):  # somebody else was first: theirs counts
            os.link(draft, path)
        draft.unlink()
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded


_environment_secret = env.str("SECRET_KEY", default="")
_environment_kek = env.str("TESSERA_KEKS", default="")
_made = {} if _environment_secret and _environment_kek else _made_secrets()

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = _environment_secret or _made["secret_key"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# -- applications ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rules.apps.AutodiscoverRulesConfig",
    "rest_framework",
    "rest_framework_api_key",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "django_filters",
    "corsheaders",
    "csp",
    "axes",
    "simple_history",
    "pgtrigger",
    "import_export",
    "django_json_schema_editor",
    "django_prose_editor",
    "django_celery_beat",
    "django_structlog",
    "django_prometheus",
    "health_check",
    "cms",
    "consent",
    "personalization",
    "demo",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
# The hot path: what a page answer needs and nothing else (config/wsgi.py dispatches by path).
DELIVERY_MIDDLEWARE = ["personalization.api.guard.DeliveryGuard"]
DELIVERY_PATHS = ("/api/v1/pages/", "/api/v1/decide/")

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "rules.permissions.ObjectPermissionBackend",
    "django.contrib.auth.backends.ModelBackend",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates" / "django"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ]
        },
    },
]

# -- PostgreSQL and Redis: DATABASE_URL and REDIS_URL, or the launcher's embedded ones ---------------
DATABASES: dict[str, Any] = {
    "default": env.db("DATABASE_URL", default="postgresql:///tessera"),
}
DATABASES["default"] |= {
    "ENGINE": "django.db.backends.postgresql",
    "CONN_MAX_AGE": 0,
    "ATOMIC_REQUESTS": False,
    "CONN_HEALTH_CHECKS": True,  # after a restart of PostgreSQL nobody is handed one of the dead connections
}
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"] |= {
    "connect_timeout": 2,
    # A frozen database must not freeze the web: a statement ends within two seconds of silence.
    "tcp_user_timeout": 2000,
    # Nor may a process that hangs within a transaction, a frozen worker say, keep its locks from all the others.
    "options": "-c idle_in_transaction_session_timeout=15s",
    # Whoever asks after `reconnect_timeout` makes the pool try at once; else it would wait ever longer between tries.
    "pool": {
        "min_size": 1,
        "max_size": env.int("DATABASE_POOL", default=8),
        "timeout": 2.0,
        "reconnect_timeout": 2.0,
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379")


def _redis_url(database: int, *, celery: bool = False) -> str:
    """Address one numbered database of REDIS_URL, in redis-py's or in Celery's spelling."""
    if REDIS_URL.startswith("unix://"):
        path = REDIS_URL.split("?")[0].removeprefix("unix://")
        return f"redis+socket://{path}?virtual_host={database}" if celery else f"unix://{path}?db={database}"
    return f"{REDIS_URL.split('?')[0].rstrip('/')}/{database}"


REDIS_HOT_URL = _redis_url(2)
REDIS_SOCKET_TIMEOUT_SECONDS = 0.05  # a page never waits longer than this for Redis
REDIS_BREAKER_SECONDS = 5.0
REDIS_BREAKER_ERRORS = 3
# Rates, the login lock and the admin's messages: anything here may be lost.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": _redis_url(1),
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
}

# -- Celery: tasks are hints, the state is in PostgreSQL ---------------------------------------------
CELERY_BROKER_URL = _redis_url(0, celery=True)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 60,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 2,
    # No `socket_timeout`: an acknowledgement that times out while Redis hangs is never made up for, and a worker that
    # prefetches one message waits for it for ever. A peer that is gone is found by keepalive, within half a minute.
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): value
        for name, value in (
            ("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000),
        )
        if hasattr(socket, name)
    },
}  # fmt: skip
CELERY_TASK_TIME_LIMIT = 50 * 60
# What waits for others (webhooks, triggers) has a queue of its own, so that it never holds up what readers wait for.
# What people asked for (erasures, copies) has one, too: it waits neither for others nor behind what is to be folded.
CELERY_TASK_QUEUES = [Queue("celery"), Queue("outgoing"), Queue("privacy")]
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_ROUTES = {
    f"personalization.tasks.{name}": {"queue": "outgoing"}
    for name in ("announce_changes", "run_triggers", "send_webhooks")
} | {f"consent.tasks.{name}": {"queue": "privacy"} for name in ("enforce", "answer_requests", "audit_flags")}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "personalization.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "fall-due": {
        "task": "personalization.tasks.fall_due_now",
        "schedule": 1.0,
        "options": {"expires": 1},
    },
    "announce": {
        "task": "personalization.tasks.announce_changes",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "segment-sizes": {
        "task": "personalization.tasks.note_segment_sizes",
        "schedule": crontab(minute="5"),
    },
    "keep-house": {"task": "personalization.tasks.keep_house", "schedule": crontab(hour="2", minute="40")},
    "recompile": {"task": "cms.tasks.recompile_waiting", "schedule": 5.0, "options": {"expires": 5}},
    "enforce-consent": {"task": "consent.tasks.enforce", "schedule": 5.0, "options": {"expires": 5}},
    "answer-requests": {"task": "consent.tasks.answer_requests", "schedule": 5.0, "options": {"expires": 5}},
    "shorten-memories": {
        "task": "consent.tasks.shorten_memories",
        "schedule": crontab(hour="2", minute="55"),
    },
    "expire-accesses": {"task": "consent.tasks.expire_accesses", "schedule": crontab(hour="2", minute="50")},
    "prune-withdrawals": {
        "task": "consent.tasks.prune_withdrawals",
        "schedule": crontab(hour="2", minute="52"),
    },
    "checkpoint": {"task": "consent.tasks.checkpoint", "schedule": 60.0, "options": {"expires": 60}},
    "audit-consent": {"task": "consent.tasks.audit_flags", "schedule": 60.0, "options": {"expires": 60}},
    "audit-everything": {
        "task": "consent.tasks.audit_everything",
        "schedule": crontab(hour="4", minute="20"),
    },
    "refresh-segments": {
        "task": "personalization.tasks.refresh_daily_segments",
        "schedule": 60.0,  # it looks whether a site's time of day has come
        "options": {"expires": 60},
    },
    "refresh-bestsellers": {
        "task": "personalization.tasks.refresh_bestsellers",
        "schedule": crontab(minute="*/10"),
    },
}
CELERY_TIMEZONE = "UTC"

# -- people -----------------------------------------------------------------------------------------
# Keys that wrap every subject's own key; the first is used, all are tried (docs/how-to/rotate-keys.md).
TESSERA_KEKS = _environment_kek.split(",") if _environment_kek else [_made["kek"]]
# Checkpoints of the consent ledger and tombstones of erasures: files outside the database, so that a restored backup
# meets them. Keep them on another disk, or ship them to somebody else.
LEDGER_DIR = Path(env.str("LEDGER_DIR", default=str(VAR / "ledger")))
CONSENT_REFUSAL_PAUSE_DAYS = env.int(
    "CONSENT_REFUSAL_PAUSE_DAYS", default=180
)  # before a refusal is asked about again
# Who answers for the data, as receipts and notices name them.
CONTROLLER = {
    "name": env.str("CONTROLLER_NAME", default="The operator of this site"),
    "address": env.str("CONTROLLER_ADDRESS", default=""),
    "contact": env.str("CONTROLLER_CONTACT", default=""),
    "authority": env.str("CONTROLLER_AUTHORITY", default=""),  # where one can complain
    "storage": env.str("CONTROLLER_STORAGE", default="the operator's own servers"),
}
SITE_SECRET = env.str("SITE_SECRET", default=SECRET_KEY)  # context.userHash is made with it
VISITOR_COOKIE = "tessera_visitor"
CONSENT_COOKIE = "tessera_consent"
VISITOR_MAX_AGE_SECONDS = 395 * 24 * 3600  # 13 months
GATES_MAX_AGE_SECONDS = 10.0
TRUSTED_COUNTRY_HEADER = env.str("TRUSTED_COUNTRY_HEADER", default="")
TRUSTED_REGION_HEADER = env.str(
    "TRUSTED_REGION_HEADER", default=""
)  # such as CA, for the law that holds there
SITE_ORIGINS = env.list("SITE_ORIGINS", default=[])
HISTORY_LIMIT = 500  # entries of the ledger that one answer shows
EVENT_RETENTION_DAYS = env.int("EVENT_RETENTION_DAYS", default=400)
ACCESS_LOG_DAYS = env.int("ACCESS_LOG_DAYS", default=365)  # 30 at least
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)  # on one's own machine only
WEBHOOK_PORTS = [int(port) for port in env.list("WEBHOOK_PORTS", default=["80", "443"])]
RATES = {
    "consent": (50, 500),  # a second and address, burst
    "ingest": (200, 400),  # requests a second and key, burst
    "reach": (1, 60),  # questions about who a rule would reach, a second and user, burst
}
FAULT = env.str("FAULT", default="")  # where a process dies on purpose; set by the fault tests alone
LOCALES = ["en", "de"]  # of a new site; a bundle may name others

# -- HTTP ---------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["drf_orjson_renderer.renderers.ORJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["drf_orjson_renderer.parsers.ORJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
DRF_STANDARDIZED_ERRORS = {"EXCEPTION_HANDLER_CLASS": "config.errors.ApiErrors"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tessera",
    "DESCRIPTION": "Assembled pages, consent, and events.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": ["personalization.api.openapi.complete"],
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # a page with many placements is one form
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # the API's largest body; the event door has its own limits
CORS_ALLOW_ALL_ORIGINS = True  # answers carry no credentials across origins: visitors send X-Visitor
CORS_ALLOW_CREDENTIALS = False
CORS_URLS_REGEX = (
    r"^/(api/v1/(pages|decide|consent|privacy)|(beacon/)?v1|sourceConfig|ofrep|\.well-known)(/|$).*"
)
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "x-visitor",
    "x-context",
    "x-time-zone",
    "if-none-match",
    "sec-gpc",
    # what the browser SDKs of Segment and RudderStack send along, the later ones with a second try
    "anonymousid",
    "sentat",
    "x-retry-count",
    "rsa-recovered",
    "rsa-retry-attempt",
    "rsa-retry-reason",
    "rsa-since-first-attempt",
    "rsa-since-last-attempt",
]
CORS_EXPOSE_HEADERS = ["etag", "surrogate-key", "server-timing", "retry-after"]
APPEND_SLASH = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
)
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
HTTPS_ONLY = env.bool("HTTPS_ONLY", default=False)  # off on one's own machine only
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS_ONLY
CSRF_COOKIE_AGE = None  # gone with the browser: who refuses everything keeps nothing of ours that differs
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]  # probes come without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
# where the rule builder of pages finds rules to begin with: content itself knows nothing of segments
DISPLAY_RECIPES_URL = reverse_lazy("admin:personalization_segment_display_recipes_json")
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
# Everything but the admin: strict. The admin needs 'unsafe-eval' for its conditional fields (config/urls.py).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "https:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
ADMIN_CONTENT_SECURITY_POLICY = {
    "default-src": [SELF],
    "script-src": [SELF, NONCE, UNSAFE_EVAL],
    "style-src": [SELF, "'unsafe-inline'"],  # unfold's widgets and the JSON editor set style attributes
    "img-src": [SELF, "data:", "blob:", "https:"],
    "object-src": [NONE],
    "base-uri": [SELF],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
}

AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# -- languages, time, files -----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
MEDIA_URL = "/media/"
MEDIA_ROOT = VAR / "media"
MEDIA_MAX_BYTES = 10 * 1024 * 1024
MEDIA_MAX_PIXELS = 40_000_000
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
FILE_UPLOAD_PERMISSIONS = 0o644
SILENCED_SYSTEM_CHECKS: list[str] = []

# structlog writes through the standard library, so that LOG_LEVEL counts for it too.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
DJANGO_STRUCTLOG_USER_ID_FIELD = None  # no identifier of a person is bound to a log line
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_CELERY_ENABLED = False
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING")},
}


UNFOLD = {
    "SITE_TITLE": "Tessera",
    "SITE_HEADER": "Tessera",
    "SITE_SUBHEADER": "Content assembled for each reader",
    "SITE_SYMBOL": "grid_view",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/png", "href": lambda request: static("demo/icon.png")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": True,
    "COMMAND": {"search_models": True, "show_history": True},
    "DASHBOARD_CALLBACK": "personalization.admin.dashboard.dashboard",
    "SIDEBAR": {
        "show_search": True,
        "navigation": navigation(),
    },
}
