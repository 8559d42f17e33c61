"""w_p and Delta Sigma of other codes, values and times: ``hodspectra peers``.

Installed codes among pyccl, hod_mod and halomod are compared with an emulator at one point, in one
run. They use Tinker et al. 2010, Duffy et al. 2008 and Zheng et al. 2007 where available; the
results name other ingredients.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.codes.fftlog import correlation, splined, surface
from benchmarks.codes.timing import TURNS, in_turn, seconds_per_point
from benchmarks.study import Study
from datagen.messages import shortened
from export.runtime import load
from export.statistics import DeltaSigma, Sigma, Wp

__all__ = ["PEERS", "STUDY", "peers", "render"]

Array = NDArray[np.float64]
Peer = Callable[[], dict[str, Array]]

R = np.geomspace(0.1, 40.0, 20)  # Mpc/h
PI_MAX = 100.0  # Mpc/h
POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "w0": -1.0, "wa": 0.0,
    "z": 0.3, "log10Mmin": 12.5, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 13.7, "alpha": 1.0,
}  # fmt: skip
NEAR = R < 20  # separations at which differences are measured
_K = np.geomspace(1e-4, 200.0, 512)  # 1/Mpc
_ALONG = 400


def peers(rounds: int = 3, points: int = 10_000) -> dict[str, Any]:
    """Compare and time w_p and Delta Sigma at 20 separations each, on one core.

    Args:
        rounds: Number of measurements of each time.
        points: Batch size of the emulator, in addition to single points.

    Returns:
        For each code: its version, seconds with a new cosmology and with new galaxies, the largest
        differences of w_p and Delta Sigma from the emulator's, and other ingredients; or the reason
        why it did not run.
    """
    emulator = load("tinker10", occupation="zheng07")
    per_h: dict[str, Any] = {"lengths": "Mpc/h"}
    kinds = [Wp(R, PI_MAX, **per_h), DeltaSigma(R, units="h Msun/pc^2", **per_h)]
    ours = emulator(POINT, kinds)
    batch = {name: np.full(points, value) for name, value in POINT.items()}
    turns = np.linspace(-0.01, 0.01, TURNS).tolist()
    times = {
        what: seconds_per_point(
            in_turn(
                lambda point: emulator(point, kinds),
                [POINT | {name: POINT[name] + turn} for turn in turns],
            ),
            1,
            rounds,
        )
        for what, name in (("cosmology", "sigma_8"), ("galaxies", "alpha"))
    }
    many = seconds_per_point(lambda: emulator(batch, kinds), points, rounds)
    rows: dict[str, Any] = {
        "hodspectra, one call": times,
        f"hodspectra, {points:,} at once": {"cosmology": many, "galaxies": many},
    }
    for name, (module, prepare, says) in PEERS.items():
        if not find_spec(module):
            rows[name] = {"missing": f"{module} is not installed"}
            continue
        try:
            fresh, again = prepare()
            found = fresh()
            differences = {
                n: float(np.abs(found[n] / ours[n] - 1)[NEAR].max()) for n in found if n in ours
            }
            rows[name] = {
                "version": version(module.replace("_", "-")),
                "cosmology": seconds_per_point(fresh, 1, rounds),
                "galaxies": seconds_per_point(again, 1, rounds),
                "differences": differences,
                "says": says,
            }
        except Exception as error:  # other codes raise errors of any class
            rows[name] = {"missing": shortened(f"{type(error).__name__}: {error}", 120)}
    return {"rows": rows, "point": POINT}


def _pyccl() -> tuple[Peer, Peer]:
    """Pyccl's halo model with scipy's FFTLog, since pyccl has neither w_p nor Delta Sigma."""
    import pyccl
    from pyccl import halos

    p, h = POINT, POINT["h"]
    mass_def = halos.MassDef200m
    concentration = halos.ConcentrationDuffy08(mass_def=mass_def)
    calculator = halos.HMCalculator(
        mass_function="Tinker10", halo_bias="Tinker10", mass_def=mass_def
    )
    galaxies = halos.HaloProfileHOD(
        mass_def=mass_def, concentration=concentration,
        log10Mmin_0=p["log10Mmin"], siglnM_0=p["sigma_logM"] * np.log(10),
        log10M0_0=p["log10M0"], log10M1_0=p["log10M1"], alpha_0=p["alpha"],
    )  # fmt: skip
    matter = halos.HaloProfileNFW(mass_def=mass_def, concentration=concentration)
    pairs, a = halos.Profile2ptHOD(), 1 / (1 + p["z"])
    factor = float(Sigma([1.0]).factor({n: np.array([v]) for n, v in p.items()})[0, 0]) * 1e-12 / h

    def cosmology() -> Any:
        return pyccl.Cosmology(
            Omega_c=p["Om_c"], Omega_b=p["Om_b"], h=h, sigma8=p["sigma_8"], n_s=p["n_s"]
        )

    def measured(cosmo: Any) -> dict[str, Array]:
        power = halos.halomod_power_spectrum
        gg = power(cosmo, calculator, _K, a, galaxies, prof_2pt=pairs)
        gm = power(cosmo, calculator, _K, a, galaxies, prof2=matter)
        return _projected(np.log(gg), np.log(gm), h, factor)

    known = cosmology()
    return lambda: measured(cosmology()), lambda: measured(known)


def _projected(ln_gg: Array, ln_gm: Array, h: float, factor: float) -> dict[str, Array]:
    """w_p [Mpc/h] and Delta Sigma [h Msun/pc^2] from spectra at `_K`, by FFTLog."""
    r, xi = correlation(np.log(_K), ln_gg)
    x, w = np.polynomial.legendre.leggauss(_ALONG)
    end = np.arcsinh(PI_MAX / R)[:, None]
    along = R[:, None] * np.cosh(0.5 * end * (x + 1))
    w_p = np.sum(end * w * along * np.interp(along / h, r, xi), axis=1)
    excess = splined(*surface(np.log(_K), ln_gm, 2))
    return {"w_p": w_p, "Delta_Sigma": factor * excess(R / h)}


def _hod_mod() -> tuple[Peer, Peer]:
    """hod_mod's differentiable prediction, compiled, with its own wavenumbers and masses."""
    jax, clustering = map(import_module, ("jax", "hod_mod.observables.clustering"))
    p, h = POINT, POINT["h"]
    predict = clustering.make_differentiable_prediction(
        "zheng07", cm_model="duffy08", mdef="200m", hmf_model="tinker08"
    )
    theta = {
        "Omega_m": p["Om_c"] + p["Om_b"], "Omega_b": p["Om_b"], "Omega_cdm": p["Om_c"], "h": h,
        "n_s": p["n_s"], "sigma8": p["sigma_8"],
    }  # fmt: skip
    galaxies = {
        "log10mmin": p["log10Mmin"] + np.log10(h), "sigma_logm": p["sigma_logM"],
        "log10m0": p["log10M0"] + np.log10(h), "log10m1": p["log10M1"] + np.log10(h),
        "alpha": p["alpha"],
    }  # fmt: skip
    w_p = jax.jit(lambda t, g: predict.wp(R, PI_MAX, p["z"], t, g))
    surface = jax.jit(lambda t, g: predict.delta_sigma(R, p["z"], t, g))

    def measured() -> dict[str, Array]:
        return {
            "w_p": np.asarray(w_p(theta, galaxies), np.float64),
            "Delta_Sigma": np.asarray(surface(theta, galaxies), np.float64),
        }

    return measured, measured


