// Loads the models and answers, away from the page's own thread.

import { InferenceSession, Tensor, env } from "./vendor/ort.wasm.bundle.min.mjs";
import initJieba, { cut } from "./vendor/jieba_rs_wasm.js";
import { Characters } from "./lib/characters.js";
import { KnownTriples } from "./lib/mentions.js";
import { answer, refuses } from "./lib/reader.js";
import { extract } from "./lib/triples.js";
import { Words } from "./lib/words.js";
import { fetchKept, report } from "./lib/downloads.js";

const READER = "models/dgcnn-qa-zh", TRIPLES = "models/dgcnn-triples-zh";

env.wasm.numThreads = 1; // more threads want headers that file servers do not send
env.wasm.proxy = false;

const text = async (path) => new TextDecoder().decode(await fetchKept(path));
const json = async (path) => JSON.parse(await text(path));
const once = (make) => {
  let made = null;
  return () => {
    made ??= make().catch((error) => {
      made = null; // so that it may be tried again
      throw error;
    });
    return made;
  };
};

const runtime = once(async () => {
  env.wasm.wasmBinary = await fetchKept("vendor/ort-wasm-simd-threaded.wasm");
});
const jieba = once(async () => {
  await initJieba({ module_or_path: await fetchKept("vendor/jieba_rs_wasm_bg.wasm") });
});

async function tokenizer(folder) {
  await jieba();
  const saved = await json(`${folder}/tokenizer_config.json`);
  if (saved.segmenter !== "rjieba" || saved.dictionary_size) throw new Error(`${folder} wants another segmenter.`);
  const words = new Words(cut, await text(`${folder}/word_vocab.txt`));
  await words.check(saved.segmentation_fingerprint);
  return { characters: new Characters(await json(`${folder}/tokenizer.json`)), words, config: await json(`${folder}/config.json`) };
}

async function network(path) {
  await runtime();
  const session = await InferenceSession.create(await fetchKept(path), { executionProviders: ["wasm"] });
  return async (inputs, withShapes = false) => {
    const wanted = session.inputNames.map((name) => {
      const { data, dims } = inputs[name];
      return [name, new Tensor(data instanceof BigInt64Array ? "int64" : "float32", data, dims)];
    });
    const output = await session.run(Object.fromEntries(wanted));
    return Object.fromEntries(Object.entries(output).map(([name, { data, dims }]) => [name, withShapes ? { data, dims } : data]));
  };
}

const reader = once(async () => ({ ...(await tokenizer(READER)), run: await network(`${READER}/onnx/model.int8.onnx`) }));
const extractor = once(async () => {
  const model = await tokenizer(TRIPLES);
  if (model.config.typed_subjects || model.config.triple_prior) throw new Error(`${TRIPLES} has options that the page lacks.`);
  const known = model.config.known_triple_scores ? new KnownTriples(await text(`${TRIPLES}/triple_prior.txt`)) : null;
  const [run, objects] = [await network(`${TRIPLES}/onnx/model.int8.onnx`), await network(`${TRIPLES}/onnx/objects.int8.onnx`)];
  return { ...model, known, run, objects };
});

const TASKS = {
  load: async () => {
    await reader();
    await extractor();
  },
  ask: async ({ question, text }) => {
    const model = await reader(), answers = await answer(model, question, text);
    return { answers, refused: refuses(model, answers) };
  },
  extract: async ({ text }) => extract(await extractor(), text),
};

let last = Promise.resolve(); // a session takes one call at a time
report((loaded, total) => postMessage({ progress: { loaded, total } }));
onmessage = ({ data: { id, task, ...values } }) => {
  const started = () => performance.now();
  last = last.then(async () => {
    const begin = started();
    try {
      postMessage({ id, result: await TASKS[task](values), milliseconds: started() - begin });
    } catch (error) {
      postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
