// The model: one token in, the scores of all tokens that could be next out. What src/lstm_lm/cells has, for one text.

/** float32 of float16 numbers, both little-endian; all 65,536 of them are made once. */
function floatsOfHalves(bytes) {
  const table = new Float32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    table[half] = exponent === 31 ? NaN : half & 32768 ? -size : size;
  }
  return Float32Array.from(new Uint16Array(bytes.buffer), (half) => table[half]);
}

/** Bytes of base64, in portions: a browser's strings of bytes take twice their room. */
function bytesOf(base64) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((base64.length / 4) * 3 - padding);
  let at = 0;
  for (let start = 0; start < base64.length; start += 1 << 20) {
    const portion = atob(base64.slice(start, start + (1 << 20)));
    for (let i = 0; i < portion.length; i++) bytes[at++] = portion.charCodeAt(i);
  }
  return bytes;
}

/** y = weight x + bias for `weight` [rows, columns]; four rows at once share what they read of x. */
function product(weight, x, bias, y) {
  const rows = y.length;
  const columns = x.length;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    let a = row * columns;
    let b = a + columns;
    let c = b + columns;
    let d = c + columns;
    let sumA = 0, sumB = 0, sumC = 0, sumD = 0;
    for (let column = 0; column < columns; column++) {
      const value = x[column];
      sumA += weight[a++] * value;
      sumB += weight[b++] * value;
      sumC += weight[c++] * value;
      sumD += weight[d++] * value;
    }
    y[row] = sumA + (bias ? bias[row] : 0);
    y[row + 1] = sumB + (bias ? bias[row + 1] : 0);
    y[row + 2] = sumC + (bias ? bias[row + 2] : 0);
    y[row + 3] = sumD + (bias ? bias[row + 3] : 0);
  }
  for (; row < rows; row++) {
    let sum = 0;
    for (let column = 0, a = row * columns; column < columns; column++) sum += weight[a++] * x[column];
    y[row] = sum + (bias ? bias[row] : 0);
  }
}

const ACTIVATIONS = {
  tanh: Math.tanh,
  relu: (x) => (x > 0 ? x : 0),
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  hard_sigmoid: (x) => Math.min(1, Math.max(0, x / 6 + 0.5)),
};

/** In place: (x - mean) / sqrt(variance + 1e-5) * gain + bias. */
function normalise(x, gain, bias) {
  let mean = 0;
  for (const value of x) mean += value;
  mean /= x.length;
  let variance = 0;
  for (const value of x) variance += (value - mean) ** 2;
  const scale = 1 / Math.sqrt(variance / x.length + 1e-5);
  for (let i = 0; i < x.length; i++) x[i] = (x[i] - mean) * scale * gain[i] + bias[i];
}

/** One layer's parameters and state. `shown` is what a unit is coloured by: an LSTM's memory, else its output. */
class Layer {
  constructor(cell, width, parameters) {
    Object.assign(this, parameters);
    this.cell = cell;
    this.width = width;
    const rows = this.weight_hh.length / width;
    this.fromInput = new Float32Array(rows);
    this.fromHidden = new Float32Array(rows);
    this.h = new Float32Array(width);
    this.c = new Float32Array(width);
    this.normalised = new Float32Array(width);
    this.shown = new Float32Array(width);
  }

  reset() {
    this.h.fill(0);
    this.c.fill(0);
  }

  /** The input's share of the gates. With layer normalisation the bias belongs to that. */
  readInput(x, gates) {
    product(this.weight_ih, x, this.cell.layer_norm ? null : this.bias_ih, gates);
    if (this.cell.layer_norm) normalise(gates, this.gain_ih, this.bias_ih);
  }

  step(fromInput) {
    product(this.weight_hh, this.h, this.cell.layer_norm ? null : this.bias_hh, this.fromHidden);
    if (this.cell.layer_norm) normalise(this.fromHidden, this.gain_hh, this.bias_hh);
    if (this.cell.name === "lstm") this.lstm(fromInput);
    else if (this.cell.name === "gru") this.gru(fromInput);
    else this.rnn(fromInput);
  }

