/**
 * The rules of the consensus core as scripts that can be read: each file of `scripts` states one promise in its first
 * line and shows it happen. `UPDATE=1` writes the transcripts anew, for a change that is meant; read the difference.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { playScript } from './script.ts';

const SCRIPTS = new URL('./scripts/', import.meta.url);

describe('scripts', () => {
  for (const file of readdirSync(SCRIPTS).sort()) {
    const name = file.replace(/\.txt$/, '').replaceAll('_', ' ');
    it(name, () => {
      const script = readFileSync(new URL(file, SCRIPTS), 'utf8');
      const transcript = playScript(script);
      if (process.env.UPDATE === '1') writeFileSync(new URL(file, SCRIPTS), transcript);
      else expect(transcript).toBe(script);
    });
  }
});
