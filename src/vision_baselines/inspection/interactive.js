"use strict";
// The arithmetic is that of analysis/conv_arithmetic.py, convolution.py and shifting.py; a test compares them.

const MOST = Number.MAX_SAFE_INTEGER;

function outputSize(inputSize, kernelSize, stride, padding = 0, dilation = 1) {
  return Math.floor((inputSize + 2 * padding - dilation * (kernelSize - 1) - 1) / stride) + 1;
}

// Steps up to the first layer that leaves no pixel, or whose field can no longer be counted exactly.
function traceChain(layers, inputSize) {
  const steps = [];
  let size = inputSize, field = 1, jump = 1, center = 0;
  for (const [kernelSize, stride, padding, dilation = 1] of layers) {
    const padded = size + 2 * padding, span = dilation * (kernelSize - 1) + 1;
    const grown = field + (kernelSize - 1) * dilation * jump;
    if (span > padded || grown > MOST || jump * stride > MOST) break;
    const input = size;
    size = outputSize(size, kernelSize, stride, padding, dilation);
    center += ((kernelSize - 1) * dilation / 2 - padding) * jump;
    field = grown;
    steps.push({kernelSize, stride, padding, dilation, input, span, unused: (padded - span) % stride,
                size, field, jump: jump * stride, center});
    jump *= stride;
  }
  return steps;
}

function unusedText({input, span, stride, padding, size, unused}) {
  const quotient = String(Number((size + unused / stride).toFixed(2)));
  const padded = padding ? "padded " : "";
  let words = unused === 1 ? `the last ${padded}column is not used` : `the last ${unused} ${padded}columns are not used`;
  if (unused > padding && padding > 0) {
    words = `the last ${unused} columns are not used, ${padding} of padding and ${unused - padding} of the input`;
  }
  return `(${input} − ${span}${padding ? ` + 2·${padding}` : ""}) / ${stride} + 1 = ${quotient} → ${size}: ${words}`;
}

// An image is [channel][row][column]. Outside of it are zeros, or nothing at all (null).
function windowAt(image, [height, width], top, left, outside = 0) {
  return image.map(rows => Array.from({length: height}, (_, row) => Array.from({length: width}, (_, column) => {
    const value = (rows[top + row] || [])[left + column];
    return value === undefined ? outside : value;
  })));
}

function everyWindow(image, sides, stride, padding, answer) {
  const [height, width] = [0, 1].map(
    axis => outputSize([image[0].length, image[0][0].length][axis], sides[axis], stride, padding));
  return Array.from({length: height}, (_, row) => Array.from({length: width}, (_, column) =>
    answer(row * stride - padding, column * stride - padding)));
}

function conv2d(image, kernel, stride = 1, padding = 0) {
  return everyWindow(image, [kernel.length, kernel[0].length], stride, padding, (top, left) => {
    let sum = 0;
    for (const rows of image) {
      for (let row = 0; row < kernel.length; row++) {
        const pixels = rows[top + row];
        if (!pixels) continue;
        for (let column = 0; column < kernel[row].length; column++) {
          sum += (pixels[left + column] || 0) * kernel[row][column];
        }
      }
    }
    return sum;
  });
}

function pooled(image, sides, stride, isMaximum) {
  return image.map(rows => everyWindow([rows], sides, stride, 0, (top, left) => {
    const values = windowAt([rows], sides, top, left).flat(2);
    return isMaximum ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0) / values.length;
  }));
}

function shifted(image, down, right) {
  return windowAt(image, [image[0].length, image[0][0].length], -down, -right);
}

// Is the response to the shifted image the shifted response, where both windows see only what both images share?
function shiftedResponse(image, respond, sides, stride, padding, down, right) {
  if (down % stride || right % stride) return {steps: null, compared: 0, difference: 0};
  const steps = [down / stride, right / stride], before = respond(image), after = respond(shifted(image, down, right));
  const shared = [[image[0].length, down], [image[0][0].length, right]].map(
    ([size, shift]) => [Math.min(size, Math.max(0, shift)), Math.max(0, Math.min(size, size + shift))]);
  const inside = (index, axis) => {
    const start = index * stride - padding;
    return shared[axis][0] <= start && start + sides[axis] <= shared[axis][1];
  };
  let compared = 0, difference = 0;
  after[0].forEach((values, row) => values.forEach((_, column) => {
    if (!inside(row, 0) || !inside(column, 1)) return;
    compared += 1;
    after.forEach((channel, index) => {
      const old = before[index][row - steps[0]][column - steps[1]];
      difference = Math.max(difference, Math.abs(channel[row][column] - old));
    });
  }));
  return {steps, compared, difference};
}

// What is on the page.

const byId = id => document.getElementById(id);
const count = number => number.toLocaleString("en");
const said = number => String(Number(number.toFixed(2))).replace("-", "−").replace(/^−0$/, "0");
const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const pageData = () => JSON.parse(byId("data").textContent);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The whole number in a field, or its last good one; a field that holds none is marked.
function wholeNumber(field, otherwise) {
  const value = field.value.trim() === "" ? NaN : Number(field.value);
  const isGood = Number.isInteger(value) && value >= Number(field.min) && value <= Number(field.max);
  field.setAttribute("aria-invalid", String(!isGood));
  return isGood ? value : otherwise;
}

function rgb(text) {
  return text.match(/[0-9a-f]{2}/gi).map(pair => parseInt(pair, 16));
}

function mixed(from, to, share) {
  return from.map((part, index) => Math.round(part + (to[index] - part) * share));
}

// Pixels, one canvas pixel each; colorAt gives [red, green, blue] or null for none.
function pixels(height, width, colorAt) {
  const made = element("canvas", {width, height}), context = made.getContext("2d");
  const image = context.createImageData(width, height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const found = colorAt(row, column);
      if (found) image.data.set([...found, 255], 4 * (row * width + column));
    }
  }
  context.putImageData(image, 0, 0);
  return made;
}

// Sharp at any zoom. The context counts in cells of `columns` across; `cell` is a cell's side in CSS pixels.
function sheet(canvas, rows, columns) {
  const width = canvas.clientWidth, zoom = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * zoom));
  canvas.height = Math.max(1, Math.round(width * zoom * rows / columns));
  const context = canvas.getContext("2d"), cell = width / columns;
  context.scale(cell * zoom, cell * zoom);
  context.imageSmoothingEnabled = false;
  return {context, cell};
}

function outline({context, cell}, box, stroke, thickness = 2) {
  context.strokeStyle = stroke;
  context.lineWidth = thickness / cell;
  context.strokeRect(...box);
}

// Row and column of the cell under the pointer.
function cellAt(event, canvas, rows, columns) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientY - box.top) / box.height * rows, (event.clientX - box.left) / box.width * columns].map(Math.floor);
}

// `move(down, right)` by the arrow keys, `jump([row, column])` by the pointer, in cells of what `shape` gives.
function movable(canvas, shape, move, jump) {
  const arrows = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
  canvas.addEventListener("keydown", event => {
    if (!arrows[event.key]) return;
    event.preventDefault();
    move(...arrows[event.key]);
  });
  const follow = event => jump(cellAt(event, canvas, ...shape()));
  canvas.addEventListener("pointerdown", follow);
  canvas.addEventListener("pointermove", event => event.buttons && follow(event));
}

function redrawn(draw) {
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}
