"""A picture of latencies: one line a subject, as SVG.

Across: microseconds, by powers of ten. Up: the share of connections that took
longer, by powers of ten too, so that the tail is seen.
"""
import math

W, H, LEFT, TOP, RIGHT, BOTTOM = 640, 360, 64, 36, 32, 44
COLOURS = ["#1b6ca8", "#c2452d", "#3d8b37", "#7a4fa3", "#8a6d1f", "#444444"]
LEAST = 1e-5        # the bottom: one in a hundred thousand


def survival(hist):
    """[(us, share that took longer), ...]"""
    total = sum(n for _, n in hist)
    left, points = total, []
    for us, n in hist:
        left -= n
        points.append((us, max(left / total, LEAST)))
    return points


def time(power):
    """Ten to POWER microseconds."""
    return f"{10 ** power} us" if power < 3 else f"{10 ** (power - 3)} ms"


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def latency(title, lines):
    """LINES: {name: histogram}; the SVG's text."""
    curves = {name: survival(hist) for name, hist in lines.items() if hist}
    low = math.floor(math.log10(min(c[0][0] for c in curves.values())))
    high = math.ceil(math.log10(max(c[-1][0] for c in curves.values())))
    high = max(high, low + 1)
    depth = -math.log10(LEAST)

    def x(us):
        return LEFT + (math.log10(us) - low) / (high - low) * \
            (W - LEFT - RIGHT)

    def y(share):
        return TOP - math.log10(share) / depth * (H - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{W}" '
           f'height="{H}" font-family="sans-serif" font-size="12">',
           f'<rect width="{W}" height="{H}" fill="white"/>',
           f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>']
    for e in range(low, high + 1):
        out.append(f'<path d="M{x(10 ** e):.1f} {TOP}V{H - BOTTOM}" '
                   'stroke="#ddd"/>')
        out.append(f'<text x="{x(10 ** e):.1f}" y="{H - BOTTOM + 16}" '
                   f'text-anchor="middle">{time(e)}</text>')
    for e in range(0, int(depth) + 1):
        py = y(10.0 ** -e)
        out.append(f'<path d="M{LEFT} {py:.1f}H{W - RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{py + 4:.1f}" '
                   f'text-anchor="end">{100 * 10.0 ** -e:g} %</text>')
    for i, (name, points) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = "L".join(f"{x(us):.1f} {y(s):.1f}" for us, s in points)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" '
                   'stroke-width="1.5"/>')
        out.append(f'<text x="{LEFT + 10}" y="{H - BOTTOM - 10 - 16 * i}" '
                   f'fill="{colour}">{escape(name)}</text>')
    out.append(f'<text x="{W / 2}" y="{H - 8}" text-anchor="middle">'
               'connections that took longer</text></svg>')
    return "\n".join(out) + "\n"
