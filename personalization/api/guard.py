"""The only middleware of delivery: headers every answer has, CORS, and the assertion of the scope.

An answer that may hold something personal must say `private, no-store`; one that says otherwise is a programming
error and is never sent.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_PLAIN_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "etag, surrogate-key, server-timing",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "accept, authorization, x-visitor, x-context, x-time-zone, if-none-match",
    "Access-Control-Max-Age": "86400",
}


class ScopeViolation(AssertionError):
    """An answer with a value of the wrong scope was about to be sent to a shared cache."""


class DeliveryGuard:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "OPTIONS":
            response = HttpResponse(status=204, headers=_PREFLIGHT)
        else:
            response = self.get_response(request)
        for name, text in _PLAIN_HEADERS.items():
            response.headers.setdefault(name, text)
        response.headers["Content-Length"] = str(len(response.content))  # else the answer is sent in chunks
        return response


def assert_scope(response: HttpResponse, *, personal: bool) -> HttpResponse:
    """Return the answer; raises ScopeViolation when a shared cache could keep something personal."""
    if personal and response.headers.get("Cache-Control") != "private, no-store":
        raise ScopeViolation(response.headers.get("Cache-Control"))
    return response
