// Elements, text, requests: what the other modules of the page share.

export const $ = (id) => document.getElementById(id);

// All text enters the page here, as text.
export function el(tag, options = {}, ...children) {
  const {text, on, own, ...attributes} = options;
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  if (on) node.addEventListener("click", on);
  if (own) node.style.setProperty("--own", own);
  node.append(...children);
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const {text, own, ...rest} = attributes;
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(rest)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  if (own) node.style.setProperty("--own", own);
  node.append(...children);
  return node;
}

export const colour = (number) => `var(--c${1 + (number % 7)})`;
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
export const wrapped = (degrees) => ((degrees + 180) % 360 + 360) % 360 - 180;

export function direction(degrees) {
  const whole = Math.round(degrees);
  if (!whole) return "ahead";
  return Math.abs(whole) === 180 ? "behind" : `${Math.abs(whole)}° ${whole > 0 ? "right" : "left"}`;
}

// A request whose failure is a sentence: the server's, or that it cannot be reached.
export async function api(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, options);
  } catch {
    throw new Error("the page's server does not answer; start it again (make app), then reload");
  }
  const content = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(content.error ?? `the server says ${answer.status}`), {status: answer.status});
  return content;
}

// An upload with its progress (0 to 1); `stop.now()` ends it.
export function upload(path, file, progress, stop = {}) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `api/${path}?name=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded / event.total);
    request.onload = () => request.status < 300 ? done(request.response)
      : failed(new Error(request.response?.error ?? `the server says ${request.status}`));
    request.onerror = () => failed(new Error("the upload was cut off; drop the file again"));
    request.onabort = () => failed(Object.assign(new Error("cancelled"), {cancelled: true}));
    stop.now = () => request.abort();
    request.send(file);
  });
}
