/**
 * A plane of points that can be moved and zoomed. WebGL draws it where a graphics card does the
 * work; elsewhere the pixels are written here, which is faster than WebGL on a processor. It imports
 * nothing, because the page of `imgsearch map --html` contains it as well.
 */

const MAX_ZOOM = 1000;
const MIN_BUDGET = 50_000;
const SLOW_FRAME_MS = 24;
const SLOW_PAINT_MS = 8;
const MAX_NEAR = 80;
const NEAR_SIDE = 72;
const MAX_CORNERS = 60;
const REACH = 14;

const VERTEX = `
attribute vec2 place;
attribute float number;
uniform vec4 view;
uniform float size;
uniform vec3 palette[16];
varying vec3 colour;
void main() {
  colour = palette[int(number)];
  gl_PointSize = size;
  gl_Position = vec4((place * 2.0 - 1.0 - view.xy) * view.zw, 0.0, 1.0);
}`;
const FRAGMENT = `
precision mediump float;
varying vec3 colour;
uniform float opacity;
void main() {
  if (length(gl_PointCoord - 0.5) > 0.5) discard;
  gl_FragColor = vec4(colour * opacity, opacity);
}`;

/** Where the drawing order has its nth point: any beginning of the order is spread evenly. */
function shuffled(count) {
  const order = new Uint32Array(count);
  let stride = Math.max(1, Math.floor(count * 0.618));
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  while (divisor(stride, count) > 1) stride += 1;
  for (let i = 0, at = 0; i < count; i += 1, at = (at + stride) % count) order[i] = at;
  return order;
}

