// The page "Try it in your browser": controls, the emulator in onnxruntime-web, plots, link.

import { TERMS, below_lowest_mass, evaluate, outside, short } from "./model.js";
import { Plot } from "./plot.js";
import { opened, read_arrays, read_page } from "./runtime.js";
import { python, scales, spectra_table, statistics_table } from "./texts.js";

const PAIRS = ["mm", "gm", "gg"];
const NAMES = { total: "total", "1h": "1-halo", "2h": "2-halo" };
const TEXTS = ["Python", "P(k) as CSV", "w_p, Delta Sigma as CSV"];
const GROUPS = { cosmology: "Cosmology", redshift: "Redshift" }; // others are occupations
const OPTIONS = ["emulator", "occupation", "pi_max", "lengths"];
const DIGITS = 4; // of masses that a slider gives
const find = (id) => document.getElementById(`try-${id}`);

const state = {
  emulator: "", occupation: "", pi_max: "", lengths: "Mpc",
  background: {}, // cosmology and redshift, by name
  galaxies: {}, // by occupation and name
  shown: new Set([...PAIRS, ...TERMS]),
  is_times: false,
  is_ratio: false,
  kept: null, // results whose curves are kept
  text: TEXTS[0],
};
let page; // try.json
let arrays; // its matrices
const rows = {}; // the controls of each parameter
const plots = {};
let point = {}; // of the last evaluation,
let found = null; // and its results; null if it has none
let complaints = []; // of the link that was opened
let milliseconds = 0;
let writing; // timer of the address

start().catch((error) => {
  say(`The emulator could not be loaded: ${error.message}`, "is-error");
  throw error;
});

async function start() {
  say("Loading the emulator, 6 MB ...");
  page = await read_page();
  if (page.missing) {
    say(`This site was built without onnxruntime-web, so that nothing is computed here: ` +
      `${page.missing}. Build it again where npm's registry can be reached.`, "is-error");
    return;
  }
  for (const [id, name] of [["P", "P"], ["wp", "w_p"], ["DS", "Delta_Sigma"]]) {
    plots[name] = new Plot(find(id));
  }
  reset();
  read_link(location.hash);
  build_options();
  [arrays] = await Promise.all([read_arrays(), opened(model_name())]);
  document.getElementById("try").classList.remove("is-empty");
  window.addEventListener("hashchange", (event) => {
    clearTimeout(writing);
    read_link(new URL(event.newURL).hash); // the address may be another one by now
    show_options();
    build_sliders();
    update();
  });
  await update();
  await update(); // the first one is slower, as the browser compiles then
}

// ---- state

const model_name = () => `${state.emulator}-${state.occupation}`;
const model = () => page.models[model_name()];
const is_galaxy = (p) => !(p.group in GROUPS);
const values_of = (p) => (is_galaxy(p) ? state.galaxies[state.occupation] : state.background);

function reset() {
  state.emulator = Object.keys(page.emulators)[0];
  state.occupation = Object.keys(page.occupations)[0];
  state.pi_max = page.pi_max[1];
  state.lengths = "Mpc";
  for (const occupation of Object.keys(page.occupations)) {
    const { parameters } = page.models[`${state.emulator}-${occupation}`];
    const start = (wanted) => Object.fromEntries(wanted.map((p) => [p.name, p.start]));
    state.galaxies[occupation] = start(parameters.filter(is_galaxy));
    if (occupation === state.occupation) {
      state.background = start(parameters.filter((p) => !is_galaxy(p)));
    }
  }
}

/** Take the state from the address; what it does not say stays as it is. */
function read_link(hash) {
  const given = new URLSearchParams(hash.slice(1).replaceAll("+", "%2B")); // as in 1e+13
  complaints = [];
  const known = {
    emulator: Object.keys(page.emulators), occupation: Object.keys(page.occupations),
    pi_max: page.pi_max, lengths: ["Mpc", "Mpc/h"],
  };
  for (const option of OPTIONS) {
    const value = given.get(option);
    given.delete(option);
    if (value === null) continue;
    if (known[option].includes(value)) state[option] = value;
    else complaints.push(`the link's ${option} = ${value} is none of ${known[option].join(", ")}`);
  }
  const parameters = Object.fromEntries(model().parameters.map((p) => [p.name, p]));
  for (const [name, text] of given) {
    const p = parameters[name];
    const value = text.trim() ? Number(text) : NaN;
    if (!p) complaints.push(`the link's ${name} is no parameter of ${state.occupation}`);
    else if (Number.isNaN(value)) complaints.push(`the link's ${name} = ${text} is no number`);
    else values_of(p)[name] = value;
  }
}

