const {picture, caption, asked, most} = pageData();
const FIELDS = [["kernel", 1], ["stride", 1], ["padding", 0], ["dilation", 1]];
const state = {layers: asked.layers, inputSize: asked.input_size, chosen: asked.layers.length - 1, unit: null};
let steps = [];

const rows = () => [...byId("layers").tBodies[0].rows];
const dots = picture[0].length;
const picturePixels = pixels(dots, picture[0][0].length, (row, column) =>
  picture.length === 3 ? picture.map(rows => rows[row][column]) : Array(3).fill(picture[0][row][column]));

// A row of fields a layer. Only where layers are added or taken away: the fields keep the keyboard's focus otherwise.
function fill(focus = null) {
  byId("layers").tBodies[0].replaceChildren(...state.layers.map((layer, index) => {
    const radio = element("input", {type: "radio", name: "chosen", "aria-label": `show layer ${index + 1}`});
    radio.checked = index === state.chosen;
    radio.addEventListener("change", () => { choose(index); compute(); });
    const fields = FIELDS.map(([name, least], place) => {
      const field = element("input", {type: "number", min: least, max: most.number, value: layer[place],
                                      "aria-label": `${name} of layer ${index + 1}`});
      field.addEventListener("input", () => { layer[place] = wholeNumber(field, layer[place]); choose(index); compute(); });
      return element("td", {class: "number", "data-label": name}, field);
    });
    const results = ["output size", "jump", "receptive field"].map(
      name => element("td", {class: "number result", "data-label": name}));
    const remove = element("button", {type: "button", "aria-label": `remove layer ${index + 1}`}, "×");
    remove.disabled = state.layers.length === 1;
    remove.addEventListener("click", () => {
      state.layers.splice(index, 1);
      choose(Math.min(index, state.layers.length - 1));
      fill(state.chosen);
    });
    return element("tr", {}, element("td", {}, element("label", {class: "tick"}, radio, String(index + 1))), ...fields,
      ...results, element("td", {class: "number"}, remove));
  }));
  for (const button of byId("controls").querySelectorAll("button")) button.disabled = state.layers.length >= most.layers;
  if (focus !== null) rows()[focus].querySelector("input[type=number]").focus();
  compute();
}

function choose(index) {
  state.chosen = index;
  state.unit = null;
}

function compute() {
  steps = traceChain(state.layers, state.inputSize);
  rows().forEach((row, index) => {
    const step = steps[index], [size, jump, field] = row.querySelectorAll(".result");
    [size.textContent, jump.textContent, field.textContent] =
      step ? [step.size, step.jump, step.field].map(count) : ["–", "–", "–"];
    row.classList.toggle("chosen", index === state.chosen);
    row.querySelector("input").checked = index === state.chosen;
  });
  const bad = steps.length < state.layers.length;
  byId("problem").hidden = !bad;
  if (bad) tellProblem();
  byId("shown").hidden = !steps.length;
  if (!steps.length) return;
  if (state.chosen >= steps.length) choose(steps.length - 1);
  const last = steps.at(-1), beyond = last.field > state.inputSize ? ", padding included" : "";
  if (!bad) byId("headline").textContent = `${count(state.inputSize)} px become ${count(last.size)}; each of them sees `
    + `${count(last.field)} px${beyond}, ${count(last.jump)} px from the next.`;
  byId("unused").replaceChildren(...steps.flatMap((step, index) =>
    step.unused ? [element("li", {}, `layer ${index + 1}: ${unusedText(step)}`)] : []));
  if (!bad && !byId("unused").childElementCount) {
    byId("unused").append(element("li", {}, "Every column of every layer is used: no size is rounded down."));
  }
  const words = state.layers.map(layer => (layer[3] === 1 ? layer.slice(0, 3) : layer).join(","));
  byId("command").textContent = bad ? "" : `python scripts/conv_arithmetic.py --input-size ${state.inputSize} ${words.join(" ")}`;
  draw();
}

function tellProblem() {
  const number = steps.length + 1, [kernelSize, , padding, dilation] = state.layers[steps.length];
  const size = steps.length ? steps.at(-1).size : state.inputSize, span = dilation * (kernelSize - 1) + 1;
  byId("headline").textContent = `Layer ${number} leaves no pixel.`;
  byId("problem").textContent = span > size + 2 * padding
    ? `Layer ${number}: the kernel spans ${count(span)} px, the padded input has ${count(size + 2 * padding)}.`
    : `Layer ${number}: its numbers are too large to be counted exactly.`;
  if (span <= size + 2 * padding) byId("headline").textContent = `Layer ${number} is too large to be counted exactly.`;
}

// The side of the square that a unit sees, in pixels of the image: where it starts.
const start = (step, unit) => step.center + unit * step.jump - (step.field - 1) / 2;
const nearest = (step, place) =>
  Math.max(0, Math.min(step.size - 1, Math.round((place - step.center) / step.jump)));

function draw() {
  if (!steps.length) return;
  const step = steps[state.chosen], middle = Math.floor((step.size - 1) / 2);
  state.unit ??= [middle, middle];
  drawPicture(step);
  drawSide(step);
}

function margin(step) {
  const needed = Math.max(0, -start(step, 0), start(step, step.size - 1) + step.field - state.inputSize);
  return Math.min(Math.ceil(needed), Math.ceil(state.inputSize * 0.6));
}

