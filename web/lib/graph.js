// Triples as a graph in SVG: mentions in columns from subjects to objects, predicates on the edges. A mention stands one
// column right of the farthest subject that has it as an object; an edge that closes a cycle runs back.

const LINE = 30, GAP = 14, UNIT = 15, LONGEST = 14, CURVE = 34, EDGE = 8;
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

const clean = (text) => text.replace(/\s+/gu, " ").trim();
const short = (text) => {
  const points = Array.from(clean(text));
  return points.length <= LONGEST ? points.join("") : `${points.slice(0, LONGEST - 1).join("")}…`;
};
const width = (text) => Array.from(short(text)).reduce((sum, point) => sum + (WIDE.test(point) ? UNIT : 0.6 * UNIT), 0);

function element(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, typeof value === "number" ? value.toFixed(1) : value);
  made.append(...children);
  return made;
}

/** An <svg> of the triples of a text; null for none. */
export function graph(triples) {
  const edges = new Map();
  for (const { subject, predicate, object } of triples) {
    edges.set(JSON.stringify([subject.text, predicate, object.text]), { from: subject.text, predicate, to: object.text });
  }
  if (!edges.size) return null;
  const nodes = new Map();
  const node = (name) => nodes.get(name) ?? nodes.set(name, { name, incoming: [], outgoing: [], column: 0 }).get(name);
  for (const edge of edges.values()) {
    node(edge.from).outgoing.push(edge);
    node(edge.to).incoming.push(edge);
  }
  setColumns(nodes);
  const size = place(nodes);
  const title = [...edges.values()].map(({ from, predicate, to }) => `${from} · ${predicate} · ${to}`).join("; ");
  const svg = element("svg", { class: "graph", role: "img", width: size.width, height: size.height }, element("title", {}, title));
  for (const edge of edges.values()) svg.append(...drawEdge(nodes, edge));
  for (const one of nodes.values()) svg.append(drawBox(one));
  for (const edge of edges.values()) {
    const target = nodes.get(edge.to);
    svg.append(element("text", { class: "predicate", x: target.left - 13, y: line(target, edge, target.incoming) }, short(edge.predicate)));
  }
  return svg;
}

const height = (node) => LINE * Math.max(node.incoming.length, node.outgoing.length, 1);
const line = (node, edge, edges) => node.top + (height(node) * (edges.indexOf(edge) + 0.5)) / edges.length;

function setColumns(nodes) {
  const forward = [], state = new Map();
  const visit = (node) => {
    state.set(node.name, "open");
    for (const { to } of node.outgoing) {
      if (state.get(to) === "open") continue;
      forward.push([node, nodes.get(to)]);
      if (!state.has(to)) visit(nodes.get(to));
    }
    state.set(node.name, "closed");
  };
  const first = [...nodes.values()].sort((a, b) => Number(a.incoming.length > 0) - Number(b.incoming.length > 0));
  for (const node of first) if (!state.has(node.name)) visit(node);
  for (let round = 0; round < nodes.size; round++) {
    for (const [source, target] of forward) target.column = Math.max(target.column, source.column + 1);
  }
}

function place(nodes) {
  const columns = [];
  for (const node of nodes.values()) (columns[node.column] ??= []).push(node);
  const total = (column) => column.reduce((sum, node) => sum + height(node) + GAP, -GAP);
  const tallest = Math.max(...columns.map(total));
  const middle = (node) => node.incoming.reduce((sum, edge) => sum + nodes.get(edge.from).top, 0) / Math.max(node.incoming.length, 1);
  let x = EDGE;
  columns.forEach((column, number) => {
    if (number) column.sort((a, b) => middle(a) - middle(b));
    const incoming = column.flatMap((node) => node.incoming);
    if (incoming.length) x += CURVE + Math.max(...incoming.map((edge) => width(edge.predicate) + 24));
    let y = EDGE + (tallest - total(column)) / 2;
    const wide = Math.max(...column.map((node) => width(node.name) + 18));
    for (const node of column) {
      Object.assign(node, { left: x, top: y, width: wide });
      y += height(node) + GAP;
    }
    x += wide;
  });
  for (const node of nodes.values()) node.incoming.sort((a, b) => nodes.get(a.from).top - nodes.get(b.from).top);
  for (const node of nodes.values()) {
    node.outgoing.sort((a, b) => line(nodes.get(a.to), a, nodes.get(a.to).incoming) - line(nodes.get(b.to), b, nodes.get(b.to).incoming));
  }
  const back = columns.at(-1).some((node) => node.outgoing.length) ? 2 * CURVE : 0;
  return { width: x + EDGE + back, height: tallest + 2 * EDGE };
}

function drawEdge(nodes, edge) {
  const source = nodes.get(edge.from), target = nodes.get(edge.to);
  const x = source.left + source.width, y = line(source, edge, source.outgoing);
  const end = target.left, endY = line(target, edge, target.incoming), turn = end - 16 - width(edge.predicate);
  const bend = Math.max(CURVE / 2, Math.abs(turn - x) / 2);
  const [a, b, c, d] = [x + bend, turn - bend, turn, end - 8].map((value) => value.toFixed(1));
  return [
    element("path", { d: `M${x.toFixed(1)} ${y.toFixed(1)}C${a} ${y.toFixed(1)} ${b} ${endY.toFixed(1)} ${c} ${endY.toFixed(1)}H${d}` }),
    element("path", { class: "head", d: `M${end.toFixed(1)} ${endY.toFixed(1)}l-9 -4.5v9z` }),
  ];
}

function drawBox(node) {
  const box = { x: node.left, y: node.top + 1, width: node.width, height: height(node) - 2, rx: "6" };
  const label = element("text", { x: node.left + node.width / 2, y: node.top + height(node) / 2 }, short(node.name));
  return element("g", { class: node.outgoing.length ? "subject" : "object" }, element("title", {}, node.name), element("rect", box), label);
}
