"""All segments over everybody in one pass, against a query per segment, and against SQL written by hand.

Both baselines find the same people and write the same column, and only where it differs; before each measurement one
profile in a hundred is changed, so that there is something to write. Behaviour likewise, over events.
"""

import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db import connection

from bench.rounds import Rate, Result, compare
from cms.models.site import current_site
from personalization.folding import segment_ids
from personalization.models import Profile, Segment, Trait
from personalization.segments.directory import directory_of, rebuild
from personalization.segments.reach import reach_of
from personalization.segments.sets import reconcile

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
TRAITS = {
    "n0": "number",
    "n1": "number",
    "n2": "number",
    "t0": "text",
    "t1": "text",
    "b0": "boolean",
    "d0": "date",
}
ATTRIBUTE_SEGMENTS = 50

Run = Callable[[dt.datetime], Any]  # decides segments as of a moment

_PEOPLE = """
WITH made AS (SELECT gen_random_uuid() AS id, n FROM generate_series(1, %(count)s) n),
subjects AS (
  INSERT INTO consent_subject (id, site_id, age_band, jurisdiction, created_at)
  SELECT id, 1, '', '', now() FROM made
), states AS (
  INSERT INTO consent_consentstate (subject_id, site_id, version, state, expires, gpc, updated_at)
  SELECT id, 1, 1, jsonb_build_object('personalization', CASE WHEN n %% 10 = 0 THEN 'refused' ELSE 'granted' END),
         '{}', FALSE, now() FROM made
)
INSERT INTO personalization_profile
  (subject_key, site_id, traits, orders, revenue, last_order_at, categories, features, behaviour, behaviour_version,
   segments, folded_id, held, excluded, version, snapshot_version, first_seen_at, last_seen_at)
SELECT id, 1, jsonb_build_object(
         'n0', n %% 100, 'n1', (n * 7) %% 1000 / 10.0, 'n2', (n * 13) %% 50,
         't0', (ARRAY['red', 'green', 'blue', 'black'])[1 + n %% 4], 't1', 'city-' || n %% 20, 'b0', n %% 3 = 0,
         'd0', to_char(now() AT TIME ZONE 'UTC' - make_interval(days => n %% 400), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
       n %% 12, (n * 31) %% 900, now() - make_interval(days => n %% 200), '{}', '{}', '{}', 0, '{}', 0,
       ARRAY['personalization'], '{}', 1, 1, now(), now()
FROM made
"""
_EVENTS = """
INSERT INTO personalization_event
  (site_id, key_prefix, message_id, subject_key, kind, name, properties, happened_at, received_at, purposes)
SELECT 1, 'bench', 'b-' || p.r || '-' || k, p.subject_key, 'track',
       (ARRAY['Product Viewed', 'Product Added', 'Order Completed', 'Products Searched'])[1 + (p.r * 3 + k) %% 4],
       jsonb_build_object('category', 'c' || (p.r + k) %% 10, 'price', (p.r * k) %% 200, 'cart_id', 'cart-' || k %% 2),
       now() - make_interval(secs => abs(hashtext(p.r || '-' || k)::bigint) %% 2592000), now(), ARRAY['personalization', 'analytics']
FROM (SELECT subject_key, row_number() OVER (ORDER BY subject_key) AS r FROM personalization_profile LIMIT %(people)s) p
CROSS JOIN generate_series(1, %(each)s) k
"""


def make_people(count: int) -> None:
    """Add so many people, nine in ten of whom allowed personal content."""
    site = current_site()
    for key, kind in TRAITS.items():
        Trait.objects.get_or_create(site=site, key=key, defaults={"type": kind, "purpose": "personalization"})
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"count": count})
        cursor.execute("ANALYZE personalization_profile, consent_consentstate")


def make_events(people: int, each: int) -> None:
    """Let so many of them do so many things in the last thirty days."""
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, {"people": people, "each": each})
        cursor.execute("ANALYZE personalization_event")


def _attribute_rules() -> list[tuple[dict[str, Any], str]]:
    """Return fifty rules, each with the condition that somebody would write for it by hand."""
    found: list[tuple[dict[str, Any], str]] = []
    for i in range(10):
        found += [
            ({"n0": {"$exists": True, "$gte": 10 * i}}, f"(traits ->> 'n0')::float8 >= {10 * i}"),
            (
                {"n1": {"$exists": True, "$lt": 5 + i}, "b0": {"$eq": True}},
                f"(traits ->> 'n1')::float8 < {5 + i} AND (traits ->> 'b0')::boolean",
            ),
            (
                {"t0": {"$in": ["red", "blue"]}, "t1": {"$eq": f"city-{i}"}},
                f"traits ->> 't0' IN ('red', 'blue') AND traits ->> 't1' = 'city-{i}'",
            ),
            (
                {
                    "features.orders": {"$exists": True, "$gte": i},
                    "features.revenue": {"$exists": True, "$gt": 50 * i},
                },
                f"orders >= {i} AND revenue > {50 * i}",
            ),
            (
                {"features.last_order_at.days_ago": {"$exists": True, "$lte": 20 * i + 10}},
                f"floor(extract(epoch FROM now() - date_trunc('second', last_order_at)) / 86400) <= {20 * i + 10}",
            ),
        ]
    return found[:ATTRIBUTE_SEGMENTS]


