// A pipeline without Python: galaxy power from the same file, in Node.js.
//
//   npm install onnxruntime-node
//   node examples/predict.js export/models/standard.onnx
//
// The graph takes raw physical parameters and returns spectra in Mpc^3; there is nothing else to
// know. It does not check ranges: do that, with those that `hodspectra info standard` prints.

const ort = require("onnxruntime-node");

// in this order: cosmology, redshift, occupation; masses in Msun
const point = {
  Om_c: 0.25, Om_b: 0.05, h: 0.7, sigma_8: 0.82, n_s: 0.96, w0: -1.0, wa: 0.0,
  z: 0.5,
  alpha: 0.9, sigma: 0.3, Mth: 1e12, Mprime: 2e13, beta: 1.0,
};

async function main(file) {
  const session = await ort.InferenceSession.create(file);
  const values = Float32Array.from(Object.values(point));
  const theta = new ort.Tensor("float32", values, [1, values.length]);
  const { gg_total, n_g } = await session.run({ theta }, ["gg_total", "n_g"]);
  console.log(JSON.stringify({ gg_total: Array.from(gg_total.data), n_g: n_g.data[0] }));
}

main(process.argv[2]);
