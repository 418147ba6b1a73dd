// Keeps the page on the phone. What is asked of the service itself is never kept here.

self.addEventListener("install", (event) => {
  const fetched = KEPT.map((url) => new Request(url, { cache: "reload", credentials: "same-origin" }));
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(fetched)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    for (const name of await caches.keys()) {
      if (name !== VERSION) await caches.delete(name);
    }
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !KEPT.includes(url.pathname)) return;
  const answer = async () => {
    const cache = await caches.open(VERSION);
    return (await cache.match(url.pathname)) ?? fetch(event.request);
  };
  event.respondWith(answer());
});
