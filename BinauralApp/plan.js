// The sources: from above, where they can be dragged; over time; as boxes on the picture.

import {$, colour, direction, svg, wrapped} from "./dom.js";

const RADIUS = 0.86;
const place = (azimuth, radius = RADIUS) => {
  const turn = azimuth * Math.PI / 180;
  return [radius * Math.sin(turn), -radius * Math.cos(turn)];
};

// Between two rows of a way; both ends are held. -> [azimuth, sounding], or null where the way is empty
export function at(way, time) {
  if (!way.length) return null;
  let low = 0, high = way.length - 1;
  if (time <= way[0][0]) return way[0].slice(1);
  if (time >= way[high][0]) return way[high].slice(1);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (way[middle][0] <= time) low = middle; else high = middle;
  }
  const [a, b] = [way[low], way[high]], share = (time - a[0]) / Math.max(b[0] - a[0], 1e-9);
  return [wrapped(a[1] + share * wrapped(b[1] - a[1])), a[2] + share * (b[2] - a[2])];
}

export class Plan {
  // moved(track, azimuth): called when a source has been put somewhere
  constructor(moved) {
    this.moved = moved;
    this.held = null;
  }

  draw(tracks, fov) {
    this.tracks = tracks;
    const half = Math.min(fov, 179) / 2, [x, y] = place(half, 1), tips = [];
    const picture = svg("svg", {viewBox: "-1.4 -1.15 2.8 2.3", role: "group", "aria-label": "View from above"},
      svg("path", {class: "view", d: `M0 0L${-x} ${y}A1 1 0 0 1 ${x} ${y}Z`}),
      svg("circle", {class: "ring", r: RADIUS}),
      svg("path", {class: "head", d: "M-.05 -.13L0 -.2L.05 -.13"}),
      svg("ellipse", {class: "head", rx: .045, ry: .06, cx: -.15}), svg("ellipse", {class: "head", rx: .045, ry: .06, cx: .15}),
      svg("circle", {class: "head", r: .14}),
      ...[["ahead", 0], ["right", 90], ["behind", 180], ["left", -90]].map(([text, azimuth]) => {
        const [tx, ty] = place(azimuth, .6);
        return svg("text", {x: tx, y: ty, "text-anchor": "middle", text});
      }));
    this.handles = tracks.map((track, k) => {
      const ray = svg("line", {class: "ray", own: colour(k)});
      const handle = svg("g", {class: "source", own: colour(k), tabindex: 0, role: "slider", "aria-label": track.name,
                               "aria-valuemin": -180, "aria-valuemax": 180},
        svg("circle", {class: "reach", r: .15}), svg("circle", {class: "dot", r: .06}), svg("text", {text: track.name}));
      handle.dataset.track = track.name;
      this.drag(handle, picture, k);
      tips.push(ray);
      return {handle, ray};
    });
    picture.append(...tips, ...this.handles.map((one) => one.handle));
    $("plan").replaceChildren(picture);
    this.picture = picture;
  }

  drag(handle, picture, k) {
    const azimuthOf = (event) => {
      const box = picture.getBoundingClientRect();
      const x = event.clientX - box.left - box.width / 2, y = event.clientY - box.top - box.height / 2;
      return Math.atan2(x, -y) * 180 / Math.PI;
    };
    const hold = (azimuth) => { this.held = {k, azimuth}; this.show(this.time); };
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
      handle.classList.add("held");
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) hold(azimuthOf(event));
    });
    const end = (event) => {
      handle.classList.remove("held");
      if (this.held?.k === k && event.type === "pointerup") this.put();
      else if (event.type === "pointercancel") this.held = null;
    };
    handle.addEventListener("pointerup", end);
    handle.addEventListener("pointercancel", end);
    handle.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -5, ArrowRight: 5}[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();                        // else it moves the film, too
      const from = this.held?.k === k ? this.held.azimuth : at(this.tracks[k].way, this.time)[0];
      hold(wrapped(from + step));
      clearTimeout(this.pause);
      this.pause = setTimeout(() => this.put(), 500);
    });
  }

  put() {
    const {k, azimuth} = this.held;
    this.moved(this.tracks[k].name, Math.round(azimuth * 10) / 10);
  }

  // Where everything is at a time; what is held stays under the pointer until its sound is made.
  show(time) {
    this.time = time;
    this.handles?.forEach(({handle, ray}, k) => {
      let [azimuth, sounding] = at(this.tracks[k].way, time);
      if (this.held?.k === k) azimuth = this.held.azimuth;
      const [x, y] = place(azimuth);
      handle.setAttribute("transform", `translate(${x.toFixed(4)} ${y.toFixed(4)})`);
      const [tx, ty] = place(azimuth, .17), text = handle.querySelector("text");
      text.setAttribute("x", tx.toFixed(3));           // away from the head, so that neighbours' names stay apart
      text.setAttribute("y", ty.toFixed(3));
      text.setAttribute("text-anchor", x > .3 ? "start" : x < -.3 ? "end" : "middle");
      handle.setAttribute("aria-valuenow", Math.round(azimuth));
      handle.setAttribute("aria-valuetext", direction(azimuth));
      handle.querySelector(".dot").setAttribute("r", .045 + .05 * sounding);
      handle.classList.toggle("away", !sounding);
      const [rx, ry] = place(azimuth, RADIUS - .06), [fx, fy] = place(azimuth, .2);
      for (const [name, value] of Object.entries({x1: fx, y1: fy, x2: rx, y2: ry})) ray.setAttribute(name, value);
      ray.setAttribute("stroke-opacity", sounding);
    });
  }
}

