// What was done on this phone, in IndexedDB until the service has said its word on it.
// A record is written in one transaction with its number, as the text that will be sent.

const NAME = "suyuan-hand";
export const UNSETTLED_MAX = 20_000;
const SETTLED_MAX = 5_000;
let opened;

export function open() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      const db = asked.result;
      db.createObjectStore("kv");
      const record = db.createObjectStore("record", { keyPath: "number" });
      record.createIndex("waiting", "waiting");
      record.createIndex("faulty", "faulty");
      record.createIndex("asset", "asset");
      const sheet = db.createObjectStore("sheet", { keyPath: "asset" });
      sheet.createIndex("codes", "values", { multiEntry: true });
      const photo = db.createObjectStore("photo", { keyPath: "sha256" });
      photo.createIndex("waiting", "waiting");
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opened;
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within(stores, mode, work) {
  const db = await open();
  const transaction = db.transaction(stores, mode, { durability: "strict" });
  const ended = new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("aborted"));
  });
  ended.catch(() => {});
  const result = await work(...[stores].flat().map((name) => transaction.objectStore(name)));
  await ended;
  return result;
}

export const get = (key) => within("kv", "readonly", (kv) => done(kv.get(key)));
export const set = (key, value) => within("kv", "readwrite", (kv) => done(kv.put(value, key)));
export const waiting = () => within("record", "readonly", (all) => done(all.index("waiting").count()));
export const faulty = () =>
  within("record", "readonly", (all) => done(all.index("faulty").getAll(null, 100)));
export const sheet = (asset) => within("sheet", "readonly", (all) => done(all.get(asset)));
export const sheetOf = (value) =>
  within("sheet", "readonly", (all) => done(all.index("codes").getAll(value, 2)));
export const sheets = () => within("sheet", "readonly", (all) => done(all.count()));

// Keeps a record that `make` builds from its number; durable when it resolves.
export async function append(make, { photos = [], keep = {} } = {}) {
  if ((await waiting()) >= UNSETTLED_MAX) throw new Error("store_full");
  return within(["kv", "record", "photo"], "readwrite", async (kv, all, pictures) => {
    const number = ((await done(kv.get("number"))) ?? 0) + 1;
    const record = make(number);
    await done(kv.put(number, "number"));
    for (const [key, value] of Object.entries(keep)) await done(kv.put(value, key));
    const asset = record.what.asset ?? "";
    await done(all.add({ number, body: JSON.stringify(record), asset, waiting: 1 }));
    for (const one of photos) await done(pictures.put({ ...one, number, waiting: 1 }));
    return record;
  });
}

export async function unsettled(most, bytes) {
  const rows = await within("record", "readonly", (all) =>
    done(all.index("waiting").getAll(null, most)));
  const found = [];
  let taken = 0;
  for (const row of rows.sort((one, other) => one.number - other.number)) {
    taken += new Blob([row.body]).size + 1;
    if (found.length && taken > bytes) break;
    found.push(row);
  }
  return found;
}

export function settle(words) {
  return within("record", "readwrite", async (all) => {
    for (const word of words) {
      const row = await done(all.get(word.number));
      if (!row?.waiting) continue;
      delete row.waiting;
      row.word = word;
      if (word.outcome === "conflict" || word.outcome === "refused") row.faulty = 1;
      await done(all.put(row));
    }
    const first = words.length ? Math.max(...words.map((one) => one.number)) - SETTLED_MAX : 0;
    if (first > 0) await forget(all, first);
  });
}

async function forget(all, first) {
  for (const row of await done(all.getAll(IDBKeyRange.upperBound(first), 500))) {
    if (!row.waiting && !row.faulty) await done(all.delete(row.number));
  }
}

export function lookAt(number) {
  return within("record", "readwrite", async (all) => {
    const row = await done(all.get(number));
    delete row.faulty;
    await done(all.put(row));
  });
}

export async function history(asset) {
  const rows = await within("record", "readonly", (all) => done(all.index("asset").getAll(asset)));
  return rows.sort((one, other) => other.number - one.number).slice(0, 5);
}

export async function unsentPhotos() {
  return within(["photo", "record"], "readonly", async (pictures, all) => {
    const found = [];
    for (const one of await done(pictures.index("waiting").getAll())) {
      const row = await done(all.get(one.number));
      if (!row?.waiting) found.push(one);
    }
    return found;
  });
}

// Forgets a picture that the service will never take, and keeps whose it was until somebody has read it.
export function photoLost({ sha256, number }, reason) {
  return within(["photo", "kv"], "readwrite", async (pictures, kv) => {
    const lost = (await done(kv.get("photos_lost"))) ?? [];
    await done(kv.put([...lost, { number, reason }], "photos_lost"));
    await done(pictures.delete(sha256));
  });
}

export const lostPhotos = async () => (await get("photos_lost")) ?? [];
export const lookAtPhotos = () => set("photos_lost", []);

export const photoSent = (sha256) =>
  within("photo", "readwrite", (pictures) => done(pictures.delete(sha256)));

// Puts all sheets in the place of those before, in one transaction; `cut`: there are more than fit.
export function replaceSheets(all, cut) {
  return within(["sheet", "kv"], "readwrite", async (sheets, kv) => {
    await done(sheets.clear());
    for (const one of all) await done(sheets.put(one));
    await done(kv.put(Date.now(), "sheets_at"));
    await done(kv.put(cut, "sheets_cut"));
  });
}

export const putSheet = (one) => within("sheet", "readwrite", (all) => done(all.put(one)));
export const clearSheets = () => within("sheet", "readwrite", (all) => done(all.clear()));
