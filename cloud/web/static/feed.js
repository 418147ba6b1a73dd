// The feed's connection. htmx's SSE extension asks for one through htmx.createEventSource; this
// one also notices a line that is open but silent, resumes after the last offset that was seen,
// and comes back within seconds whatever the server answered.
"use strict";

(() => {
  const EVENTS = ["alarm", "incident", "heartbeat"];
  const WAKEFUL = ["console", "rescue", "wall"];
  const SILENT_MS = 20000; // two heartbeats missed
  const RETRY_MS = 1000; // after an end or a refusal
  const RETRY_SILENT_MS = 5000; // a slow server needs time for its first word
  const LAG_MS = 15000;

  class SteadySource extends EventTarget {
    constructor(address) {
      super();
      this.address = new URL(address, location.href);
      this.last = this.address.searchParams.get("after");
      this.failures = 0;
      this.closed = false;
      this.heardAt = performance.now();
      this.triedAt = 0;
      this.paused = false;
      this.watch = setInterval(() => this.check(), 1000);
      document.addEventListener("visibilitychange", () => this.check());
      this.connect();
    }

    get readyState() {
      return this.closed ? EventSource.CLOSED : EventSource.OPEN; // lost lines are our own affair
    }

    connect() {
      if (this.inner) this.inner.close();
      this.live = false;
      this.triedAt = performance.now();
      const address = new URL(this.address);
      if (this.last === null) address.searchParams.delete("after");
      else address.searchParams.set("after", this.last);
      const inner = (this.inner = new EventSource(address));
      inner.onopen = () => {
        this.failures = 0;
        if (this.onopen) this.onopen(new Event("open"));
      };
      inner.onerror = () => {
        this.live = false;
        document.dispatchEvent(new Event("feed-lost"));
        const refused = inner.readyState === EventSource.CLOSED;
        inner.close(); // we come back ourselves, sooner than the browser would
        if (!refused) return;
        this.failures += 1;
        // The server said no: perhaps that offset is gone. The lists are read anew in any case.
        if (this.failures >= 2) this.last = null;
        ask();
      };
      for (const name of EVENTS) inner.addEventListener(name, (event) => this.pass(name, event));
    }

    pass(name, event) {
      if (event.lastEventId) this.last = event.lastEventId;
      this.heard();
      if (name === "heartbeat") beat(event.data);
      document.dispatchEvent(new CustomEvent("feed-item", { detail: { name, data: event.data } }));
      const copy = { data: event.data, lastEventId: event.lastEventId };
      this.dispatchEvent(new MessageEvent(name, copy));
    }

    // Only an event proves that the feed lives: a connection may open and say nothing.
    heard() {
      this.heardAt = performance.now();
      if (!this.live) {
        this.live = true;
        document.dispatchEvent(new Event("feed-open"));
      }
      show(0);
    }

    check() {
      if (this.closed || this.rests()) return;
      const now = performance.now();
      const silent = now - this.heardAt;
      show(silent);
      const waited = now - this.triedAt;
      if (this.inner.readyState === EventSource.CLOSED) {
        if (waited > RETRY_MS) this.connect();
      } else if (silent > SILENT_MS && waited > RETRY_SILENT_MS) this.connect();
    }

    // A browser keeps six lines to one server, over all its tabs: those that nobody looks at
    // give theirs back. Those that ring or hang on a wall never do.
    rests() {
      const rest = document.hidden && !WAKEFUL.includes(document.body.dataset.page);
      if (rest && !this.paused) this.inner.close();
      if (!rest && this.paused) {
        this.heardAt = performance.now();
        this.connect();
      }
      this.paused = rest;
      return rest;
    }

    close() {
      this.closed = true;
      clearInterval(this.watch);
      this.inner.close();
    }
  }

  let lag = 0;
  let signedOut = false;

  // Ask whether the session still stands: an event source does not tell why it was refused.
  async function ask() {
    try {
      const answer = await fetch("/parts/alive", { headers: { "HX-Request": "true" } });
      signedOut = answer.status === 401;
    } catch {
      signedOut = false; // nobody there: that is silence, and shown as such
    }
  }

  function beat(data) {
    try {
      lag = Number(JSON.parse(data).oldest_unprocessed_ms) || 0;
    } catch {
      lag = 0;
    }
  }

  function show(silent) {
    const { dataset } = document.body;
    const banner = document.getElementById("banner");
    const down = silent > SILENT_MS;
    let text = "";
    if (signedOut) text = dataset.textSignedOut;
    else if (down) text = dataset.textSilent.replace("{seconds}", coarse(silent));
    else if (lag > LAG_MS) text = dataset.textLag.replace("{seconds}", coarse(lag));
    document.body.classList.toggle("untrusted", text !== "");
    banner.hidden = text === "";
    const words = document.getElementById("banner-text");
    if (words.textContent !== text) words.textContent = text;
    document.getElementById("banner-link").hidden = !signedOut;
    if (down || signedOut) pulse("down", dataset.textDown);
  }

  // Seconds in steps of five: a screen reader speaks the banner whenever it changes.
  function coarse(ms) {
    return Math.floor(ms / 5000) * 5;
  }

  function pulse(state, text) {
    const sign = document.getElementById("pulse");
    if (sign.classList.contains(state)) return;
    sign.className = `pulse ${state}`;
    sign.textContent = text;
  }

  document.addEventListener("feed-open", () => {
    signedOut = false;
    pulse("live", document.body.dataset.textLive);
  });
  document.addEventListener("feed-lost", () => {
    pulse("connecting", document.body.dataset.textConnecting);
  });

  htmx.createEventSource = (address) => new SteadySource(address);
})();
