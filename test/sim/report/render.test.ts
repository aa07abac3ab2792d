import { Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../../sim/report/record.ts';
import { recordRun } from '../../../sim/report/record_run.ts';
import { bundlePage, renderReport } from '../../../sim/report/render.ts';
import { SAMPLE, WRITE } from './sample.ts';

const NASTY = `</script><script>alert(1)</script> <!-- ]]> " ' & \u2028 \u2029 \\ \u0000 $& $1 {{record}} ${'`'}`;

/** What a browser would find in the element that holds the record. */
function recordIn(html: string): RunRecord {
  const open = '<script id="record" type="application/json">';
  const start = html.indexOf(open) + open.length;
  return JSON.parse(html.slice(start, html.indexOf('</script', start))) as RunRecord;
}

describe('renderReport', () => {
  it('holds the whole record', () => {
    expect(recordIn(renderReport(SAMPLE))).toEqual(SAMPLE);
  });

  it('holds the record of a real run', () => {
    const { record } = recordRun('7', { stormMs: 1000, replay: 'npm run sim -- --seed 7', commit: null });
    expect(recordIn(renderReport(record))).toEqual(record);
  });

  it('lets no text of a run become markup or script', () => {
    const nasty: RunRecord = {
      ...SAMPLE,
      header: { ...SAMPLE.header, seed: NASTY, message: NASTY },
      operations: [{ ...WRITE, text: NASTY, key: NASTY, answer: NASTY }],
    };
    const html = renderReport(nasty);
    expect(recordIn(html)).toEqual(nasty);
    const tags = (text: string): number => text.match(/<\/?script/gi)?.length ?? 0;
    expect(tags(html)).toBe(tags(renderReport(SAMPLE)));
    expect(html).not.toContain('<!--');
  });

  it('needs nothing but itself', () => {
    // Types in comments are named by where they come from.
    const html = renderReport(SAMPLE).replaceAll(/\/\*[\s\S]*?\*\//g, '');
    expect(html).not.toMatch(/\b(?:https?|wss?|ftp):/);
    expect(html).not.toMatch(/<(?:link|iframe|img|object|embed|base)\b/i);
    expect(html).not.toMatch(/\s(?:src|href|action)\s*=\s*["']/i);
    expect(html).not.toMatch(/url\(|@import|\bfetch\(|XMLHttpRequest|importScripts|import\(/);
    expect(html).toContain(`default-src 'none'`);
  });

  it('names the seed and the verdict in its title', () => {
    expect(renderReport(SAMPLE)).toContain('<title>EnvelopeDB simulation, seed 5: failed</title>');
  });
});

describe('bundlePage', () => {
  it('is one script in which no two parts share a name', () => {
    // In a block of strict code, as in a module, a name may be declared only once.
    expect(() => new Script(`'use strict'; { ${bundlePage()} }`)).not.toThrow();
    expect(() => new Script(`'use strict'; { ${bundlePage()} function clamp() {} }`)).toThrow(SyntaxError);
  });

  it('has each part after those that it needs', () => {
    const script = bundlePage();
    expect(script.indexOf('class IntervalIndex')).toBeLessThan(script.indexOf('class App'));
    expect(script.trimEnd().split('\n').at(-1)).toContain('new App(');
  });
});
