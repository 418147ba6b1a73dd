// The map of rescues, where the browser can draw one; else the picture that the page has already.
"use strict";

(() => {
  const FALL_BACK_MS = 10000; // a style that does not load must not leave a hole in the screen
  const PLAIN = {
    version: 8, sources: {},
    layers: [{ id: "ground", type: "background", paint: { "background-color": "#0d151e" } }],
  };
  let map = null;
  let held = null; // the element that the map is drawn into
  let marks = new Map();
  let given = false; // no map can be drawn here

  function points() {
    try {
      return JSON.parse(document.getElementById("map-points")?.dataset.points ?? "[]");
    } catch {
      return [];
    }
  }

  function canDraw() {
    if (typeof maplibregl === "undefined") return false;
    try {
      return Boolean(document.createElement("canvas").getContext("webgl2"));
    } catch {
      return false;
    }
  }

  function giveUp() {
    given = true;
    document.body.classList.remove("has-map");
    try {
      map?.remove();
    } catch { /* it was half made: the picture stands in its place */ }
    map = null;
  }

  function begin(place) {
    const { style, worker } = place.dataset;
    maplibregl.setWorkerUrl(worker);
    held = place;
    document.body.classList.add("has-map");
    map = new maplibregl.Map({
      container: place, style: style || PLAIN, attributionControl: { compact: true },
      interactive: document.body.dataset.page !== "wall", fadeDuration: 0, maxZoom: 17,
    });
    map.on("resize", fit);
    const waiting = setTimeout(giveUp, FALL_BACK_MS);
    map.once("load", () => {
      clearTimeout(waiting);
      place.dataset.drawn = "yes";
    });
    map.on("error", () => {
      if (!place.dataset.drawn) giveUp();
    });
  }

  function mark(point) {
    const element = document.createElement(point.href ? "a" : "div");
    element.className = `map-mark ${point.kind}`;
    element.title = point.title;
    if (point.href) element.href = point.href;
    return new maplibregl.Marker({ element })
      .setLngLat([point.longitude, point.latitude]).addTo(map);
  }

  function show() {
    const found = points();
    const place = document.getElementById("map");
    if (!place || given || !found.length) return;
    if (!canDraw()) {
      given = true;
      return;
    }
    try {
      if (!map || held !== place) {
        marks = new Map();
        begin(place);
      }
    } catch {
      giveUp();
      return;
    }
    const now = new Map();
    for (const point of found) {
      const key = JSON.stringify(point);
      now.set(key, marks.get(key) ?? mark(point));
    }
    const changed = now.size !== marks.size || [...now.keys()].some((key) => !marks.has(key));
    for (const [key, one] of marks) if (!now.has(key)) one.remove();
    marks = now;
    if (!changed) return;
    fit();
  }

  function fit() {
    const found = points();
    if (!found.length || !map) return;
    const bounds = new maplibregl.LngLatBounds();
    for (const point of found) bounds.extend([point.longitude, point.latitude]);
    map.fitBounds(bounds, { padding: 40, maxZoom: 15, duration: 0 });
  }

  document.addEventListener("htmx:afterSettle", show);
  show();
})();
