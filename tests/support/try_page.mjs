// What the page computes, without a page: cases on standard input, their answers on output.
//
//   node try_page.mjs FOLDER < cases.json

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";

const folder = process.argv[2];
const load = (name) => import(pathToFileURL(`${folder}/${name}`));
const { below_lowest_mass, evaluate, matrices, outside } = await load("model.js");
const { python } = await load("texts.js");

const page = JSON.parse(readFileSync(`${folder}/try.json`));
const bytes = gunzipSync(readFileSync(`${folder}/arrays.f8.bin`));
const numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const arrays = matrices(page.arrays, numbers);

const plain = (value) => {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
};
const answers = JSON.parse(readFileSync(0)).map(({ emulator, occupation, point, pi_max, lengths, outputs }) => {
  const model = page.models[`${emulator}-${occupation}`];
  return {
    outside: outside(model, point),
    warning: below_lowest_mass(page, model, point),
    text: python({ emulator, occupation, pi_max, lengths, point, page }),
    found: outputs ? plain(evaluate(page, arrays, emulator, outputs, point, pi_max)) : null,
  };
});
process.stdout.write(JSON.stringify(answers));
