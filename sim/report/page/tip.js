/** A few words beside the pointer about what it is at. */
import { detailsOf } from './details.js';
import { byId, element } from './dom.js';

const DISTANCE = 14;

/**
 * @param {import('./items.js').Item | null} item Null: hides it.
 * @param {readonly import('../record.ts').Lane[]} lanes
 * @param {PointerEvent} event
 */
export function showTip(item, lanes, event) {
  const tip = byId('tip');
  tip.hidden = item === null;
  if (item === null) return;
  const rows = detailsOf(item, lanes).filter(([name]) => name !== 'connection');
  tip.replaceChildren(
    ...rows.map(([name, value]) => element('div', {}, [element('b', {}, [name]), ` ${value}`])),
  );
  const x = beside(event.clientX, tip.offsetWidth, innerWidth);
  const y = beside(event.clientY, tip.offsetHeight, innerHeight);
  tip.style.transform = `translate(${x}px, ${y}px)`;
}

export function hideTip() {
  byId('tip').hidden = true;
}

/**
 * Behind the pointer, or before it where there is no room.
 * @param {number} at
 * @param {number} size
 * @param {number} room
 */
function beside(at, size, room) {
  return Math.max(0, at + DISTANCE + size > room ? at - DISTANCE - size : at + DISTANCE);
}
