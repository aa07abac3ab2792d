/** A press of the pointer, up to its release: a drag, or a click when it hardly moves. */

const DRAG_PIXELS_MIN = 3;

/**
 * @param {HTMLElement} target
 * @param {PointerEvent} down The press.
 * @param {{ onMove: (dx: number, dy: number) => void, onClick: (event: PointerEvent) => void }} handlers Distances are from the press, in pixels.
 */
export function followDrag(target, down, { onMove, onClick }) {
  if (down.button !== 0) return;
  let hasMoved = false;
  const move = (/** @type {PointerEvent} */ event) => {
    const dx = event.clientX - down.clientX;
    const dy = event.clientY - down.clientY;
    if (!hasMoved && Math.hypot(dx, dy) < DRAG_PIXELS_MIN) return;
    hasMoved = true;
    onMove(dx, dy);
  };
  const end = (/** @type {PointerEvent} */ event) => {
    target.removeEventListener('pointermove', move);
    target.removeEventListener('pointerup', end);
    target.removeEventListener('pointercancel', end);
    if (!hasMoved && event.type === 'pointerup') onClick(event);
  };
  target.setPointerCapture(down.pointerId);
  target.addEventListener('pointermove', move);
  target.addEventListener('pointerup', end);
  target.addEventListener('pointercancel', end);
}
