// Curves over a logarithmic axis, in SVG. Colours and dashes are classes, which try.css styles.

import { TERMS, short } from "./model.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 46, RIGHT = 14, TOP = 8, BOTTOM = 24; // pixels about the frame
const DEEPEST = 1e-8; // of the largest value: what lies below is not shown
const LARGEST = 4; // ratio that is shown

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

/** One plot, redrawn whole at each change. */
export class Plot {
  /** @param {HTMLElement} host An element with .try-canvas and .try-readout in it. */
  constructor(host) {
    this.host = host;
    this.canvas = host.querySelector(".try-canvas");
    this.readout = host.querySelector(".try-readout");
    this.svg = element("svg", { role: "img" }, null);
    this.canvas.prepend(this.svg);
    this.clip = `clip-${host.id}`;
    this.data = null;
    new ResizeObserver(() => this.render()).observe(this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.unpoint());
  }

  /**
   * @param {object} data `x` (numbers, increasing), `curves` ([{of, term, values, kept}]),
   *   `is_ratio`, `name` (for screen readers).
   */
  draw(data) {
    this.data = data;
    this.render();
  }

  render() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.svg.replaceChildren();
    this.unpoint();
    if (!width || !height) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.frame = { right: width - RIGHT, bottom: height - BOTTOM };
    if (!this.data) return;
    const { x, curves, is_ratio, name } = this.data;
    this.svg.setAttribute("aria-label", name);
    const [low, high] = [Math.log10(x[0]), Math.log10(x[x.length - 1])];
    this.across = (value) =>
      LEFT + ((Math.log10(value) - low) / (high - low)) * (this.frame.right - LEFT);
    const ends = curves.length ? (is_ratio ? ratios(curves) : decades(curves)) : [0, 1];
    const share = is_ratio ? (value) => value : Math.log10;
    this.up = (value) => {
      const way = (share(value) - ends[0]) / (ends[1] - ends[0]);
      return this.frame.bottom - way * (this.frame.bottom - TOP);
    };
    this.axis_across(low, high);
    if (curves.length) (is_ratio ? this.axis_linear(ends) : this.axis_decades(ends));
    this.curves(x, curves, is_ratio);
  }

  curves(x, curves, is_ratio) {
    const { right, bottom } = this.frame;
    const defs = element("defs", {}, this.svg);
    const clip = element("clipPath", { id: this.clip }, defs);
    element("rect", { x: LEFT, y: TOP, width: right - LEFT, height: bottom - TOP }, clip);
    const group = element("g", { "clip-path": `url(#${this.clip})` }, this.svg);
    const order = [...curves].sort((a, b) => rank(a) - rank(b));
    for (const { of, term, values, kept } of order) {
      let path = "";
      let is_down = false;
      for (let i = 0; i < x.length; i++) {
        const is_there = Number.isFinite(values[i]) && (is_ratio || values[i] > 0);
        if (is_there) {
          const y = Math.max(-9999, Math.min(9999, this.up(values[i])));
          path += `${is_down ? "L" : "M"}${this.across(x[i]).toFixed(1)} ${y.toFixed(1)}`;
        }
        is_down = is_there;
      }
      element("path", { d: path, class: `curve ${of} t${term}${kept ? " kept" : ""}` }, group);
    }
    element(
      "rect",
      { x: LEFT, y: TOP, width: right - LEFT, height: bottom - TOP, class: "frame" },
      this.svg,
    );
    this.marks = element("g", {}, this.svg);
  }

  axis_across(low, high) {
    const { right, bottom } = this.frame;
    const sparse = (right - LEFT) / (high - low) < 34;
    for (let e = Math.ceil(low - 1e-9); e <= high + 1e-9; e++) {
      const at = this.across(10 ** e);
      element("path", { d: `M${at} ${TOP}V${bottom}`, class: "grid" }, this.svg);
      if (!sparse || e % 2 === 0) this.label(at, bottom + 16, power(e), "middle");
      for (let m = 2; m < 10 && e + Math.log10(m) < high; m++) {
        element("path", { d: `M${this.across(m * 10 ** e)} ${bottom}v-4`, class: "tick" }, this.svg);
      }
    }
  }

  axis_decades([low, high]) {
    const each = Math.max(1, Math.ceil((22 * (high - low)) / (this.frame.bottom - TOP)));
    const is_short = high - low < 2;
    for (let e = Math.floor(low); e <= high + 1e-9; e++) {
      if (e >= low - 1e-9) {
        this.line(10 ** e);
        if (e % each === 0) this.label(LEFT - 6, this.up(10 ** e) + 4, power(e), "end");
      }
      for (let m = 2; m < 10; m++) {
        const at = e + Math.log10(m);
        if (at < low || at > high || each > 1) continue;
        element("path", { d: `M${LEFT} ${this.up(10 ** at)}h4`, class: "tick" }, this.svg);
        if (is_short && (m === 2 || m === 5)) {
          this.label(LEFT - 6, this.up(10 ** at) + 4, short(m * 10 ** e), "end");
        }
      }
    }
  }

  axis_linear([low, high]) {
    const rough = (high - low) / Math.max(2, (this.frame.bottom - TOP) / 40);
    const base = 10 ** Math.floor(Math.log10(rough));
    const step = base * [1, 2, 5, 10].find((m) => m * base >= rough);
    for (let i = Math.ceil(low / step); i * step <= high; i++) {
      this.line(i * step);
      this.label(LEFT - 6, this.up(i * step) + 4, short(i * step), "end");
    }
  }

  line(value) {
    const { right } = this.frame;
    element("path", { d: `M${LEFT} ${this.up(value)}H${right}`, class: "grid" }, this.svg);
  }

  /** Text, "10^3" with its exponent raised. */
  label(x, y, text, anchor) {
    const made = element("text", { x, y, "text-anchor": anchor }, this.svg);
    const [base, exponent] = text.split("^");
    made.append(base);
    if (exponent) element("tspan", { dy: -5, class: "raised" }, made).append(exponent);
  }

  /** Show the values where the pointer is. */
  point(event) {
    if (!this.data?.curves.length) return;
    const { x, curves, format } = this.data;
    const box = this.canvas.getBoundingClientRect();
    const at = event.clientX - box.left;
    const distances = Array.from(x, (value) => Math.abs(this.across(value) - at));
    const i = distances.indexOf(Math.min(...distances));
    const shown = curves.filter((curve) => !curve.kept);
    this.marks.replaceChildren();
    const column = this.across(x[i]);
    element("path", { d: `M${column} ${TOP}V${this.frame.bottom}`, class: "pointer" }, this.marks);
    for (const { of, values } of shown) {
      const y = this.up(values[i]);
      if (y >= TOP && y <= this.frame.bottom) {
        element("circle", { cx: column, cy: y, r: 3, class: `dot ${of}` }, this.marks);
      }
    }
    const terms = TERMS.filter((term) => shown.some((curve) => curve.term === term));
    const names = [...new Set(shown.map((curve) => curve.of))];
    const cell = (of, term) => {
      const curve = shown.find((one) => one.of === of && one.term === term);
      return `<td>${curve ? short(curve.values[i], 4) : ""}</td>`;
    };
    const rows = names.map(
      (of) =>
        `<tr><th class="${of}">${names.length > 1 ? of : ""}</th>` +
        `${terms.map((term) => cell(of, term)).join("")}</tr>`,
    );
    this.readout.innerHTML =
      `<table><tr><th>${format(x[i])}</th>${terms.map((t) => `<th>${t}</th>`).join("")}</tr>` +
      `${rows.join("")}</table>`;
    this.readout.hidden = false;
    this.readout.classList.toggle("at-left", column > (LEFT + this.frame.right) / 2);
  }

  unpoint() {
    this.readout.hidden = true;
    this.marks?.replaceChildren();
  }
}

