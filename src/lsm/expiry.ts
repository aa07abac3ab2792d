/**
 * Records that cease to exist by themselves. The store does not know when: its owner hands in a rule, and merges drop what
 * has expired by a time that the tables themselves hold.
 *
 * It must be that time and no later one. After a crash the owner applies again what the tables do not cover, from the time
 * that they hold: what it would still have met then must be there. No clock has a say.
 */

/** What an owner must keep to: whatever it reads, it takes a record that has expired by `timeIn` for absent. */
export interface ExpiryRule {
  /**
   * The owner's time as of the state that `get` reads, in milliseconds since the epoch; 0: it has none. Later states never
   * tell an earlier time.
   * @throws what `get` throws.
   */
  timeIn(get: (key: Uint8Array) => Uint8Array | null): number;
  /** From which time on the record is absent; 0: it stays. Looks at nothing else, never throws, and keeps no view. */
  expiresAtMs(key: Uint8Array, value: Uint8Array): number;
}

/** By when what may have ended. */
export interface Expiry {
  readonly rule: ExpiryRule;
  /** What expires then or before is absent for who reads now or later; 0: nothing is. */
  readonly timeMs: number;
}

/** For records that come from elsewhere: all of them are kept. */
export function keepingAll(rule: ExpiryRule | null): Expiry | null {
  return rule === null ? null : { rule, timeMs: 0 };
}