function write_link() {
  const options = OPTIONS.map((option) => [option, state[option]]);
  const pairs = [...options, ...Object.entries(point)];
  history.replaceState(null, "", `#${pairs.map(([name, value]) => `${name}=${value}`).join("&")}`);
}

// ---- controls

function build_options() {
  fill("emulator", Object.entries(page.emulators).map(([name, text]) => [name, `${name}: ${text}`]));
  fill("occupation", Object.keys(page.occupations).map((name) => [name, name]));
  fill("pi_max", page.pi_max.map((name) => [name, name === "inf" ? "infinite" : `${name} Mpc`]));
  show_options();
  for (const option of OPTIONS) {
    find(option).addEventListener("change", (event) => {
      state[option] = event.target.value;
      build_sliders();
      update();
    });
  }
  keys("pairs", PAIRS, PAIRS);
  keys("terms", TERMS, TERMS.map((term) => NAMES[term]));
  for (const name of ["times", "ratio"]) {
    find(name).addEventListener("change", (event) => {
      state[`is_${name}`] = event.target.checked;
      draw();
    });
  }
  find("keep").addEventListener("click", keep);
  find("reset").addEventListener("click", () => {
    reset();
    complaints = [];
    show_options();
    build_sliders();
    update();
  });
  find("link").addEventListener("click", (event) => {
    write_link();
    copy(location.href, event.target);
  });
  find("copy").addEventListener("click", (event) => copy(text(), event.target));
  for (const name of TEXTS) {
    const button = made("button", { type: "button", textContent: name }, find("texts"));
    button.addEventListener("click", () => {
      state.text = name;
      show_text();
    });
  }
  build_sliders();
}

function made(tag, properties, parent) {
  const one = Object.assign(document.createElement(tag), properties);
  parent?.append(one);
  return one;
}

function fill(id, options) {
  for (const [value, textContent] of options) made("option", { value, textContent }, find(id));
}

function show_options() {
  for (const option of OPTIONS) find(option).value = state[option];
}

/** Buttons that show and hide curves, and are their legend. */
function keys(id, names, texts) {
  names.forEach((name, i) => {
    const button = made("button", { type: "button", className: `key ${key(name)}` }, find(id));
    button.innerHTML = `<svg viewBox="0 0 26 8" aria-hidden="true"><path d="M1 4H25"/></svg>`;
    button.append(texts[i]);
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      if (!state.shown.delete(name)) state.shown.add(name);
      button.setAttribute("aria-pressed", String(state.shown.has(name)));
      draw();
    });
  });
}

const key = (name) => (PAIRS.includes(name) ? name : `t${name}`);

function build_sliders() {
  const host = find("sliders");
  host.replaceChildren();
  let group = "";
  let box;
  for (const p of model().parameters) {
    if (p.group !== group) {
      group = p.group;
      box = made("fieldset", {}, host);
      made("legend", { textContent: GROUPS[group] ?? `Galaxies: ${group}` }, box);
      if (is_galaxy(p)) {
        const { source, start } = page.occupations[group];
        box.title = `${source}. Begins with ${start}.`;
      }
    }
    const row = made("div", { className: "try-row", title: `${p.text} [${p.unit}]` }, box);
    made("label", { textContent: p.name, htmlFor: `try-${p.name}` }, row);
    const along = p.is_log ? Math.log10 : (value) => value;
    const slider = made("input", {
      type: "range", min: along(p.low), max: along(p.high), step: p.step, id: `try-${p.name}`,
    }, row);
    const field = made("input", { type: "text", className: "try-field", spellcheck: false }, row);
    field.setAttribute("aria-label", `${p.name}, a number`);
    const change = (value) => {
      values_of(p)[p.name] = value;
      complaints = [];
      update();
    };
    slider.addEventListener("input", () => {
      const value = from_slider(p, Number(slider.value));
      field.value = written(value);
      change(value);
    });
    field.addEventListener("input", () => {
      const value = field.value.trim() ? Number(field.value) : NaN;
      if (!Number.isNaN(value)) slider.value = along(value);
      change(value);
    });
    field.value = written(values_of(p)[p.name]);
    slider.value = along(values_of(p)[p.name]);
    rows[p.name] = row;
  }
}

