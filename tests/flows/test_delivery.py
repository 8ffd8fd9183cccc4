"""Pages over HTTP: cache headers row by row, languages, stated context, keys, the split answer, and what is not there."""

import datetime as dt
from typing import Any

import orjson
import pytest

from cms.models import Page, Site
from cms.publishing import unpublish_page
from personalization.plans import sign
from tests.builders import committing, default, the_site
from tests.flows.front import Front, agreed, make_key
from tests.flows.shop import BUNDLE, hero, load, page, when

pytestmark = pytest.mark.usefixtures("shop")
PHONE, DESK = "Mozilla/5.0 (iPhone) Mobile", "Mozilla/5.0 (X11; Linux x86_64)"


def vary(answer: Any) -> set[str]:
    return {name.strip() for name in answer.headers.get("Vary", "").split(",") if name.strip()}


def test_an_answer_has_the_shape_of_the_contract() -> None:
    answer = Front().page("/").json()
    assert list(answer) == ["page", "slots", "decision"]
    assert set(answer["page"]) == {"path", "title", "locale", "template", "revision", "published_at", "meta"}
    assert set(answer["slots"]) == {"hero", "footer"}
    assert set(answer["slots"]["hero"][0]) == {"placement", "type", "block", "variant", "reason", "fields"}
    assert set(answer["decision"]) == {"key", "scope", "purposes", "valid_until", "experiments"}
    assert Front().page("/plain").json()["slots"]["footer"] == []


class TestCacheHeaders:
    def test_what_reads_nothing_of_the_request_is_public(self) -> None:
        answer = Front().page("/plain")
        assert answer.headers["Cache-Control"] == "public, max-age=60, stale-while-revalidate=60"
        assert vary(answer) == {"Accept", "Accept-Encoding", "Accept-Language"}
        assert answer.headers["ETag"].startswith('"')
        assert answer.json()["decision"]["scope"] == "static"
        assert vary(Front().page("/plain?locale=en")) == {"Accept", "Accept-Encoding"}

    @pytest.mark.parametrize(
        ("path", "more"),
        [
            ("/device", {"User-Agent", "Sec-CH-UA-Mobile"}),
            ("/phones", {"User-Agent", "Sec-CH-UA-Mobile"}),
            ("/hour", {"X-Time-Zone"}),
            ("/campaign", set()),
            ("/weather", set()),
        ],
    )
    def test_what_reads_context_varies_with_its_headers(self, path: str, more: set[str]) -> None:
        answer = Front().page(path)
        assert answer.headers["Cache-Control"].startswith("public, max-age=")
        assert vary(answer) == {"Accept", "Accept-Encoding", "Accept-Language"} | more
        assert "ETag" in answer.headers
        assert answer.json()["decision"]["scope"] == "public-permutation"

    @pytest.mark.parametrize("path", ["/", "/offers", "/family", "/sizes", "/gold"])
    def test_what_reads_anything_personal_is_private_for_everybody(self, path: str) -> None:
        for front in (Front(), agreed()):
            answer = front.page(path)
            assert answer.headers["Cache-Control"] == "private, no-store"
            assert "ETag" not in answer.headers
            assert not vary(answer)
            assert answer.json()["decision"]["scope"] == "private-request"

    def test_a_stated_context_makes_any_answer_private(self, deliver_key: str) -> None:
        stated = {"X-Context": '{"weather": "rain"}'}
        answer = Front().page("/weather", key=deliver_key, **stated)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert Front().page("/weather", **stated).headers["Cache-Control"].startswith("public")

    def test_the_tag_answers_not_modified_and_changes_with_the_content(self) -> None:
        tag = Front().page("/plain").headers["ETag"]
        again = Front().page("/plain", If_None_Match=f'"x", W/{tag}')
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
        assert "Cache-Control" in again.headers
        assert Front().page("/plain", If_None_Match='"x"').status_code == 200
        assert Front().page("/plain", Accept="text/html").headers["ETag"] != tag
        load(BUNDLE | {"blocks": [hero("hero-default", "Hi")], "pages": []})
        assert Front().page("/plain", If_None_Match=tag).status_code == 200

    def test_a_public_answer_lives_no_longer_than_it_is_true(self) -> None:
        end = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)).isoformat()
        load({"tessera": 1, "pages": [page("/soon", when("now", {}, "hero-new", ends_at=end))]})
        header = Front().page("/soon").headers["Cache-Control"]
        seconds = int(header.split("max-age=")[1].split(",")[0])
        assert 10 <= seconds <= 20
        answer = Front().page("/soon").json()
        assert answer["decision"]["valid_until"][:16] == end[:16]

    def test_cache_tags_say_nothing(self) -> None:
        tags = Front().page("/plain").headers["Surrogate-Key"].split()
        assert len(tags) == len(set(tags)) > 1
        assert all(len(tag) == 12 and int(tag, 16) >= 0 for tag in tags)

    def test_errors_are_kept_by_nobody(self) -> None:
        assert Front().page("/nowhere").headers["Cache-Control"] == "private, no-store"

    def test_timing_is_told_to_a_previewing_key_alone(self, preview_key: str) -> None:
        assert "Server-Timing" not in Front().page("/plain").headers
        assert "Server-Timing" in Front().page("/plain", key=preview_key).headers

    def test_a_site_that_demands_a_key_is_not_opened_by_a_shared_cache(self, deliver_key: str) -> None:
        with committing():
            Site.objects.update(requires_key=True)
            the_site().advance()
        assert Front().page("/plain").status_code == 401
        assert Front().page("/plain", key=make_key("ingest")).status_code == 403
        answer = Front().page("/plain", key=deliver_key)
        assert answer.status_code == 200
        assert "Authorization" in vary(answer)

    def test_two_people_never_meet_in_a_body(self, write_key: str) -> None:
        ada, ben = agreed(), agreed()
        ada.tells(write_key, first_name="Ada")
        ben.tells(write_key, first_name="Ben")
        assert b"Ada" in ada.page().content
        assert b"Ada" not in ben.page().content
        for path in ("/plain", "/device", "/hour"):
            assert ada.page(path).content == ben.page(path).content == Front().page(path).content


