const {pictures, kernels, asked} = pageData();
const images = pictures.map(({channels}) => channels.map(rows => rows.map(row => row.map(value => value / 255))));
const CHANNELS = ["red", "green", "blue"];
const settings = {
  convolution: {kernel: asked.kernel, stride: asked.stride, padding: asked.padding},
  pooling: {kernel: [[1, 1], [1, 1]], stride: 2, padding: 0},
};
const state = {picture: 0, mode: "convolution", down: asked.shift[0], right: asked.shift[1], position: null, whole: false};
let shown = null, timer = null;

const isPooling = () => state.mode !== "convolution";
const current = () => settings[isPooling() ? "pooling" : "convolution"];
const sidesOf = ({kernel}) => [kernel.length, kernel[0].length];

function respond(image) {
  const {kernel, stride, padding} = current();
  if (isPooling()) return pooled(image, sidesOf(current()), stride, state.mode === "maximum");
  return [conv2d(image, kernel, stride, padding)];
}

function compute() {
  const original = images[state.picture], {stride, padding} = current(), sides = sidesOf(current());
  const image = shifted(original, state.down, state.right), size = [image[0].length, image[0][0].length];
  const outSize = size.map((side, axis) => outputSize(side, sides[axis], stride, padding));
  const fits = Math.min(...outSize) >= 1;
  byId("problem").hidden = fits;
  byId("shown").hidden = !fits;
  if (!fits) {
    const padded = size.map(side => side + 2 * padding);
    byId("problem").textContent = `The window of ${sides.join("×")} is larger than the padded picture of ${padded.join("×")}.`;
    byId("headline").textContent = "No window fits.";
    shown = null;
    return;
  }
  const output = respond(image), limit = Math.max(1e-12, ...output.flat().map(row => Math.max(...row.map(Math.abs))));
  const total = outSize[0] * outSize[1];
  if (state.position === null) state.position = Math.floor(total * 0.6);
  state.position = Math.min(state.position, total - 1);
  shown = {original, image, size, sides, stride, padding, output, outSize, limit, total};
  byId("position").max = total - 1;
  tellWeights();
  tellShift();
  draw();
}

function tellWeights() {
  const {image, sides, outSize, size, total} = shown, channels = image.length;
  const pixelCount = channels * size[0] * size[1], factors = [...(channels > 1 ? [channels] : []), ...sides];
  const weights = factors.reduce((product, side) => product * side, 1);
  byId("headline").textContent = isPooling()
    ? `No weights: the ${state.mode} of each ${sides.join("×")} window; ${count(pixelCount)} numbers become ${count(channels * total)}.`
    : `${factors.join(" × ")} = ${count(weights)} weight${weights > 1 ? "s are" : " is"} shared by ${count(total)} `
      + `position${total > 1 ? "s" : ""}; a dense layer from ${count(pixelCount)} to ${count(total)} numbers has ${count(pixelCount * total)}.`;
  byId("picture-title").textContent = `Picture, ${size.join("×")}`;
  byId("output-title").textContent = `${isPooling() ? "Pooled" : "Response"}, ${outSize.join("×")}`;
  byId("picture-caption").textContent = pictures[state.picture].caption
    + (current().padding ? `, with ${current().padding} px of zeros around it` : "");
  byId("output-caption").textContent = isPooling()
    ? "As bright as the picture, and drawn to the same scale."
    : `Red is positive, blue negative, the palest zero; strongest ${said(shown.limit)}.`;
}

function tellShift() {
  const {original, sides, stride, padding} = shown, {down, right} = state;
  const moved = `The picture is moved by ${said(down)} down and ${said(right)} right`;
  const found = shiftedResponse(original, respond, sides, stride, padding, down, right);
  if (!down && !right) {
    byId("shift").textContent = "Move the picture with the four buttons: the output moves with it.";
  } else if (!found.steps) {
    byId("shift").textContent = `${moved}, which the stride of ${stride} does not divide: the output is another.`;
  } else if (!found.compared) {
    byId("shift").textContent = `${moved}: no whole window is left that both pictures share.`;
  } else {
    byId("shift").textContent = `${moved}; the output is moved by ${said(found.steps[0])} and ${said(found.steps[1])}: at `
      + `${count(found.compared)} positions away from the border the largest difference is ${said(found.difference)}.`;
  }
}

