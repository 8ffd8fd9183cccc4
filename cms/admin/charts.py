"""Small pictures for the admin: a line over time and bars side by side, as SVG that needs no script.

In: numbers with what they are called. Out: a picture in the admin's colours with its numbers in words beside it, for
whoever does not see it.
"""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, MARGIN = 640, 120, 6


def line_chart(
    points: Sequence[tuple[str, int]], *, title: str, mark: int | None = None, mark_title: str = ""
) -> SafeString:
    """Draw numbers in the order of time; `mark` is a level to compare with."""
    if not points:
        return format_html('<p class="quiet">{}</p>', "Nothing to draw yet.")
    top = max(1, *(value for _, value in points), mark or 0)
    step = (WIDTH - 2 * MARGIN) / max(1, len(points) - 1)
    spelled = " ".join(
        f"{MARGIN + index * step:.1f},{_y(value, top):.1f}" for index, (_, value) in enumerate(points)
    )
    dashed = _mark(mark, top, mark_title) if mark else ""
    said = f"{title}: from {points[0][1]:,} ({points[0][0]}) to {points[-1][1]:,} ({points[-1][0]})"
    return format_html(
        '<figure class="curve"><svg viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">'
        '{}<polyline points="{}"/></svg><figcaption><span>{}</span><span>{}</span><span>{}</span></figcaption></figure>',
        WIDTH, HEIGHT, said, dashed, spelled, points[0][0], f"most {max(v for _, v in points):,}", points[-1][0],
    )  # fmt: skip


def two_lines(
    days: Sequence[str], first: tuple[str, Sequence[int]], second: tuple[str, Sequence[int]], *, title: str
) -> SafeString:
    """Draw two numbers over the same days, each with its name; the second is dashed, so that colour is not all."""
    top = max(1, *first[1], *second[1])
    step = (WIDTH - 2 * MARGIN) / max(1, len(days) - 1)
    lines = format_html_join(
        "",
        '<polyline class="{}" points="{}"/>',
        (
            (
                look,
                " ".join(f"{MARGIN + i * step:.1f},{_y(value, top):.1f}" for i, value in enumerate(values)),
            )
            for look, (_, values) in (("", first), ("curve__second", second))
        ),
    )
    said = f"{title}: {first[0]} at most {max(first[1]):,}, {second[0]} at most {max(second[1]):,} a day"
    return format_html(
        '<figure class="curve"><svg viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>'
        '<figcaption><span>{}</span><span><i class="key"></i> {} <i class="key key--second"></i> {} · top {}</span>'
        "<span>{}</span></figcaption></figure>",
        WIDTH, HEIGHT, said, lines, days[0], first[0], second[0], f"{top:,}", days[-1],
    )  # fmt: skip


def _y(value: int, top: int) -> float:
    return HEIGHT - MARGIN - value / top * (HEIGHT - 2 * MARGIN)


def _mark(level: int, top: int, title: str) -> SafeString:
    y = f"{_y(level, top):.1f}"
    line = '<line class="curve__mark" x1="0" x2="{}" y1="{}" y2="{}"><title>{}</title></line>'
    return format_html(line, WIDTH, y, y, title)


def bars(rows: Sequence[tuple[str, int]], *, title: str, fewest: int = 0) -> SafeString:
    """Draw numbers as bars with their names, the largest as wide as there is room; under `fewest` none is told."""
    if not rows:
        return format_html('<p class="quiet">{}</p>', "Nothing to count yet.")
    top = max(1, *(value for _, value in rows))
    told = [
        (name, f"{value:,}", value) if value >= fewest else (name, f"fewer than {fewest}", 0)
        for name, value in rows
    ]
    drawn = format_html_join(
        "",
        '<tr><th scope="row">{}</th><td>{}</td><td><meter min="0" max="{}" value="{}">{}</meter></td></tr>',
        ((name, spelled, top, value, spelled) for name, spelled, value in told),
    )
    return format_html(
        '<table class="plain-table bars"><caption>{}</caption><tbody>{}</tbody></table>', title, drawn
    )