function drawPicture(step) {
  const side = state.inputSize, edge = margin(step), all = side + 2 * edge;
  const onPicture = sheet(byId("picture"), all, all), {context, cell} = onPicture;
  context.fillStyle = color("--outside");
  context.fillRect(0, 0, all, all);
  context.drawImage(picturePixels, edge, edge, side, side);
  if (cell >= 6) {
    context.strokeStyle = color("--grid");
    context.lineWidth = 1 / cell;
    context.beginPath();
    for (let line = 0; line <= side; line++) {
      context.moveTo(edge + line, edge);
      context.lineTo(edge + line, edge + side);
      context.moveTo(edge, edge + line);
      context.lineTo(edge + side, edge + line);
    }
    context.stroke();
  }
  // What units of the earlier layers see that lie at the same place, and what the chosen one does.
  const places = state.unit.map(unit => step.center + unit * step.jump);
  steps.slice(0, state.chosen + 1).forEach((earlier, index) => {
    const [top, left] = index === state.chosen
      ? state.unit.map(unit => start(step, unit)) : places.map(place => start(earlier, nearest(earlier, place)));
    const box = [left + edge, top + edge, earlier.field, earlier.field], isChosen = index === state.chosen;
    if (isChosen) {
      context.fillStyle = color("--veil");
      context.fillRect(...box);
    }
    outline(onPicture, box, color("--paper"), isChosen ? 6 : 3.5);
    outline(onPicture, box, isChosen ? color("--window") : color(`--g${[0, 1, 2, 4, 5, 7][index % 6]}`), isChosen ? 3 : 1.5);
  });
  byId("picture-title").textContent = `What a unit of layer ${state.chosen + 1} sees: ${count(step.field)}×${count(step.field)} px`;
  const [top, left] = state.unit.map(unit => start(step, unit));
  const outside = [top, left].some(first => first < 0 || first + step.field > side);
  byId("picture-caption").textContent = `The unit in row ${state.unit[0]}, column ${state.unit[1]} of ${count(step.size)}×${
    count(step.size)}; inside it, what earlier layers see there. ${outside ? "The field reaches outside the image. " : ""}${caption}.`;
}

// Along one side: the chosen layer's padded input, the columns that no window reaches, and its output below.
function drawSide(step) {
  const padded = step.input + 2 * step.padding, unit = state.unit[1], used = padded - step.unused;
  const onSide = sheet(byId("side"), Math.max(padded / 5, 3.4), padded), {context} = onSide;
  const tall = Math.max(1, padded / 22), gap = tall * 1.1, inset = Math.min(0.08, 1 / onSide.cell), below = tall + gap;
  for (let column = 0; column < padded; column++) {
    const isPadding = column < step.padding || column >= step.padding + step.input;
    context.fillStyle = color(isPadding ? "--outside" : "--g7");
    context.fillRect(column + inset, 0.1, 1 - 2 * inset, tall);
    if (column < used) continue;
    context.fillStyle = color("--unused");
    context.fillRect(column + inset, 0.1, 1 - 2 * inset, tall);
  }
  const first = unit * step.stride, middle = (step.span - 1) / 2;
  for (let output = 0; output < step.size; output++) {
    context.fillStyle = color(output === unit ? "--window" : "--minus");
    context.fillRect(output * step.stride + middle + inset, below, 1 - 2 * inset, tall);
  }
  context.fillStyle = color("--window");
  for (let tap = 0; tap < step.kernelSize; tap++) {
    context.fillRect(first + tap * step.dilation + inset, 0.1 + tall * 0.65, 1 - 2 * inset, tall * 0.35);
  }
  context.strokeStyle = color("--window");
  context.lineWidth = 1.5 / onSide.cell;
  context.beginPath();
  for (const edge of [first, first + step.span]) {
    context.moveTo(edge, tall + 0.1);
    context.lineTo(first + middle + (edge === first ? 0 : 1), below);
  }
  context.stroke();
  byId("side-title").textContent = `Layer ${state.chosen + 1} along one side: ${count(step.input)} → ${count(step.size)}`;
  const text = [`Above, the ${count(step.input)} columns of its input`
    + (step.padding ? ` and ${step.padding} of padding at each end; ` : "; ") + "below, its outputs."];
  if (step.unused) text.push(`Orange: ${unusedText(step).split(": ")[1]}.`);
  byId("side-caption").textContent = text.join(" ");
  byId("side").setAttribute("aria-label", text.join(" "));
}

function see(row, column) {
  const {size} = steps[state.chosen];
  state.unit = [row, column].map(unit => Math.max(0, Math.min(size - 1, unit)));
  draw();
}

byId("input-size").value = state.inputSize;
byId("input-size").addEventListener("input", event => {
  state.inputSize = wholeNumber(event.target, state.inputSize);
  state.unit = null;
  compute();
});
byId("controls").addEventListener("click", event => {
  if (!event.target.dataset.layer) return;
  state.layers.push(event.target.dataset.layer.split(",").map(Number));
  choose(state.layers.length - 1);
  fill(state.chosen);
});
byId("controls").addEventListener("submit", event => event.preventDefault());
movable(byId("picture"),
  () => Array(2).fill(state.inputSize + 2 * margin(steps[state.chosen])),
  (down, right) => see(state.unit[0] + down, state.unit[1] + right),
  cell => see(...cell.map(place => nearest(steps[state.chosen], place - margin(steps[state.chosen])))));
fill();
redrawn(draw);