/** Totals are drawn last, and kept curves first. */
function rank({ term, kept }) {
  return (kept ? 0 : 10) + (term === "total" ? 1 : 0);
}

function power(e) {
  return e >= -1 && e <= 2 ? short(10 ** e) : `10^${String(e).replace("-", "−")}`;
}

/** What the ends of the axis are for: totals, or all curves if there are none. */
function important(curves) {
  const totals = curves.filter((curve) => curve.term === "total");
  return totals.length ? totals : curves;
}

/** log10 of both ends, each a decade or half of one, so that they seldom move. */
function decades(curves) {
  const values = important(curves).flatMap((c) => Array.from(c.values)).filter((v) => v > 0);
  if (!values.length) return [0, 1];
  const high = Math.max(...values);
  const low = Math.max(Math.min(...values), high * DEEPEST);
  const ends = [Math.floor(2 * Math.log10(low)) / 2, Math.ceil(2 * Math.log10(high)) / 2];
  return ends[1] > ends[0] ? ends : [ends[0], ends[0] + 0.5];
}

/** Both ends of ratios, with 1 among them. */
function ratios(curves) {
  const values = important(curves).flatMap((c) => Array.from(c.values)).filter(Number.isFinite);
  const low = Math.max(0, Math.min(0.99, ...values));
  const high = Math.min(LARGEST, Math.max(1.01, ...values));
  const margin = 0.08 * (high - low);
  return [low - margin, high + margin];
}