class TestLanguage:
    @pytest.mark.parametrize(
        ("query", "accepted", "locale"),
        [
            ("", "", "en"),
            ("", "de", "de"),
            ("", "de-AT,de;q=0.9", "de"),
            ("", "fr,de;q=0.5", "de"),
            ("", "fr", "en"),
            ("?locale=de", "en", "de"),
            ("?locale=de-AT", "", "de"),
            ("?locale=DE", "", "de"),
            ("?locale=fr", "de", "en"),
            ("?locale=%00", "", "en"),
            ("", ",;;,*" * 500, "en"),
        ],
    )
    def test_the_locale_is_asked_for_else_accepted_else_the_default(
        self, query: str, accepted: str, locale: str
    ) -> None:
        answer = Front().page(f"/plain{query}", Accept_Language=accepted)
        assert answer.json()["page"]["locale"] == locale
        assert answer.json()["page"]["title"] == {"en": "Home", "de": "Start"}[locale]

    def test_html_is_the_same_decision_through_the_template(self) -> None:
        answer = Front().page("/plain?locale=de", Accept="text/html")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b"<h1>Start</h1>" in answer.content
        assert b"Hallo" in answer.content

    def test_a_value_is_escaped_in_html_and_left_in_json(self, write_key: str) -> None:
        front = agreed()
        front.tells(write_key, first_name="<b>&")
        assert front.slots()["home-footer"]["fields"]["headline"] == "Bye <b>&"
        load(
            {
                "tessera": 1,
                "pages": [
                    page("/bye", slots={"hero": [{"placement": "p", "variants": [default("greeting")]}]})
                ],
            }
        )
        assert b"&lt;b&gt;&amp;" in front.page("/bye", Accept="text/html").content


