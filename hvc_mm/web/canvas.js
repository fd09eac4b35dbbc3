// The frame and its id mask, painted in pixels of the frame.
//
// props.value: {frame, size: [H, W], runs, objects, edited, locked}; runs are
// id, count, id, count, ... row by row, objects [{id, name}]. props.picture: a
// data URL. props.palette: a colour for each id. What is painted is written
// back to props.value, which the server gets with the next event.

const canvas = element.querySelector('canvas');
const context = canvas.getContext('2d');
const radius = element.querySelector('.radius');
const nameBox = element.querySelector('.name');
const image = new Image();
const layer = document.createElement('canvas');
let ids = new Uint8Array(0);
let [height, width] = [0, 0];
let objects = [];
let chosen = 1;
let tool = 'brush';
let start = null; // where the pointer went down
let last = null; // where it was seen last

const color = (id) => props.palette[id];
const locked = () => !width || props.value.locked;

function decode(runs) {
  let at = 0;
  ids.fill(0);
  for (let i = 0; i < runs.length; i += 2) {
    ids.fill(runs[i], at, at + runs[i + 1]);
    at += runs[i + 1];
  }
}

function encode() {
  const runs = [];
  for (let at = 0; at < ids.length; ) {
    let end = at + 1;
    while (end < ids.length && ids[end] === ids[at]) end += 1;
    runs.push(ids[at], end - at);
    at = end;
  }
  return runs;
}

function drawMask() {
  const pixels = new ImageData(width, height);
  const colors = new Uint32Array(pixels.data.buffer);
  const table = new Uint32Array(256);
  for (const { id } of objects) {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(color(id).slice(i, i + 2), 16));
    table[id] = ((140 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
  for (let i = 0; i < ids.length; i += 1) colors[i] = table[ids[i]];
  layer.getContext('2d').putImageData(pixels, 0, 0);
}

let asked = false;
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    if (!width) return;
    context.drawImage(image, 0, 0, width, height);
    drawMask();
    context.drawImage(layer, 0, 0);
    if (start && tool === 'box') {
      context.strokeStyle = color(chosen);
      context.lineWidth = Math.max(1, width / 400);
      context.strokeRect(start.x, start.y, last.x - start.x, last.y - start.y);
    }
  });
}

function drawTools() {
  element.querySelectorAll('[data-tool]').forEach((button) => {
    button.classList.toggle('chosen', button.dataset.tool === tool);
  });
  const group = element.querySelector('.objects');
  group.replaceChildren(
    ...objects.map(({ id, name }) => {
      const button = document.createElement('button');
      const swatch = document.createElement('i');
      swatch.style.background = color(id);
      button.type = 'button';
      button.dataset.id = id;
      button.classList.toggle('chosen', id === chosen);
      button.append(swatch, name);
      button.onclick = () => choose(id);
      return button;
    }),
  );
  const object = objects.find(({ id }) => id === chosen);
  if (object && document.activeElement !== nameBox) nameBox.value = object.name;
}

function choose(id) {
  chosen = id;
  if (tool === 'eraser' || tool === 'point') tool = 'brush';
  nameBox.blur();
  drawTools();
}

function tell(changes) {
  props.value = { ...props.value, objects, ...changes };
}

function fillRow(y, from, to, id) {
  if (y < 0 || y >= height) return;
  const [left, right] = [Math.max(from, 0), Math.min(to, width)];
  if (left < right) ids.fill(id, y * width + left, y * width + right);
}

function stamp(x, y, id) {
  const r = Number(radius.value);
  for (let dy = -r; dy <= r; dy += 1) {
    const half = Math.floor(Math.sqrt(r * r - dy * dy));
    fillRow(y + dy, x - half, x + half + 1, id);
  }
}

function stroke(from, to) {
  const id = tool === 'eraser' ? 0 : chosen;
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
  for (let i = 0; i <= steps; i += 1) {
    const part = i / steps;
    stamp(
      Math.round(from.x + (to.x - from.x) * part),
      Math.round(from.y + (to.y - from.y) * part),
      id,
    );
  }
}

function place(event) {
  // The picture keeps its ratio inside of the canvas' box.
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height);
  return {
    x: Math.floor((event.clientX - box.left - (box.width - width * scale) / 2) / scale),
    y: Math.floor((event.clientY - box.top - (box.height - height * scale) / 2) / scale),
  };
}

canvas.onpointerdown = (event) => {
  if (!width || event.button !== 0) return;
  const at = place(event);
  if (tool === 'point') {
    trigger('point', { x: at.x, y: at.y });
    return;
  }
  if (locked()) return;
  canvas.setPointerCapture(event.pointerId);
  start = last = at;
  if (tool !== 'box') stroke(at, at);
  draw();
};

canvas.onpointermove = (event) => {
  if (!start) return;
  const at = place(event);
  if (tool !== 'box') stroke(last, at);
  last = at;
  draw();
};

canvas.onpointerup = canvas.onpointercancel = () => {
  if (!start) return;
  if (tool === 'box') {
    const [left, right] = [start.x, last.x].sort((a, b) => a - b);
    const [top, bottom] = [start.y, last.y].sort((a, b) => a - b);
    for (let y = top; y < bottom; y += 1) fillRow(y, left, right, chosen);
  }
  start = last = null;
  tell({ runs: encode(), edited: true });
  draw();
};

element.querySelectorAll('[data-tool]').forEach((button) => {
  button.onclick = () => {
    tool = button.dataset.tool;
    drawTools();
  };
});

element.querySelector('.new').onclick = () => {
  if (!width) return;
  let id = 1;
  while (objects.some((object) => object.id === id)) id += 1;
  if (id > 254) return;
  objects = [...objects, { id, name: `object ${id}` }];
  tell({});
  choose(id);
};

nameBox.oninput = () => {
  objects = objects.map((object) =>
    object.id === chosen ? { ...object, name: nameBox.value } : object,
  );
  tell({});
  drawTools();
};

function show() {
  const value = props.value;
  if (!value || !props.picture) return;
  [height, width] = value.size;
  if (ids.length !== height * width) ids = new Uint8Array(height * width);
  for (const sheet of [canvas, layer]) {
    if (sheet.width !== width) sheet.width = width;
    if (sheet.height !== height) sheet.height = height;
  }
  start = last = null;
  decode(value.runs);
  objects = value.objects;
  if (!objects.some(({ id }) => id === chosen)) chosen = objects[0].id;
  canvas.dataset.frame = value.frame;
  image.src = props.picture;
  drawTools();
}

image.onload = draw;
watch(['value', 'picture'], show);
drawTools();
show();
