import { describe, expect, it } from 'vitest';
import { SimClock } from '../../sim/clock.ts';
import { SimCrash } from '../../sim/process.ts';
import { Rig } from './rig.ts';

describe('a simulated process', () => {
  it('drops what was meant for a former generation', () => {
    const rig = new Rig('generation');
    const process = rig.process('p');
    const ran: string[] = [];
    const old = process.guard(() => ran.push('old'));
    old();
    process.crash();
    old();
    process.run(() => ran.push('dead'));
    const between = process.guard(() => ran.push('between lives'));
    process.restart();
    old();
    between();
    process.run(() => ran.push('new'));
    expect(ran).toEqual(['old', 'new']);
  });

  it('holds back everything while paused and catches up in order, an event each', () => {
    const rig = new Rig('pause');
    const process = rig.process('p');
    const ran: string[] = [];
    process.pause();
    for (const name of ['a', 'b']) process.run(() => ran.push(name));
    rig.run();
    expect(ran).toEqual([]);
    process.resume();
    process.run(() => ran.push('c'));
    expect(ran).toEqual([]);
    rig.scheduler.step();
    expect(ran).toEqual(['a']);
    rig.run();
    expect(ran).toEqual(['a', 'b', 'c']);
  });

  it('forgets what waited when it crashes while paused', () => {
    const rig = new Rig('pause-crash');
    const process = rig.process('p');
    const ran: string[] = [];
    process.pause();
    process.run(() => ran.push('waited'));
    process.crash();
    process.restart();
    expect(process.paused).toBe(false);
    rig.run();
    expect(ran).toEqual([]);
  });

  it('reports what a task throws and goes on', () => {
    const process = new Rig('panic').process('p');
    const panics: string[] = [];
    process.onPanic = (error) => panics.push(error.message);
    process.run(() => {
      throw new Error('a bug');
    });
    process.run(() => {});
    expect(panics).toEqual(['a bug']);
    process.onPanic = null;
    expect(() =>
      process.run(() => {
        throw new Error('unheard');
      }),
    ).toThrow('unheard');
  });

  it('is dead from the middle of the task in which it crashes, even if the task swallows the crash', () => {
    const rig = new Rig('inside');
    const process = rig.process('p');
    const clock = new SimClock(rig.scheduler, process, { offsetMs: 0, driftPpm: 0 });
    const log: string[] = [];
    process.onPanic = (error) => log.push(`panic ${error.message}`);
    process.onCrashInside = () => {
      log.push('told');
      process.crash();
      process.restart();
    };
    process.run(() => {
      try {
        process.crashInside();
      } catch (error) {
        log.push(error instanceof SimCrash ? 'swallowed' : 'other');
      }
      clock.after(1, () => log.push('timer of the dead'));
      process.run(() => log.push('task of the dead'));
      log.push(`alive: ${process.alive}`);
      throw new Error('of no interest');
    });
    rig.run();
    expect(log).toEqual(['swallowed', 'alive: false', 'told']);
    expect(process.alive).toBe(true);
  });
});
