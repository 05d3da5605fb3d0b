// The history of this browser, in IndexedDB: records of questions, and the clips they are about, within bounds.

const NAME = "omnireel";
export const MAX_RECORDS = 100;
export const MAX_CLIP_BYTES = 256e6;

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("records", { keyPath: "id" });
      request.result.createObjectStore("clips", { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function store(name, mode) {
  return (await open()).transaction(name, mode).objectStore(name);
}

/** Whether this browser keeps a history. Some do not in private windows. */
export async function isAvailable() {
  try {
    await open();
    return true;
  } catch {
    return false;
  }
}

/** All records, newest first. */
export async function records() {
  const all = await done((await store("records", "readonly")).getAll());
  return all.sort((one, other) => other.asked_at - one.asked_at);
}

/** Keep a record, and its clip where it is a file. The oldest of both make room. */
export async function keep(record, clip) {
  await done((await store("records", "readwrite")).put(structuredClone(record)));
  if (clip?.file && clip.file.size <= MAX_CLIP_BYTES) {
    const kept = { id: clip.id, name: clip.name, file: clip.file, bytes: clip.file.size, used_at: Date.now() };
    await done((await store("clips", "readwrite")).put(kept));
  }
  await makeRoom();
}

async function makeRoom() {
  for (const record of (await records()).slice(MAX_RECORDS)) {
    await done((await store("records", "readwrite")).delete(record.id));
  }
  const used = new Set((await records()).map((record) => record.clip.id));
  const clips = await done((await store("clips", "readonly")).getAll());
  clips.sort((one, other) => other.used_at - one.used_at);
  let left = MAX_CLIP_BYTES;
  for (const clip of clips) {
    left -= clip.bytes;
    if (left < 0 || !used.has(clip.id)) await done((await store("clips", "readwrite")).delete(clip.id));
  }
}

/** The kept file of a clip, or null: { id, name, file }. */
export async function clip(id) {
  return (await done((await store("clips", "readonly")).get(id))) ?? null;
}

export async function remove(id) {
  await done((await store("records", "readwrite")).delete(id));
  await makeRoom();
}

export async function clear() {
  await done((await store("records", "readwrite")).clear());
  await done((await store("clips", "readwrite")).clear());
}

/** What is kept: { records, bytes }. */
export async function size() {
  const number = await done((await store("records", "readonly")).count());
  const clips = await done((await store("clips", "readonly")).getAll());
  return { records: number, bytes: clips.reduce((sum, kept) => sum + kept.bytes, 0) };
}