  lstm(fromInput) {
    const { width, fromHidden, h, c, cell } = this;
    const activation = ACTIVATIONS[cell.activation];
    const gate = ACTIVATIONS[cell.gate_activation];
    const memory = this.normalised;
    const before = cell.zoneout_cell ? c.slice() : null;
    for (let i = 0; i < width; i++) {
      const opened = gate(fromInput[i] + fromHidden[i]);
      const kept = gate(fromInput[width + i] + fromHidden[width + i]);
      c[i] = kept * c[i] + opened * activation(fromInput[2 * width + i] + fromHidden[2 * width + i]);
      memory[i] = c[i];
    }
    if (cell.layer_norm) normalise(memory, this.gain_c, this.bias_c);
    for (let i = 0; i < width; i++) {
      const shown = gate(fromInput[3 * width + i] + fromHidden[3 * width + i]);
      const output = shown * activation(memory[i]);
      h[i] = output + cell.zoneout_hidden * (h[i] - output);
      if (before) c[i] += cell.zoneout_cell * (before[i] - c[i]);
      this.shown[i] = Math.tanh(c[i]);
    }
  }

  gru(fromInput) {
    const { width, fromHidden, h, cell } = this;
    const sigmoid = ACTIVATIONS.sigmoid;
    for (let i = 0; i < width; i++) {
      const reset = sigmoid(fromInput[i] + fromHidden[i]);
      const update = sigmoid(fromInput[width + i] + fromHidden[width + i]);
      const candidate = Math.tanh(fromInput[2 * width + i] + reset * fromHidden[2 * width + i]);
      const output = candidate + update * (h[i] - candidate);
      h[i] = output + cell.zoneout_hidden * (h[i] - output);
      this.shown[i] = h[i];
    }
  }

  rnn(fromInput) {
    const { width, fromHidden, h, cell } = this;
    const activation = ACTIVATIONS[cell.activation];
    for (let i = 0; i < width; i++) {
      const output = activation(fromInput[i] + fromHidden[i]);
      h[i] = output + cell.zoneout_hidden * (h[i] - output);
      this.shown[i] = Math.tanh(h[i]);
    }
  }
}

/** Numbers that the first layer's products for tokens seen before may take, 64 MiB of them. */
const MOST_REMEMBERED = 1 << 24;

class Model {
  /** `about`: cell, hidden_sizes, tied, and tensors as [name, shape] in the order in which `floats` has them. */
  constructor(about, floats) {
    const tensors = {};
    let at = 0;
    for (const [name, shape] of about.tensors) {
      const count = shape.reduce((a, b) => a * b, 1);
      tensors[name] = floats.subarray(at, at + count);
      at += count;
      if (name === "embedding.weight") [this.size, this.embeddingSize] = shape;
    }
    this.embedding = tensors["embedding.weight"];
    this.head = tensors["head.weight"] || this.embedding;
    this.headBias = tensors["head.bias"];
    this.layers = about.hidden_sizes.map((width, index) => {
      const ending = `_l${index}`;
      const own = Object.entries(tensors).filter(([name]) => name.startsWith("stack.") && name.endsWith(ending));
      return new Layer(about.cell, width,
        Object.fromEntries(own.map(([name, tensor]) => [name.slice("stack.".length, -ending.length), tensor])));
    });
    this.units = about.hidden_sizes.reduce((a, b) => a + b, 0);
    this.scores = new Float32Array(this.size);
    this.remembered = new Map();
  }

  reset() {
    for (const layer of this.layers) layer.reset();
  }

  /** Read `token`: afterwards `scores` are those of the tokens that could be next. */
  step(token) {
    let x = null;
    for (const layer of this.layers) {
      if (x) layer.readInput(x, layer.fromInput);
      layer.step(x ? layer.fromInput : this.firstInput(layer, token));
      x = layer.h;
    }
    product(this.head, x, this.headBias, this.scores);
  }

  /** A token's share of the first layer's gates does not depend on the text: it is computed once. */
  firstInput(layer, token) {
    let gates = this.remembered.get(token);
    if (!gates) {
      const room = (this.remembered.size + 1) * layer.fromInput.length <= MOST_REMEMBERED;
      gates = room ? new Float32Array(layer.fromInput.length) : layer.fromInput;
      layer.readInput(this.embedding.subarray(token * this.embeddingSize, (token + 1) * this.embeddingSize), gates);
      if (room) this.remembered.set(token, gates);
    }
    return gates;
  }
}