class TestContext:
    def test_only_a_key_with_deliver_states_it(self, deliver_key: str, preview_key: str) -> None:
        stated = {"X-Context": '{"device": "mobile"}', "User-Agent": DESK}
        assert Front().variant("/device", key=deliver_key, **stated)[0] == "mobile"
        assert Front().variant("/device", key=preview_key, **stated)[0] == "default"
        assert Front().variant("/device", **stated)[0] == "default"

    def test_a_stated_time_is_the_visitors_own(self, deliver_key: str) -> None:
        for time, variant in (
            ("07:30:00+01:00", "mobile"),
            ("12:30:00+09:00", "default"),
            ("07:30:00-08:00", "mobile"),
        ):
            stated = {"X-Context": f'{{"time": "2026-11-22T{time}"}}'}
            assert Front().variant("/hour", key=deliver_key, **stated)[0] == variant

    @pytest.mark.parametrize(
        "context", ["{", "[]", '{"mood": "x"}', '{"device": 7}', '{"device": "fridge"}', '{"time": "noon"}', '{"time": "0001-01-01T00:00:00+14:00"}', '{"time": "9999-12-31T23:59:59-14:00"}', '{"weather": "' + "x" * 5000 + '"}', "[" * 4000]
    )  # fmt: skip
    def test_a_context_that_is_not_one_is_refused(self, deliver_key: str, context: str) -> None:
        answer = Front().page("/hour", key=deliver_key, **{"X-Context": context})
        assert answer.status_code == 400
        assert set(answer.json()["errors"][0]) == {"code", "detail", "attr"}

    def test_the_clock_is_the_one_of_the_zone_that_is_said(self) -> None:
        hour = dt.datetime.now(dt.UTC).hour
        zones = {f"Etc/GMT{-shift:+d}" if shift else "UTC": (hour + shift) % 24 for shift in range(-12, 13)}
        for zone, local in zones.items():
            expected = "mobile" if 6 <= local < 11 else "default"
            assert Front().variant("/hour", X_Time_Zone=zone)[0] == expected, (zone, local)

    @pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "Europe", "x" * 400, "", "/"])
    def test_a_zone_that_is_not_one_breaks_nothing(self, zone: str) -> None:
        assert Front().page("/hour", X_Time_Zone=zone).status_code == 200

    def test_a_request_without_a_user_agent_is_answered(self) -> None:
        front = Front()
        assert front.variant("/device") == ("default", "default")
        assert front.variant("/device", User_Agent="") == ("default", "default")
        assert front.variant("/device", User_Agent=PHONE) == ("mobile", "matched")
        assert front.variant("/device", User_Agent=DESK, Sec_CH_UA_Mobile="?1") == ("mobile", "matched")

    def test_the_campaign_is_in_the_address(self) -> None:
        assert Front().variant("/campaign?utm_campaign=spring") == ("mobile", "matched")
        assert Front().variant("/campaign?utm_campaign=%00") == ("default", "default")


class TestWhatIsNotThere:
    @pytest.mark.parametrize(
        "path",
        [
            "/nowhere",
            "/plain/x",
            "/%00",
            "/a%00b",
            "/%ff",
            "/" + "x" * 600,
            "/..%2f..%2fetc",
            "//",
            "/plain%20",
        ],
    )
    def test_is_not_found_in_one_shape(self, path: str) -> None:
        for accept in ("application/json", "text/html", "*/*"):
            answer = Front().page(path, Accept=accept)
            if path == "//":
                assert answer.status_code in (200, 404)
                continue
            assert answer.status_code == 404
            assert answer.json()["errors"][0]["code"] == "not_found"

    def test_an_unpublished_page_is_gone_with_the_next_request(self) -> None:
        assert Front().page("/plain").status_code == 200
        with committing():
            unpublish_page(Page.objects.get(path="/plain"))
        assert Front().page("/plain").status_code == 404

    def test_a_draft_is_in_no_answer(self) -> None:
        draft = page("/plain", slots={"footer": [{"placement": "secret", "variants": [default("greeting")]}]})
        from personalization.bundle import load_bundle

        with committing():
            load_bundle({"tessera": 1, "pages": [draft]}, now=dt.datetime.now(dt.UTC))
        assert b"secret" not in Front().page("/plain").content

    def test_other_methods_are_refused(self) -> None:
        assert Front().post("/api/v1/pages/plain").status_code == 405
        assert Front().options("/api/v1/pages/plain").status_code == 204

    def test_explaining_needs_a_key_that_previews(self, preview_key: str, deliver_key: str) -> None:
        assert Front().page("/?explain").status_code == 403
        assert Front().page("/?explain", key=deliver_key).status_code == 403
        answer = Front().page("/plain?explain", key=preview_key)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert [one["placement"] for one in answer.json()["trace"]] == ["plain-hero"]

    def test_an_invalid_key_is_said_so(self) -> None:
        assert Front().page("/plain", key="nobody.nothing").status_code == 401

    def test_an_answer_names_no_segment_rule_or_trait(self, write_key: str) -> None:
        front = agreed()
        front.tells(write_key, kids=2)
        front.buys(write_key, times=3)
        for path in ("/family", "/sizes"):
            content = front.page(path).content
            for word in (b"loyal_parents", b"phone_parents", b"parents", b"kids", b"features", b"$exists"):
                assert word not in content


