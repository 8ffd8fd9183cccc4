"""What the API answers when PostgreSQL is away: 503 and when to come back, in the one shape of its errors."""

from typing import Final

from django.db import InterfaceError, OperationalError
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework.exceptions import APIException

DATABASE_AWAY: Final = (OperationalError, InterfaceError)


class Away(APIException):
    """PostgreSQL does not answer right now."""

    status_code = 503
    default_detail = "This cannot be answered right now. Please try again."
    default_code = "unavailable"
    wait = 2  # seconds; becomes Retry-After


class ApiErrors(ExceptionHandler):
    """The API's errors: what cannot be answered without PostgreSQL is no fault of the code."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        return Away() if isinstance(exc, DATABASE_AWAY) else super().convert_known_exceptions(exc)