def _behaviour_rules() -> list[tuple[dict[str, Any], str, str]]:
    """Return a dozen rules; each with the filter, and the test of the aggregate, that somebody would write by hand."""
    found: list[tuple[dict[str, Any], str, str]] = []
    price = "(properties ->> 'price')::numeric"
    for days in (7, 14, 30):
        viewed = f"name = 'Product Viewed' AND happened_at > now() - interval '{days} days'"
        bought = f"name = 'Order Completed' AND happened_at > now() - interval '{days} days'"
        added = f"name = 'Product Added' AND happened_at > now() - interval '{days} days'"
        within = f"P{days}D"
        category = {"properties.category": {"$eq": f"c{days % 10}"}}
        of = {"of": "properties.price"}
        found += [
            (
                {"$did": {"event": "Product Viewed", "within": within, "count": {"$gt": 1}}},
                viewed,
                "count(*){only} > 1",
            ),
            (
                {"$did": {"event": "Order Completed", "within": within, "sum": {**of, "$gte": 150}}},
                bought,
                f"sum({price}){{only}} >= 150",
            ),
            (
                {"$did": {"event": "Product Viewed", "where": category, "within": within}},
                f"{viewed} AND properties ->> 'category' = 'c{days % 10}'",
                "count(*){only} >= 1",
            ),
            (
                {
                    "$did": {
                        "event": "Product Added",
                        "within": within,
                        "max": {**of, "$exists": True, "$lt": 100},
                    }
                },
                added,
                f"max({price}){{only}} < 100",
            ),
        ]
    return found


def _order_rules() -> list[tuple[dict[str, Any], str]]:
    """Return rules over what follows what, and over one and the same value; each with the people as somebody would ask for them."""
    found: list[tuple[dict[str, Any], str]] = []
    for days in (7, 14, 30):
        since = f"happened_at > now() - interval '{days} days' AND {_USABLE}"
        one = (
            f"SELECT a.subject_key FROM personalization_event a WHERE a.name = 'Product Added' AND a.{since}"
        )
        later = "o.subject_key = a.subject_key AND (o.happened_at, o.id) > (a.happened_at, a.id)"
        other = f"SELECT 1 FROM personalization_event o WHERE {later} AND 'personalization' = ANY(o.purposes)"
        added, bought = {"event": "Product Added"}, {"event": "Order Completed"}
        same = {"by": "properties.category", "count": {"$gt": 1}}
        found += [
            (
                {
                    "$seq": {
                        "steps": [added, {**bought, "absent": True}],
                        "gap": "PT30M",
                        "since": f"P{days}D",
                    }
                },
                f"{one} AND a.happened_at <= now() - interval '30 minutes' AND NOT EXISTS ({other} AND o.name = 'Order Completed')",
            ),
            (
                {"$seq": {"steps": [added, bought], "gap": "P2D", "since": f"P{days}D"}},
                f"{one} AND EXISTS ({other} AND o.name = 'Order Completed' AND o.happened_at <= a.happened_at + interval '2 days')",
            ),
            (
                {"$did": {"event": "Product Viewed", "within": f"P{days}D", **same}},
                f"SELECT subject_key FROM personalization_event WHERE name = 'Product Viewed' AND {since}"
                " GROUP BY subject_key, properties ->> 'category' HAVING count(*) > 1",
            ),
            (
                {
                    "$did": {
                        "event": "Product Viewed",
                        "within": f"P{days}D",
                        "distinct": {"of": "properties.category", "$gte": 2},
                    }
                },
                f"SELECT subject_key FROM personalization_event WHERE name = 'Product Viewed' AND {since}"
                " GROUP BY subject_key HAVING count(DISTINCT properties ->> 'category') >= 2",
            ),
        ]
    return found


_USABLE = "'personalization' = ANY(purposes)"
_GRANTED = "c.state ->> 'personalization' = 'granted'"


def attribute_benchmarks(*, rounds: int) -> list[Result]:
    """Measure profiles a second over fifty segments by attributes."""
    return _by_conditions("segments_set", "bench_a", _attribute_rules(), rounds)


def order_benchmarks(*, rounds: int) -> list[Result]:
    """Measure profiles a second over segments by what follows what: sequences, absence, and counts by a value."""
    rules = [(rule, f"p.subject_key IN ({people})") for rule, people in _order_rules()]
    return _by_conditions("sequence_set", "bench_o", rules, rounds)