class TestTheSplitAnswer:
    def decided(self, front: Front, path: str = "/") -> tuple[Any, Any]:
        """Return the private half, and the public half that its key names, as nobody reads it."""
        private = front.get(f"/api/v1/decide{path}", headers={"X-Visitor": front.token or ""}).json()
        public = Front().page(f"{path}?decision={private['decision']['key']}")
        return private, public

    def test_both_halves_are_the_whole(self, write_key: str) -> None:
        front = agreed()
        front.tells(write_key, first_name="Ada")
        front.buys(write_key, times=3)
        whole = front.page().json()
        private, public = self.decided(front)
        joined = public.json()
        for pointer, value in private["values"].items():
            _, _, slot, index, _, field = pointer.split("/")
            placeholder = joined["slots"][slot][int(index)]["fields"][field]
            assert placeholder["$value"] == pointer
            joined["slots"][slot][int(index)]["fields"][field] = value
        for slot, listed in whole["slots"].items():
            shown = [{**one, "reason": ""} for one in joined["slots"][slot]]
            assert shown == [{**one, "reason": ""} for one in listed]
        assert private["values"]["/slots/footer/0/fields/headline"] == "Bye Ada"
        assert private["decision"] == whole["decision"]

    def test_the_public_half_holds_nothing_of_a_profile_and_never_changes(self, write_key: str) -> None:
        front = agreed()
        front.tells(write_key, first_name="Ada")
        front.buys(write_key, times=3)
        private, public = self.decided(front)
        assert public.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert vary(public) == {"Accept"}
        assert "ETag" in public.headers
        assert b"Ada" not in public.content
        assert b"15 %" not in public.content
        assert public.json()["slots"]["footer"][0]["fields"]["headline"]["default"] == "Bye there"
        assert front.page(f"/?decision={private['decision']['key']}").content == public.content

    def test_the_private_half_is_private(self) -> None:
        answer = agreed().get("/api/v1/decide/")
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert set(answer.json()) == {"decision", "values"}
        assert Front().get("/api/v1/decide/nowhere").status_code == 404

    def test_a_key_that_was_changed_names_nothing(self) -> None:
        key = agreed().page().json()["decision"]["key"]
        wrong = [
            key[:-1] + ("a" if key[-1] != "a" else "b"),
            key.replace(".", ".0"),
            "9." + key.split(".")[1],
        ]
        wrong += [
            "",
            ".",
            "1",
            "1.",
            "x.y",
            "1." + "z" * 300,
            "٣.x",
            "1.\x00",
            "1.ZZ" + "a" * 6,
            "1.é" + "a" * 6,
        ]
        for one in wrong:
            answer = Front().get("/api/v1/pages/", {"decision": one})
            assert (one, answer.status_code) == (one, 404)

    def test_a_signed_key_for_variants_that_do_not_exist_names_nothing(self) -> None:
        revision = Front().page().json()["page"]["revision"]
        for chosen in ("", "00", "9", "999", "z0"):
            body = f"{revision}.{chosen}"
            answer = Front().page(f"/?decision={body}{sign(f'/{chr(0)}{body}')}")
            assert answer.status_code == (200 if chosen == "00" else 404)

    def test_a_key_of_another_page_names_nothing(self) -> None:
        key = Front().page("/plain").json()["decision"]["key"]
        assert Front().page(f"/plain?decision={key}").status_code == 200
        assert Front().page(f"/weather?decision={key}").status_code == 404

    def test_a_superseded_revision_answers_until_it_is_dropped(self) -> None:
        key = Front().page("/plain").json()["decision"]["key"]
        before = Front().page(f"/plain?decision={key}").content
        for number in range(7):
            load({"tessera": 1, "pages": [page("/plain", title={"en": f"Home {number}"})]})
            answer = Front().page(f"/plain?decision={key}")
            assert answer.status_code == (200 if number < 4 else 404), number
            assert number >= 4 or answer.content == before

    def test_an_unpublished_page_has_no_keys(self) -> None:
        key = Front().page("/plain").json()["decision"]["key"]
        with committing():
            unpublish_page(Page.objects.get(path="/plain"))
        assert Front().page(f"/plain?decision={key}").status_code == 404

    def test_a_variant_outside_its_dates_has_no_key(self) -> None:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        load({"tessera": 1, "pages": [page("/dated", when("now", {}, "hero-new", ends_at=end.isoformat()))]})
        revision = Front().page("/dated").json()["page"]["revision"]
        key = Front().page("/dated").json()["decision"]["key"]
        assert Front().page(f"/dated?decision={key}").status_code == 200
        load(
            {
                "tessera": 1,
                "pages": [page("/late", when("now", {}, "hero-new", ends_at="2020-01-01T00:00:00Z"))],
            }
        )
        body = f"{revision}.0"
        forged = body + sign(f"/late\x00{body}")
        assert Front().page(f"/late?decision={forged}").status_code == 404

    def test_nobodys_key_is_the_same_for_everybody_without_consent(self) -> None:
        assert Front().page().json()["decision"] == agreed(analytics=True).page().json()["decision"]


