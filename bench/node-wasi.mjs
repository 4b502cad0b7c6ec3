// Runs a preview 1 command in Node: `node node-wasi.mjs FILE [ARGS…]`, with the current folder preopened as `.`.
// What the bench starts, so that V8 is measured with what every other engine has: one folder, no variables.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args: [file, ...args], env: {}, preopens: { ".": "." }, returnOnExit: true });
const { instance } = await WebAssembly.instantiate(readFileSync(file), wasi.getImportObject());
process.exitCode = wasi.start(instance);