const gray = value => Array(3).fill(Math.round(255 * value));
const pictureColor = (image, row, column) =>
  image.length === 3 ? image.map(rows => Math.round(255 * rows[row][column])) : gray(image[0][row][column]);

function draw() {
  if (!shown) return;
  const {image, size, output, outSize, limit, padding} = shown;
  const [zero, plus, minus] = ["--zero", "--plus", "--minus"].map(name => rgb(color(name)));
  shown.inputPixels = pixels(...size, (row, column) => pictureColor(image, row, column));
  shown.outputColor = (row, column) => isPooling()
    ? pictureColor(output, row, column)
    : mixed(zero, output[0][row][column] < 0 ? minus : plus, Math.abs(output[0][row][column]) / limit);
  // Both to one scale, so that a stride is seen to make the output smaller.
  const padded = size.map(side => side + 2 * padding), largest = [0, 1].map(axis => Math.max(padded[axis], outSize[axis]));
  byId("input").style.width = `${100 * padded[1] / Math.max(...largest)}%`;
  byId("output").style.width = `${100 * outSize[1] / Math.max(...largest)}%`;
  drawPosition();
}

function inkOn([red, green, blue]) {
  return 0.3 * red + 0.6 * green + 0.1 * blue > 140 ? "#1c2127" : "#f2f4f7";
}

function signedColor(value, limit) {
  return mixed(rgb(color("--zero")), rgb(color(value < 0 ? "--minus" : "--plus")), Math.abs(value) / limit);
}

function numbersIn({context, cell}, rows, columns, textAt, colorAt) {
  if (cell < 24) return;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const text = textAt(row, column);
      if (text === null) continue;
      context.fillStyle = inkOn(colorAt(row, column));
      context.font = `${Math.min(14, cell * 0.34) / cell}px ${color("--sans")}`;
      context.fillText(text, column + 0.5, row + 0.52, 0.9);
    }
  }
}

function drawPosition() {
  const {image, size, sides, stride, padding, output, outSize, total} = shown, {position} = state;
  const row = Math.floor(position / outSize[1]), column = position % outSize[1];
  const padded = size.map(side => side + 2 * padding), onInput = sheet(byId("input"), ...padded);
  onInput.context.fillStyle = color("--outside");
  onInput.context.fillRect(0, 0, padded[1], padded[0]);
  onInput.context.drawImage(shown.inputPixels, padding, padding);
  const pixelAt = (y, x) => (image[0][y - padding] || [])[x - padding];
  numbersIn(onInput, ...padded, (y, x) => image.length === 1 ? said(pixelAt(y, x) || 0) : null,
    (y, x) => pixelAt(y, x) === undefined ? rgb(color("--outside")) : gray(pixelAt(y, x)));
  const box = [column * stride, row * stride, sides[1], sides[0]];
  outline(onInput, box, color("--paper"), 6);
  outline(onInput, box, color("--window"), 3);

  const filled = state.whole ? total : position + 1, onOutput = sheet(byId("output"), ...outSize);
  onOutput.context.fillStyle = color("--outside");
  onOutput.context.fillRect(0, 0, outSize[1], outSize[0]);
  const isFilled = (y, x) => y * outSize[1] + x < filled;
  onOutput.context.drawImage(pixels(...outSize, (y, x) => isFilled(y, x) ? shown.outputColor(y, x) : null), 0, 0);
  numbersIn(onOutput, ...outSize, (y, x) => isFilled(y, x) && output.length === 1 ? said(output[0][y][x]) : null, shown.outputColor);
  const inset = Math.min(0.06, 1.5 / onOutput.cell);
  outline(onOutput, [column + inset, row + inset, 1 - 2 * inset, 1 - 2 * inset], color("--window"), 3);

  byId("position").value = position;
  byId("position").setAttribute("aria-valuetext", `row ${row}, column ${column}`);
  byId("here").textContent = `At row ${row}, column ${column}`;
  tellProducts(row, column);
}

