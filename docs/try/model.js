// Numbers of the page: from the outputs of an emulator's graph to spectra and statistics.
//
// What export/interpolate.py and export/statistics/ do, with their matrices; no page is needed for
// it, so that tests run it in Node.js.

const NONE = 1e-60; // Mpc^3 in place of 0, which 1-halo terms may be
const PAIRS = ["mm", "gm", "gg"];
export const TERMS = ["total", "1h", "2h"];

/** An array of numbers with its shape: rows of `columns` numbers. */
export class Matrix {
  constructor(numbers, start, rows, columns) {
    this.numbers = numbers.subarray(start, start + rows * columns);
    this.rows = rows;
    this.columns = columns;
  }

  /** The product of a row of numbers with it, added to `sums` if these are given. */
  times(row, sums = new Float64Array(this.columns)) {
    const { numbers, columns } = this;
    for (let i = 0, at = 0; i < this.rows; i++) {
      const factor = row[i];
      for (let j = 0; j < columns; j++) sums[j] += factor * numbers[at++];
    }
    return sums;
  }
}

/** The matrices of the page, by name. */
export function matrices(places, numbers) {
  const found = {};
  for (const [name, [start, ...shape]] of Object.entries(places)) {
    const [rows, columns] = shape.length === 2 ? shape : [1, shape[0]];
    found[name] = new Matrix(numbers, start, rows, columns);
  }
  return found;
}

/** What ln P_lin below the emulator's wavenumbers is linear in; see datagen/large_scales.py. */
function features({ Om_c, Om_b, h, n_s }, { omega_m, omega_b, powers }) {
  const ln_h = Math.log(h);
  const u = Math.log((Om_c + Om_b) / omega_m) + 2 * ln_h;
  const v = Math.log(Om_b / omega_b) + 2 * ln_h;
  return [...powers.map(([i, j]) => u ** i * v ** j), n_s, ln_h, ln_h * u];
}

/**
 * Spectra and statistics of a point.
 *
 * @param {object} page What try.json says.
 * @param {object} arrays The matrices by name.
 * @param {string} emulator Its name, such as tinker10.
 * @param {object} outputs Of its graph by name: arrays on its own wavenumbers, and numbers.
 * @param {object} point Parameters by name.
 * @param {string} pi_max One of page.pi_max.
 * @returns {object} `spectra` [Mpc^3] at page.k, `w_p` [Mpc] and `Delta_Sigma` [Msun/pc^2,
 *   comoving] at page.r, each by term; `n_g` [1/Mpc^3], `b_eff`, `f_sat`.
 */
export function evaluate(page, arrays, emulator, outputs, point, pi_max) {
  const of = (name) => arrays[`${emulator}/${name}`];
  const log = (P) => Float64Array.from(P, (value) => Math.log(Math.max(value, NONE)));
  // what splines of 2-halo terms lack: wiggles between wavenumbers, and all below the first
  const missed = of("wiggles").times(log(outputs.P_lin), of("offset").numbers.slice());
  of("below").times(features(point, page.features), missed);
  const nodes = missed.length - page.k.length;
  const spectra = {};
  const at_nodes = {};
  for (const pair of PAIRS) {
    const terms = {};
    for (const term of ["1h", "2h"]) {
      const values = log(outputs[`${pair}_${term}`]);
      const whole =
        term === "1h" ? of("one_halo").times(values) : of("others").times(values, missed.slice());
      terms[term] = whole.map(Math.exp);
    }
    terms.total = terms["1h"].map((P, i) => P + terms["2h"][i]);
    spectra[pair] = {};
    at_nodes[pair] = {};
    for (const term of TERMS) {
      at_nodes[pair][term] = terms[term].subarray(0, nodes);
      spectra[pair][term] = terms[term].subarray(nodes);
    }
  }
  const density = page.rho_critical * (point.Om_c + point.Om_b) * point.h ** 2 * 1e-12;
  const w_p = {};
  const Delta_Sigma = {};
  for (const term of TERMS) {
    w_p[term] = arrays[`w_p/${pi_max}`].times(at_nodes.gg[term]);
    Delta_Sigma[term] = arrays.Delta_Sigma.times(at_nodes.gm[term]).map((x) => x * density);
  }
  const number = (name) => outputs[name][0];
  return {
    spectra, w_p, Delta_Sigma,
    n_g: number("n_g"), b_eff: number("b_eff"), f_sat: number("f_sat"),
  };
}

/**
 * Why a point has no answer, as the Python package says it; empty if it has one.
 *
 * Ends belong to ranges, and are compared in single precision; see export/ranges.py.
 */
export function outside(model, point) {
  const texts = [];
  const single = Math.fround;
  for (const p of model.parameters) {
    const value = point[p.name];
    if (single(value) >= single(p.low) && single(value) <= single(p.high)) continue;
    const unit = p.unit === "1" ? "" : ` ${p.unit}`;
    const limits = `[${short(p.low)}, ${short(p.high)}]${unit}`;
    texts.push(`${p.name} = ${value} is outside the trained range ${limits}`);
  }
  if (texts.length) return texts;
  for (const { names, below, reason } of model.sums) {
    const sum = names.reduce((so_far, name) => so_far + single(point[name]), 0);
    if (!(sum < below)) texts.push(`${reason}; the emulator was not trained there`);
  }
  return texts;
}

/** A warning of galaxies below the lowest halo mass, or nothing; see export/lowest_mass.py. */
export function below_lowest_mass(page, model, point) {
  if (!model.threshold) return "";
  const { far, slope, share } = page.lowest_mass;
  const { mass, width, scale } = model.threshold;
  const M_th = mass.startsWith("log10") ? 10 ** point[mass] : point[mass];
  const sigma = scale * point[width];
  if (M_th >= model.M_min * Math.exp(sigma * (far + slope * sigma))) return "";
  const g = Math.log(model.M_min / M_th);
  const within = normal(g / sigma) * Math.exp(-slope * g - 0.5 * (slope * sigma) ** 2);
  const missing = normal(g / sigma + slope * sigma) - within;
  if (!(missing > share)) return "";
  return (
    `${(100 * missing).toFixed(0)} % of the central galaxies would live below the lowest halo ` +
    `mass of this halo model, ${short(model.M_min)} Msun, and are missing; raise the threshold ` +
    `or narrow it`
  );
}

/** The cumulative normal distribution, by Simpson's rule, to 1e-9. */
function normal(t) {
  const end = Math.max(-8, Math.min(8, t));
  const steps = 200;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const weight = i === 0 || i === steps ? 1 : i % 2 ? 4 : 2;
    sum += weight * Math.exp(-0.5 * ((end * i) / steps) ** 2);
  }
  return 0.5 + (sum * end) / (3 * steps * Math.sqrt(2 * Math.PI));
}

/** A number as people write it: 0.3, 1e+12. */
export function short(value, digits = 6) {
  return String(Number(value.toPrecision(digits))).replace(/^1e\+?/, "1e");
}
