"""What a million photos cost, from the CPU time measured here and the published prices."""

from benchmarks._report import pyplot, save_plot

# Published prices in US dollars, November 2026; check them before you budget. Free allowances are not counted.
VERCEL_CPU_HOUR = 0.128  # vercel.com/docs/functions/usage-and-pricing: active CPU, US East
VERCEL_GB_HOUR = 0.0106  # provisioned memory, while a request runs
VERCEL_MILLION_CALLS = 0.60
LAMBDA_GB_SECOND = 0.0000166667  # aws.amazon.com/lambda/pricing: x86, US East
LAMBDA_MILLION_CALLS = 0.20
LAMBDA_GB = 1.769  # the memory size at which Lambda allots one whole processor
VERCEL_GB = 2.0


def dollars_per_million(cpu_ms: float, wall_ms: float) -> tuple[float, float]:
    """Vercel's and Lambda's price of a million warm calls of this much CPU and wall time each."""
    vercel = cpu_ms * 1e3 / 3600 * VERCEL_CPU_HOUR + wall_ms * 1e3 / 3600 * VERCEL_GB * VERCEL_GB_HOUR
    # One processor does there what several threads did here, so wall time equals CPU time.
    return vercel + VERCEL_MILLION_CALLS, cpu_ms * 1e3 * LAMBDA_GB * LAMBDA_GB_SECOND + LAMBDA_MILLION_CALLS


def plot_cost(measured: dict[str, tuple[float, float, float]]) -> None:
    """Bars of the cost for each server: (CPU ms a photo, wall ms a photo, memory MB), the last unused by the prices."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 2.6))
    costs = {name: dollars_per_million(cpu, max(cpu, wall)) for name, (cpu, wall, _) in measured.items()}
    for offset, (platform, colour) in enumerate((("Vercel", "black"), ("Lambda", "tab:orange"))):
        positions = [i + 0.38 * offset for i in range(len(costs))]
        bars = axes.barh(
            positions, [cost[offset] for cost in costs.values()], 0.36, label=platform, color=colour
        )
        axes.bar_label(bars, fmt="$%.2f", padding=2, fontsize=8)
    axes.set_yticks([i + 0.19 for i in range(len(costs))], list(costs))
    axes.set(xlabel="US dollars for a million warm predictions, free allowance not counted")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.legend()
    save_plot(figure, "cost")
