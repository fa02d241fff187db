/** What may be set, within its bounds, and what follows for what is heard. */

import { SILENT } from './dsp/gain'
import type { Heard } from './dsp/strip'
import { type EngineState, PLAIN, type StemSettings } from './types'

const GAIN = [SILENT, 12] as const // dB
const BAND = [-24, 12] as const // dB
export const SPEED = [0.5, 1.5] as const
export const PITCH = [-12, 12] as const // semitones
export const VOLUME = [SILENT, 6] as const // dB

/** A number within bounds; the lower one where it is none. */
export function within([least, most]: readonly [number, number], value: number): number {
  return value >= least ? Math.min(most, value) : least
}

/** A stem's settings after a change, each within its bounds. */
export function changed(before: StemSettings, change: Partial<StemSettings>): StemSettings {
  const { gain, pan, mute, solo, eq } = { ...before, ...change }
  return {
    gain: within(GAIN, gain),
    pan: within([-1, 1], pan),
    mute,
    solo,
    eq: { low: within(BAND, eq.low), mid: within(BAND, eq.mid), high: within(BAND, eq.high) },
  }
}

/** Whether a stem is heard: not muted, and soloed where any is. A muted stem stays silent, soloed or not. */
export function isHeard(stems: EngineState['stems'], name: string): boolean {
  const stem = stems[name]
  if (!stem || stem.mute) return false
  return stem.solo || !Object.values(stems).some((one) => one.solo)
}

/** What the mixer is to do with each stem, in the order of `names`. */
export function heardStems(stems: EngineState['stems'], names: readonly string[]): Heard[] {
  return names.map((name) => {
    const { gain, pan, eq } = stems[name] ?? PLAIN
    return { gain: isHeard(stems, name) ? gain : SILENT, pan, eq }
  })
}

/** Everything as it is when a song is opened. */
export function initial(names: readonly string[]): EngineState {
  return {
    status: 'loading',
    error: null,
    loop: null,
    speed: 1,
    pitch: 0,
    volume: 0,
    original: 'off',
    stems: Object.fromEntries(names.map((name) => [name, PLAIN])),
  }
}