def _by_conditions(
    name: str, prefix: str, rules: Sequence[tuple[dict[str, Any], str]], rounds: int
) -> list[Result]:
    """Measure rules as a set against the same conditions one by one, and in one statement written by hand."""
    ids = _make_segments(prefix, [rule for rule, _ in rules])
    hand = {pk: condition for pk, (_, condition) in zip(ids, rules, strict=True)}
    one_by_one = _timed(lambda now: [_one_query(pk, condition, now) for pk, condition in hand.items()])
    by_hand = _timed(lambda now: _by_hand(hand, now))
    _check_same(lambda now: _by_hand(hand, now))
    results = [
        _compare(name, "a query per segment", one_by_one, rounds),
        _compare(f"{name}_by_hand", "SQL written by hand", by_hand, rounds),
    ]
    Segment.objects.filter(pk__in=ids).delete()
    return results


def behaviour_benchmarks(*, rounds: int) -> list[Result]:
    """Measure profiles a second over a dozen segments by behaviour."""
    rules = _behaviour_rules()
    ids = _make_segments("bench_b", [rule for rule, _, _ in rules])
    asked = {pk: (meant, test) for pk, (_, meant, test) in zip(ids, rules, strict=True)}
    apart = {
        pk: f"p.subject_key IN (SELECT subject_key FROM personalization_event WHERE {_USABLE} AND {meant}"
        f" GROUP BY subject_key HAVING {test.format(only='')})"
        for pk, (meant, test) in asked.items()
    }
    tests = ", ".join(
        f"{test.format(only=f' FILTER (WHERE {meant})')} AS t{pk}" for pk, (meant, test) in asked.items()
    )
    together = (
        f"LEFT JOIN (SELECT subject_key, {tests} FROM personalization_event WHERE {_USABLE}"
        " AND happened_at > now() - interval '30 days' GROUP BY subject_key) d ON d.subject_key = p.subject_key"
    )
    tested = {pk: f"d.t{pk}" for pk in asked}
    one_by_one = _timed(lambda now: [_one_query(pk, condition, now) for pk, condition in apart.items()])
    by_hand = _timed(lambda now: _by_hand(tested, now, together))
    _check_same(lambda now: _by_hand(tested, now, together))
    results = [
        _compare("behaviour_set", "a query per segment", one_by_one, rounds),
        _compare("behaviour_set_by_hand", "SQL written by hand", by_hand, rounds),
        _compare("behaviour_set_duckdb", "DuckDB, same rows, reading only", _in_duckdb(asked), rounds),
    ]
    Segment.objects.filter(pk__in=ids).delete()
    return results


def _in_duckdb(asked: dict[int, tuple[str, str]]) -> Rate:
    """Decide the same segments in DuckDB over a copy of the same rows; it reads and counts, and writes nothing."""
    import duckdb

    folder = Path(os.environ["TESSERA_VAR"])
    with connection.cursor() as cursor, (folder / "events.csv").open("wb") as file:
        query = (
            f"SELECT subject_key, name, happened_at, properties FROM personalization_event WHERE {_USABLE}"
        )
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)") as copy:
            for data in copy:
                file.write(data)
    store = duckdb.connect()
    store.execute("SET threads = 2")
    store.execute(
        "CREATE TABLE events AS SELECT subject_key::UUID AS subject_key, name, happened_at::TIMESTAMPTZ AS happened_at,"
        f" properties::JSON AS properties FROM read_csv('{folder / 'events.csv'}')"
    )
    spelled = {pk: (_for_duckdb(meant), _for_duckdb(test)) for pk, (meant, test) in asked.items()}
    tests = ", ".join(
        f"{test.format(only=f' FILTER (WHERE {meant})')} AS t{pk}" for pk, (meant, test) in spelled.items()
    )
    counted = ", ".join(f"count(*) FILTER (WHERE t{pk})" for pk in spelled)
    statement = f"SELECT {counted} FROM (SELECT subject_key, {tests} FROM events GROUP BY subject_key)"

    def measure() -> float:
        started = time.perf_counter()
        store.execute(statement).fetchall()
        return Profile.objects.count() / (time.perf_counter() - started)

    return measure


def _for_duckdb(sql: str) -> str:
    return sql.replace("::numeric", "::DOUBLE").replace("properties ->>", "properties->>")


def reach_said() -> str:
    """Ask who a rule of four conditions would reach; say how long the answer took."""
    rule = {
        "n0": {"$exists": True, "$gte": 30},
        "t0": {"$in": ["red", "blue"]},
        "features.orders": {"$exists": True, "$gte": 2},
        "$did": {"event": "Product Viewed", "within": "P14D"},
    }
    draft = Segment(site=current_site(), key="draft", title="Draft", rule=rule)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        found = reach_of(draft, now=dt.datetime.now(dt.UTC))
        took.append(time.perf_counter() - started)
    return (
        f"who a rule would reach, of {Profile.objects.count():,} profiles: {found.people.text}"
        f" ({'exact' if found.exact else 'a sample'}), median {sorted(took)[2] * 1000:.0f} ms, most {max(took) * 1000:.0f} ms"
    )