/** Whether WebGL is the work of a graphics card: drivers on a processor are slower than paintFlat. */
function hasCard() {
  const gl = document.createElement("canvas").getContext("webgl", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const name = names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : "";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

function program(gl) {
  const whole = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(whole, shader);
  }
  gl.linkProgram(whole);
  if (!gl.getProgramParameter(whole, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(whole));
  return whole;
}

export class Plane {
  /**
   * @param {HTMLElement} holder  gets the canvases; focusable, with a size of its own
   * @param {Object} what
   * @param {Uint16Array} what.points  x and y of each point, 0 for -1 and 65535 for 1; y upwards
   * @param {Uint8Array} what.colours  place of each point's colour in the palette
   * @param {number[][]} what.palette  red, green and blue, 0 to 255
   * @param {Object[]} what.regions  name, x, y, parent and outline, largest first
   * @param {Object[]} what.levels  lines of equal density: share, and lines of corners
   * @param {function(number): ?string} what.picture  URL of the small picture of a point, if any
   * @param {function(?number, number, number)} what.onhover  point under the pointer, and where
   * @param {function(number)} what.onopen  a point was clicked
   * @param {function(number[][])} what.onlasso  corners that were drawn
   */
  constructor(holder, what) {
    Object.assign(this, { levels: [], picture: () => null, onhover() {}, onopen() {}, onlasso() {} }, what);
    this.holder = holder;
    this.count = this.colours.length;
    this.x = 0;
    this.y = 0;
    this.zoom = 1;
    this.lassoing = false;
    this.budget = this.count;
    this.pointers = new Map();
    this.near = new Map();
    const make = (tag, name) => {
      const element = holder.ownerDocument.createElement(tag);
      element.className = name;
      holder.append(element);
      return element;
    };
    this.canvas = make("canvas", "plane-points");
    this.layer = make("div", "plane-near");
    this.over = make("canvas", "plane-over");
    this.layer.setAttribute("aria-hidden", "true");
    this.index();
    this.prepare();
    this.listen();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(holder);
    this.resize();
  }

  close() {
    this.closed = true;
    this.observer.disconnect();
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.holder.replaceChildren();
  }

  /** Points by the cell that they lie in, to find those at a place. */
  index() {
    const side = (this.side = Math.min(512, Math.max(8, Math.ceil(Math.sqrt(this.count) / 2))));
    const cells = new Uint32Array(this.count);
    this.starts = new Uint32Array(side * side + 1);
    for (let i = 0; i < this.count; i += 1) {
      cells[i] = this.cell(this.points[2 * i]) + side * this.cell(this.points[2 * i + 1]);
      this.starts[cells[i] + 1] += 1;
    }
    for (let i = 0; i < side * side; i += 1) this.starts[i + 1] += this.starts[i];
    const next = this.starts.slice();
    this.inCells = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i += 1) this.inCells[next[cells[i]]++] = i;
  }

  cell(value) {
    return Math.min(this.side - 1, Math.max(0, Math.floor((value / 65536) * this.side)));
  }

  /** Bring the points into the order in which they are drawn, and to the graphics card. */
  prepare() {
    const order = shuffled(this.count);
    const places = (this.places = new Uint16Array(2 * this.count));
    const numbers = (this.numbers = new Uint8Array(this.count));
    for (let i = 0; i < this.count; i += 1) {
      places[2 * i] = this.points[2 * order[i]];
      places[2 * i + 1] = this.points[2 * order[i] + 1];
      numbers[i] = this.colours[order[i]];
    }
    const gl = (this.gl = hasCard() ? this.canvas.getContext("webgl") : null);
    if (!gl) {
      this.flat = this.canvas.getContext("2d");
      const rgb = new Uint8Array(4 * this.palette.length).fill(255);
      this.palette.forEach((parts, i) => rgb.set(parts, 4 * i));
      this.pixels = new Uint32Array(rgb.buffer);
      return;
    }
    const whole = program(gl);
    gl.useProgram(whole);
    for (const [name, data, size, type, normal] of [
      ["place", places, 2, gl.UNSIGNED_SHORT, true],
      ["number", numbers, 1, gl.UNSIGNED_BYTE, false],
    ]) {
      const at = gl.getAttribLocation(whole, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, type, normal, 0, 0);
    }
    const flat = new Float32Array(48);
    this.palette.slice(0, 16).forEach((rgb, i) => flat.set(rgb.map((part) => part / 255), 3 * i));
    gl.uniform3fv(gl.getUniformLocation(whole, "palette"), flat);
    this.uniforms = Object.fromEntries(
      ["view", "size", "opacity"].map((name) => [name, gl.getUniformLocation(whole, name)]),
    );
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => {
      if (this.closed) return;
      this.prepare();
      this.draw();
    });
  }

  // Coordinates

  resize() {
    const { clientWidth: width, clientHeight: height } = this.holder;
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.round(this.width * this.ratio);
      canvas.height = Math.round(this.height * this.ratio);
    }
    this.draw();
  }

  get maxZoom() {
    return MAX_ZOOM;
  }

  /** Pixels of one unit of the map. */
  get scale() {
    return 0.46 * Math.min(this.width, this.height) * this.zoom;
  }

  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  toMap(left, top) {
    return [
      this.x + (left - this.width / 2) / this.scale,
      this.y - (top - this.height / 2) / this.scale,
    ];
  }

  place(i) {
    return [this.points[2 * i] / 32767.5 - 1, this.points[2 * i + 1] / 32767.5 - 1];
  }

  /** The part that is shown, as corners of a polygon. */
  corners() {
    const [left, top] = this.toMap(0, 0);
    const [right, bottom] = this.toMap(this.width, this.height);
    return [[left, top], [right, top], [right, bottom], [left, bottom]];
  }

  move(dx, dy) {
    this.x = Math.min(1, Math.max(-1, this.x - dx / this.scale));
    this.y = Math.min(1, Math.max(-1, this.y + dy / this.scale));
    this.draw();
  }

  zoomBy(factor, left = this.width / 2, top = this.height / 2) {
    const [x, y] = this.toMap(left, top);
    this.zoom = Math.min(this.maxZoom, Math.max(0.8, this.zoom * factor));
    const [newX, newY] = this.toMap(left, top);
    this.x += x - newX;
    this.y += y - newY;
    this.move(0, 0);
  }

  /** Show a region, or the whole map without one. */
  show(region = null) {
    this.x = region?.x ?? 0;
    this.y = region?.y ?? 0;
    this.zoom = 1;
    if (region?.outline?.length) {
      const reach = region.outline.map(([x, y]) => Math.max(Math.abs(x - region.x), Math.abs(y - region.y)));
      this.zoom = Math.min(MAX_ZOOM, Math.max(1, 0.7 / Math.max(...reach)));
    } else if (region) this.zoom = 8;
    this.draw();
  }

  /** Points in the part that is shown, or null if there are more than a number. */
  shown(most) {
    const [[left, top], , [right, bottom]] = this.corners();
    const wide = (value) => (value + 1) * 32767.5;
    const found = [];
    const columns = [this.cell(wide(left)), this.cell(wide(right))];
    for (let row = this.cell(wide(bottom)); row <= this.cell(wide(top)); row += 1) {
      for (let column = columns[0]; column <= columns[1]; column += 1) {
        const cell = column + this.side * row;
        for (let at = this.starts[cell]; at < this.starts[cell + 1]; at += 1) {
          const [x, y] = this.place(this.inCells[at]);
          if (x < left || x > right || y < bottom || y > top) continue;
          if (found.length === most) return null;
          found.push(this.inCells[at]);
        }
      }
    }
    return found;
  }

  /** The point nearest to a place on the screen, or null. */
  at(left, top) {
    const [x1, y1] = this.toMap(left - REACH, top + REACH);
    const [x2, y2] = this.toMap(left + REACH, top - REACH);
    const wide = (value) => (value + 1) * 32767.5;
    let best = null;
    let least = REACH * REACH;
    let looked = 0;
    for (let row = this.cell(wide(y1)); row <= this.cell(wide(y2)); row += 1) {
      for (let column = this.cell(wide(x1)); column <= this.cell(wide(x2)); column += 1) {
        const cell = column + this.side * row;
        for (let at = this.starts[cell]; at < this.starts[cell + 1] && looked < 20_000; at += 1) {
          const [x, y] = this.toScreen(...this.place(this.inCells[at]));
          const square = (x - left) ** 2 + (y - top) ** 2;
          looked += 1;
          if (square < least) [best, least] = [this.inCells[at], square];
        }
      }
    }
    return best;
  }

  // Drawing

  /** Draw with the next frame: while it moves as many points as are smooth, then all. */
  draw() {
    if (this.waiting || this.closed) return;
    this.waiting = requestAnimationFrame((now) => {
      this.waiting = 0;
      const frame = now - (this.last ?? now);
      this.last = now;
      if (this.moving) {
        // A card draws after the call; without one, the call is the drawing, and a long interval
        // may be that of the pointer.
        const slow = this.gl ? frame > SLOW_FRAME_MS : this.spent > SLOW_PAINT_MS;
        if (slow) this.budget = Math.max(MIN_BUDGET, this.budget >> 1);
        else if (frame > 0) this.budget = Math.min(this.count, Math.ceil(this.budget * 1.1));
      }
      const start = performance.now();
      this.paint(Math.min(this.count, this.budget));
      this.spent = performance.now() - start;
      clearTimeout(this.rest);
      this.moving = true;
      this.rest = setTimeout(() => {
        this.moving = false;
        this.last = undefined;
        if (!this.closed) this.paint(this.count, true);
      }, 150);
    });
  }

  paint(count, resting = false) {
    const size = Math.min(16, Math.max(2, (700 / Math.sqrt(this.count)) ** 0.5 * this.zoom ** 0.35));
    if (this.gl) this.paintCard(count, size);
    else this.paintFlat(count, size);
    this.paintOver();
    if (resting || this.near.size) this.placePictures();
  }

  paintCard(count, size) {
    const { gl, uniforms, canvas } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform4f(
      uniforms.view,
      this.x,
      this.y,
      (2 * this.scale) / this.width,
      (2 * this.scale) / this.height,
    );
    gl.uniform1f(uniforms.size, size * this.ratio);
    gl.uniform1f(uniforms.opacity, this.count > 20_000 ? 0.6 : 0.9);
    gl.drawArrays(gl.POINTS, 0, count);
  }

  /** Write the pixels: a disc for each point, or a square where discs are too small to be seen. */
  paintFlat(count, size) {
    const { width, height } = this.canvas;
    if (this.image?.width !== width || this.image?.height !== height) {
      this.image = new ImageData(width, height);
      this.target = new Uint32Array(this.image.data.buffer);
    }
    const { target, places, numbers, pixels } = this;
    target.fill(0);
    const side = Math.round(size * this.ratio);
    const disc = [];
    for (let y = 0; y < side; y += 1) {
      for (let x = 0; x < side; x += 1) {
        const far = Math.hypot(x - (side - 1) / 2, y - (side - 1) / 2);
        if (side < 4 || far <= side / 2) disc.push(x + width * y);
      }
    }
    const scale = (this.scale * this.ratio) / 32767.5;
    const left = (this.width / 2 - (this.x + 1) * this.scale) * this.ratio - side / 2;
    const top = (this.height / 2 + (this.y + 1) * this.scale) * this.ratio - side / 2;
    for (let i = 0; i < count; i += 1) {
      const x = Math.floor(left + places[2 * i] * scale);
      const y = Math.floor(top - places[2 * i + 1] * scale);
      if (x < 0 || y < 0 || x > width - side || y > height - side) continue;
      const colour = pixels[numbers[i]];
      const start = x + width * y;
      for (let j = 0; j < disc.length; j += 1) target[start + disc[j]] = colour;
    }
    this.flat.putImageData(this.image, 0, 0);
  }

  /** Lines of density and names of the regions, where they do not cover each other, and the lasso. */
  paintOver() {
    const pen = this.over.getContext("2d");
    const style = getComputedStyle(this.holder);
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    this.paintLevels(pen, style);
    const taken = [];
    for (const region of this.regions) {
      if (region.parent !== null && this.zoom < 2) continue;
      this.paintRegion(pen, style, region, taken);
    }
    if (this.path?.length) {
      pen.setLineDash([6, 4]);
      pen.strokeStyle = style.color;
      pen.lineWidth = 2;
      this.trace(pen, this.path);
      pen.stroke();
      pen.setLineDash([]);
    }
  }

  paintLevels(pen, style) {
    pen.strokeStyle = style.color;
    pen.globalAlpha = 0.2;
    pen.lineWidth = 1;
    for (const { lines } of this.levels) {
      for (const line of lines) {
        this.trace(pen, line);
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
  }

  paintRegion(pen, style, region, taken) {
    const [left, top] = this.toScreen(region.x, region.y);
    pen.font = `${region.parent === null ? 600 : 400} 14px ${style.fontFamily}`;
    const half = pen.measureText(region.name).width / 2 + 4;
    const box = [left - half, top - 10, left + half, top + 10];
    const covers = (other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3];
    if (!region.name || taken.some(covers)) return;
    taken.push(box);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = style.backgroundColor;
    pen.strokeText(region.name, left, top);
    pen.fillStyle = style.color;
    pen.fillText(region.name, left, top);
  }

  trace(pen, corners) {
    pen.beginPath();
    corners.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](...this.toScreen(x, y)));
    pen.closePath();
  }

  /** Small pictures in place of the points, where few are shown. */
  placePictures() {
    const points = this.shown(MAX_NEAR) ?? [];
    const wanted = new Set(points);
    for (const [i, image] of this.near) {
      if (wanted.has(i)) continue;
      image.remove();
      this.near.delete(i);
    }
    for (const i of points) {
      let image = this.near.get(i);
      const source = image ? null : this.picture(i);
      if (!image && source === null) continue;
      if (!image) {
        image = this.holder.ownerDocument.createElement("img");
        image.alt = "";
        image.draggable = false;
        image.src = source;
        image.width = NEAR_SIDE;
        image.height = NEAR_SIDE;
        this.layer.append(image);
        this.near.set(i, image);
      }
      const [left, top] = this.toScreen(...this.place(i));
      image.style.transform = `translate(${left - NEAR_SIDE / 2}px, ${top - NEAR_SIDE / 2}px)`;
    }
  }

  // Pointer and keys

  listen() {
    const { holder } = this;
    holder.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [left, top] = this.spot(event);
      this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), left, top);
    }, { passive: false });
    holder.addEventListener("pointerdown", (event) => this.press(event));
    holder.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) {
      holder.addEventListener(name, (event) => this.release(event));
    }
    holder.addEventListener("pointerleave", () => this.onhover(null, 0, 0));
    holder.addEventListener("keydown", (event) => this.key(event));
  }

  spot(event) {
    const box = this.holder.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  press(event) {
    if (event.button) return;
    this.holder.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.spot(event));
    this.pressed = this.spot(event);
    this.path = this.lassoing ? [this.toMap(...this.pressed)] : null;
  }

  drag(event) {
    const now = this.spot(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      const point = this.at(...now);
      this.onhover(point, ...now);
      return;
    }
    this.pointers.set(event.pointerId, now);
    if (this.path) {
      this.path.push(this.toMap(...now));
      this.draw();
    } else if (this.pointers.size === 1) this.move(now[0] - before[0], now[1] - before[1]);
    else {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const far = (at) => Math.max(1, Math.hypot(at[0] - other[0], at[1] - other[1]));
      this.zoomBy(far(now) / far(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const [left, top] = this.spot(event);
    const still = Math.hypot(left - this.pressed[0], top - this.pressed[1]) < 4;
    if (this.path) {
      const step = Math.ceil(this.path.length / MAX_CORNERS);
      const corners = this.path.filter((_, i) => i % step === 0);
      this.path = null;
      this.draw();
      if (corners.length > 2 && event.type === "pointerup") this.onlasso(corners);
    } else if (still && event.type === "pointerup") {
      const point = this.at(left, top);
      if (point !== null) this.onopen(point);
    }
  }

  key(event) {
    const step = 60;
    const moves = {
      ArrowLeft: [step, 0],
      ArrowRight: [-step, 0],
      ArrowUp: [0, step],
      ArrowDown: [0, -step],
    };
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.holder) return;
    if (moves[event.key]) this.move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.show();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