function from_slider(p, at) {
  if (p.is_log) return Math.min(p.high, Math.max(p.low, Number((10 ** at).toPrecision(DIGITS))));
  return Number(at.toFixed(Math.max(0, -Math.round(Math.log10(p.step)))));
}

const written = (value) => short(value, 12);

function keep() {
  state.kept = state.kept ? null : found;
  if (!state.kept) {
    state.is_ratio = false;
    find("ratio").checked = false;
  }
  find("keep").textContent = state.kept ? "Drop kept" : "Keep curves";
  find("ratio-label").hidden = !state.kept;
  draw();
}

// ---- evaluation

let is_busy = false;
let is_stale = false;

/** Evaluate the state; of states that come while one is evaluated, the last. */
async function update() {
  is_stale = true;
  if (is_busy) return;
  is_busy = true;
  try {
    while (is_stale) {
      is_stale = false;
      await step();
    }
  } catch (error) {
    found = null;
    say(`The emulator failed: ${error.message}`, "is-error");
    throw error;
  } finally {
    is_busy = false;
  }
}

async function step() {
  const { emulator, pi_max } = state;
  const mine = model();
  point = Object.fromEntries(mine.parameters.map((p) => [p.name, values_of(p)[p.name]]));
  const theirs = point;
  const errors = outside(mine, theirs);
  found = null;
  if (!errors.length) {
    const run = await opened(model_name());
    const begun = performance.now();
    const outputs = await run(Object.values(theirs));
    if (!(outputs.n_g[0] > 0) || Number.isNaN(outputs.gg_2h[0])) {
      errors.push("no galaxies, n_g = 0; their spectra are not defined");
    } else {
      found = evaluate(page, arrays, emulator, outputs, theirs, pi_max);
      milliseconds = performance.now() - begun;
    }
  }
  const warning = found ? below_lowest_mass(page, mine, theirs) : "";
  say([...complaints, ...errors, ...(warning ? [warning] : [])].join("; "),
    errors.length ? "is-error" : "is-warning");
  for (const p of mine.parameters) {
    rows[p.name].classList.toggle("is-outside", errors.some((text) => names(text, p.name)));
  }
  draw();
  clearTimeout(writing);
  writing = setTimeout(write_link, 300); // browsers allow few changes of the address
}

/** Whether a message is about a parameter: it begins with its name, or with that of a sum. */
const names = (text, name) => text.split(/\W+/).slice(0, 2).includes(name);

function say(message, kind = "") {
  find("status").textContent = message;
  find("status").className = kind;
  find("status").hidden = !message;
}

// ---- what is shown

