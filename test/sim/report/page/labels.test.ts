import { describe, expect, it } from 'vitest';
import { LabelRoom } from '../../../../sim/report/page/labels.js';

const STEEP = Math.PI / 2;

describe('labels along arrows', () => {
  it('leave out one that would cover another, in whatever directions they lie', () => {
    const room = new LabelRoom();
    expect(room.take({ x: 100, y: 100, angle: STEEP, width: 80 })).toBe(true);
    expect(room.take({ x: 105, y: 110, angle: STEEP, width: 80 })).toBe(false);
    expect(room.take({ x: 60, y: 70, angle: 0, width: 100 })).toBe(false);
  });

  it('stand side by side, and one behind the other', () => {
    const room = new LabelRoom();
    expect(room.take({ x: 100, y: 100, angle: STEEP, width: 80 })).toBe(true);
    expect(room.take({ x: 115, y: 100, angle: STEEP, width: 80 })).toBe(true);
    expect(room.take({ x: 100, y: 200, angle: STEEP, width: 80 })).toBe(true);
    expect(room.take({ x: 300, y: 100, angle: 0.3, width: 80 })).toBe(true);
  });
});
