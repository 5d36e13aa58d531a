// Stretches time: every mark keeps its height and moves along its lane; the axis is drawn anew.
const NS = "http://www.w3.org/2000/svg";
const svg = document.getElementById("picture");
const axis = document.getElementById("axis");
const tip = document.getElementById("tip");
let zoom = 1, shift = 0;

// What each mark was like at first.
const items = [...svg.querySelectorAll(".marks :is(line,rect,circle,text,polyline,polygon)")].map((mark) => {
  const number = (name) => Number(mark.getAttribute(name));
  const fit = mark.dataset.a === undefined ? null : [Number(mark.dataset.a), Number(mark.dataset.b)];
  switch (mark.tagName) {
    case "line": return {mark, at: [number("x1"), number("x2")]};
    case "rect": return {mark, at: [number("x"), number("x") + number("width")]};
    case "circle": return {mark, at: [number("cx")]};
    case "text": return {mark, at: [number("x")], fit};
    default: return {mark, at: mark.getAttribute("points").trim().split(/[ ,]+/).map(Number)};
  }
});
// The texts of marks are told by the page's own tip.
for (const title of svg.querySelectorAll("title")) {
  if (title.parentNode !== svg) title.parentNode.dataset.tip = title.textContent;
  title.remove();
}

const place = (x) => VIEW.left + (x - VIEW.left) * zoom + shift;

function stretch() {
  const width = (VIEW.right - VIEW.left) * (zoom - 1);
  shift = Math.min(0, Math.max(-width, shift));
  for (const {mark, at, fit} of items) {
    switch (mark.tagName) {
      case "line": mark.setAttribute("x1", place(at[0])); mark.setAttribute("x2", place(at[1])); break;
      case "rect": mark.setAttribute("x", place(at[0])); mark.setAttribute("width", Math.max(0.5, place(at[1]) - place(at[0]))); break;
      case "circle": mark.setAttribute("cx", place(at[0])); break;
      case "text": fit ? fitIn(mark, place(fit[0]), place(fit[1])) : mark.setAttribute("x", place(at[0])); break;
      default: mark.setAttribute("points", at.map((v, i) => (i % 2 ? v : place(v).toFixed(1))).join(" "));
    }
  }
  drawAxis();
}

// A label stands in the part of its mark that is seen, in full, in short, or not at all.
function fitIn(text, a, b) {
  const left = Math.max(a, VIEW.left), room = Math.min(b, VIEW.right) - left - 12;
  const label = [text.dataset.l, text.dataset.s].find((one) => one && one.length * 6.4 <= room);
  text.textContent = label || "";
  text.setAttribute("x", left + 6);
}

function element(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  axis.append(made);
}

function drawAxis() {
  const perMs = (VIEW.right - VIEW.left) * zoom / (VIEW.to - VIEW.from);
  const first = VIEW.from - shift / perMs, span = (VIEW.right - VIEW.left) / perMs;
  const power = 10 ** Math.floor(Math.log10(span / 10));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= span / 10);
  axis.replaceChildren();
  for (let n = Math.ceil(first / step - 1e-9); n * step <= first + span + 1e-6; n++) {
    const ms = n * step, x = VIEW.left + (ms - first) * perMs;
    const label = ms.toLocaleString("en", {maximumFractionDigits: 3});
    element("line", {class: "grid", x1: x, x2: x, y1: VIEW.top, y2: VIEW.bottom});
    element("text", {class: "muted mid", x, y: VIEW.top - 7}, label);
    element("text", {class: "muted mid", x, y: VIEW.bottom + 16}, label);
  }
}

function pointed(event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
}

svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const x = pointed(event).x, before = zoom;
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    shift -= event.deltaX;
  } else {
    zoom = Math.min(2000, Math.max(1, zoom * Math.exp(-event.deltaY * 0.0016)));
    shift = x - VIEW.left - (x - VIEW.left - shift) * zoom / before;
  }
  requestAnimationFrame(stretch);
}, {passive: false});

let grip = null;
svg.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".key")) return;
  grip = {x: pointed(event).x, shift};
  svg.setPointerCapture(event.pointerId);
  svg.classList.add("moving");
});
svg.addEventListener("pointermove", (event) => {
  if (grip) {
    shift = grip.shift + pointed(event).x - grip.x;
    requestAnimationFrame(stretch);
  }
  const mark = event.target.closest?.("[data-tip]");
  tip.hidden = !mark || grip !== null;
  if (!tip.hidden) {
    tip.textContent = mark.dataset.tip;
    const over = event.clientX + tip.offsetWidth + 24 > innerWidth;
    tip.style.left = `${over ? event.clientX - tip.offsetWidth - 14 : event.clientX + 14}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  }
});
for (const end of ["pointerup", "pointercancel"]) {
  svg.addEventListener(end, () => { grip = null; svg.classList.remove("moving"); });
}
svg.addEventListener("pointerleave", () => { tip.hidden = true; });
svg.addEventListener("dblclick", () => { zoom = 1; shift = 0; stretch(); });

for (const key of svg.querySelectorAll(".key")) {
  key.addEventListener("click", () => {
    const off = key.classList.toggle("off");
    for (const group of svg.querySelectorAll(`.marks .${key.dataset.of}`)) group.style.display = off ? "none" : "";
  });
}
