"""The event door: the Segment HTTP API, so that its SDKs and RudderStack's work unchanged.

JSON whatever the content type says, gzip, the write key by Basic auth, in the body or in the query. The answer comes
after the events are durable.
"""

import base64
import datetime as dt
import zlib
from typing import Any, Final

import orjson
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException

from consent.api.asking import limit, visitor_of
from consent.api.signals import closed_by_signals
from personalization.api.access import Key, find_key
from personalization.api.pages import error_answer, refused
from personalization.ingest.counts import note
from personalization.ingest.message import KINDS, Malformed, Message, read
from personalization.ingest.store import Outcome, Sender, keep

MAX_CALL_BYTES: Final = 500 * 1024
MAX_EVENTS: Final = 2_500
MAX_DISCARDED_BYTES: Final = 10 * 1024 * 1024
SHORT: Final = {
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
    "b": "batch",
    "m": "batch",
}


class Unreadable(Exception):
    """A call that cannot be read: the status, the code and the sentence of its answer."""

    def __init__(self, status: int, code: str, sentence: str, attr: str | None = None) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence, self.attr = status, code, sentence, attr


@csrf_exempt
def collect(request: HttpRequest, call: str) -> HttpResponse:
    """Take one call of the event API."""
    if request.method != "POST":
        response = error_answer(405, "method_not_allowed", "Send events with POST.")
        response.headers["Allow"] = "POST, OPTIONS"
        return response
    try:
        body = _json(_body(request))
        if call == "m" and "series" in body:
            return JsonResponse({"success": True})  # an SDK's numbers about itself: not ours to keep
        key = _key(request, body)
        limit(request, "ingest", key.prefix)
        outcome = _take(request, SHORT.get(call, call), body, key)
    except Unreadable as error:
        return _spoken_twice(error_answer(error.status, error.code, error.sentence, error.attr))
    except APIException as error:
        response = _spoken_twice(refused(error))
        if wait := getattr(error, "wait", None):
            response.headers["Retry-After"] = str(max(1, round(wait)))
        return response
    except OperationalError:
        response = error_answer(503, "unavailable", "Events cannot be stored right now; send them again.")
        response.headers["Retry-After"] = "2"
        return response
    answer = {"success": True, "accepted": outcome.accepted, "dropped": dict(outcome.dropped)}
    if outcome.traits:
        answer["traits"] = outcome.traits
    return JsonResponse(answer)


def _spoken_twice(response: HttpResponse) -> HttpResponse:
    """Put code and sentence beside the errors: RudderStack's SDK for Python looks there before it gives up."""
    answer = orjson.loads(response.content)
    first = answer["errors"][0]
    response.content = orjson.dumps({**answer, "code": first["code"], "message": first["detail"]})
    return response


def _body(request: HttpRequest) -> bytes:
    """Read the body up to the limit, unpacked; a larger one is read and thrown away before it is refused."""
    raw = request.read(MAX_CALL_BYTES + 1)
    if len(raw) > MAX_CALL_BYTES:
        discarded = len(raw)
        while discarded < MAX_DISCARDED_BYTES and (more := request.read(65_536)):
            discarded += len(more)
        raise Unreadable(413, "too_large", "A call carries at most 500 KB.")
    if raw[:2] == b"\x1f\x8b":
        return _unpacked(raw)
    return raw


def _unpacked(raw: bytes) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        body = unpacker.decompress(raw, MAX_CALL_BYTES + 1)
    except zlib.error as error:
        raise Unreadable(400, "invalid", "The body is not gzip.") from error
    if len(body) > MAX_CALL_BYTES:
        raise Unreadable(413, "too_large", "A call carries at most 500 KB, unpacked.")
    return body


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unreadable(400, "parse_error", f"The body is not JSON: {error.msg}.") from error
    if not isinstance(body, dict):
        raise Unreadable(400, "invalid", "Send a JSON object.")
    return body


def _key(request: HttpRequest, body: dict[str, Any]) -> Key:
    """Return the key of the call: Basic, Api-Key, body or query."""
    header = request.headers.get("Authorization", "")
    text = str(body.get("writeKey") or request.GET.get("writeKey") or "")
    if header.startswith("Basic "):
        text = _basic(header.removeprefix("Basic "))
    elif header.startswith("Api-Key "):
        text = header.removeprefix("Api-Key ").strip()
    key = find_key(text)
    if key is None:
        raise Unreadable(401, "not_authenticated", "Send a write key.", "writeKey")
    if "ingest" not in key.scopes:
        raise Unreadable(403, "permission_denied", "This key does not have the scope 'ingest'.", "writeKey")
    return key


def _basic(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode().partition(":")[0]
    except ValueError:  # neither Base64 nor text
        return ""


def _take(request: HttpRequest, call: str, body: dict[str, Any], key: Key) -> Outcome:
    now = timezone.now()
    raw = body.get("batch") if call == "batch" else [body]
    if not isinstance(raw, list):
        raise Unreadable(400, "invalid", "A batch has a list of messages.", "batch")
    if len(raw) > MAX_EVENTS:
        raise Unreadable(413, "too_many", f"A batch carries at most {MAX_EVENTS} messages.", "batch")
    messages, outcome = _read_all(raw, call, body, now)
    closed = closed_by_signals(request, key.site_id)
    sender = Sender(key.prefix, key.secret, key.site_id, visitor_of(request), closed)
    kept = keep(messages, sender=sender, now=now) if messages else Outcome()
    kept.dropped.update(outcome.dropped)
    note(key.site_id, {("*", reason): n for reason, n in outcome.dropped.items()})
    return kept


def _read_all(
    raw: list[Any], call: str, body: dict[str, Any], now: dt.datetime
) -> tuple[list[Message], Outcome]:
    outcome = Outcome()
    messages = []
    kind = call if call in KINDS else None
    for index, one in enumerate(raw):
        try:
            messages.append(read(one, received_at=now, kind=kind, sent_at=body.get("sentAt")))
        except Malformed as error:
            if call != "batch":
                raise Unreadable(
                    413 if error.reason == "too_large" else 400,
                    error.reason,
                    "This message cannot be read.",
                    f"batch.{index}",
                ) from error
            outcome.dropped[error.reason] += 1
    return messages, outcome


def settings_of(request: HttpRequest, write_key: str = "") -> HttpResponse:
    """Answer the settings that the browser SDKs ask for before they send anything: where to, and nothing else."""
    host = request.get_host()
    key = write_key or request.GET.get("writeKey", "")
    return JsonResponse(
        {
            "integrations": {
                "Segment.io": {"apiKey": key, "apiHost": f"{host}/v1", "protocol": request.scheme}
            },
            "metrics": {"sampleRate": 0},
            "plan": {"track": {"__default": {"enabled": True}}},
            "source": {"id": "tessera", "enabled": True, "config": {}, "destinations": [], "dataplanes": {}},
        }
    )
