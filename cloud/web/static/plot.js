// The last minutes of an asset: numbers as stepped lines, yes-or-no points as strips below.
"use strict";

(() => {
  const REFRESH_MS = 5000;
  const SNAPSHOT_MS = 90000; // each point comes at least once a minute: what held at the left edge
  const HEIGHT = 130;
  const LEFT = 34;
  const RIGHT = 34;
  const COLORS = ["#7fd1ff", "#ffb84d"];
  const charts = new WeakMap();

  function clockOf(zone, seconds) {
    return new Intl.DateTimeFormat("zh-CN", {
      timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23",
      ...(seconds ? { second: "2-digit" } : {}),
    });
  }

  function windowOf(figure) {
    const now = Date.now();
    if (figure.dataset.from) {
      return [Number(figure.dataset.from), Math.min(Number(figure.dataset.to), now)];
    }
    return [now - Number(figure.dataset.minutes) * 60000, now];
  }

  // A floor may be a number or a text such as B1.
  function number(value) {
    if (typeof value === "number") return value;
    const match = /^(B?)(\d+)$/.exec(value);
    if (!match) return null;
    return match[1] ? -Number(match[2]) : Number(match[2]);
  }

  async function load(figure, points, from, to) {
    const query = new URLSearchParams({ from: from - SNAPSHOT_MS, to, limit: 100000 });
    for (const point of points) query.append("point", point.name);
    const address = `/api/v1/assets/${encodeURIComponent(figure.dataset.asset)}/readings?${query}`;
    const answer = await fetch(address);
    if (!answer.ok) return null;
    return (await answer.json()).points;
  }

  // One value per moment of any series, the last one holding until the next.
  function lines(series, from, to) {
    const moments = new Set([from, to]);
    for (const one of series) for (const [at] of one) if (at > from) moments.add(at);
    const xs = [...moments].sort((a, b) => a - b);
    return [xs, ...series.map((one) => {
      let index = 0;
      let value = null;
      return xs.map((x) => {
        while (index < one.length && one[index][0] <= x) value = number(one[index++][1]);
        return value;
      });
    })];
  }

  function chart(figure, points, data, from, to) {
    let held = charts.get(figure);
    const width = Math.max(200, figure.clientWidth - padding(figure));
    if (!held) {
      const place = document.createElement("div");
      figure.append(place);
      const caption = figure.querySelector("figcaption");
      points.forEach((point, index) => {
        const key = document.createElement("span");
        key.className = `key line-${index}`;
        key.textContent = point.unit ? `${point.title} (${point.unit})` : point.title;
        caption.append(key);
      });
      held = new uPlot(options(figure, points, width), data, place);
      charts.set(figure, held);
    } else if (held.width !== width) {
      held.setSize({ width, height: HEIGHT });
    }
    held.setData(data, false);
    held.batch(() => {
      held.setScale("x", { min: from, max: to });
      points.forEach((point, index) => held.setScale(point.name, range(data[index + 1], point)));
    });
  }

  function padding(figure) {
    const style = getComputedStyle(figure);
    return parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
  }

  // Whole floors with air around them; a standing lift must not fill the plot with noise.
  function range(values, point) {
    const known = values.filter((value) => value !== null);
    const low = known.length ? Math.min(...known) : 0;
    const high = known.length ? Math.max(...known) : 1;
    if (point.type === "floor" || point.type === "int") {
      return { min: Math.floor(low) - 1, max: Math.ceil(high) + 1 };
    }
    return { min: Math.min(0, low), max: Math.max(1, high * 1.1) };
  }

  function options(figure, points, width) {
    const zone = document.body.dataset.zone;
    const short = clockOf(zone, false);
    const long = clockOf(zone, true);
    const axis = { stroke: "#a3b4c6", ticks: { stroke: "#2c3b4d", size: 4 }, font: "11px sans-serif" };
    const mark = Number(figure.dataset.mark || 0);
    const near = figure.clientWidth < 700;
    return {
      width, height: HEIGHT, ms: 1,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: true, auto: false }, ...Object.fromEntries(
        points.map((point) => [point.name, { auto: false }])) },
      series: [{}, ...points.map((point, index) => ({
        label: point.title, scale: point.name, stroke: COLORS[index], width: 2,
        paths: uPlot.paths.stepped({ align: 1 }), points: { show: false },
      }))],
      axes: [
        { ...axis, size: 24, space: near ? 60 : 80, grid: { stroke: "#1d2936" },
          values: (_plot, splits, _axis, _space, step) =>
            splits.map((at) => (step < 60000 ? long : short).format(at)) },
        ...points.map((point, index) => ({
          ...axis, scale: point.name, side: index === 0 ? 3 : 1,
          size: index === 0 ? LEFT : RIGHT, stroke: COLORS[index],
          grid: { show: index === 0, stroke: "#1d2936" },
          incrs: point.type === "float" ? undefined : [1, 2, 5, 10, 20, 50],
        })),
      ],
      padding: [6, points.length < 2 ? RIGHT : 0, 0, points.length ? 0 : LEFT],
      hooks: { draw: [(plot) => {
        const x = plot.valToPos(mark, "x", true);
        const { left, top, width: w, height: h } = plot.bbox;
        if (!mark || x < left || x > left + w) return;
        plot.ctx.save();
        plot.ctx.strokeStyle = "#ff6b61";
        plot.ctx.setLineDash([6, 4]);
        plot.ctx.beginPath();
        plot.ctx.moveTo(x, top);
        plot.ctx.lineTo(x, top + h);
        plot.ctx.stroke();
        plot.ctx.restore();
      }] },
    };
  }

  function strips(figure, points, readings, from, to) {
    let place = figure.querySelector(".strips");
    if (!place) {
      place = document.createElement("div");
      place.className = "strips";
      place.style.marginLeft = `${LEFT}px`;
      place.style.marginRight = `${RIGHT}px`;
      figure.append(place);
    }
    place.replaceChildren(...points.map((point) => strip(point, readings[point.name] ?? [], from, to)));
  }

  function strip(point, values, from, to) {
    const row = document.createElement("div");
    row.className = "strip";
    const share = (at) => (100 * (Math.max(from, at) - from)) / (to - from);
    const piece = (kind, start, end) => {
      const element = document.createElement("i");
      element.className = kind;
      element.style.left = `${share(start)}%`;
      element.style.width = `${share(end) - share(start)}%`;
      row.append(element);
    };
    const known = values.length ? values[0][0] : to;
    if (known > from) piece("unknown", from, known);
    values.forEach(([at, value], index) => {
      const until = index + 1 < values.length ? values[index + 1][0] : to;
      if (value === true && until > from) piece("yes", at, until);
    });
    const title = document.createElement("span");
    title.textContent = point.title;
    row.append(title);
    return row;
  }

  async function draw(figure) {
    const points = JSON.parse(figure.dataset.points);
    if (!points.length || !figure.clientWidth) return;
    const [from, to] = windowOf(figure);
    const readings = await load(figure, points, from, to);
    if (!readings || !figure.isConnected) return;
    const numbers = points.filter((point) => point.type !== "bool").slice(0, COLORS.length);
    const data = lines(numbers.map((point) => readings[point.name] ?? []), from, to);
    chart(figure, numbers, data, from, to);
    strips(figure, points.filter((point) => point.type === "bool"), readings, from, to);
  }

  // One after the other, and only those on screen: a night of a hundred alarms stays light.
  let drawing = false;

  async function drawAll() {
    if (drawing || document.hidden) return;
    drawing = true;
    try {
      for (const figure of document.querySelectorAll(".plot")) {
        const box = figure.getBoundingClientRect();
        if (box.bottom < -200 || box.top > innerHeight + 200) continue;
        if (figure.dataset.from && charts.has(figure) && Number(figure.dataset.to) < Date.now() - 60000) continue;
        await draw(figure);
      }
    } catch (error) {
      console.warn("plot", error); // the next turn tries again; the banner tells a lost server
    } finally {
      drawing = false;
    }
  }

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.querySelector?.(".plot")) drawAll();
  });
  addEventListener("resize", drawAll);
  document.addEventListener("visibilitychange", drawAll);
  setInterval(drawAll, REFRESH_MS);
  drawAll();
})();