def _compare(name: str, baseline: str, against: Rate, rounds: int) -> Result:
    return compare(
        name=name,
        baseline=baseline,
        unit="profiles/s",
        measured=_timed(_pass),
        against=against,
        rounds=rounds,
    )


def _make_segments(prefix: str, rules: Sequence[dict[str, Any]]) -> list[int]:
    site = current_site()
    Segment.objects.filter(site=site).delete()
    for number, rule in enumerate(rules):
        Segment.objects.create(
            site=site,
            key=f"{prefix}{number:02}",
            title=f"{prefix} {number}",
            rule=rule,
            position=number,
            size=0,
        )
    rebuild(site)
    Profile.objects.update(segments=[])
    ids = list(Segment.objects.filter(site=site).order_by("position").values_list("pk", flat=True))
    _pass(dt.datetime.now(dt.UTC))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) personalization_profile")
    return ids


def _check_same(by_hand: Run) -> None:
    """End where the rules as written and the SQL of the baseline put different people into a segment, at one moment."""
    now = dt.datetime.now(dt.UTC)
    _pass(now)
    ours = _members()
    Profile.objects.update(segments=[])
    by_hand(now)
    if (theirs := _members()) != ours:
        different = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
        raise SystemExit(f"The baseline finds other people in the segments {different}.")


def _members() -> dict[int, tuple[int, str]]:
    """Return how many are in each segment, and a digest of who."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s, count(*), bit_xor(uuid_hash_extended(subject_key, 0))::text"
            " FROM personalization_profile, unnest(segments) s GROUP BY s"
        )
        return {segment: (number, digest) for segment, number, digest in cursor.fetchall()}


def _pass(now: dt.datetime) -> None:
    site = current_site()
    directory = directory_of(site)
    _, left_over = reconcile(site, directory, segment_ids(site), told=[], now=now)
    if left_over:
        raise SystemExit(f"Not in SQL: {[segment.key for segment in left_over]}")


def _one_query(pk: int, condition: str, now: dt.datetime) -> None:
    """Decide one segment: take out who no longer belongs, put in who does."""
    _execute(
        f"""
            WITH now_in AS (
              SELECT p.subject_key, coalesce({_GRANTED} AND ({condition}), FALSE) AS inside
              FROM personalization_profile p LEFT JOIN consent_consentstate c ON c.subject_id = p.subject_key
            )
            UPDATE personalization_profile p SET segments = CASE WHEN inside
              THEN ARRAY(SELECT s FROM unnest(p.segments || {pk}::bigint) s ORDER BY s)
              ELSE array_remove(p.segments, {pk}::bigint) END
            FROM now_in n WHERE n.subject_key = p.subject_key AND inside <> (p.segments @> ARRAY[{pk}::bigint])
        """,
        now,
    )


def _by_hand(hand: dict[int, str], now: dt.datetime, more: str = "") -> None:
    """Decide all segments in one statement, as somebody would write it who knows these rules."""
    named = ", ".join(
        f"CASE WHEN {condition} THEN {pk}::bigint END" for pk, condition in sorted(hand.items())
    )
    _execute(
        f"""
            WITH now_in AS MATERIALIZED (
              SELECT p.subject_key, p.segments AS before,
                     CASE WHEN {_GRANTED} THEN array_remove(ARRAY[{named}], NULL) ELSE '{{}}' END AS after
              FROM personalization_profile p LEFT JOIN consent_consentstate c ON c.subject_id = p.subject_key {more}
            ), changed AS (
              UPDATE personalization_profile p SET segments = n.after FROM now_in n
              WHERE n.subject_key = p.subject_key AND n.after <> n.before RETURNING 1
            )
            SELECT s, count(*), (SELECT count(*) FROM changed) FROM now_in, unnest(after) s GROUP BY s
        """,
        now,
    )


def _execute(sql: str, now: dt.datetime) -> None:
    """Run what was written by hand, as of a moment."""
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("now()", f"'{now.isoformat()}'::timestamptz"))


def _timed(run: Run) -> Rate:
    def measure() -> float:
        _change_some()
        started = time.perf_counter()
        run(dt.datetime.now(dt.UTC))
        return Profile.objects.count() / (time.perf_counter() - started)

    return measure


def _change_some() -> None:
    """Change one profile in a hundred, so that there is a difference to write."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE personalization_profile SET segments = '{}' WHERE hashtext(subject_key::text) %% 100 = 0",
            [],
        )