function draw() {
  const shown = found ? curves(found) : { P: [], w_p: [], Delta_Sigma: [] };
  if (found && state.kept && !state.is_ratio) {
    const before = curves(state.kept);
    for (const name of Object.keys(shown)) {
      shown[name].push(...before[name].map((curve) => ({ ...curve, kept: true })));
    }
  }
  const by = scales(state.lengths, point.h || 1);
  const is_h = state.lengths === "Mpc/h";
  const length = is_h ? "Mpc/<i>h</i>" : "Mpc";
  const wave = is_h ? "<i>h</i>/Mpc" : "1/Mpc";
  const ratio = state.is_ratio ? " / kept" : "";
  const times = state.is_times && !state.is_ratio;
  const separations = Array.from(page.r, (r) => r * by.r);
  const P_unit = is_h ? "(Mpc/<i>h</i>)<sup>3</sup>" : "Mpc<sup>3</sup>";
  const density = `${is_h ? "<i>h</i> " : ""}M<sub>☉</sub>`;
  show(find("P"), plots.P, "<i>k</i>", wave, `<i>P</i>(<i>k</i>)${ratio}`, P_unit, {
    x: Array.from(page.k, (k) => k * by.k), curves: shown.P, name: "Power spectra against k",
  });
  const r_p = "<i>r</i><sub>p</sub>";
  show(find("wp"), plots.w_p, r_p, length, `${times ? `${r_p} ` : ""}<i>w</i><sub>p</sub>${ratio}`,
    times ? `${is_h ? "(Mpc/<i>h</i>)" : "Mpc"}<sup>2</sup>` : length,
    { x: separations, curves: shown.w_p, name: "w_p against r_p" });
  show(find("DS"), plots.Delta_Sigma, "<i>R</i>", length,
    `${times ? "<i>R</i> " : ""}ΔΣ${ratio}`,
    times ? `${is_h ? "" : "Mpc "}M<sub>☉</sub>/pc<sup>2</sup>${is_h ? " Mpc" : ""}`
      : `${density}/pc<sup>2</sup>`,
    { x: separations, curves: shown.Delta_Sigma, name: "Delta Sigma against R" });
  show_numbers(by);
  show_text();
}

function show(host, plot, x, x_unit, y, y_unit, data) {
  host.querySelector(".try-x").innerHTML = `${x} [${x_unit}]`;
  host.querySelector(".try-y").innerHTML = state.is_ratio ? y : `${y} [${y_unit}]`;
  plot.draw({
    ...data, is_ratio: state.is_ratio, format: (value) => `${x} = ${short(value, 3)}`,
  });
}

/** Curves of results by plot, in the units shown: over those that are kept, if that is wanted. */
function curves(results) {
  const by = scales(state.lengths, point.h);
  const kept = state.is_ratio ? state.kept : null;
  const one = (of, term, values, before, factor, x) => {
    const times = state.is_times && !state.is_ratio && x;
    const shown = Array.from(values, (value, i) =>
      kept ? value / before[i] : value * factor * (times ? x[i] * by.r : 1),
    );
    return { of, term, values: shown };
  };
  const terms = TERMS.filter((term) => state.shown.has(term));
  const pairs = PAIRS.filter((pair) => state.shown.has(pair));
  const of_radius = (name, of) =>
    terms.map((term) => one(of, term, results[name][term], kept?.[name][term], by[name], page.r));
  return {
    P: pairs.flatMap((pair) => terms.map((term) =>
      one(pair, term, results.spectra[pair][term], kept?.spectra[pair][term], by.P))),
    w_p: of_radius("w_p", "gg"),
    Delta_Sigma: of_radius("Delta_Sigma", "gm"),
  };
}

function show_numbers(by) {
  const unit = state.lengths === "Mpc" ? "Mpc" : "(Mpc/<i>h</i>)";
  find("numbers").innerHTML = found
    ? `<span><i>n</i><sub>g</sub> = ${(found.n_g / by.P).toExponential(3)} ` +
      `${unit}<sup>−3</sup></span> <span><i>b</i><sub>eff</sub> = ${found.b_eff.toFixed(3)}</span> ` +
      `<span>satellites ${(100 * found.f_sat).toFixed(1)} %</span> ` +
      `<span class="try-time">all curves in ${milliseconds.toFixed(1)} ms</span>`
    : "";
}

function text() {
  if (!found) return "There is no answer outside of the ranges.";
  const setup = { ...state, point, page };
  if (state.text === TEXTS[0]) return python(setup);
  return (state.text === TEXTS[1] ? spectra_table : statistics_table)(setup, found);
}

function show_text() {
  find("text").textContent = text();
  for (const button of find("texts").children) {
    button.setAttribute("aria-pressed", String(button.textContent === state.text));
  }
}

async function copy(content, button) {
  const before = button.dataset.text ?? button.textContent;
  button.dataset.text = before;
  try {
    await navigator.clipboard.writeText(content);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it by hand"; // no clipboard without https
  }
  setTimeout(() => (button.textContent = before), 1500);
}
