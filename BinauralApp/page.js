// The page: a video comes in, is found out, made, heard, corrected, taken home.

import {$, api, clock, colour, direction, el, svg, upload} from "./dom.js";
import {Plan, at, drawBoxes, drawWays} from "./plan.js";
import {sound} from "./sound.js";

const NAMES = {mono: "mono", made: "made binaural", own: "the file's own stereo"};
const PHASES = {idle: 60_000, busy: 350};               // ms between two questions to the server
const state = {id: null, made: null, wanted: null, sent: 0, shown: 0, limits: null, stop: null, timer: 0, stills: false};
const plan = new Plan((track, azimuth) => {
  want({moves: [...state.wanted.moves, {track, time: Number(sound.position().toFixed(2)), azimuth, reach: $("reach").value}]});
});

// --- what is said

function fail(sentence) {
  $("sentence").textContent = sentence;
  $("error").hidden = !sentence;
  if (sentence) $("error").scrollIntoView({block: "nearest"});
}

function work(phase, part = null) {
  $("working").hidden = !phase;
  $("phase").textContent = phase;
  $("part").textContent = part === null ? "" : `${Math.round(100 * part)} %`;
  if (part === null) $("progress").removeAttribute("value");
  else $("progress").value = part;
}

// Whatever fails in a task is said, once.
const guarded = (task) => async (...given) => {
  try {
    await task(...given);
  } catch (error) {
    work("");
    if (!error.cancelled) fail(error.message);
  }
};

// --- a video comes in

const isSound = (file) => file.type.startsWith("audio/") || /\.(wav|flac|mp3|m4a|ogg|opus|aiff?)$/i.test(file.name);

const take = guarded(async (file) => {
  const {limits} = state;
  fail("");
  if (/\.sofa$/i.test(file.name) && state.made) return takeHead(file);
  if (file.size > limits.largest) {
    throw new Error(`${file.name} has ${megabytes(file.size)}, this page takes up to ${megabytes(limits.largest)}; ` +
      "make it smaller, or cut out a part");
  }
  if (state.silent && isSound(file)) {
    await sendFile(`sessions/${state.id}/sound`, file);
    state.silent = false;
    return follow();
  }
  if (isSound(file)) throw new Error(`${file.name} is a sound without a picture; drop its video first, then the sound`);
  const seconds = await secondsOf(file);
  if (seconds > limits.longest + 1) {
    throw new Error(`${file.name} lasts ${clock(seconds)} minutes, this page takes up to ${clock(limits.longest)}; ` +
      `cut out a part of it, or use the command, which takes any length: diffbinaural --input_video ${file.name} …`);
  }
  const answer = await sendFile("sessions", file);
  leave();
  await enter(answer.id);
});

async function sendFile(path, file) {
  state.stop = {};
  work(`uploading ${file.name}`, 0);
  const answer = await upload(path, file, (part) => work(part < 1 ? `uploading ${file.name}` : "looking at the file", part), state.stop);
  state.stop = null;
  return answer;
}

// How long a film lasts as far as the browser can tell; 0 where it cannot.
function secondsOf(file) {
  return new Promise((done) => {
    const film = document.createElement("video"), url = URL.createObjectURL(file);
    const end = (seconds) => { URL.revokeObjectURL(url); done(seconds); };
    film.preload = "metadata";
    film.onloadedmetadata = () => end(Number.isFinite(film.duration) ? film.duration : 0);
    film.onerror = () => end(0);
    setTimeout(() => end(0), 3000);
    film.src = url;
  });
}

