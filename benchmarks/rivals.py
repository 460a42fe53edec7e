"""Start, p50, throughput and memory beside other ways to serve the same network."""

from dataclasses import dataclass

from benchmarks._contenders import CLASSROOM, CLASSROOM_SAME, PURRDICT, SAME_FILE
from benchmarks._figures import Sample, ratio
from benchmarks._load import latencies, load
from benchmarks._report import RESULTS, Row, pyplot, save_plot
from benchmarks._requests import photo
from benchmarks._servers import Contender, running
from benchmarks.cost import plot_cost

ROUNDS = 6
REQUESTS = 120
SECONDS = 3.0

# How many times better than the replaced service each figure should be.
OLD_WAY_GOALS = {"start": 3.0, "p50": 4.0, "throughput": 4.0, "memory": 2.0}


@dataclass(frozen=True)
class Figures:
    """The measurements of one contender, round by round."""

    start: Sample  # seconds from process start to the first answered photo
    p50: Sample  # milliseconds, one client
    throughput: Sample  # photos a second, eight clients
    memory: Sample  # MB after the load
    cpu: Sample  # milliseconds of CPU a photo

    def better(self, other: "Figures", name: str) -> float:
        """How many times better this is than `other` in the figure `name`: the median over the rounds."""
        mine, its = getattr(self, name), getattr(other, name)
        return ratio(mine, its) if name == "throughput" else ratio(its, mine)


def main() -> list[Row]:
    contenders = [PURRDICT, *SAME_FILE, CLASSROOM_SAME, CLASSROOM]
    for contender in contenders:
        if missing := contender.missing():
            print(f"  {contender.name} is left out: {', '.join(missing)} is not installed")
    present = [contender for contender in contenders if not contender.missing()]
    data = photo()
    rounds: dict[str, list[tuple[float, ...]]] = {contender.name: [] for contender in present}
    for _ in range(ROUNDS):
        for contender in present:
            rounds[contender.name].append(_round(contender, data))
        # In alternating order: what one server leaves behind, like a hot processor, affects a different one each time.
        present.reverse()
    figures = {
        name: Figures(*(Sample(tuple(column)) for column in zip(*values, strict=True)))
        for name, values in rounds.items()
    }
    _table(figures)
    _plot(figures)
    plot_cost(
        {name: (each.cpu.median, each.p50.median, each.memory.median) for name, each in figures.items()}
    )
    return _rows(figures)


def _round(contender: Contender, data: bytes) -> tuple[float, ...]:
    request = contender.request(data)
    with running(contender, request) as (server, start):
        p50 = latencies(server.port, request, REQUESTS).median
        before = server.cpu_seconds()
        rate, sample, failures = load(server.port, request, 8, SECONDS)
        if failures:
            raise RuntimeError(f"{contender.name}: {failures} failed requests")
        cpu = (server.cpu_seconds() - before) / len(sample.values) * 1e3
        return start, p50, rate, server.memory_mb(), cpu


def _rows(figures: dict[str, Figures]) -> list[Row]:
    ours = figures[PURRDICT.name]
    rows = []
    same = {contender.name: figures[contender.name] for contender in SAME_FILE if contender.name in figures}
    for name in OLD_WAY_GOALS:
        measured = str(getattr(ours, name))
        best, factor = min(
            ((rival, ours.better(each, name)) for rival, each in same.items()), key=lambda pair: pair[1]
        )
        against = f"{best} {getattr(same[best], name)}"
        rows.append(
            Row(f"{name}, best rival", measured, against, f"{factor:.2f} x better", "ahead", factor > 1)
        )
    for title, old in (("old way", CLASSROOM), ("old way, same network", CLASSROOM_SAME)):
        if old.name not in figures:
            continue
        for name, goal in OLD_WAY_GOALS.items():
            factor = ours.better(figures[old.name], name)
            rows.append(
                Row(
                    f"{name}, {title}",
                    str(getattr(ours, name)),
                    f"{old.name} {getattr(figures[old.name], name)}",
                    f"{factor:.2f} x better",
                    f"{goal:g} x",
                    factor >= goal,
                )
            )
    return rows


def _table(figures: dict[str, Figures]) -> None:
    lines = [
        "| server | start, s | p50, ms | photos a second | memory, MB | CPU a photo, ms |",
        "|" + " --- |" * 6,
    ]
    for name, each in figures.items():
        cells = (name, each.start, each.p50, each.throughput, each.memory, each.cpu)
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rivals.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _plot(figures: dict[str, Figures]) -> None:
    plt = pyplot()
    titles = {"start": "start, s", "p50": "p50, ms", "throughput": "photos a second", "memory": "memory, MB"}
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.2), sharey=True)
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        values = [getattr(each, name).median for each in figures.values()]
        bars = axis.barh(list(figures), values, color=["tab:blue"] + ["0.7"] * (len(figures) - 1))
        axis.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.margins(x=0.2)
    axes[0].invert_yaxis()  # of all four, which share it
    save_plot(figure, "rivals")