// Directions over time, left above.
export function drawWays(tracks, seconds) {
  const widest = Math.max(30, ...tracks.flatMap((t) => t.way.map((row) => Math.abs(row[1]))));
  const limit = Math.min(widest * 1.15, 180);
  const paths = tracks.flatMap((track, k) => {
    const whole = [[], [], []];                       // three widths: a line has one
    track.way.forEach(([time, azimuth, sounding], n) => {
      const next = track.way[n + 1] ?? [seconds, azimuth];
      if (!sounding || Math.abs(next[1] - azimuth) > 180) return;
      whole[Math.min(Math.floor(sounding * 3), 2)].push(`M${time} ${azimuth / limit}L${next[0]} ${next[1] / limit}`);
    });
    return whole.map((parts, n) => svg("path", {d: parts.join(""), own: colour(k), "stroke-width": 1 + 1.7 * n}));
  });
  $("ways").replaceChildren(svg("svg", {viewBox: `0 -1 ${seconds} 2`, preserveAspectRatio: "none"},
    svg("path", {class: "zero", d: `M0 0H${seconds}`}), ...paths));
  $("way-axis").replaceChildren(...[-1, 0, 1].map((side) => {
    const span = document.createElement("span");
    span.style.top = `${50 + 43 * side}%`;
    span.textContent = side ? `${Math.round(limit)}° ${side < 0 ? "L" : "R"}` : "0°";
    return span;
  }));
}

// Boxes of a moment on the picture; a box is held for as long as a picture is looked at.
export function drawBoxes(canvas, tracks, time, [wide, high]) {
  const ratio = window.devicePixelRatio, box = canvas.getBoundingClientRect(), pen = canvas.getContext("2d");
  canvas.width = box.width * ratio;
  canvas.height = box.height * ratio;
  pen.scale(ratio, ratio);
  const scale = Math.min(box.width / wide, box.height / high);
  const [left, top] = [(box.width - wide * scale) / 2, (box.height - high * scale) / 2];
  const style = getComputedStyle(document.documentElement);
  const found = tracks.map((track, k) => {
    const row = nearest(track.boxes, time);
    return row && {row, k, name: track.name, sounding: at(track.way, row[0])[1]};
  }).filter(Boolean).sort((a, b) => a.sounding - b.sounding);
  pen.font = "600 12px system-ui, sans-serif";
  found.forEach(({row, k, name, sounding}, n) => {
    const [x1, y1, x2, y2] = row.slice(1).map((v, i) => i % 2 ? top + v * high * scale : left + v * wide * scale);
    const ink = style.getPropertyValue(`--c${1 + (k % 7)}`), likeliest = n === found.length - 1;
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = likeliest ? 3 : 1.5;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const label = `${name}  ${sounding.toFixed(2)}`, size = pen.measureText(label).width + 10;
    const x = Math.max(Math.min(x1, box.width - size), 0), y = Math.max(y1 - 18, 0);
    pen.fillRect(x, y, size, 18);
    pen.fillStyle = style.getPropertyValue("--on-accent");
    pen.fillText(label, x + 5, y + 13);
  });
}

function nearest(boxes, time) {
  let low = 0, high = boxes.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (boxes[middle][0] < time) low = middle + 1; else high = middle;
  }
  const near = [boxes[low - 1], boxes[low]].filter(Boolean).sort((a, b) => Math.abs(a[0] - time) - Math.abs(b[0] - time))[0];
  return near && Math.abs(near[0] - time) < 0.3 ? near : null;
}