const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`;

function leave() {
  if (state.id) navigator.sendBeacon(`api/sessions/${state.id}/close`);
  sound.stop();
  Object.assign(state, {id: null, made: null, wanted: null, shown: 0, silent: false, stills: false});
  sound.offset = 0;
  $("result").hidden = true;
}

async function enter(id) {
  state.id = id;
  await follow();
}

// Ask how far it is, until it is done; then now and then, so that the server knows that somebody is here.
async function follow() {
  clearTimeout(state.timer);
  const id = state.id;
  if (!id) return;
  let now;
  try {
    now = await api(`sessions/${id}?have=${state.shown}`);
  } catch (error) {
    if (id !== state.id) return;
    work("");
    if (error.status === 404) leave();
    fail(error.message);
    return;
  }
  if (id !== state.id) return;                         // another video has come meanwhile
  state.wanted ??= {...now.first, moves: [...now.first.moves]};
  state.silent = now.needs_sound;
  if (now.busy && !now.version) work(now.phase || "reading the video", now.phase && !now.phase.startsWith("waiting") ? now.progress : null);
  else work("");
  $("rendering").textContent = now.busy && now.version ? `${now.phase || "making the sound"} …` : "";
  if (now.version && now.version !== state.shown) await show(now);
  if (!now.busy) {
    plan.held = null;
    if (state.made) plan.show(sound.position());
    if (now.error) fail(now.error);
  }
  clearTimeout(state.timer);
  state.timer = setTimeout(follow, now.busy ? PHASES.busy : PHASES.idle);
}

// --- what was made

async function show({name, made}) {
  const id = state.id, file = (what) => `api/sessions/${id}/files/${what}`, fresh = !state.made;
  const names = Object.keys(made.gains);
  const buffers = await Promise.all(names.map((one) => one !== "made" && !fresh ? sound.buffers[one]
    : sound.decode(file(one === "made" ? `made-${made.version}.wav` : `${one}.wav`))));
  if (id !== state.id) return;
  Object.assign(state, {made, shown: made.version});
  $("result").hidden = false;
  sound.put(Object.fromEntries(names.map((one, k) => [one, buffers[k]])), made.gains, made.seconds);
  if (fresh) {
    $("film").src = file("film");
    $("still").hidden = true;
    $("film").hidden = false;
  }
  $("name").textContent = name;
  $("about").textContent = `${clock(made.seconds)}${made.notice ? `; ${made.notice}` : ""}`;
  $("found").textContent = made.sentence;
  $("at").max = made.seconds;
  $("left").src = file(`left-${made.version}.png`);
  $("right").src = file(`right-${made.version}.png`);
  $("rate").textContent = `${(made.rate / 1000).toLocaleString("en")} kHz`;
  $("command").textContent = made.command;
  $("needs").textContent = made.uses_csv ? `, with ${made.csv} beside the video` : "";
  for (const what of ["wav", "film", "csv"]) $(`take-${what}`).href = `api/sessions/${id}/take/${what}`;
  drawChips();
  drawTracks();
  plan.held = null;
  plan.draw(made.tracks, made.fov);
  drawWays(made.tracks, made.seconds);
  drawCues();
  drawControls();
  tick();
  $("player").setAttribute("aria-busy", "false");
}

function drawChips() {
  $("chips").replaceChildren(...Object.entries(state.made.gains).map(([name, gain], k) => {
    const chip = el("button", {"aria-pressed": String(name === sound.chosen), on: () => choose(name)}, el("kbd", {text: k + 1}),
      el("span", {text: NAMES[name]}), el("small", {text: `${(20 * Math.log10(gain)).toFixed(1).replace("-0.0", "0.0").replace("-", "−")} dB`}));
    chip.dataset.name = name;
    chip.title = "softer by this, so that all are equally loud";
    return chip;
  }));
}

function drawTracks() {
  const {tracks} = state.made, chosen = state.wanted.sounding;
  const auto = {name: "", shown: "as found"}, likely = tracks.map((t, k) => ({...t, k})).sort((a, b) => b.sounding - a.sounding);
  $("tracks").replaceChildren(...(tracks.length ? [auto, ...likely] : []).map(({name, shown, way, sounding, k}) => {
    const pick = el("input", {type: "radio", name: "sounding", value: name});
    pick.checked = name === chosen;
    pick.addEventListener("change", () => want({sounding: name}));
    const rest = way ? [el("i", {own: colour(k)}), el("span", {class: "name", text: name}),
      el("span", {class: "quiet where", text: direction(at(way, sound.position())[0])}),
      el("meter", {min: 0, max: 1, value: sounding, title: "probability that it makes the sound"}),
      el("span", {class: "value", text: sounding.toFixed(2)})] : [el("span"), el("span", {class: "name quiet", text: shown})];
    return el("label", {}, pick, ...rest);
  }));
}

function drawCues() {
  const {cues, seconds, gains} = state.made;
  $("cues").replaceChildren(...cues.map(({title, limit, paths}) => {
    const picture = svg("svg", {viewBox: `0 -1 ${seconds} 2`, preserveAspectRatio: "none"}, svg("path", {class: "zero", d: `M0 0H${seconds}`}));
    const names = Object.keys(paths).sort();            // the file's own stereo on top
    names.forEach((name, k) => picture.append(svg("path", {d: paths[name], own: colour(k), "stroke-width": 1.6})));
    const axis = el("div", {class: "axis"}, ...[[6, `+${limit}`], [50, "0"], [93, `−${limit}`]].map(([top, text]) => {
      const span = el("span", {text});
      span.style.top = `${top}%`;
      return span;
    }));
    const heading = el("h3", {text: title}, ...names.map((name, k) => el("span", {class: "legend", own: colour(k), text: NAMES[name]})));
    return el("div", {class: "trace"}, heading, axis, seekable(el("div", {class: "plot"}, picture)));
  }));
  const step = [1, 2, 5, 10, 20, 30, 60].find((s) => seconds / s <= 10) ?? 120;
  const marks = Array.from({length: Math.floor(seconds / step) + 1}, (_, k) => k * step);
  $("seconds").replaceChildren(...marks.map((second) => {
    const span = el("span", {text: `${second} s`});
    span.style.left = `${100 * second / seconds}%`;
    return span;
  }));
}

// --- what is wanted

function drawControls() {
  const {wanted, made} = state, fov = wanted.fov === "auto" ? made.fov : wanted.fov;
  $("fov").value = fov;
  $("strength").value = wanted.strength;
  $("room").value = wanted.room ? "on" : "off";
  $("mono").value = wanted.mono;
  $("head").value = [...$("head").options].some((o) => o.value === wanted.head) ? wanted.head : "sphere";
  label();
  $("undo").disabled = !wanted.moves.length;
  $("reset").disabled = !wanted.moves.length && !wanted.sounding;
}

function label() {
  $("fov-shown").textContent = `${Math.round($("fov").value)}°${state.wanted.fov === "auto" ? ", assumed" : ""}`;
  const strength = Number($("strength").value);
  $("strength-shown").textContent = strength === 1 ? "as made" : strength ? `× ${strength.toFixed(2)}` : "mono";
}

const want = guarded(async (change) => {
  fail("");
  state.wanted = {...state.wanted, ...change};
  drawControls();
  $("rendering").textContent = "making the sound …";
  try {
    await api(`sessions/${state.id}/wanted`, {method: "POST", body: JSON.stringify(state.wanted)});
  } finally {
    await follow();
  }
});

const takeHead = guarded(async (file) => {
  fail("");
  const {head} = await sendFile(`sessions/${state.id}/head`, file);
  work("");
  if (![...$("head").options].some((o) => o.value === head)) $("head").prepend(el("option", {value: head, text: head}));
  await want({head});
});

// --- hearing

function choose(name) {
  sound.choose(name);
  for (const chip of $("chips").children) chip.setAttribute("aria-pressed", String(chip.dataset.name === sound.chosen));
}

function toggle() {
  if (!state.made) return;
  if (sound.playing) sound.pause(); else sound.play(sound.position());
}

function seek(to) {
  sound.seek(to);
  tick();
}

function seekable(plot) {
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    seek((event.clientX - box.left) / box.width * state.made.seconds);
  });
  return plot;
}

let seen = "";
function tick() {
  if (!state.made) return;
  const now = sound.position(), {seconds, tracks} = state.made, film = $("film");
  if (sound.playing && !sound.loop && now >= seconds) { sound.stop(); sound.offset = seconds; }
  $("play").textContent = sound.playing ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", String(sound.playing));
  if (!state.stills) {
    if (sound.playing && film.paused && now < (film.duration || 0)) film.play().catch(() => {});
    if (!sound.playing && !film.paused) film.pause();
    if (film.readyState && Math.abs(film.currentTime - now) > (sound.playing ? 0.12 : 0.02) && !film.seeking) film.currentTime = now;
  } else {
    const url = `api/sessions/${state.id}/files/still-${Math.floor(now)}.jpg`;
    if (!$("still").src.endsWith(url)) $("still").src = url;
  }
  const size = state.stills ? [$("still").naturalWidth, $("still").naturalHeight] : [film.videoWidth, film.videoHeight];
  const mark = `${now} ${size} ${film.clientWidth} ${state.shown} ${matchMedia("(prefers-color-scheme: dark)").matches}`;
  if (mark === seen) return;
  seen = mark;
  $("at").value = now;
  $("time").textContent = `${clock(now)} / ${clock(seconds)}`;
  for (const plot of document.querySelectorAll(".plot")) plot.style.setProperty("--part", now / seconds);
  plan.show(now);
  [...$("tracks").querySelectorAll("label")].forEach((row) => {
    const track = tracks.find((t) => t.name === row.querySelector("input").value);
    if (track) row.querySelector(".where").textContent = direction(at(track.way, now)[0]);
  });
  if (size[0]) drawBoxes($("boxes"), tracks, now, size);
}

// --- hands

function connect() {
  $("pick").addEventListener("change", () => { if ($("pick").files[0]) take($("pick").files[0]); $("pick").value = ""; });
  for (const [kind, veil] of [["dragover", false], ["dragleave", true], ["drop", true]]) {
    addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      $("veil").hidden = veil;
      if (kind === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    });
  }
  $("dismiss").addEventListener("click", () => fail(""));
  $("cancel").addEventListener("click", () => { state.stop ? state.stop.now() : leave(); work(""); });
  $("example").addEventListener("click", openExample);
  $("play").addEventListener("click", toggle);
  $("loop").addEventListener("click", () => {
    sound.loop = !sound.loop;
    $("loop").setAttribute("aria-pressed", String(sound.loop));
    if (sound.playing) sound.play(sound.position());
  });
  $("at").addEventListener("input", () => seek(Number($("at").value)));
  document.querySelectorAll(".plot").forEach(seekable);
  $("fov").addEventListener("input", () => { state.wanted.fov = Number($("fov").value); label(); });
  $("fov").addEventListener("change", () => want({fov: Number($("fov").value)}));
  $("strength").addEventListener("input", label);
  $("strength").addEventListener("change", () => want({strength: Number($("strength").value)}));
  $("room").addEventListener("change", () => want({room: $("room").value === "on"}));
  $("mono").addEventListener("change", () => want({mono: $("mono").value}));
  $("head").addEventListener("change", () => {
    if ($("head").value !== "own") want({head: $("head").value});
    else { $("sofa").click(); drawControls(); }
  });
  $("sofa").addEventListener("change", () => { if ($("sofa").files[0]) takeHead($("sofa").files[0]); $("sofa").value = ""; });
  $("undo").addEventListener("click", () => {
    const moves = state.wanted.moves.slice(0, -1), {sounding} = state.wanted;
    const there = state.made.tracks.some((t) => t.name === sounding && t.boxes.length) || moves.some((m) => m.track === sounding);
    want({moves, sounding: there ? sounding : ""});
  });
  $("reset").addEventListener("click", () => want({moves: [], sounding: ""}));
  $("add").addEventListener("click", () => {
    const taken = new Set(state.made.tracks.map((t) => t.name));
    let number = 1;
    while (taken.has(`added ${number}`)) number += 1;
    const track = `added ${number}`;
    want({moves: [...state.wanted.moves, {track, time: 0, azimuth: 0, reach: "all"}], sounding: track});
  });
  $("copy").addEventListener("click", guarded(async () => {
    await navigator.clipboard.writeText(state.made.command);
    $("copy").textContent = "Copied";
    setTimeout(() => { $("copy").textContent = "Copy as command"; }, 1500);
  }));
  $("take-film").addEventListener("click", guarded(async (event) => {
    const link = $("take-film");
    if (link.dataset.ready === link.href) return;
    event.preventDefault();
    link.setAttribute("aria-busy", "true");
    await api(link.getAttribute("href").slice(4) + "?check=1");
    link.dataset.ready = link.href;
    link.removeAttribute("aria-busy");
    link.click();
    delete link.dataset.ready;
  }));
  $("film").addEventListener("error", () => {
    if (!state.id) return;
    Object.assign(state, {stills: true});
    $("film").hidden = true;
    $("still").hidden = false;
  });
  document.querySelectorAll("[data-voice]").forEach((button) => {
    button.addEventListener("click", guarded(() => sound.once(`api/voices/${button.dataset.voice}`)));
  });
  $("checked").addEventListener("click", () => { $("check").hidden = true; localStorage.setItem("headphones", "right"); });
  addEventListener("keydown", keys);
  addEventListener("pagehide", (event) => { if (!event.persisted) leave(); });
}

function keys(event) {
  const target = event.target;
  if (!state.made || event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input[type=text]")) return;
  const names = Object.keys(state.made.gains);
  if (/^[1-3]$/.test(event.key)) { if (names[event.key - 1]) choose(names[event.key - 1]); }
  else if (event.key === " " && !target.matches("button, a, input[type=radio]")) toggle();
  else if (event.key === "ArrowLeft" && !target.matches("input")) seek(sound.position() - 1);
  else if (event.key === "ArrowRight" && !target.matches("input")) seek(sound.position() + 1);
  else return;
  event.preventDefault();
}

const openExample = guarded(async () => {
  fail("");
  const {id} = await api("example", {method: "POST"});
  leave();
  await enter(id);
});

const begin = guarded(async () => {
  connect();
  const limits = state.limits = await api("limits");
  $("limits").textContent = `Up to ${clock(limits.longest).replace(/\.0$/, "")} minutes and ${megabytes(limits.largest)}.`;
  $("foot").textContent = limits.alone ? "Nothing leaves this machine. What you drop is deleted when you leave."
    : `What you drop is used for nothing else, and deleted when you leave, at the latest ${limits.keep} minutes later.`;
  for (const axis of document.querySelectorAll(".hz")) {
    axis.replaceChildren(...limits.ticks.map(([text, part]) => {
      const span = el("span", {text});
      span.style.top = `${100 * (1 - part)}%`;
      return span;
    }));
  }
  $("example").hidden = !limits.example;
  $("check").hidden = !limits.voices.length || localStorage.getItem("headphones") === "right";
  const frame = () => { tick(); requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
  if (limits.example) await openExample();
});

begin();
