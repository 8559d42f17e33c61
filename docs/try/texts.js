// What the page gives to copy: a Python script that gives the same numbers, and tables.

import { TERMS } from "./model.js";

const PAIRS = ["mm", "gm", "gg"];

/** What numbers in Mpc are multiplied by to be those that are shown. */
export function scales(lengths, h) {
  if (lengths === "Mpc") return { k: 1, P: 1, r: 1, w_p: 1, Delta_Sigma: 1 };
  return { k: 1 / h, P: h ** 3, r: h, w_p: h, Delta_Sigma: 1 / h };
}

/** A script for Python whose last lines print what the page shows. */
export function python({ emulator, occupation, pi_max, lengths, point, page }) {
  const values = Object.entries(point).map(([name, value]) => `    "${name}": ${value},`);
  const line_of_sight = pi_max === "inf" ? "" : `pi_max=${pi_max}, `;
  const shown =
    lengths === "Mpc"
      ? [`print(found["gg_total"], found["w_p"], found["Delta_Sigma"], found["n_g"])`]
      : [
          `h = point["h"]  # lengths in Mpc/h from here on`,
          `k, r = k / h, r * h`,
          `for name in spectra:`,
          `    found[name] *= h**3`,
          `for end in ("", "_1h", "_2h"):`,
          `    found[f"w_p{end}"] *= h`,
          `    found[f"Delta_Sigma{end}"] /= h  # h Msun/pc^2`,
          `found["n_g"] /= h**3`,
          `print(found["gg_total"], found["w_p"], found["Delta_Sigma"], found["n_g"])`,
        ];
  const [k, r] = [page.k, page.r].map((x) => `np.geomspace(${x[0]}, ${x.at(-1)}, ${x.length})`);
  return [
    `import numpy as np`,
    ``,
    `from hodspectra import DeltaSigma, Wp, load`,
    ``,
    `emulator = load("${emulator}", occupation="${occupation}")`,
    `point = {`,
    ...values,
    `}`,
    `k = ${k}  # 1/Mpc`,
    `r = ${r}  # Mpc, comoving`,
    `terms = ("total", "1h", "2h")`,
    `spectra = [f"{pair}_{term}" for pair in ("mm", "gm", "gg") for term in terms]`,
    `w_p = Wp(r, ${line_of_sight}terms=terms)  # Mpc`,
    `Delta_Sigma = DeltaSigma(r, units="Msun/pc^2", terms=terms)`,
    `found = emulator(point, spectra, k=k, extrapolate=True)  # Mpc^3`,
    `found |= emulator(point, [w_p, Delta_Sigma, "n_g", "b_eff", "f_sat"])`,
    ...shown,
    ``,
  ].join("\n");
}

/** A table of the spectra, comma-separated. */
export function spectra_table(setup, found) {
  const by = scales(setup.lengths, setup.point.h);
  const [k, P] = setup.lengths === "Mpc" ? ["1/Mpc", "Mpc^3"] : ["h/Mpc", "(Mpc/h)^3"];
  const columns = PAIRS.flatMap((pair) =>
    TERMS.map((term) => [`${pair}_${term} [${P}]`, found.spectra[pair][term], by.P]),
  );
  return table(setup, [[`k [${k}]`, setup.page.k, by.k], ...columns]);
}

/** A table of w_p and Delta Sigma, comma-separated. */
export function statistics_table(setup, found) {
  const by = scales(setup.lengths, setup.point.h);
  const lensing = setup.lengths === "Mpc" ? "Msun/pc^2" : "h Msun/pc^2";
  const columns = [
    ["w_p", setup.lengths],
    ["Delta_Sigma", lensing],
  ].flatMap(([name, unit]) =>
    TERMS.map((term) => [
      `${name}${term === "total" ? "" : `_${term}`} [${unit}]`, found[name][term], by[name],
    ]),
  );
  return table(setup, [[`r [${setup.lengths}]`, setup.page.r, by.r], ...columns]);
}

function table({ emulator, occupation, pi_max, point }, columns) {
  const values = Object.entries(point).map(([name, value]) => `${name} = ${value}`);
  const rows = Array.from(columns[0][1], (_, i) =>
    columns.map(([, numbers, factor]) => (numbers[i] * factor).toPrecision(6)).join(","),
  );
  return [
    `# ${emulator}, ${occupation}, pi_max = ${pi_max} Mpc`,
    `# ${values.join(", ")}`,
    columns.map(([name]) => name).join(","),
    ...rows,
    ``,
  ].join("\n");
}
