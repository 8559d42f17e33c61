"""Table that compares two posteriors, in Markdown."""

from typing import Any

__all__ = ["render"]


def render(result: dict[str, Any]) -> str:
    """Format the comparison as Markdown."""
    codes, survey, re = result["codes"], result["survey"], result["reweighted"]
    fixed = ", ".join(f"{name} = {value:g}" for name, value in result["fixed"].items())
    lines = [
        f"Posteriors of {len(result['shift'])} parameters ({fixed or 'none'} fixed)"
        f"{_galaxies(result['occupation'])} from P_gg and P_gm "
        f"({survey['k_min']:g} to {survey['k_max']:g} 1/Mpc, {survey['volume'] / 1e9:g} Gpc^3, "
        f"floor of {100 * survey['floor']:g} %) and n_g (to {100 * survey['density_error']:g} %): "
        f"mean and standard deviation. Shifts are emulator minus true code, in standard deviations",
        "",
        "| parameter | emulator | true code | shift, chains of their own "
        "| shift, same points reweighted | width, reweighted |",
        "|---|---|---|---|---|---|",
    ]
    for name in result["shift"]:
        label = f"log10 {name}" if name in result["log10"] else name
        both = [f"{one['mean'][name]:.4g} +- {one['std'][name]:.2g}" for one in codes.values()]
        shift = f"{result['shift'][name]:+.3f} +- {result['shift_error'][name]:.3f}"
        paired = f"{re['shift'][name]:+.5f} +- {re['shift_error'][name]:.5f}"
        width = f"{100 * re['width'][name]:+.2f} %"
        lines.append(f"| {label} | {both[0]} | {both[1]} | {shift} | {paired} | {width} |")
    chi2 = re["delta_chi2"]
    lines += [
        "",
        f"Best chi^2 {result['best_chi2']:.1f} of {result['measurements']} measurements. Between "
        f"the two codes chi^2 differs by {chi2['median']:.2g} at the median, {chi2['95']:.2g} at "
        f"95 %, and at most {chi2['largest of the best 68 %']:.2g} in the best-fitting 68 % of "
        f"{re['points']:,} points ({100 * re['effective']:.1f} % of them count when reweighted).",
        "",
        "| code | likelihoods | minutes | microseconds a point | steps / autocorrelation time |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(lines + _costs(result))


def _galaxies(occupation: str) -> str:
    return f", galaxies of {occupation}," if occupation else ""


def _costs(result: dict[str, Any]) -> list[str]:
    """Costs of each code, and of pyccl for as many points as the true code."""
    rows = []
    for name, label in (("emulator", "emulator"), ("truth", "true code (labels)")):
        one = result["codes"][name]
        each = 1e6 * one["seconds"] / one["evaluations"]
        lengths = one["steps"] / max(one["autocorrelation"].values())
        rows.append(
            f"| {label} | {one['evaluations']:,} | {one['seconds'] / 60:.2g} | {each:,.0f} "
            f"| {lengths:.0f} |"
        )
    if "pyccl" in result:
        seconds, number = result["pyccl"]["median"], result["codes"]["truth"]["evaluations"]
        rows.append(
            f"| pyccl (computed: its measured time a point) | {number:,} "
            f"| {number * seconds / 60:,.0f} | {1e6 * seconds:,.0f} | |"
        )
    return rows
