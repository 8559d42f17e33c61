// The page's files, and emulators in onnxruntime-web.

import { matrices } from "./model.js";

let page;
let library; // promise of onnxruntime-web
const sessions = {}; // promises, by model

/** What try.json says; where onnxruntime-web is there, it begins to load. */
export async function read_page() {
  page = await (await get("try.json", { cache: "no-cache" })).json();
  if (!page.missing) library = open_library();
  return page;
}

/** The matrices by name. */
export async function read_arrays() {
  return matrices(page.arrays, new Float64Array(await unpacked("arrays.f8.bin")));
}

/** A function that takes values of parameters to the outputs of a model's graph, by name. */
export function opened(name) {
  sessions[name] ??= open(name);
  return sessions[name];
}

async function open(name) {
  const [ort, content] = await Promise.all([library, unpacked(`${name}.onnx.bin`)]);
  const options = { logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(new Uint8Array(content), options);
  return async (values) => {
    const theta = new ort.Tensor("float32", Float32Array.from(values), [1, values.length]);
    const tensors = await session.run({ theta }, page.outputs);
    return Object.fromEntries(page.outputs.map((output) => [output, tensors[output].data]));
  };
}

async function open_library() {
  const [ort, binary] = await Promise.all([import("./ort.js"), unpacked("ort.wasm.bin")]);
  ort.env.wasm.numThreads = 1; // more would need headers that plain web servers do not send
  ort.env.wasm.wasmBinary = binary;
  return ort;
}

async function get(name, options) {
  const answer = await fetch(new URL(name, import.meta.url), options);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer;
}

/** A file that is gzipped; a server may have unpacked it already. */
async function unpacked(name) {
  const bytes = new Uint8Array(await (await get(`${name}?${page.version}`)).arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
