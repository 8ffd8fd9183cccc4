"""The product's routes, and before them the baseline: a page that was finished earlier, from one Redis GET."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config import urls
from consent.hot_store import hot_store

handler404, handler500, handler400 = urls.handler404, urls.handler500, urls.handler400


def finished_key(token: str) -> str:
    """Return where the finished page of a visitor lies."""
    return f"bench:{token}"


def finished(request: HttpRequest) -> HttpResponse:
    """Answer the bytes that the product answered for this visitor before."""
    (content,) = hot_store().read([finished_key(request.META["HTTP_X_VISITOR"])])
    return HttpResponse(
        content, content_type="application/json", headers={"Cache-Control": "private, no-store"}
    )


urlpatterns = [path("bench/finished", finished), *urls.urlpatterns]