def _halomod() -> tuple[Peer, Peer]:
    """Halomod's projected correlation function; it has no Delta Sigma."""
    astropy, halomod = map(import_module, ("astropy.cosmology", "halomod.integrate_corr"))
    p, h = POINT, POINT["h"]
    model = halomod.ProjectedCF(
        rp_min=R[0], rp_max=R[-1], rp_num=len(R), rp_log=True, proj_limit=PI_MAX, z=p["z"],
        cosmo_model=astropy.FlatLambdaCDM(
            H0=100 * h, Om0=p["Om_c"] + p["Om_b"], Ob0=p["Om_b"], Tcmb0=2.7255
        ),
        sigma_8=p["sigma_8"], n=p["n_s"], hmf_model="Tinker10", bias_model="Tinker10",
        mdef_model="SOMean", hod_model="Zheng05", transfer_model="EH",
        hod_params={
            "M_min": p["log10Mmin"] + np.log10(h), "sig_logm": p["sigma_logM"],
            "M_0": p["log10M0"] + np.log10(h), "M_1": p["log10M1"] + np.log10(h),
            "alpha": p["alpha"],
        },
    )  # fmt: skip
    moved = [0.0]

    def fresh(of: str) -> dict[str, Array]:
        moved[0] = 1e-9 - moved[0]  # it caches what does not change
        if of == "cosmology":
            model.update(sigma_8=p["sigma_8"] + moved[0])
        else:
            model.update(hod_params={"alpha": p["alpha"] + moved[0]})
        return {"w_p": np.asarray(model.projected_corr_gal, np.float64)}

    return lambda: fresh("cosmology"), lambda: fresh("galaxies")


PEERS: dict[str, tuple[str, Callable[[], tuple[Peer, Peer]], str]] = {
    "pyccl, with scipy's FFTLog": (
        "pyccl", _pyccl,
        "CAMB at pyccl's defaults; haloes below the lowest mass are added to galaxies, too",
    ),
    "hod_mod": (
        "hod_mod", _hod_mod,
        "Tinker et al. 2008; Eisenstein & Hu; 2-halo terms without profiles",
    ),
    "halomod": ("halomod", _halomod, "Eisenstein & Hu; no Delta Sigma"),
}  # fmt: skip


def render(result: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    lines = [
        "w_p (pi_max 100 Mpc/h) and Delta Sigma at 20 separations each from 0.1 to 40 Mpc/h, "
        "zheng07 at z = 0.3, one core, one run; differences from the emulator below 20 Mpc/h, in "
        "percent",
        "",
        "| code | fresh cosmology | fresh galaxies | w_p | Delta Sigma | what it has otherwise |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():
        if "missing" in row:
            lines.append(f"| {name} | | | | | {row['missing']} |")
            continue
        times = [_time(row[kind]["median"]) for kind in ("cosmology", "galaxies")]
        differences = row.get("differences", {})
        cells = [
            f"{100 * differences[n]:.2g}" if n in differences else ""
            for n in ("w_p", "Delta_Sigma")
        ]
        label = f"{name} {row['version']}" if "version" in row else name
        lines.append(f"| {' | '.join([label, *times, *cells, row.get('says', '')])} |")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


STUDY = Study("peers", peers, render)
main = STUDY.main

if __name__ == "__main__":
    main()
