// The page: two forms, their results, and what may go wrong.

import { isBlank } from "./lib/characters.js";
import { graph } from "./lib/graph.js";
import { language, translate, words } from "./lib/language.js";

const LONGEST = 20_000, LONGEST_QUESTION = 200; // characters
const byId = (id) => document.getElementById(id);
const make = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let calls = 0;
worker.onmessage = ({ data }) => {
  if (data.progress) return showProgress(data.progress);
  const { resolve, reject } = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.error !== undefined) reject(new Error(data.error));
  else resolve(data);
};
worker.onerror = (event) => {
  const error = new Error(`The models do not run in this browser: ${event.message ?? "its worker stopped"}.`);
  for (const { reject } of waiting.values()) reject(error);
  waiting.clear();
};

function call(task, values = {}) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    worker.postMessage({ id: calls, task, ...values });
  });
}

function showProgress({ loaded, total }) {
  byId("bar").value = loaded / total;
  byId("loading-text").textContent = words("Loading the models: {0} of {1} MB", (loaded / 1e6).toFixed(0), (total / 1e6).toFixed(0));
}

async function load() {
  try {
    await call("load");
    byId("loading").hidden = true;
    document.body.dataset.ready = "true";
    byId("offline").textContent = (await offline())
      ? words("The page is stored in this browser and works without a network.")
      : words("Works without a network only over https or from this machine.");
  } catch (error) {
    byId("loading-text").textContent = error.message;
    byId("loading").classList.add("error");
    byId("bar").hidden = true;
  }
}

async function offline() {
  if (!navigator.serviceWorker || !globalThis.caches) return false;
  try {
    await navigator.serviceWorker.register("service-worker.js");
    await navigator.serviceWorker.ready;
    return true;
  } catch {
    return false;
  }
}

/** What is wrong with a text, or "". */
function fault(name, text, longest) {
  const said = words(name), count = Array.from(text).length;
  if (isBlank(text)) return words("{0} is empty.", said);
  if (!text.isWellFormed()) {
    return words("{0} holds half a surrogate pair, which is no character. It was probably cut within an emoji.", said);
  }
  if (count > longest) {
    return words("{0} has {1} characters; at most {2} are read here.", said, count.toLocaleString(language), longest.toLocaleString(language));
  }
  return "";
}

function onSubmit(form, faultOf, task, valuesOf, show) {
  const [error, result, button] = [form.querySelector(".error"), form.querySelector(".result"), form.querySelector("button.main")];
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    result.replaceChildren();
    error.textContent = faultOf();
    error.hidden = !error.textContent;
    if (error.textContent) return;
    button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      const values = valuesOf(), { result: found, milliseconds } = await call(task, values);
      result.replaceChildren(...show(values, found), make("p", { className: "faint" }, `${milliseconds.toFixed(0)} ms`));
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
    button.disabled = false;
    form.removeAttribute("aria-busy");
  });
}

function showAnswers({ text }, { answers, refused }) {
  const [best] = answers;
  if (!best.answer) return [make("p", { className: "answer" }, words("No answer found."))];
  const points = Array.from(text), piece = (start, end) => points.slice(start, end).join("");
  const rows = answers.map(({ answer, score }) =>
    make("tr", {}, make("td", { lang: "zh" }, answer), make("td", { className: "number" }, score.toFixed(3))),
  );
  const head = make("tr", {}, make("th", { scope: "col" }, words("Answer")), make("th", { scope: "col", className: "number" }, words("Score")));
  const doubt = words("The text may not hold the answer; this is the best guess.");
  return [
    ...(refused ? [make("p", { className: "doubt" }, doubt)] : []),
    make("p", { className: "answer", lang: "zh" }, best.answer),
    make("blockquote", { lang: "zh" }, piece(0, best.start), make("mark", {}, best.answer), piece(best.end)),
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
  ];
}

function showTriples(_, triples) {
  if (!triples.length) return [make("p", { className: "answer" }, words("No triples found."))];
  const mention = ({ text, type }) => make("td", { lang: "zh" }, text, " ", ...(type ? [make("small", {}, type)] : []));
  const rows = triples.map(({ subject, predicate, object, score }) =>
    make("tr", {}, mention(subject), make("td", { lang: "zh" }, predicate), mention(object), make("td", { className: "number" }, score.toFixed(3))),
  );
  const names = ["Subject", "Predicate", "Object", "Score"];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col", className: name === "Score" ? "number" : "" }, words(name))));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
  return [make("div", { className: "wide", tabIndex: 0 }, graph(triples)), make("div", { className: "wide", tabIndex: 0 }, table)];
}

translate(document);
const tabs = [...document.querySelectorAll("[role=tab]")];
function open(tab) {
  for (const one of tabs) {
    one.setAttribute("aria-selected", String(one === tab));
    one.tabIndex = one === tab ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = one !== tab;
  }
}
for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const next = tabs[1 - tabs.indexOf(tab)];
    open(next);
    next.focus();
  });
}

onSubmit(
  byId("ask"),
  () => fault("Question", byId("question").value, LONGEST_QUESTION) || fault("Text", byId("context").value, LONGEST),
  "ask",
  () => ({ question: byId("question").value, text: byId("context").value }),
  showAnswers,
);
onSubmit(byId("extract"), () => fault("Text", byId("text").value, LONGEST), "extract", () => ({ text: byId("text").value }), showTriples);
load();