function grid(values, label, colorAt) {
  const body = values.map((row, y) => element("tr", {}, ...row.map((value, x) => {
    const cell = element("td", {}, said(value)), background = colorAt(value, y, x);
    cell.style.background = `rgb(${background})`;
    cell.style.color = inkOn(background);
    return cell;
  })));
  return element("table", {class: "cells", "aria-label": label}, element("tbody", {}, ...body));
}

function tellProducts(row, column) {
  const {image, sides, stride, padding, output, size} = shown, {kernel} = current();
  const top = row * stride - padding, left = column * stride - padding;
  const outside = (y, x) => top + y < 0 || top + y >= size[0] || left + x < 0 || left + x >= size[1];
  const windows = windowAt(image, sides, top, left), names = image.length === 3 ? CHANNELS : ["picture"];
  const part = (title, ...tables) => element("div", {class: "part"}, element("h3", {}, title), ...tables);
  const stack = (values, word, colorAt) => values.map((rows, index) => grid(rows, `${word}, ${names[index]}`, colorAt));
  const pixelColor = (value, y, x) => outside(y, x) ? rgb(color("--outside")) : gray(value);
  const pieces = [part(image.length === 3 ? "window: red, green, blue" : "window", ...stack(windows, "window", pixelColor))];
  if (!isPooling()) {
    const products = windows.map(rows => rows.map((values, y) => values.map((value, x) => value * kernel[y][x])));
    const largest = Math.max(1e-12, ...products.flat(2).map(Math.abs));
    pieces.push(element("span", {class: "sign"}, "×"), byId("kernel-part") || kernelPart(),
      element("span", {class: "sign"}, "="), part("products", ...stack(products, "products", value => signedColor(value, largest))));
    const parts = products.flat(2), answer = said(output[0][row][column]);
    const terms = parts.map(said).join(" + ").replaceAll("+ −", "− ");
    byId("sum").textContent = parts.length <= 9 ? `${terms} = ${answer}` : `sum of ${parts.length} products = ${answer}`;
  } else {
    const word = state.mode === "maximum" ? "largest" : "average";
    const answers = output.map(rows => said(rows[row][column]));
    const texts = answers.map((answer, index) => `${names[index]} ${answer}`);
    byId("sum").textContent = `${word} of ${count(sides[0] * sides[1])} numbers`
      + (answers.length === 1 ? ` = ${answers[0]}` : `: ${texts.join(", ")}`);
  }
  // The kernel's fields stay where they are, with the keyboard's focus.
  const box = byId("products"), kept = !isPooling() && byId("kernel-part");
  if (kept) {
    box.replaceChild(pieces[0], box.firstElementChild);
    box.replaceChild(pieces[4], box.lastElementChild);
  } else {
    box.replaceChildren(...pieces);
  }
}

function kernelPart() {
  const {kernel} = current();
  const rows = kernel.map((values, row) => element("tr", {}, ...values.map((value, column) => {
    const field = element("input", {inputmode: "text", "aria-label": `kernel, row ${row}, column ${column}`,
                                    "data-row": row, "data-column": column, value: String(Number(value.toFixed(4)))});
    return element("td", {}, field);
  })));
  const table = element("table", {class: "cells", "aria-label": "kernel"}, element("tbody", {}, ...rows));
  table.addEventListener("focusin", event => event.target.select());
  table.addEventListener("input", event => {
    const [, top, bottom = "1"] = event.target.value.trim().replace("−", "-").match(/^([^/]+)(?:\/([^/]+))?$/) || [];
    const value = top === undefined || !top.trim() ? NaN : Number(top) / Number(bottom);
    const isGood = Math.abs(value) <= 1e6;
    event.target.setAttribute("aria-invalid", String(!isGood));
    if (!isGood) return;
    kernel[event.target.dataset.row][event.target.dataset.column] = value;
    byId("preset").value = "own";
    compute();
  });
  table.addEventListener("keydown", event => {
    const field = event.target, {selectionStart: start, selectionEnd: end, value} = field;
    const isAll = start === 0 && end === value.length;
    const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: isAll || end === 0 ? [0, -1] : null,
                  ArrowRight: isAll || start === value.length ? [0, 1] : null}[event.key];
    if (!step) return;
    const [row, column] = [Number(field.dataset.row) + step[0], Number(field.dataset.column) + step[1]];
    const next = table.querySelector(`[data-row="${row}"][data-column="${column}"]`);
    if (next) next.focus();
    event.preventDefault();
  });
  return element("div", {class: "part", id: "kernel-part"}, element("h3", {}, "kernel"), table);
}