class TestPreview:
    def preview(self, key: str, **body: Any) -> Any:
        sent = orjson.dumps({"path": "/"} | body)
        return Front().post(
            "/api/v1/preview",
            sent,
            content_type="application/json",
            headers={"Authorization": f"Api-Key {key}"},
        )

    def hero(self, key: str, **body: Any) -> tuple[str, str]:
        answer = self.preview(key, **body)
        assert answer.status_code == 200, answer.content
        one = answer.json()["slots"]["hero"][0]
        return one["variant"], one["reason"]

    def test_it_needs_its_scope(self, deliver_key: str) -> None:
        assert self.preview(deliver_key).status_code == 403
        assert self.preview("no.key").status_code == 401
        assert Front().post("/api/v1/preview", b"{}", content_type="application/json").status_code == 401

    def test_one_is_whoever_is_prescribed(self, preview_key: str) -> None:
        loyal = {
            "features.orders": 4,
            "features.last_order_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        assert self.hero(preview_key) == ("default", "no_consent")
        assert self.hero(preview_key, traits=loyal) == ("loyal", "matched")
        assert self.hero(preview_key, traits=loyal, consent={"personalization": False}) == (
            "default",
            "no_consent",
        )
        assert self.hero(preview_key, consent={"personalization": True}) == ("new", "matched")
        assert self.hero(preview_key, segments={"lapsed": True, "loyal": False}) == ("lapsed", "matched")
        assert self.hero(preview_key, segments=["loyal"]) == ("loyal", "matched")
        assert self.hero(preview_key, segments=["loyal"], consent={"analytics": True}) == (
            "default",
            "no_consent",
        )
        assert self.hero(preview_key, force={"home-hero": "lapsed"}) == ("lapsed", "forced")

    def test_it_is_the_moment_and_the_context_that_are_prescribed(self, preview_key: str) -> None:
        assert self.hero(preview_key, path="/hour", now="2026-11-22T07:00:00Z") == ("mobile", "matched")
        assert self.hero(preview_key, path="/hour", now="2026-11-22T12:00:00Z") == ("default", "default")
        assert self.hero(preview_key, path="/device", context={"device": "mobile"}) == ("mobile", "matched")
        later = page("/later", when("then", {}, "hero-new", starts_at="2030-01-01T00:00:00Z"))
        load({"tessera": 1, "pages": [later]})
        assert self.hero(preview_key, path="/later") == ("default", "out_of_window")
        assert self.hero(preview_key, path="/later", now="2031-01-01T00:00:00Z") == ("then", "matched")

    def test_the_trace_says_of_every_variant_what_was_true_false_and_unknown(self, preview_key: str) -> None:
        trace = self.preview(preview_key).json()["trace"]
        first = next(one for one in trace if one["placement"] == "home-hero")
        assert [one["variant"] for one in first["variants"]] == ["loyal", "lapsed", "new", "default"]
        assert first["variants"][0]["segments"]["loyal"]["in"] is None
        assert [one["chosen"] for one in first["variants"]] == [False, False, False, True]
        assert first["variants"][3]["rule"] is None

    def test_a_draft_is_seen_before_it_is_published(self, preview_key: str) -> None:
        from personalization.bundle import load_bundle

        draft = page("/plain", when("always", {}, "hero-new"))
        with committing():
            load_bundle({"tessera": 1, "pages": [draft]}, now=dt.datetime.now(dt.UTC))
        assert self.hero(preview_key, path="/plain", draft=True) == ("always", "matched")
        assert self.hero(preview_key, path="/plain") == ("default", "default")

    def test_it_counts_nowhere(self, preview_key: str) -> None:
        from consent.models import Subject
        from personalization.models import Event, Profile

        self.preview(preview_key, traits={"kids": 1}, consent={"personalization": True})
        assert [model.objects.count() for model in (Event, Profile, Subject)] == [0, 0, 0]

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"path": "/nowhere"}, 404),
            ({"path": 7, "x": 1}, 400),
            ({"path": "/\x00"}, 400),
            ({"now": "0001-01-01T00:00:00+14:00"}, 400),
            ({"now": "9999-12-31T23:59:59-14:00"}, 400),
            ({"context": {"mood": "x"}}, 400),
            ({"context": []}, 400),
            ({"traits": {"shoe_size": 1}}, 400),
            ({"traits": {"kids": {"a": [[{}]]}}}, 200),
            ({"segments": ["nobody"]}, 400),
            ({"segments": 7}, 400),
            ({"segments": [[]]}, 400),
            ({"consent": {"personalization": "maybe"}}, 400),
            ({"force": {"home-hero": "nobody"}}, 400),
            ({"force": {"nowhere": "x"}}, 400),
            ({"locale": "\x00"}, 400),
        ],
    )
    def test_what_cannot_be_previewed_says_where(self, preview_key: str, body: Any, status: int) -> None:
        answer = self.preview(preview_key, **body)
        assert answer.status_code == status, answer.content
        if status != 200:
            assert all(set(one) == {"code", "detail", "attr"} for one in answer.json()["errors"])


class TestBodiesThatAreNot:
    @pytest.mark.parametrize(
        "body", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"null", b"7", b'"x"']
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [("put", "/api/v1/consent"), ("post", "/api/v1/preview"), ("post", "/api/v1/catalogue/hero")],
    )
    def test_are_refused_and_never_break_anything(self, method: str, path: str, body: bytes) -> None:
        key = make_key("preview", "manage")
        answer = getattr(Front(), method)(
            path, body, content_type="application/json", headers={"Authorization": f"Api-Key {key}"}
        )
        assert answer.status_code in (400, 404, 413)
        assert all(set(one) == {"code", "detail", "attr"} for one in answer.json()["errors"])

    @pytest.mark.parametrize(
        ("method", "path"), [("put", "/api/v1/consent"), ("post", "/api/v1/preview"), ("post", "/v1/track")]
    )
    def test_five_megabytes_are_too_many(self, method: str, path: str) -> None:
        key = make_key("preview", "ingest")
        body = b'{"path": "' + b"x" * 5_000_000 + b'"}'
        answer = getattr(Front(), method)(
            path, body, content_type="application/json", headers={"Authorization": f"Api-Key {key}"}
        )
        assert answer.status_code in (400, 413)
        assert answer.json()["errors"]
