import { describe, expect, it } from 'vitest';
import { groupItems } from '../../../../sim/report/page/culling.js';
import { makeFilter, maskOf } from '../../../../sim/report/page/filter.js';
import {
  distanceToSegment,
  hit,
  pointOf,
  rectOf,
  type Scene,
  segmentOf,
} from '../../../../sim/report/page/geometry.js';
import { buildItems, type Item } from '../../../../sim/report/page/items.js';
import { layOut } from '../../../../sim/report/page/layout.js';
import { wholeRun } from '../../../../sim/report/page/viewport.js';
import { SAMPLE } from '../sample.ts';

function sceneOf(filter = makeFilter()): Scene {
  const items = buildItems(SAMPLE);
  return {
    record: SAMPLE,
    items,
    groups: {
      message: groupItems(items, 'message'),
      span: groupItems(items, 'span'),
      mark: groupItems(items, 'mark'),
      operation: groupItems(items, 'operation'),
    },
    layout: layOut(SAMPLE.lanes, items, filter.hiddenLanes),
    mask: maskOf(items, filter),
    view: wholeRun(SAMPLE.header.endUs),
    scrollY: 0,
    width: 1080,
    height: 600,
    gutter: 80,
  };
}

function find(scene: Scene, title: string): Item {
  const item = scene.items.find((candidate) => candidate.title.startsWith(title));
  if (item === undefined) throw new Error(`the sample has ${title}`);
  return item;
}

describe('pointing at the picture', () => {
  it('finds each shown item in the middle of where it is drawn', () => {
    const scene = sceneOf();
    for (const item of scene.items) {
      if (scene.mask[item.id] === 0) continue;
      let middle: { x: number; y: number } | null;
      if (item.type === 'message') {
        const segment = segmentOf(scene, item);
        middle = segment && { x: (segment.x1 + segment.x2) / 2, y: (segment.y1 + segment.y2) / 2 };
      } else if (item.type === 'mark') {
        middle = pointOf(scene, item);
      } else {
        const rect = rectOf(scene, item);
        // A mark stands in the middle of no bar of the sample, but a message may pass there.
        middle = rect && { x: rect.x + rect.width * 0.9, y: rect.y + rect.height / 2 };
      }
      if (middle === null) throw new Error('no lane is hidden');
      expect(hit(scene, middle.x, middle.y)?.title).toBe(item.title);
    }
  });

  it('finds nothing that is filtered out', () => {
    const scene = sceneOf();
    const disk = find(scene, 'append to log');
    expect(scene.mask[disk.id]).toBe(0);
    const point = pointOf(scene, disk);
    if (point === null) throw new Error('no lane is hidden');
    expect(hit(scene, point.x, point.y)?.title).not.toBe(disk.title);
  });

  it('ends a lost message half way', () => {
    const scene = sceneOf();
    const lost = find(scene, 'accepted');
    const arrived = find(scene, 'append 1 node');
    if (lost.type !== 'message' || arrived.type !== 'message') throw new Error('both are messages');
    const whole = segmentOf(scene, arrived);
    const half = segmentOf(scene, lost);
    if (whole === null || half === null) throw new Error('no lane is hidden');
    expect(Math.abs(half.y2 - half.y1)).toBeCloseTo(Math.abs(whole.y2 - whole.y1) / 2);
  });

  it('draws nothing into a hidden lane', () => {
    const scene = sceneOf({ ...makeFilter(), hiddenLanes: new Set([2]) });
    const message = find(scene, 'append 1 node');
    if (message.type !== 'message') throw new Error('it is a message');
    expect(segmentOf(scene, message)).toBeNull();
  });

  it('measures to the ends of a line, not beyond', () => {
    const segment = { x1: 0, y1: 0, x2: 10, y2: 0 };
    expect(distanceToSegment(segment, 5, 3)).toBe(3);
    expect(distanceToSegment(segment, 14, 3)).toBe(5);
    expect(distanceToSegment({ x1: 1, y1: 1, x2: 1, y2: 1 }, 4, 5)).toBe(5);
  });
});
