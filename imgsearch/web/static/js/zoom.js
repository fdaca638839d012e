/** Zooms and pans a picture by wheel, double click, touch and keys. */

const MAX_SCALE = 12;

export class Zoom {
  constructor(stage, image) {
    this.stage = stage;
    this.image = image;
    this.fingers = new Map();
    this.reset();
    this.#listen();
  }

  reset() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.moved = false;
    this.#apply();
  }

  /** Zoom to the picture's own pixels, but at least 2x; or back to fit. */
  toggle(at = null) {
    if (this.scale > 1) this.reset();
    else this.by(Math.min(MAX_SCALE, Math.max(2, this.image.naturalWidth / (this.image.clientWidth || 1))), at);
  }

  /** Zoom by a factor around the point `at` {x, y} of the window. */
  by(factor, at = null) {
    const scale = Math.min(MAX_SCALE, Math.max(1, this.scale * factor));
    const box = this.stage.getBoundingClientRect();
    const from = at ? { x: at.x - box.left - box.width / 2, y: at.y - box.top - box.height / 2 } : { x: 0, y: 0 };
    this.x = from.x - ((from.x - this.x) * scale) / this.scale;
    this.y = from.y - ((from.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.#apply();
  }

  move(across, down) {
    if (this.scale === 1) return;
    this.x += across;
    this.y += down;
    this.#apply();
  }

  #apply() {
    const room = (of, stage) => Math.max(0, (of * this.scale - stage) / 2);
    const wide = room(this.image.clientWidth, this.stage.clientWidth);
    const high = room(this.image.clientHeight, this.stage.clientHeight);
    this.x = Math.min(wide, Math.max(-wide, this.x));
    this.y = Math.min(high, Math.max(-high, this.y));
    this.image.style.transform = this.scale === 1 ? "" : `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.stage.classList.toggle("zoomed", this.scale > 1);
  }

  #listen() {
    const { stage } = this;
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.by(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0018)), { x: event.clientX, y: event.clientY });
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => this.toggle({ x: event.clientX, y: event.clientY }));
    stage.addEventListener("pointerdown", (event) => {
      // Touches may start beside a picture that is smaller than the screen.
      if (event.target !== this.image && this.scale === 1 && event.pointerType !== "touch") return;
      this.moved = false;
      this.fingers.set(event.pointerId, event);
      if (this.scale > 1 || this.fingers.size > 1) stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => this.#finger(event));
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) stage.addEventListener(name, (event) => this.fingers.delete(event.pointerId));
  }

  #finger(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const other = [...this.fingers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    if (other) {
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      this.by(apart(event) / apart(before), { x: (event.clientX + other.clientX) / 2, y: (event.clientY + other.clientY) / 2 });
      this.moved = true;
    } else if (this.scale > 1) {
      this.move(event.clientX - before.clientX, event.clientY - before.clientY);
      this.moved = true;
    }
    this.fingers.set(event.pointerId, event);
  }
}
