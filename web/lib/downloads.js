// Files of the page, kept in the browser's cache storage, so that they load once and then without a network.

import { CACHE, FILES } from "../files.js"; // written by build.mjs: name of this build's cache, and bytes by path

let tell = () => {};
const loaded = new Map();

/** Call `tell(bytes, of all bytes)` as files arrive. */
export function report(listener) {
  tell = listener;
}

function progress(path, bytes) {
  loaded.set(path, bytes);
  tell([...loaded.values()].reduce((a, b) => a + b, 0), Object.values(FILES).reduce((a, b) => a + b, 0));
}

/** The bytes of a file; an error that names it where it cannot be had. */
export async function fetchKept(path) {
  const url = new URL(`../${path}`, import.meta.url);
  const cache = globalThis.caches ? await caches.open(CACHE).catch(() => null) : null;
  const kept = await cache?.match(url);
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    progress(path, bytes.length);
    return bytes;
  }
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Error(`${path} could not be loaded: there is no connection to ${url.host}.`);
  }
  if (!response.ok) throw new Error(`${path} could not be loaded: the server said ${response.status}.`);
  const parts = [], stream = response.body.getReader();
  let size = 0;
  for (let part = await stream.read(); !part.done; part = await stream.read()) {
    parts.push(part.value);
    size += part.value.length;
    progress(path, size);
  }
  if (FILES[path] !== undefined && size !== FILES[path]) throw new Error(`${path} has ${size} bytes, expected were ${FILES[path]}.`);
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  await cache?.put(url, new Response(bytes)).catch(() => {}); // no room: it works, but not offline
  return bytes;
}
