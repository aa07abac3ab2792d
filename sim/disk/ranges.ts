/** Sets of byte ranges [start, end), as lists. They are short: nothing here is clever. */

export interface Range {
  start: number;
  end: number;
}

/** What lies below `size`. */
export function cutRanges(ranges: readonly Range[], size: number): Range[] {
  const kept: Range[] = [];
  for (const { start, end } of ranges) if (start < size) kept.push({ start, end: Math.min(end, size) });
  return kept;
}

/** What does not lie in [start, end). */
export function withoutRange(ranges: readonly Range[], start: number, end: number): Range[] {
  const kept: Range[] = [];
  for (const range of ranges) {
    if (range.start < start) kept.push({ start: range.start, end: Math.min(range.end, start) });
    if (range.end > end) kept.push({ start: Math.max(range.start, end), end: range.end });
  }
  return kept;
}

/** What lies in [start, end). */
export function withinRange(ranges: readonly Range[], start: number, end: number): Range[] {
  const kept: Range[] = [];
  for (const range of ranges) {
    if (range.start < end && range.end > start) {
      kept.push({ start: Math.max(range.start, start), end: Math.min(range.end, end) });
    }
  }
  return kept;
}