// The fields as the settings are; a kernel of another size or name gets new cells.
function fill() {
  const {stride, padding} = current(), [height, width] = sidesOf(current());
  Object.entries({height, width, stride, padding}).forEach(([id, value]) => { byId(id).value = value; });
  byId("padding").disabled = byId("preset").disabled = isPooling();
  byId("hint").hidden = isPooling();
  byId("products").replaceChildren();
  compute();
}

function choosePicture(index) {
  state.picture = index;
  state.position = null;
  state.down = state.right = 0;
}

function resized(kernel, height, width) {
  const [top, left] = [kernel.length - height, kernel[0].length - width].map(extra => Math.trunc(extra / 2));
  return windowAt([kernel], [height, width], top, left)[0];
}

byId("picture").append(...pictures.map(({caption}, index) => element("option", {value: index}, caption)));
byId("preset").append(...Object.keys(kernels).map(name => element("option", {value: name}, name)),
  element("option", {value: "own"}, "own numbers"));
byId("preset").value = asked.name;
byId("picture").addEventListener("change", event => { choosePicture(Number(event.target.value)); compute(); });
byId("mode").addEventListener("change", event => { state.mode = event.target.value; state.position = null; fill(); });
byId("preset").addEventListener("change", event => {
  if (event.target.value !== "own") current().kernel = kernels[event.target.value].map(row => [...row]);
  fill();
});
for (const id of ["height", "width"]) {
  byId(id).addEventListener("input", () => {
    const [height, width] = sidesOf(current());
    current().kernel = resized(current().kernel, wholeNumber(byId("height"), height), wholeNumber(byId("width"), width));
    if (!isPooling()) byId("preset").value = "own";
    byId("products").replaceChildren();
    compute();
  });
}
for (const id of ["stride", "padding"]) {
  byId(id).addEventListener("input", event => { current()[id] = wholeNumber(event.target, current()[id]); compute(); });
}
byId("controls").addEventListener("click", event => {
  const shift = event.target.dataset.shift;
  if (!shift) return;
  const [down, right] = shift === "back" ? [-state.down, -state.right] : shift.split(",").map(Number);
  const [height, width] = [images[state.picture][0].length, images[state.picture][0][0].length];
  state.down = Math.max(-height, Math.min(height, state.down + down));
  state.right = Math.max(-width, Math.min(width, state.right + right));
  state.whole = byId("whole").checked = true;  // The output is seen to move only where it is drawn.
  compute();
});
byId("controls").addEventListener("submit", event => event.preventDefault());

function goTo(position) {
  state.position = Math.max(0, Math.min(shown.total - 1, position));
  drawPosition();
}

function goToCell(row, column) {
  const [height, width] = shown.outSize;
  goTo(Math.max(0, Math.min(height - 1, row)) * width + Math.max(0, Math.min(width - 1, column)));
}

function step(down, right) {
  const width = shown.outSize[1];
  goToCell(Math.floor(state.position / width) + down, state.position % width + right);
}

function pause() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
  byId("sum").setAttribute("aria-live", "polite");
}

byId("position").addEventListener("input", event => goTo(Number(event.target.value)));
byId("whole").addEventListener("change", event => { state.whole = event.target.checked; drawPosition(); });
byId("play").addEventListener("click", () => {
  if (timer) return pause();
  if (state.position >= shown.total - 1) state.position = 0;
  state.whole = byId("whole").checked = false;
  byId("play").textContent = "Pause";
  byId("sum").setAttribute("aria-live", "off");
  timer = setInterval(() => {
    if (!shown || state.position >= shown.total - 1) return pause();
    goTo(state.position + Math.max(1, Math.round(shown.total / 200)));
  }, 120);
});
movable(byId("output"), () => shown.outSize, step, ([row, column]) => goToCell(row, column));
movable(byId("input"), () => shown.size.map(side => side + 2 * shown.padding), step, cell => goToCell(
  ...cell.map((index, axis) => Math.round((index - (shown.sides[axis] - 1) / 2) / shown.stride))));
fill();
redrawn(draw);
