"""Memory over time as a picture: SVG, by hand, of lines that are samples and nothing else."""

from __future__ import annotations

WIDTH, HEIGHT = 860, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 44
COLORS = ["#1b6ca8", "#c2571a", "#3f7d20", "#7a4aa0"]


def ticks(greatest: float, about: int) -> list[float]:
    """Round numbers from 0 to at least the greatest."""
    step = 10.0 ** -3
    while greatest / step > about:
        step = min(candidate for power in range(-3, 9) for factor in (1, 2, 5) if (candidate := factor * 10.0 ** power) > step * 1.0001)
    return [number * step for number in range(int(greatest / step) + 2)]


def memory(lines: list[tuple[str, list[tuple[float, int]]]], limit_mib: float) -> str:
    """Lines of (seconds, kilobytes), each with its name; the limit as a line of its own."""
    greatest_x = max((points[-1][0] for _, points in lines if points), default=1.0)
    greatest_y = max(limit_mib, *(kib / 1024 for _, points in lines for _, kib in points))
    marks_x, marks_y = ticks(greatest_x, 10), ticks(greatest_y, 6)
    place_x = lambda seconds: LEFT + seconds / marks_x[-1] * (WIDTH - LEFT - RIGHT)
    place_y = lambda mib: HEIGHT - BOTTOM - mib / marks_y[-1] * (HEIGHT - TOP - BOTTOM)
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" role="img">',
             "<title>Resident memory of highwater sync over time</title>", f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for mark in marks_y:
        drawn.append(f'<path d="M{LEFT} {place_y(mark):.1f}H{WIDTH - RIGHT}" stroke="#e2e2e2"/>')
        drawn.append(f'<text x="{LEFT - 8}" y="{place_y(mark) + 4:.1f}" text-anchor="end" fill="#444">{mark:g}</text>')
    for mark in marks_x:
        drawn.append(f'<text x="{place_x(mark):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#444">{mark:g}</text>')
    drawn.append(f'<text x="{LEFT - 40}" y="20" fill="#444">MiB</text>')
    drawn.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end" fill="#444">seconds</text>')
    drawn.append(f'<path d="M{LEFT} {place_y(limit_mib):.1f}H{WIDTH - RIGHT}" stroke="#b00020" stroke-dasharray="6 4"/>')
    for number, (name, points) in enumerate(lines):
        color = COLORS[number % len(COLORS)]
        path = " ".join(f"{place_x(seconds):.1f},{place_y(kib / 1024):.1f}" for seconds, kib in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        drawn.append(f'<text x="{LEFT + 10 + number * 190}" y="20" fill="{color}">{name}</text>')
    return "\n".join([*drawn, "</svg>"]) + "\n"
